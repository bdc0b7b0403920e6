#!/usr/bin/python3
"""The nginx configuration that is shipped (scripts/deploy/nginx), under a real nginx in front of real nodes."""
import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

import websockets

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
DEPLOY = os.path.join(warren.TOP, "scripts", "deploy", "nginx")

# What a distribution's nginx.conf has around conf.d/*.conf; everything nginx writes stays in its own directory. Two workers, because
# what one worker knows of the nodes the other one must know too.
FRAME = """
worker_processes 2;
pid {dir}/pid;
error_log {dir}/error.log info;
daemon off;
{user}
events {{ worker_connections 256; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    include {dir}/conf.d/*.conf;
}}
"""


def read(name):
    with open(os.path.join(DEPLOY, name), encoding="utf-8") as file:
        return file.read()


def replace(pattern, replacement, text, count):
    """The shipped text with what must differ here; exactly so often, or the test no longer tests what is shipped."""
    text, found = re.subn(pattern, replacement, text)
    if found != count:
        raise AssertionError(f"{pattern} occurs {found} times in the shipped file, expected {count}")
    return text


class Nginx:
    """nginx with the shipped site, its port and the upstream's servers replaced."""

    def __init__(self, ports, site_changes=()):
        self.port = warren.free_port()
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.http = f"http://127.0.0.1:{self.port}"
        self.dir = tempfile.mkdtemp(prefix="warren-nginx-")
        self.process = None
        site = replace(r"listen 80;", f"listen 127.0.0.1:{self.port};", read("warren.conf"), 1)
        for pattern, replacement, count in site_changes:
            site = replace(pattern, replacement, site, count)
        server = re.search(r"server 127\.0\.0\.1:8091( [^;]*);", read("upstream.conf"))
        upstream = re.sub(r"( *server [^;]*;\n)+", "".join(f"    server 127.0.0.1:{port}{server[1]};\n" for port in ports),
                          read("upstream.conf"), count=1)
        os.mkdir(os.path.join(self.dir, "conf.d"))
        self.write("conf.d/warren.conf", site)
        self.write("conf.d/upstream.conf", upstream)
        self.write("nginx.conf", FRAME.format(dir=self.dir, user="user root;" if os.geteuid() == 0 else ""))

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as file:
            file.write(text)

    def log(self):
        with open(os.path.join(self.dir, "error.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"nginx ended with {self.process.returncode}: {self.log()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self):
        self.process = subprocess.Popen([NGINX, "-e", f"{self.dir}/error.log", "-p", self.dir, "-c", f"{self.dir}/nginx.conf"])
        warren.wait_for(self.answers, "nginx listening")
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self.dir)


class NginxTest(warren.WarrenTest):
    def setUp(self):
        if not NGINX:
            self.skipTest("no nginx; apt-get install nginx-light")
        super().setUp()

    def start_nginx(self, ports=None, site_changes=()):
        nginx = Nginx(ports or [node.port for node in self.nodes], site_changes)
        self.addCleanup(nginx.stop)
        return nginx.start()


class Site(NginxTest):
    """What one node alone shows of the site; no broker and store."""

    standalone = True
    node_count = 1

    async def test_upgrade_and_message(self):
        nginx = self.start_nginx()
        alice = await self.client(f"{nginx.ws}/websocket/a%20b%2F%C3%BC/alice?device=phone")
        self.assertEqual(alice.welcome["node"], self.nodes[0].id)
        self.assertIn("room:a b/ü", [c["channel"] for c in alice.welcome["channels"]], "the path arrives as it was sent")
        await alice.request(op="send", room="a b/ü", data="x" * 50000)
        self.assertEqual((await alice.message())["data"], "x" * 50000)

    async def test_subprotocol_passes(self):
        nginx = self.start_nginx()
        alice = await self.client(f"{nginx.ws}/ws?user=alice", subprotocols=["unknown", "warren.json.v1"])
        self.assertEqual(alice.socket.subprotocol, "warren.json.v1")

    async def test_without_upgrade(self):
        nginx = self.start_nginx()
        status, body, headers = warren.fetch(nginx.http + "/ws")
        self.assertEqual(status, 426)
        self.assertIn(b"upgrade_required", body)
        self.assertEqual(headers.get("Upgrade"), "websocket")
        self.assertEqual(warren.fetch(nginx.http + "/healthz")[:2], (200, b"ok\n"))
        self.assertEqual(warren.fetch(nginx.http + "/readyz")[:2], (200, b"ready\n"))
        self.assertEqual(warren.fetch(nginx.http + "/nothing")[0], 404)
        self.assertEqual(warren.fetch(nginx.http + "/metrics")[0], 404, "the internal listener is not behind it")

    async def test_headers(self):
        seen = []

        async def record(socket_, *_):
            seen.append(socket_.request_headers)

        port = warren.free_port()
        async with websockets.serve(record, "127.0.0.1", port):
            nginx = self.start_nginx([port])
            async with websockets.connect(f"{nginx.ws}/x", extra_headers={"X-Forwarded-For": "203.0.113.7"}) as client:
                await client.wait_closed()
            async with websockets.connect(f"{nginx.ws}/x") as client:
                await client.wait_closed()
        self.assertEqual(seen[0]["X-Forwarded-For"], "203.0.113.7, 127.0.0.1", "nginx adds the address that it sees, at the end")
        self.assertEqual(seen[1]["X-Forwarded-For"], "127.0.0.1")
        self.assertEqual(seen[1]["X-Forwarded-Proto"], "http")
        self.assertEqual(seen[1]["Host"], "127.0.0.1")
        self.assertEqual(seen[1]["Upgrade"], "websocket")
        self.assertEqual(seen[1]["Connection"], "upgrade")

    async def test_nginx_is_more_patient_than_the_node(self):
        options = {o["key"]: o["value"] for o in self.nodes[0].get("/v1/config")[1]["options"]}
        heartbeat_s = int(re.fullmatch(r"(\d+)s", options["session.heartbeat"])[1])
        for directive in ("proxy_read_timeout", "proxy_send_timeout"):
            timeouts = re.findall(rf"^\s*{directive} (\d+)s;", read("warren.conf"), re.MULTILINE)
            self.assertEqual(len(timeouts), 1, directive)
            self.assertGreater(int(timeouts[0]), 2 * heartbeat_s, directive)


class Quiet(NginxTest):
    """The same relation of time-outs as shipped, on a smaller scale: heartbeats keep a silent client's connection."""

    standalone = True
    node_count = 1
    settings = {"session.heartbeat": "2s"}

    async def test_a_silent_client_stays(self):
        nginx = self.start_nginx(site_changes=[(r"(proxy_(?:read|send)_timeout) 75s;", r"\1 6s;", 2)])
        alice = await self.client(f"{nginx.ws}/ws?user=alice")
        # Four heartbeats: longer than nginx waits for a silent one. In a thread, while the client's library here answers the pings.
        await asyncio.to_thread(
            warren.wait_for, lambda: self.nodes[0].metric("warren_gateway_received_messages_total", type="pong") >= 4, "four pongs")
        self.assertEqual((await alice.request(op="ping")).get("ok"), {})


class Full(NginxTest):
    """A node that refuses newcomers is passed over."""

    standalone = True
    node_count = 2
    settings = {"limits.connections": "2"}

    async def test_503_is_the_next_nodes_turn(self):
        # Two direct clients fill the first node; for nginx it is still the one with the fewer connections.
        for user in ("direct-1", "direct-2"):
            await self.room(self.nodes[0], "lobby", user)
        nginx = self.start_nginx()
        for user in ("alice", "bob"):
            client = await self.client(f"{nginx.ws}/ws?user={user}")
            self.assertEqual(client.welcome["node"], self.nodes[1].id)
        self.assertGreaterEqual(self.nodes[0].metric("warren_gateway_refused_total", status="503"), 1)


class Cluster(NginxTest):
    """Two nodes, RabbitMQ and Redis behind nginx."""

    async def pair(self, nginx):
        return [await self.client(f"{nginx.ws}/websocket/lobby/{user}") for user in ("alice", "bob")]

    async def test_a_line_crosses(self):
        nginx = self.start_nginx()
        alice, bob = await self.pair(nginx)
        self.assertEqual(sorted([alice.welcome["node"], bob.welcome["node"]]), sorted(n.id for n in self.nodes),
                         "the second client goes to the node with fewer connections")
        answer = await alice.request(op="send", room="lobby", data="hello")
        heard = await bob.message()
        self.assertEqual((heard["from"], heard["data"], heard["id"]), ("alice", "hello", answer["ok"]["message"]))
        await bob.request(op="whisper", user="alice", data="back")
        self.assertEqual((await alice.message(channel="user:alice"))["data"], "back")

    async def test_a_dead_node_is_passed_over(self):
        nginx = self.start_nginx()
        alice, bob = await self.pair(nginx)
        dead = self.nodes[0] if alice.welcome["node"] == self.nodes[0].id else self.nodes[1]
        alive = self.nodes[1] if dead is self.nodes[0] else self.nodes[0]
        dead.kill()
        await alice.socket.wait_closed()  # nginx ends what it carried to that node
        for number in range(6):
            client = await self.client(f"{nginx.ws}/websocket/lobby/again-{number}")
            self.assertEqual(client.welcome["node"], alive.id)
            await client.request(op="send", room="lobby", data=number)
            self.assertEqual((await bob.message())["data"], number, "who was on the other node noticed nothing")


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 3)


if __name__ == "__main__":
    warren.main()
