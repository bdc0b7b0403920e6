#!/usr/bin/python3
"""The edge of a node: who is let in and who is not, whom it believes about addresses, its certificates, and reloading."""
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402
import wire  # noqa: E402
from wire import PING, PONG, TEXT, frame, upgrade  # noqa: E402

folder = None
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def path(name):
    return os.path.join(folder, name)


def make_certificate(name, subject, *key_arguments):
    subprocess.run(["openssl", "req", "-x509", "-newkey", *key_arguments, "-nodes", "-keyout", path(name + ".key"), "-out",
                    path(name + ".pem"), "-days", "2", "-subj", f"/CN={subject}", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)


def setUpModule():
    global folder
    folder = tempfile.mkdtemp(prefix="warren-edge-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    curve = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    make_certificate("ecdsa", "first", *curve)
    make_certificate("next", "second", *curve)
    make_certificate("rsa", "first", "rsa:2048")


class EdgeTest(warren.WarrenTest):
    node_count = 0
    standalone = True

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(dir=folder)

    def own(self, name):
        return os.path.join(self.folder, name)

    def peer(self, node, before=b"", tls=None, timeout=60):
        peer = wire.Peer(node.port, timeout=timeout)
        self.addCleanup(lambda: peer.socket.close())
        if before:
            peer.send(before)
        if tls:
            peer.socket = tls.wrap_socket(peer.socket, server_hostname="localhost")
        return peer

    def enters(self, node):
        """Whether a newcomer gets in."""
        try:
            return self.peer(node, wire.upgrade("/ws")).response().status == 101
        except (ConnectionError, EOFError):
            return False

    def ended(self, node, reason, count=1):
        name = "warren_gateway_ended_total"
        warren.wait_for(lambda: node.metric(name, reason=reason) >= count, f"{count} ended for {reason}")

    def logged(self, node, *parts):
        def find():
            return next((line for line in node.log().splitlines() if all(part in line for part in parts)), None)
        return warren.wait_for(find, f"a log line with {parts}")

    def write_config(self, text):
        with open(self.own("node.conf"), "w") as file:
            file.write(text)
        return self.own("node.conf")

    def reload(self, node, result="ok"):
        before = node.metric("warren_reloads_total", result=result)
        node.signal(1)
        warren.wait_for(lambda: node.metric("warren_reloads_total", result=result) == before + 1, f"reload: {result}")

    def refused(self, response, status):
        self.assertEqual(response.status, status)
        self.assertIn(int(response["Retry-After"]), range(5, 10))
        return json.loads(response.body)["error"]["message"]


def anybody(version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Certificates(EdgeTest):
    def start(self, **settings):
        config = self.write_config(f"[tls]\ncertificate = {self.own('live.pem')}\nkey = {self.own('live.key')}\n")
        self.use("ecdsa")
        self.node = self.start_node(ready=False, config=config, settings={"listen.echo": "on", **settings})
        self.node.wait_ready()

    def use(self, name, key=None):
        shutil.copy(path(name + ".pem"), self.own("live.pem"))
        shutil.copy(path((key or name) + ".key"), self.own("live.key"))

    def s_client(self, *arguments):
        """Asks for /healthz by OpenSSL's own client; returns what it printed."""
        request = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
        result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.node.port}", "-ign_eof", *arguments],
                                input=request, capture_output=True, timeout=120)
        return result.stdout.decode(errors="replace")

    def subject(self):
        with socket.create_connection(("127.0.0.1", self.node.port), 60) as plain:
            with anybody().wrap_socket(plain) as tls:
                der = tls.getpeercert(True)
        text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der, capture_output=True).stdout
        return text.decode().split("CN = ")[1].strip()

    def test_two_kinds_of_keys(self):
        self.start()
        self.node = self.start_node(ready=False, settings={"tls.certificate": f"{path('rsa.pem')}, {path('ecdsa.pem')}",
                                                           "tls.key": f"{path('rsa.key')}, {path('ecdsa.key')}"})
        self.node.wait_ready()
        for version in ("-tls1_2", "-tls1_3"):
            for algorithms, kind in (("ECDSA+SHA256", "ECDSA"), ("rsa_pss_rsae_sha256", "RSA-PSS"),
                                     ("rsa_pss_rsae_sha256:ECDSA+SHA256", "ECDSA")):
                with self.subTest(version=version, algorithms=algorithms):
                    printed = self.s_client(version, "-sigalgs", algorithms)
                    self.assertIn(f"Peer signature type: {kind}", printed)
                    self.assertIn("HTTP/1.1 200", printed)

    def test_sessions_resume_across_a_reload(self):
        self.start()
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version=version):
                saved = self.own("session" + version)
                self.assertIn("New, TLSv1", self.s_client(version, "-sess_out", saved))
                self.assertIn("Reused, TLSv1", self.s_client(version, "-sess_in", saved, "-sess_out", saved))
                self.reload(self.node)
                self.assertIn("Reused, TLSv1", self.s_client(version, "-sess_in", saved))
        warren.wait_for(lambda: self.node.metric("warren_gateway_tls_handshakes_total", resumed="yes") == 4, "counted")

    def test_without_tickets(self):
        self.start(**{"tls.tickets": "off"})
        for version in ("-tls1_2", "-tls1_3"):
            saved = self.own("none" + version)
            self.s_client(version, "-sess_out", saved)
            if os.path.exists(saved):
                self.assertNotIn("Reused", self.s_client(version, "-sess_in", saved))

    def test_a_new_certificate_and_nobody_dropped(self):
        self.start()
        peer = self.peer(self.node, tls=anybody()).upgraded("/echo")
        self.assertEqual(self.subject(), "first")
        self.use("next")
        self.assertEqual(self.subject(), "first", "not before the reload")
        self.reload(self.node)
        self.assertEqual(self.subject(), "second")
        self.assertEqual(peer.send(frame(TEXT, b"still here")).until(TEXT), b"still here")
        # a certificate without its key changes nothing, and is told
        self.use("ecdsa", key="next")
        self.reload(self.node, "bad")
        self.logged(self.node, "nothing has changed", "live")
        self.assertEqual(self.subject(), "second")
        os.remove(self.own("live.pem"))
        self.reload(self.node, "bad")
        self.assertEqual(self.subject(), "second")
        self.assertEqual(peer.send(frame(TEXT, b"and here")).until(TEXT), b"and here")
        self.use("ecdsa")
        self.reload(self.node)
        self.assertEqual(self.subject(), "first")

    def test_minimum_version(self):
        self.start(**{"tls.minimum_version": "1.3"})
        self.assertIn("HTTP/1.1 200", self.s_client("-tls1_3"))
        self.assertNotIn("HTTP/1.1 200", self.s_client("-tls1_2"))

    def test_application_protocols(self):
        self.start()
        self.assertIn("ALPN protocol: http/1.1", self.s_client("-alpn", "h2,http/1.1"))
        self.assertNotIn("HTTP/1.1 200", self.s_client("-alpn", "h2"))

    def test_handshakes_at_once(self):
        self.start(**{"limits.tls_handshakes": "2", "limits.tls_waiting": "2", "limits.tls_timeout": "6s", "loop.workers": "1"})
        silent = [self.peer(self.node) for _ in range(4)]
        warren.wait_for(lambda: self.node.metric("warren_gateway_tls_waiting") == 2, "two wait")
        self.assertEqual(self.node.metric("warren_gateway_tls_handshaking"), 2)
        self.assertTrue(self.peer(self.node).is_cut_within(60), "one too many")
        self.ended(self.node, "tls_busy")
        silent[0].socket.close()
        silent[1].socket.close()
        silent[2].socket.close()
        warren.wait_for(lambda: (self.node.metric("warren_gateway_tls_handshaking"), self.node.metric("warren_gateway_tls_waiting")) == (1, 0),
                        "three have left")
        peer = self.peer(self.node, tls=anybody()).upgraded("/echo")  # there is room again
        self.assertEqual(peer.send(frame(TEXT, b"x")).until(TEXT), b"x")
        self.assertTrue(silent[3].is_cut_within(60), "its time was over")
        self.ended(self.node, "tls_timeout")
        self.assertEqual(peer.send(frame(TEXT, b"y")).until(TEXT), b"y")


