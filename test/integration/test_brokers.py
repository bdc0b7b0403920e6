#!/usr/bin/python3
"""The ways to a broker and a store: several URLs, TLS and whom it trusts, a Unix socket; and a queue that outlives its node."""
import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import pika

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402


class TlsWire:
    """A TLS listener in front of the broker's plain port."""

    def __init__(self, target, certificate, key, client_ca=None):
        self.target = target
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.protocols = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, plain):
        try:
            near = self.context.wrap_socket(plain, server_side=True)
        except (OSError, ssl.SSLError):
            plain.close()
            return
        self.protocols.add(near.version())
        far = socket.create_connection(self.target)
        back = threading.Thread(target=self.relay, args=(far, near), daemon=True)
        back.start()
        self.relay(near, far)
        back.join()
        near.close()
        far.close()

    @staticmethod
    def relay(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class BrokersTest(warren.WarrenTest):
    node_count = 0

    async def flows(self, node):
        client = await self.room(node, "lobby", "u")
        await client.request(op="send", room="lobby", data="hello")
        self.assertEqual((await client.message())["data"], "hello")
        self.broker.publish({"room": "lobby", "data": "x" * 50000}, exchange="warren.ingress", message_id="m")
        self.assertEqual(len((await client.message())["data"]), 50000)


@warren.unittest.skipUnless(shutil.which("openssl"), "no openssl command to make certificates with")
class Tls(BrokersTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="warren-brokers-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        for name in ("localhost", "elsewhere.example", "node"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                            cls.path(name + ".key"), "-out", cls.path(name + ".pem"), "-days", "2", "-subj", "/CN=" + name,
                            "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def wire(self, name, **options):
        parts = warren.urllib.parse.urlsplit(self.broker.url)
        wire = TlsWire((parts.hostname, parts.port), self.path(name + ".pem"), self.path(name + ".key"), **options)
        self.addCleanup(wire.close)
        url = f"amqps://{parts.username}:{parts.password}@localhost:{wire.port}{parts.path}"
        return wire, url

    def start(self, url, ready=True, **settings):
        node = self.start_node(ready=ready, settings={"amqp.url": url, **{k.replace("__", "."): v for k, v in settings.items()}})
        if not ready:
            node.wait_listening()
            warren.wait_for(lambda: "no broker connection" in node.log(), "it has tried")
            warren.wait_for(lambda: node.readiness() == (503, "no broker"), "it says so, and nothing else")
        return node

    async def test_a_trusted_broker(self):
        wire, url = self.wire("localhost")
        node = await asyncio.to_thread(self.start, url, amqp__tls_ca=self.path("localhost.pem"))
        await self.flows(node)
        self.assertLessEqual(wire.protocols, {"TLSv1.2", "TLSv1.3"})
        self.assertIn("broker=amqps://", node.log())
        warren.wait_for(lambda: warren.run_tool("warrenctl", "--api", node.api, "ingress")[1].startswith("ingress  0 waiting,"), "it is acknowledged")
        self.assertEqual(warren.run_tool("warrenctl", "--api", node.api, "ingress")[0], 0)
        code, _, errors = warren.run_tool("warrenctl", "archive", "--out", self.path("out"), "--url", url,
                                          environment={"SSL_CERT_FILE": self.path("localhost.pem")})
        self.assertEqual(code, 1, "there is no archive queue, but the broker was reached")
        self.assertIn("no archive queue", errors)
        self.assertEqual(warren.run_tool("warrenctl", "archive", "--out", self.path("out"), "--url", url)[0], 3, "not trusted")

    async def test_nobody_vouches_for_it(self):
        _, url = self.wire("localhost")
        node = await asyncio.to_thread(self.start, url, ready=False)
        warren.wait_for(lambda: "cert verification failed" in node.log(), "it says why")
        node = await asyncio.to_thread(self.start, url, amqp__tls_verify="no")
        await self.flows(node)

    async def test_another_hosts_certificate(self):
        _, url = self.wire("elsewhere.example")
        await asyncio.to_thread(self.start, url, ready=False, amqp__tls_ca=self.path("elsewhere.example.pem"))

    async def test_a_broker_that_asks_for_a_certificate(self):
        _, url = self.wire("localhost", client_ca=self.path("node.pem"))
        await asyncio.to_thread(self.start, url, ready=False, amqp__tls_ca=self.path("localhost.pem"))
        node = await asyncio.to_thread(self.start, url, amqp__tls_ca=self.path("localhost.pem"), amqp__tls_certificate=self.path("node.pem"),
                                       amqp__tls_key=self.path("node.key"))
        await self.flows(node)

    async def test_urls_are_tried_in_turn(self):
        wire, url = self.wire("localhost")
        nobody = f"amqp://guest:guest@127.0.0.1:{warren.free_port()}/"
        node = await asyncio.to_thread(self.start, f"{nobody}, {nobody}, {url}, {self.broker.url}", amqp__tls_ca=self.path("localhost.pem"))
        await self.flows(node)
        self.assertTrue(wire.protocols)

    def test_a_certificate_without_its_key(self):
        code, _, errors = warren.run_tool("warrend", "--check-config", "--set", "amqp.tls_certificate=/tmp/x")
        self.assertEqual(code, 2)
        self.assertIn("amqp.tls_certificate and amqp.tls_key", errors)


class Durable(BrokersTest):
    settings = {"amqp.queue": "durable", "amqp.queue_expires": "60s", "amqp.queue_max_length": "50",
                "channel.plain.match": "room:plain", "channel.plain.sequenced": "no"}

    async def test_a_queue_outlives_its_node(self):
        node = await asyncio.to_thread(self.start_node)
        name = f"warren.node.{node.id}"
        queue = self.broker.queues()[name]
        self.assertEqual((queue["durable"], queue["exclusive"], queue["arguments"]), (True, False, {"x-expires": 60000, "x-max-length": 50}))
        consumer = warren.wait_for(lambda: [c for c in self.broker.api("GET", f"consumers/{self.broker.vhost}") if c["queue"]["name"] == name],
                                   "its consumer")
        self.assertTrue(consumer[0]["exclusive"])
        node.kill()
        with self.broker.channel() as channel:
            for n in range(60):
                channel.basic_publish("warren.fanout", "", b'{"room":"plain","data":%d}' % n, pika.BasicProperties(message_id=f"m-{n}", delivery_mode=2))
        warren.wait_for(lambda: self.broker.queues()[name]["messages"] == 50, "the newest are held")
        again = await asyncio.to_thread(lambda: self.start_node(port=node.port, internal=node.internal_port))
        warren.wait_for(lambda: self.broker.queues()[name]["messages"] == 0, "it takes them")
        self.assertGreaterEqual(again.metric("warren_amqp_consumed_bodies_total"), 50)
        client = await self.room(again, "plain", "u")
        self.broker.publish({"room": "plain", "data": "after"})
        self.assertEqual((await client.message())["data"], "after")

    async def test_it_is_deleted_without_its_node(self):
        node = await asyncio.to_thread(lambda: self.start_node(settings={"amqp.queue_expires": "1s"}))
        await asyncio.to_thread(node.stop)
        warren.wait_for(lambda: f"warren.node.{node.id}" not in self.broker.queues(), "the queue expires")


class UnixSocket(BrokersTest):
    async def test_redis_by_its_socket(self):
        folder = tempfile.TemporaryDirectory(prefix="wr-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "r.sock")
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder.name],
                                  stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        warren.wait_for(lambda: os.path.exists(path), "the socket")
        node = await asyncio.to_thread(lambda: self.start_node(settings={"redis.url": f"unix://{path}?db=2"}))
        await self.flows(node)
        answer = subprocess.run(["redis-cli", "-s", path, "-n", "2", "--scan", "--pattern", "*log:*"], capture_output=True, text=True, check=True)
        self.assertIn("room:lobby", answer.stdout)


if __name__ == "__main__":
    warren.main()
