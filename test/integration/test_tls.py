#!/usr/bin/python3
"""The public listener with a certificate: wss and https, and what comes to a TLS port by mistake or by malice."""
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402
import wire  # noqa: E402
from wire import PING, PONG, TEXT, frame  # noqa: E402

folder = None


def path(name):
    return os.path.join(folder, name)


def make_certificate(name, *key_arguments):
    subprocess.run(["openssl", "req", "-x509", "-newkey", *key_arguments, "-nodes", "-keyout", path(name + ".key"), "-out",
                    path(name + ".pem"), "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)


def setUpModule():
    global folder
    folder = tempfile.mkdtemp(prefix="warren-tls-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    make_certificate("good", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    make_certificate("second", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    make_certificate("other", "rsa:2048")


def context(version=None, ca="good.pem"):
    made = ssl.create_default_context(cafile=path(ca))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


class TlsTest(warren.WarrenTest):
    node_count = 0
    standalone = True

    def setUp(self):
        super().setUp()
        self.node = self.start_node(ready=False, settings={"tls.certificate": path("good.pem"), "tls.key": path("good.key"),
                                                           "limits.handshake_timeout": "4s", "listen.echo": "on"})
        self.node.wait_ready()

    def peer(self, tls=None):
        peer = wire.Peer(self.node.port, tls or context())
        self.addCleanup(peer.socket.close)
        return peer

    def still_serves(self):
        peer = self.peer().upgraded()
        peer.send(frame(PING, b"here"))
        self.assertEqual(peer.until(PONG), b"here")
        peer.socket.close()


class Serves(TlsTest):
    async def test_a_line_crosses(self):
        url = f"wss://localhost:{self.node.port}"
        alice = await self.client(f"{url}/websocket/lobby/alice", ssl=context())
        bob = await self.client(f"{url}/websocket/lobby/bob", ssl=context())
        await alice.request(op="send", room="lobby", data={"text": "hällo"})
        self.assertEqual((await bob.message())["data"], {"text": "hällo"})

    def test_versions(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            peer = self.peer(context(version)).upgraded()
            self.assertEqual(peer.socket.version(), name)
            self.assertEqual(json.loads(peer.until(TEXT))["event"], "welcome")
            self.assertRegex(peer.socket.cipher()[0], "GCM|CHACHA20")
        old = context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with self.assertRaisesRegex(ssl.SSLError, "ALERT_PROTOCOL_VERSION"):
            self.peer(old)
        self.still_serves()

    def test_the_certificate_is_what_is_checked(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.peer(context(ca="other.pem"))
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.peer(ssl.create_default_context())
        self.still_serves()

    def test_http_1_1_is_what_is_spoken(self):
        made = context()
        made.set_alpn_protocols(["h2", "http/1.1"])
        self.assertEqual(self.peer(made).socket.selected_alpn_protocol(), "http/1.1")

    def test_health_over_https(self):
        for word in ("/healthz", "/readyz"):
            self.assertEqual(self.peer().send(wire.request(word)).response().status, 200)
        peer = self.peer().send(wire.request("/nowhere"))
        self.assertEqual(peer.response().status, 404)
        self.assertEqual(peer.end(), b"", "it ends with close_notify: Python would raise otherwise")
        self.assertEqual(warren.fetch(self.node.api + "/healthz")[0], 200, "the internal listener stays plain")

    def test_many_large_messages_both_ways(self):
        peer = self.peer().upgraded("/echo")
        payload = os.urandom(200000)
        for _ in range(20):
            peer.send(frame(wire.BINARY, payload))
            self.assertEqual(peer.frame()[1], payload)

    def test_a_handshake_and_frames_in_small_records(self):
        peer = self.peer()
        for byte in wire.upgrade("/echo") + frame(TEXT, b"drip"):
            peer.send(bytes([byte]))  # a record each
        self.assertEqual(peer.response().status, 101)
        self.assertEqual(peer.frame()[1], b"drip")

    def test_welcome_over_a_resumed_session(self):
        made = context(ssl.TLSVersion.TLSv1_2)
        first = self.peer(made)
        first.upgraded()
        session = first.socket.session
        with socket.create_connection(("127.0.0.1", self.node.port), 60) as raw:
            with made.wrap_socket(raw, server_hostname="localhost", session=session) as again:
                self.assertTrue(again.session_reused)
                again.sendall(wire.request("/healthz"))
                self.assertIn(b" 200 ", again.recv(100))


class Mistakes(TlsTest):
    def test_plain_http_gets_nothing_and_harms_nobody(self):
        inside = self.peer().upgraded()
        for sent in (wire.request("/healthz"), wire.upgrade(), b"\x16\x03\x01" + bytes(2000), bytes(5), b"\x80" * 1000, b"SSH-2.0-x\r\n"):
            with self.subTest(sent[:20]):
                plain = wire.Peer(self.node.port)
                self.addCleanup(plain.socket.close)
                try:
                    plain.send(sent)
                    answer = plain.end()
                except ConnectionResetError:
                    answer = b""
                self.assertNotIn(b"HTTP/", answer)
                self.assertNotIn(b"ok", answer)
        inside.send(frame(PING, b"in"))
        self.assertEqual(inside.until(PONG), b"in")
        self.still_serves()
        warren.wait_for(lambda: self.node.metric("warren_gateway_ended_total", reason="tls_failed") >= 4, "counted")
        with self.assertRaises(OSError):
            warren.fetch(f"http://127.0.0.1:{self.node.port}/healthz")

    def test_a_handshake_that_stops_is_cut_off(self):
        hello = ssl.MemoryBIO()
        begun = context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            begun.do_handshake()
        hello = hello.read()
        peers = {f"after {len(sent)} bytes": wire.Peer(self.node.port).send(sent) for sent in (b"", hello[:50], hello)}
        peers["with TLS done, the request is awaited no longer than that"] = self.peer()
        for what, peer in peers.items():
            self.addCleanup(peer.socket.close)
            self.assertTrue(peer.is_cut_within(60), what)
        self.still_serves()

    def test_clients_that_leave_at_every_step(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        begun = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            begun.do_handshake()
        hello = outgoing.read()
        for size in range(0, len(hello) + 1, 13):
            with wire.Peer(self.node.port) as plain:
                plain.send(hello[:size])
        for _ in range(5):
            peer = self.peer()
            peer.send(wire.upgrade()[:30])
            peer.socket.close()
            peer = self.peer().upgraded()
            peer.socket.close()
        warren.wait_for(lambda: self.node.metric("warren_gateway_connections") == 0, "they are gone")
        self.still_serves()


class Configured(unittest.TestCase):
    """What is wrong with certificates is said in a sentence, by everything that reads them."""

    def errors(self, certificate, key):
        arguments = ["--standalone", "--set", f"tls.certificate={certificate}", "--set", f"tls.key={key}"]
        said = []
        for also in (["--check-config"], ["--set", f"listen.public=127.0.0.1:{warren.free_port()}", "--set",
                                          f"listen.internal=127.0.0.1:{warren.free_port()}"]):
            code, out, err = warren.run_tool("warrend", *arguments, *also)
            self.assertEqual((code, out), (2, ""), err)
            said.append(err)
        self.assertEqual(said[0], said[1])
        self.assertEqual(len(said[0].splitlines()), 1, said[0])
        return said[0]

    def test_bad_pairs(self):
        with open(path("nonsense.pem"), "w", encoding="ascii") as file:
            file.write("nonsense\n")
        subprocess.run(["openssl", "ec", "-aes128", "-in", path("good.key"), "-out", path("locked.key"), "-passout", "pass:word"],
                       check=True, capture_output=True)
        good, key = path("good.pem"), path("good.key")
        for certificate, private, words in [
            (path("none.pem"), key, ("none.pem", "No such file")),
            (good, path("none.key"), ("none.key", "No such file")),
            (folder, key, (folder,)),
            (path("nonsense.pem"), key, ("nonsense.pem",)),
            (good, path("nonsense.pem"), ("nonsense.pem",)),
            (good, path("other.key"), ("other.key", "does not belong")),
            (good, path("second.key"), ("second.key", "mismatch")),
            (good, path("locked.key"), ("locked.key",)),
            (key, good, (key,)),
            (good, "", ("tls.key",)),
            ("", key, ("tls.certificate",)),
        ]:
            with self.subTest((certificate, private)):
                said = self.errors(certificate, private)
                for word in words:
                    self.assertIn(word, said)


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 3)


if __name__ == "__main__":
    if not shutil.which("openssl"):
        print("skipped: there is no openssl command to make certificates with")
        sys.exit(77)
    warren.main()