class Introductions(EdgeTest):
    settings = {"listen.proxy_protocol": "v2", "listen.trusted": "127.0.0.0/8", "log.level": "debug", "listen.echo": "on",
                "limits.handshake_timeout": "4s"}
    v4 = SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 33, 10, 0, 0, 1]) + struct.pack("!HH", 5001, 443)
    v6 = SIGNATURE + b"\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::33") + bytes(16) + struct.pack("!HH", 5002, 443)

    def visit(self, node, before, tls=None, **headers):
        peer = self.peer(node, before, tls=tls).upgraded("/echo", **headers)
        self.assertEqual(peer.send(frame(TEXT, b"x")).until(TEXT), b"x")
        peer.send(frame(wire.CLOSE, wire.close_payload(1000)))

    def test_the_client_is_the_one_that_was_introduced(self):
        node = self.start_node()
        self.visit(node, self.v4)
        self.logged(node, "connection ended", "peer=192.0.2.33:5001")
        self.visit(node, self.v6)
        self.logged(node, "connection ended", "peer=[2001:db8::33]:5002")
        self.visit(node, SIGNATURE + b"\x20\x00\x00\x00")
        self.logged(node, "connection ended", "peer=127.0.0.1:")
        with_fields = bytearray(self.v4 + b"\x02\x00\x04host" + b"\xea\x00\x0cabcdefghijkl")
        with_fields[15] += 7 + 15
        self.visit(node, bytes(with_fields))

    def test_before_tls(self):
        node = self.start_node(ready=False, settings={"tls.certificate": path("ecdsa.pem"), "tls.key": path("ecdsa.key")})
        node.wait_ready()
        self.visit(node, self.v4, tls=anybody())
        self.logged(node, "connection ended", "peer=192.0.2.33:5001")

    def test_mistakes(self):
        node = self.start_node()
        wrong = [b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", b"PROXY TCP4 192.0.2.1 10.0.0.1 5001 443\r\n", SIGNATURE + b"\x11\x11\x00\x0c",
                 SIGNATURE + b"\x22\x11\x00\x0c", SIGNATURE + b"\x21\x12\x00\x0c", SIGNATURE + b"\x21\x31\x00\xd8",
                 SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x21\x11\x00\x04abcd", SIGNATURE + b"\x21\x11\x00\x0e" + bytes(12) + b"\x04\x00"]
        for bytes_ in wrong:
            with self.subTest(bytes_=bytes_):
                self.assertTrue(self.peer(node, bytes_).is_cut_within(60))
        self.ended(node, "bad_proxy", len(wrong))  # and not because their time was over
        self.assertTrue(self.peer(node, self.v4[:20]).is_cut_within(60), "a header that does not end")
        self.ended(node, "handshake_timeout")
        self.visit(node, self.v4)

    def test_a_stranger_cannot_introduce_anybody(self):
        node = self.start_node(settings={"listen.trusted": "10.0.0.0/8"})
        self.assertEqual(self.peer(node, self.v4 + wire.upgrade("/echo")).response().status, 400)
        self.visit(node, b"")
        self.logged(node, "connection ended", "reason=peer_closed", "peer=127.0.0.1:")

    def test_forwarded_for(self):
        node = self.start_node(settings={"listen.proxy_protocol": "off"})
        self.visit(node, b"", X_Forwarded_For="198.51.100.1, 192.0.2.44, 127.0.0.9")
        self.logged(node, "connection ended", "peer=192.0.2.44:0")
        self.visit(node, b"", X_Forwarded_For="nonsense")
        self.logged(node, "connection ended", "peer=127.0.0.1:", "reason=peer_closed")
        distrusting = self.start_node(settings={"listen.proxy_protocol": "off", "listen.trusted": ""})
        self.visit(distrusting, b"", X_Forwarded_For="192.0.2.44")
        self.logged(distrusting, "connection ended", "peer=127.0.0.1:", "reason=peer_closed")


class Origins(EdgeTest):
    def test_whose_pages_may_connect(self):
        config = self.write_config("[listen]\norigins = https://example.com, https://*.example.org\n")
        node = self.start_node(config=config, settings={"listen.echo": "on"})
        for good in ("https://example.com", "https://example.com:443", "https://a.example.org", None):
            peer = self.peer(node).upgraded("/ws", Origin=good)
        for bad in ("https://example.org", "http://example.com", "https://example.com.evil.test", "null"):
            for path in ("/ws", "/echo", "/websocket/42/7"):
                response = self.peer(node).send(upgrade(path, Origin=bad)).response()
                self.assertEqual(response.status, 403, bad)
                self.assertEqual(json.loads(response.body)["error"]["code"], "forbidden")
        warren.wait_for(lambda: node.metric("warren_gateway_refused_total", status="403") == 12, "counted")
        self.assertEqual(self.peer(node).send(upgrade("/nowhere", Origin="null")).response().status, 404)
        # a page is no upgrade: whoever may read it is the browser's to judge
        self.assertEqual(warren.fetch(node.http + "/healthz")[0], 200)
        # another list, for those who come from now on
        self.write_config("[listen]\norigins = null\nrequire_origin = yes\n")
        self.reload(node)
        self.peer(node).upgraded("/ws", Origin="null")
        for bad in ("https://example.com", None):
            self.assertEqual(self.peer(node).send(upgrade("/ws", Origin=bad)).response().status, 403)
        self.assertEqual(peer.send(frame(PING, b"x")).until(PONG), b"x")
        self.write_config("[listen]\norigins = example.com\n")
        self.reload(node, "bad")
        self.logged(node, "nothing has changed", "listen.origins")
        self.peer(node).upgraded("/ws", Origin="null")


class Reloading(EdgeTest):
    def test_what_changes_and_what_does_not(self):
        config = self.write_config("[limits]\nconnections = 100\n[log]\nlevel = info\n")
        node = self.start_node(config=config, settings={"listen.echo": "on"})
        peer = self.peer(node).upgraded("/echo")
        self.write_config("[limits]\nconnections = 200\n[log]\nlevel = debug\n[listen]\ndemo = on\n[amqp]\nprefix = other\n"
                          "[route.new]\npath = /new\n")
        self.reload(node)
        self.logged(node, "option changed", "option=limits.connections", "old=100", "new=200")
        self.logged(node, "option changed", "option=log.level", "old=info", "new=debug")
        self.logged(node, "not before a restart", "option=amqp.prefix", "old=warren", "new=other")
        self.logged(node, "not before a restart", "option=[route.new]")
        self.assertEqual(node.metric("warren_gateway_connections_limit"), 200)
        self.assertEqual(warren.fetch(node.http + "/")[0], 200)
        self.logged(node, "level=debug")
        self.assertEqual(peer.send(frame(TEXT, b"x")).until(TEXT), b"x")
        options = {o["key"]: o["value"] for o in node.get("/v1/config")[1]["options"]}
        self.assertEqual((options["limits.connections"], options["log.level"], options["amqp.prefix"]), (200, "debug", "warren"))
        # a mistake anywhere changes nothing
        for text, words in (("[limits]\nconnections = 300\nheads = 1\n", "limits.headers"), ("[limits]\nconnections = 0\n", "connections"),
                            ("[limits]\nconnections = 300\n[tls]\ncertificate = /nowhere\n", "tls.key"),
                            ("[limits]\nconnections = 300\n[route.x]\npath = /a/{room\n", "route.x"), ("[limits\n", ":1")):
            self.write_config(text)
            self.reload(node, "bad")
            self.logged(node, "nothing has changed", words)
        os.remove(config)
        self.reload(node, "bad")
        self.assertEqual(node.metric("warren_gateway_connections_limit"), 200)
        self.assertEqual(peer.send(frame(PING, b"x")).until(PONG), b"x")

    def test_by_the_api(self):
        config = self.write_config("")
        node = self.start_node(config=config)
        self.write_config("[limits]\nops_per_frame = 2\n[loop]\nworkers = 3\n[redis]\nurl = redis://:hunter2@localhost\n")
        self.assertEqual(warren.fetch(node.api + "/v1/config/reload")[0], 405)
        node.settings.pop("loop.workers")
        status, answer = node.post("/v1/config/reload")
        self.assertEqual(status, 200)
        self.assertNotIn("hunter2", json.dumps(answer))
        changes = {c["option"]: (c["old"], c["new"], c["applied"]) for c in answer["changes"]}
        self.assertEqual(changes["limits.ops_per_frame"], ("100", "2", True))
        self.assertFalse(changes["redis.url"][2])
        self.assertNotIn("hunter2", node.log())
        self.write_config("[limits]\nops_per_frame = 0\n")
        code, out, err = warren.run_tool("warrenctl", "--api", node.api, "reload")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("ops_per_frame", err)
        self.write_config("[limits]\nops_per_frame = 3\n")
        code, out, err = warren.run_tool("warrenctl", "--api", node.api, "reload")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"(?m)^limits\.ops_per_frame +2 +3 +yes$")
        self.assertRegex(out, r"(?m)^OPTION +OLD +NEW +IN FORCE$")

    async def test_limits_of_sessions_that_are_open(self):
        config = self.write_config("")
        node = self.start_node(config=config)
        alice = await self.room(node, "lobby", "alice")
        await alice.send([{"op": "ping", "id": n} for n in range(3)])
        for n in range(3):
            await alice.expect(lambda m, n=n: m.get("id") == n and "ok" in m, "an answer")
        self.write_config("[limits]\nops_per_frame = 2\n")
        self.reload(node)
        answer = {}
        while "error" not in answer:  # a session's loop hears of it by itself, a moment later
            await alice.send([{"op": "ping", "id": n} for n in range(3)])
            answer = await alice.expect(lambda m: "error" in m or m.get("id") == 2, "an answer")

    def test_the_service_manager_is_told(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(self.own("notify"))
            manager.settimeout(60)
            node = self.start_node(config=self.write_config(""), environment={"NOTIFY_SOCKET": self.own("notify")})
            self.assertEqual(manager.recv(1000), b"READY=1")
            for text, result in (("", "ok"), ("[nonsense]\n", "bad")):
                self.write_config(text)
                before = time.monotonic_ns() // 1000
                self.reload(node, result)
                told = manager.recv(1000).decode()
                match = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", told)
                self.assertTrue(match, told)
                self.assertTrue(before <= int(match[1]) <= time.monotonic_ns() // 1000)
                self.assertEqual(manager.recv(1000), b"READY=1")

    def test_reloads_under_traffic(self):
        """Snapshots replace each other while clients come, talk and go."""
        config = self.write_config("")
        node = self.start_node(config=config, settings={"listen.echo": "on"})
        stop = threading.Event()
        errors = []

        def talk():
            try:
                while not stop.is_set():
                    with wire.Peer(node.port) as peer:
                        peer.upgraded("/echo").send(frame(TEXT, b"x"))
                        assert peer.until(TEXT) == b"x"
            except Exception as error:  # told below
                errors.append(error)
        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(30):
            self.write_config(f"[limits]\nheaders = {20 + n}\nqueued_bytes = {64 + n}k\n[session]\nheartbeat = {5 + n}s\n")
            self.assertEqual(node.post("/v1/config/reload")[0], 200)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])


class Limits(EdgeTest):
    def test_connections_of_an_address(self):
        node = self.start_node(settings={"limits.connections_per_address": "3", "listen.trusted": "127.0.0.2"})
        held = [self.peer(node).upgraded("/ws") for _ in range(3)]
        message = self.refused(self.peer(node, wire.upgrade("/ws")).response(), 429)
        self.assertIn("this address", message)
        self.ended(node, "address")
        held[0].socket.close()
        warren.wait_for(lambda: self.enters(node), "room again")

    def test_descriptors(self):
        node = self.start_node(descriptors=256)
        limit = int(node.metric("warren_gateway_connections_limit"))
        self.assertTrue(32 <= limit <= 200, limit)
        self.logged(node, 'msg="limits"', f"connections={limit}", "descriptors=256")
        held = [self.peer(node).upgraded("/ws") for _ in range(limit)]
        for _ in range(40):  # more than are listened to
            with socket.create_connection(("127.0.0.1", node.port), 60) as extra:
                extra.sendall(wire.upgrade("/ws"))
                answer = b""
                try:
                    while chunk := extra.recv(65536):
                        answer += chunk
                except ConnectionError:
                    pass
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertEqual(warren.fetch(node.http + "/healthz")[0], 200)
        self.assertEqual(node.readiness()[0], 200, "the internal listener has its own share")
        self.ended(node, "full", 40)
        self.assertNotIn("out of descriptors", node.log())
        for peer in held[:5]:
            peer.socket.close()
        warren.wait_for(lambda: self.enters(node), "room again")

    def test_the_soft_limit_is_raised(self):
        node = self.start_node(settings={"limits.connections": "50"})
        with open(f"/proc/{node.process.pid}/limits") as file:
            line = next(line for line in file if line.startswith("Max open files"))
        self.assertEqual(line.split()[3], line.split()[4])

    def test_memory(self):
        config = self.write_config("[limits]\nmemory = 1m\n")
        node = self.start_node(config=config)
        delays = set()
        for _ in range(30):
            response = self.peer(node, wire.upgrade("/ws")).response()
            self.assertIn("memory", self.refused(response, 503))
            delays.add(response["Retry-After"])
        self.assertGreater(len(delays), 1, "they do not all come back at once")
        self.assertEqual(warren.fetch(node.http + "/healthz")[0], 200)
        self.ended(node, "memory", 30)
        self.write_config("[limits]\nmemory = 0\n")
        self.reload(node)
        self.peer(node).upgraded("/ws")
        self.assertGreater(node.metric("warren_gateway_memory_limit_bytes"), node.metric("warren_process_resident_bytes"))

    def test_first_frame(self):
        node = self.start_node(settings={"limits.first_frame_timeout": "3s", "listen.echo": "on"})
        talking = self.peer(node).upgraded("/echo")
        talking.send(frame(PING))
        self.assertEqual(self.peer(node).upgraded("/echo").closed(), (4102, "no frame in time"))
        self.ended(node, "no_first_frame")
        self.assertEqual(talking.send(frame(TEXT, b"x")).until(TEXT), b"x")

    def test_head(self):
        node = self.start_node(settings={"limits.handshake_timeout": "3s", "limits.headers": "8", "limits.head_bytes": "1k"})
        self.assertTrue(self.peer(node, b"GET /ws HT").is_cut_within(60))
        self.ended(node, "handshake_timeout")
        many = wire.upgrade("/ws", **{f"X{n}": "y" for n in range(9)})
        self.assertEqual(self.peer(node, many).response().status, 431)
        self.assertEqual(self.peer(node, wire.upgrade("/ws", X="y" * 1100)).response().status, 431)

    def test_idle_and_close(self):
        node = self.start_node(settings={"session.heartbeat": "1s", "limits.close_timeout": "300ms", "listen.echo": "on"})
        peer = self.peer(node).upgraded("/echo")
        self.assertEqual(peer.closed()[0], 4102)
        self.assertTrue(peer.is_cut_within(4), "its close frame never came, and for long it was not waited for")
        self.ended(node, "idle")
        warren.wait_for(lambda: node.metric("warren_gateway_close_timeouts_total") == 1, "counted")

    def test_the_rest_of_a_message(self):
        node = self.start_node(settings={"session.heartbeat": "1s", "limits.message_timeout": "1500ms", "listen.echo": "on"})
        for begun in (frame(TEXT, b"half", fin=False), frame(wire.BINARY, bytes(1000))[:500], frame(TEXT, b"x")[:1]):
            peer = self.peer(node).upgraded("/echo").send(begun)
            self.assertEqual(peer.closed(), (4102, "no whole message in time"))
        self.ended(node, "message_timeout", 3)
        warren.wait_for(lambda: node.metric("warren_gateway_unfinished_bytes") == 0, "nothing is held")

    def test_unfinished_messages_of_all_together(self):
        config = self.write_config("[limits]\nunfinished_total = 2m\n")
        node = self.start_node(config=config, settings={"listen.echo": "on"})
        half = frame(wire.BINARY, bytes(700 << 10), fin=False)
        unfinished = "warren_gateway_unfinished_bytes"
        first, second = [self.peer(node).upgraded("/echo").send(half) for _ in range(2)]
        warren.wait_for(lambda: node.metric(unfinished) > 1400 << 10, "both are held")
        self.assertEqual(self.peer(node).upgraded("/echo").send(half).closed(), (4103, "too many messages wait for their rest"))
        self.ended(node, "unfinished")
        self.assertLess(node.metric(unfinished), 2 << 20)
        # what is short goes on, and so do they
        small = self.peer(node).upgraded("/echo").send(frame(TEXT, b"a", fin=False)).send(frame(wire.CONTINUATION, b"b"))
        self.assertEqual(small.until(TEXT), b"ab")
        first.send(frame(wire.CONTINUATION, b"!"))
        self.assertEqual(first.until(wire.BINARY), bytes(700 << 10) + b"!")
        second.socket.close()
        warren.wait_for(lambda: node.metric(unfinished) == 0, "nothing is held")
        # compressed ones hold more than they show
        self.write_config("[limits]\nunfinished_total = 1m\n")
        self.reload(node)
        offer = {"Sec_WebSocket_Extensions": "permessage-deflate"}
        peers = [self.peer(node).upgraded("/echo", **offer).send(frame(TEXT, b"\xf2", fin=False, rsv=4)) for _ in range(30)]
        self.ended(node, "unfinished", 2)
        self.assertEqual(len(peers), 30)


class Storms(EdgeTest):
    def test_newcomers_wait_for_their_turn(self):
        node = self.start_node(settings={"limits.accept_rate": "300", "listen.echo": "on"})
        here = self.peer(node).upgraded("/echo")
        waited, stop = [], threading.Event()

        def talk():
            while not stop.is_set():
                sent = time.monotonic()
                assert here.send(frame(PING, b"x")).until(PONG) == b"x"
                waited.append(time.monotonic() - sent)
                stop.wait(0.005)
        talker = threading.Thread(target=talk)
        talker.start()
        began = time.monotonic()
        newcomers = [self.peer(node, wire.upgrade("/ws"), timeout=120) for _ in range(600)]  # the kernel takes them all at once
        statuses = {peer.response().status for peer in newcomers}
        took = time.monotonic() - began
        stop.set()
        talker.join()
        self.assertEqual(statuses, {101}, "nobody is lost: the backlog holds them")
        self.assertGreater(took, 1.8, "no faster than they may")
        self.assertGreater(node.metric("warren_gateway_accept_pauses_total"), 3)
        self.assertGreater(len(waited), 10)
        self.assertLess(sorted(waited)[len(waited) // 2], 0.5, "who is here goes first")

    def test_when_waiting_is_no_use_they_are_told(self):
        node = self.start_node(settings={"limits.accept_rate": "1"})
        with open("/proc/sys/net/core/somaxconn") as file:
            backlog = int(file.read())
        if backlog > 5000:
            self.skipTest("the kernel lets more wait than this test has clients")
        peers = []
        self.addCleanup(lambda: [peer.close() for peer in peers])
        for n in range(backlog * 3 // 4 + 400):  # the kernel connects them before anybody accepts
            peer = socket.socket()
            peer.setblocking(False)
            peer.connect_ex(("127.0.0.1", node.port))
            peers.append(peer)
        self.ended(node, "storm", 100)
        self.logged(node, "newcomers come faster")
        self.assertEqual(node.readiness()[0], 200)


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 4)  # most of them wait for a time-out


if __name__ == "__main__":
    warren.main()
