#!/usr/bin/python3
"""Both listeners, byte by byte: what is refused and how, what frames do, and what the internal listener answers.

All but one case need no broker: what is looked at here lies before it.
"""
import concurrent.futures
import json
import os
import re
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402
import wire  # noqa: E402
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame  # noqa: E402


class HttpTest(warren.WarrenTest):
    node_count = 1
    standalone = True

    @property
    def node(self):
        return self.nodes[0]

    def peer(self, **options):
        peer = wire.Peer(self.node.port, **options)
        self.addCleanup(peer.socket.close)
        return peer

    def internal(self):
        peer = wire.Peer(self.node.internal_port)
        self.addCleanup(peer.socket.close)
        return peer


class Handshake(HttpTest):
    settings = {"listen.echo": "on"}

    def refused(self, sent, status, words="", peer=None):
        """The answer is JSON, says that the connection ends, and it ends in order."""
        with self.subTest(sent[:120]):
            peer = (peer or self.peer()).send(sent)
            answer = peer.response()
            error = json.loads(answer.body)["error"]
            self.assertEqual(answer.status, status, error)
            self.assertEqual(answer["Content-Type"], "application/json")
            self.assertEqual(answer["Connection"].split(", ")[-1] if status != 426 else "close", "close", answer.lines)
            self.assertIn(words, error["message"])
            self.assertEqual(peer.end(), b"")
            return answer
        return None

    def test_what_no_head_may_be(self):
        host = "Host: test\r\n"
        for head, status, words in [
            ("GET /ws HTTP/1.1\nHost: test\n\n", 400, "LF"),
            (f"GET /ws HTTP/1.1\r\n{host}A: b\r\n c\r\n\r\n", 400, "white space"),
            (f"GET /ws HTTP/1.1\r\n{host}A : b\r\n\r\n", 400, "name"),
            (f"GET /ws HTTP/1.1\r\n{host}no colon\r\n\r\n", 400, "colon"),
            (f"GET /ws HTTP/1.1\r\n{host}A: b\x00\r\n\r\n", 400, "control"),
            (f"GET /ws HTTP/1.1\r\n{host}A: b\rc\r\n\r\n", 400, "CR"),
            ("GET  /ws HTTP/1.1\r\nHost: test\r\n\r\n", 400, ""),
            ("GET /ws\r\n", 400, "request line"),
            ("GET ws HTTP/1.1\r\n", 400, ""),
            ("G@T /ws HTTP/1.1\r\n", 400, "method"),
            ("GET /w s HTTP/1.1\r\n", 400, ""),
            ("\x16\x03\x01\x02\x00\x01\x00\x01", 400, ""),
            ("GET /ws HTTP/2.0\r\n", 505, ""),
            ("PRI * HTTP/2.0\r\n", 505, ""),
            ("CONNECT host:1 HTTP/1.1\r\n", 501, ""),
            ("GET /" + 9000 * "x", 414, ""),
            (f"GET /ws HTTP/1.1\r\n{host}A: " + 9000 * "x", 431, ""),
            (f"GET /ws HTTP/1.1\r\n{host}" + 64 * "A: b\r\n" + "\r\n", 431, ""),
        ]:
            self.refused(head.encode(), status, words)
        self.assertGreaterEqual(self.node.metric("warren_gateway_refused_total", status="431"), 2)

    def test_what_no_handshake_may_be(self):
        for sent, status, words in [
            (wire.upgrade(Host=None), 400, "Host"),
            (wire.upgrade(Host=["a", "a"]), 400, "Host"),
            (wire.upgrade(Host="a b"), 400, "Host"),
            (wire.upgrade(Connection=None), 400, "Connection"),
            (wire.upgrade(Connection="keep-alive"), 400, "Connection"),
            (wire.upgrade(Sec_WebSocket_Key=None), 400, "Key"),
            (wire.upgrade(Sec_WebSocket_Key="c2hvcnQ="), 400, "Key"),
            (wire.upgrade(Sec_WebSocket_Key="!" * 22 + "=="), 400, "Key"),
            (wire.upgrade(Sec_WebSocket_Key=[wire.SAMPLE_KEY, "A" * 22 + "=="]), 400, "Key"),
            (wire.upgrade(Sec_WebSocket_Key=[wire.SAMPLE_KEY] * 2), 400, "more than one"),
            (wire.upgrade(Sec_WebSocket_Version=None), 400, "Version"),
            (wire.upgrade(Sec_WebSocket_Version=["13", "13"]), 400, "more than one"),
            (wire.upgrade(Sec_WebSocket_Version=["13", "8"]), 400, "more than one"),
            (wire.upgrade(Sec_WebSocket_Protocol="a b"), 400, "Protocol"),
            (wire.upgrade(Sec_WebSocket_Protocol="warren.json.v1; q=1"), 400, "Protocol"),
            (wire.upgrade(Sec_WebSocket_Protocol=["warren.json.v1", "a/b"]), 400, "Protocol"),
            (wire.upgrade(Sec_WebSocket_Protocol=" , "), 400, "empty"),
            (wire.upgrade(Content_Length="5") + b"hello", 400, "body"),
            (wire.upgrade(Content_Length=["1", "2"]), 400, ""),
            (wire.upgrade(Transfer_Encoding="chunked") + b"0\r\n\r\n", 400, "body"),
            (wire.request("/ws", wire.UPGRADE, version="HTTP/1.0"), 400, "HTTP/1.1"),
            (wire.upgrade("/nowhere"), 404, "route"),
            (wire.upgrade("/websocket/room"), 404, ""),
            (wire.upgrade("/websocket/%zz/u"), 400, "room"),
            (wire.upgrade("/websocket/%4/u"), 400, "room"),
            (wire.upgrade("/websocket/r/a%00b"), 400, "user"),
            (wire.upgrade("/websocket/r/%ff"), 400, "UTF-8"),
            (wire.upgrade("/websocket/r/%ed%a0%80"), 400, "UTF-8"),
            (wire.upgrade("/websocket/r/" + "x" * 129), 400, "128"),
            (wire.upgrade("/websocket//u"), 400, "empty"),
            (wire.upgrade("/websocket/r/\x7f"), 400, ""),
            (wire.upgrade("/ws?user="), 400, "empty"),
            (wire.upgrade("/ws?user=%0a"), 400, "control"),
            (wire.upgrade("/ws?user=a&device=%"), 400, "device"),
            (wire.upgrade("/websocket/r/u?since=1"), 400, "since"),
            (wire.request("/ws", method="POST"), 405, "GET"),
            (wire.request("/push/7", {"Host": "test", "Content-Length": "2"}, "POST", body=b"hi"), 405, "GET"),
            (wire.request("/push/7", {"Host": "test", "Content-Length": "1000000"}, "POST"), 413, ""),
        ]:
            self.refused(sent, status, words)

    def test_refusals_say_what_else_to_do(self):
        self.assertEqual(self.refused(wire.request("/ws", method="DELETE"), 405)["Allow"], "GET, HEAD")
        for sent in (wire.upgrade(Sec_WebSocket_Version="8"), wire.upgrade(Sec_WebSocket_Version="13, 8"), wire.request("/ws"),
                     wire.request("/ws", {"Host": "test", "Upgrade": "h2c", "Connection": "Upgrade"})):
            answer = self.refused(sent, 426)
            self.assertEqual((answer["Sec-WebSocket-Version"], answer["Upgrade"]), ("13", "websocket"))

    def test_good_handshakes(self):
        for sent in [
            wire.upgrade(),
            wire.upgrade(Connection="keep-alive, Upgrade"),
            wire.upgrade(Connection=["keep-alive", "upgrade"], Upgrade="WebSocket"),
            wire.upgrade(Origin="https://elsewhere.example", Cookie="a=b; c=d", Sec_WebSocket_Extensions="x-unknown"),
            wire.upgrade("http://other.example/ws"),
            wire.upgrade("/ws?user=%F0%9F%98%80+x"),
            wire.upgrade("/%77s"),
            b"\r\n" + wire.upgrade(),
        ]:
            with self.subTest(sent):
                peer = self.peer().send(sent)
                answer = peer.response()
                self.assertEqual(answer.status, 101)
                self.assertEqual(answer["Sec-WebSocket-Accept"], wire.SAMPLE_ACCEPT)
                self.assertEqual((answer["Upgrade"], answer["Connection"]), ("websocket", "Upgrade"))
                self.assertIsNone(answer["Sec-WebSocket-Extensions"])
                self.assertEqual(json.loads(peer.until(TEXT))["event"], "welcome")

    def test_subprotocol(self):
        for offered, chosen in [(None, None), ("warren.json.v1", "warren.json.v1"), ("chat, warren.json.v1", "warren.json.v1"),
                                (["chat", "warren.json.v1"], "warren.json.v1"), ("chat", None), ("WARREN.JSON.V1", None),
                                (", chat,, warren.json.v1 ,", "warren.json.v1")]:
            with self.subTest(offered):
                peer = self.peer().upgraded(Sec_WebSocket_Protocol=offered)
                self.assertEqual(peer.handshake["Sec-WebSocket-Protocol"], chosen)
                self.assertEqual(json.loads(peer.until(TEXT))["event"], "welcome")

    def test_frames_right_behind_the_handshake(self):
        peer = self.peer().send(wire.upgrade() + frame(TEXT, b'{"id":1,"op":"ping"}') + frame(PING, b"p"))
        self.assertEqual(peer.response().status, 101)
        self.assertEqual(json.loads(peer.until(TEXT))["event"], "welcome")
        self.assertEqual(json.loads(peer.until(TEXT)), {"id": 1, "ok": {}})
        self.assertEqual(peer.until(PONG), b"p")
        peer = self.peer().send(wire.upgrade("/echo") + frame(TEXT, b"1") + frame(TEXT, b"2"))
        self.assertEqual(peer.response().status, 101)
        self.assertEqual([peer.frame()[:2] for _ in range(2)], [(TEXT, b"1"), (TEXT, b"2")])

    def test_a_handshake_byte_by_byte(self):
        peer = self.peer()
        for byte in wire.upgrade("/echo") + frame(TEXT, "ü".encode()) + frame(BINARY, bytes(200)):
            peer.send(bytes([byte]))
        self.assertEqual(peer.response().status, 101)
        self.assertEqual([peer.frame()[:2] for _ in range(2)], [(TEXT, "ü".encode()), (BINARY, bytes(200))])

    def test_a_client_that_leaves_during_the_handshake_harms_nobody(self):
        for size in range(0, len(wire.upgrade()), 7):
            with wire.Peer(self.node.port) as peer:
                peer.send(wire.upgrade()[:size])
        warren.wait_for(lambda: self.node.metric("warren_gateway_connections") == 0, "their connections are gone")
        self.assertEqual(self.peer().upgraded().handshake.status, 101)


class SlowHandshake(HttpTest):
    settings = {"limits.handshake_timeout": "3s"}

    def test_a_slow_head_is_cut_off_and_an_upgraded_client_is_not(self):
        def visit(begin, drip):
            started = time.monotonic()
            with wire.Peer(self.node.port) as peer:
                return peer.send(begin).is_cut_within(60, drip), time.monotonic() - started

        upgraded = self.peer().upgraded()
        visits = [(b"", b""), (wire.upgrade()[:40], b""), (b"GET /ws HTTP/1.1\r\n", b"A: " + b"x" * 1000)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for is_cut, took in pool.map(visit, *zip(*visits)):
                self.assertTrue(is_cut)
                self.assertGreater(took, 2.8)
        warren.wait_for(lambda: self.node.metric("warren_gateway_ended_total", reason="handshake_timeout") == 3, "counted")
        self.assertFalse(upgraded.is_cut_within(0.5))  # it was there first
        upgraded.send(frame(PING, b"still"))
        self.assertEqual(upgraded.until(PONG), b"still")


class Frames(HttpTest):
    settings = {"listen.echo": "on", "limits.frame_bytes": "2k", "limits.fragments": "4"}

    def test_broken_rules_close_with_their_code(self):
        text = b'{"op":"ping"}'
        for sent, code in [
            (frame(TEXT, text, masked=False), 1002),
            (frame(PING, b"", masked=False), 1002),
            (frame(TEXT, text, rsv=4), 1002),
            (frame(TEXT, text, rsv=2), 1002),
            (frame(TEXT, text, rsv=1), 1002),
            (frame(PING, b"", rsv=4), 1002),
            *[(frame(opcode, b""), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
            (frame(PING, b"", fin=False), 1002),
            (frame(PONG, b"", fin=False), 1002),
            (frame(CLOSE, b"", fin=False), 1002),
            (frame(PING, bytes(126)), 1002),
            (frame(CONTINUATION, b"x"), 1002),
            (frame(CONTINUATION, b"x", fin=False), 1002),
            (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
            (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b", fin=False), 1002),
            (frame(TEXT, b"short", length_bytes=2), 1002),
            (frame(TEXT, b"x" * 200, length_bytes=8), 1002),
            (b"\x81\xff\xff" + bytes(7), 1002),
            (frame(CLOSE, b"\x03"), 1002),
            *[(frame(CLOSE, wire.close_payload(code)), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
            (frame(TEXT, b"\xff"), 1007),
            (frame(TEXT, b"\xc3"), 1007),
            (frame(TEXT, b"\xed\xa0\x80"), 1007),
            (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
            (frame(TEXT, b"\xc0\xaf"), 1007),
            (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"\x28"), 1007),
            (frame(TEXT, b"ok", fin=False) + frame(CONTINUATION, b"\xc3"), 1007),
            (frame(TEXT, b"\xc3\x28" + bytes(500))[:20], 1007),  # told before the frame is whole
            (frame(CLOSE, wire.close_payload(1000, b"\xff")), 1007),
            (frame(TEXT, b"x" * 2049), 1009),
            (frame(BINARY, bytes(2049)), 1009),
            (frame(BINARY, bytes(70000))[:14], 1009),
            (frame(BINARY, bytes(2000), fin=False) + frame(CONTINUATION, bytes(100)), 1009),
            (frame(BINARY, b"", fin=False) + 3 * frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"x"), 1009),
        ]:
            for path in ("/echo", "/ws"):
                with self.subTest(f"{path} {sent[:24]!r}"):
                    peer = self.peer().upgraded(path).send(sent)
                    have, reason = peer.closed()
                    self.assertEqual(have, code, reason)
                    self.assertRegex(reason, r"^[A-Z].*\.$", "a sentence says why")
                    self.assertEqual(peer.end(), b"", "nothing behind a close frame")
                    peer.socket.close()
        warren.wait_for(lambda: self.node.metric("warren_gateway_ended_total", reason="bad_payload") == 18, "counted")
        self.assertGreater(self.node.metric("warren_gateway_ended_total", reason="protocol_error"), 60)

    def test_nothing_behind_a_broken_rule_is_heard(self):
        peer = self.peer().upgraded("/echo").send(frame(TEXT, b"\xff") + frame(TEXT, b"unheard") + frame(PING, b"unheard"))
        self.assertEqual(peer.frame()[0], CLOSE)
        self.assertEqual(peer.end(), b"")

    def test_the_longest_that_may_be(self):
        peer = self.peer().upgraded("/echo")
        for sent in (frame(BINARY, bytes(2048)), frame(TEXT, b"x" * 2048), frame(BINARY), frame(TEXT, b"x" * 125), frame(TEXT, b"x" * 126)):
            peer.send(sent)
        self.assertEqual([len(peer.frame()[1]) for _ in range(5)], [2048, 2048, 0, 125, 126])
        peer.send(frame(BINARY, bytes(1024), fin=False) + 2 * frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, bytes(1024)))
        opcode, payload, first = peer.frame()
        self.assertEqual((opcode, len(payload), first), (BINARY, 2048, 0x82))

    def test_ping_pong(self):
        for path in ("/echo", "/ws"):
            peer = self.peer().upgraded(path)
            for payload in (b"", b"\x00\xff", b"x" * 125):
                peer.send(frame(PING, payload))
                self.assertEqual(peer.until(PONG), payload)
            peer.send(frame(PONG, b"unasked") + frame(PING, b"after"))
            self.assertEqual(peer.until(PONG), b"after", "an unasked pong is nothing")

    def test_control_frames_between_fragments(self):
        peer = self.peer().upgraded("/echo")
        peer.send(frame(TEXT, b"\xe2\x82", fin=False) + frame(PING, b"1") + frame(CONTINUATION, b"\xac", fin=False) + frame(PONG, b"2")
                  + frame(CONTINUATION, b"!"))
        self.assertEqual([peer.frame()[:2] for _ in range(2)], [(PONG, b"1"), (TEXT, "€!".encode())])
        peer = self.peer().upgraded()
        peer.send(frame(TEXT, b'{"id":1,', fin=False) + frame(PING, b"x") + frame(CONTINUATION, b'"op":"ping"}'))
        self.assertEqual(peer.until(PONG), b"x")
        self.assertEqual(json.loads(peer.until(TEXT))["id"], 1)

    def test_close_is_echoed(self):
        for path in ("/echo", "/ws"):
            for payload, answer in [(wire.close_payload(1000, b"bye"), wire.close_payload(1000)), (b"", b""),
                                    (wire.close_payload(3000), wire.close_payload(3000)), (wire.close_payload(4999), wire.close_payload(4999)),
                                    (wire.close_payload(1001, "tschüß".encode()), wire.close_payload(1001))]:
                with self.subTest(f"{path} {payload!r}"):
                    peer = self.peer().upgraded(path).send(frame(CLOSE, payload) + frame(PING, b"unheard"))
                    self.assertEqual(peer.until(CLOSE), answer)
                    self.assertEqual(peer.end(), b"")
        warren.wait_for(lambda: self.node.metric("warren_gateway_ended_total", reason="peer_closed") == 10, "counted")

    def test_echo_returns_what_it_gets(self):
        peer = self.peer().upgraded("/echo")
        for opcode, payload in [(TEXT, "héllo ☕".encode()), (BINARY, bytes(range(256))), (TEXT, b""), (BINARY, b"")]:
            peer.send(frame(opcode, payload))
            self.assertEqual(peer.frame()[:2], (opcode, payload))

    def test_an_echo_client_that_does_not_read_is_not_read_from(self):
        peer = self.peer(timeout=60).upgraded("/echo")
        self.assertLess(self.node.metric("warren_gateway_connections"), 2)
        data, sent = frame(BINARY, bytes(2000)), 0
        peer.socket.setblocking(False)
        deadline = time.monotonic() + 60
        rest = b""
        while rest or select.select([], [peer.socket], [], 1)[1]:  # a second without room for more: it does not read
            self.assertLess(time.monotonic(), deadline, "it takes and takes")
            rest = rest or data
            if not select.select([], [peer.socket], [], 1)[1]:
                break
            rest = rest[peer.socket.send(rest):]
            sent += not rest
        self.assertGreater(sent, 100)
        peer.socket.settimeout(60)
        for _ in range(sent):
            self.assertEqual(len(peer.frame()[1]), 2000)
        peer.send(rest)
        if rest:
            self.assertEqual(len(peer.frame()[1]), 2000, "the frame that was cut comes too")


class Heartbeat(HttpTest):
    settings = {"session.heartbeat": "3s", "limits.close_timeout": "3s"}

    def silence_is_pinged_and_then_closed(self):
        started = time.monotonic()
        with wire.Peer(self.node.port) as peer:
            peer.upgraded().until(TEXT)
            self.assertEqual(peer.frame()[:2], (PING, b""))
            pinged = time.monotonic() - started
            code, reason = peer.closed()
            closed = time.monotonic() - started
            self.assertEqual((code, reason), (4102, "no sign of life"))
            self.assertGreater(pinged, 2.8)
            self.assertGreater(closed, 5.6)
            self.assertTrue(peer.is_cut_within(60), "without a close frame in answer the stream ends all the same")

    def whoever_answers_the_close_ends_at_once(self):
        with wire.Peer(self.node.port) as peer:
            code, _ = peer.upgraded().closed()
            peer.send(frame(CLOSE, wire.close_payload(code)))
            self.assertEqual(peer.end(), b"")

    def any_sign_of_life_is_enough(self, sign):
        with wire.Peer(self.node.port) as peer:
            peer.upgraded()
            for _ in range(3):  # three silences of a heartbeat: more than the two that are allowed
                peer.until(PING)
                peer.send(sign)
            peer.send(frame(PING, b"here"))
            while peer.until(PONG) != b"here":
                pass

    def test_silence_and_signs_of_life(self):
        """All at once: each takes its heartbeats."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            visits = [pool.submit(self.silence_is_pinged_and_then_closed), pool.submit(self.whoever_answers_the_close_ends_at_once),
                      *(pool.submit(self.any_sign_of_life_is_enough, sign) for sign in (frame(PONG), frame(PING, b"x"), frame(TEXT, b'{"op":"ping"}')))]
            for visit in visits:
                visit.result()
        warren.wait_for(lambda: self.node.metric("warren_gateway_ended_total", reason="idle") == 2, "counted")


class Limit(HttpTest):
    settings = {"limits.connections": "2"}

    def test_newcomers_beyond_the_limit_are_refused(self):
        inside = [self.peer().upgraded() for _ in range(2)]
        outside = self.peer().send(wire.upgrade())
        answer = outside.response()
        self.assertEqual(answer.status, 503)
        self.assertRegex(answer["Retry-After"], "^[0-9]+$")
        self.assertIn("connections", json.loads(answer.body)["error"]["message"])
        self.assertEqual(outside.end(), b"")
        self.assertEqual(self.peer().send(wire.request("/healthz")).response().status, 200, "health is still told")
        for peer in inside:
            peer.send(frame(PING, b"in"))
            self.assertEqual(peer.until(PONG), b"in")
        inside[0].socket.close()

        def enters():
            with wire.Peer(self.node.port) as peer:
                return peer.send(wire.upgrade()).response().status == 101

        warren.wait_for(enters, "a place that was left is taken again")

    def test_a_crowd_beyond_the_limit_does_not_keep_the_node_from_serving(self):
        inside = self.peer().upgraded()
        crowd = [self.peer() for _ in range(200)]
        for peer in crowd:
            try:
                peer.send(wire.upgrade())
            except ConnectionError:
                pass
        inside.send(frame(PING, b"in"))
        self.assertEqual(inside.until(PONG), b"in")
        for peer in crowd:
            peer.socket.close()
        warren.wait_for(lambda: self.node.metric("warren_gateway_connections") == 1, "the crowd is gone")
        self.peer().upgraded()


class PublicPages(HttpTest):
    def test_health(self):
        for path, word in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
            answer = self.peer().send(wire.request(path)).response()
            self.assertEqual((answer.status, answer.body), (200, word))
            self.assertEqual(answer["Content-Type"], "text/plain; charset=utf-8")
            answer = (peer := self.peer().send(wire.request(path, method="HEAD"))).response(to_head=True)
            self.assertEqual((answer.status, answer["Content-Length"]), (200, str(len(word))))
            self.assertEqual(peer.end(), b"", "HEAD has no body")

    def test_nothing_else_is_served_by_default(self):
        for path in ("/", "/demo.js", "/warren.js", "/demo.css", "/echo", "/metrics", "/v1/nodes", "/v1/config", "/../etc/passwd", "/%2e%2e/x"):
            self.assertEqual(self.peer().send(wire.request(path)).response().status, 404, path)
        self.assertEqual(self.peer().send(wire.upgrade("/echo")).response().status, 404)


class DemoPages(HttpTest):
    settings = {"listen.demo": "on"}

    def test_pages_and_their_headers(self):
        for path, content_type, word in (("/", "text/html", b"<!doctype html>"), ("/demo.js", "text/javascript", b"WebSocket"),
                                         ("/stage.js", "text/javascript", b"class Stage"), ("/meters.js", "text/javascript", b"class Plot"),
                                         ("/warren.js", "text/javascript", b"class Warren"), ("/demo.css", "text/css", b"{")):
            answer = (peer := self.peer().send(wire.request(path))).response()
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer["Content-Type"], content_type + "; charset=utf-8")
            self.assertIn(word, answer.body)
            self.assertEqual(answer["X-Content-Type-Options"], "nosniff")
            self.assertEqual(answer["Referrer-Policy"], "no-referrer")
            policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
            self.assertEqual(policy["default-src"], "'none'")
            self.assertEqual(policy["script-src"], "'self'")
            self.assertEqual(policy["frame-ancestors"], "'none'")
            self.assertNotIn("unsafe", answer["Content-Security-Policy"])
            self.assertEqual(peer.end(), b"")
        self.assertNotRegex(self.peer().send(wire.request("/")).response().body.decode(), r"<script>|<style|\son[a-z]+=|style=",
                            "nothing inline, which the policy would block")


class Internal(HttpTest):
    settings = {"api.body_bytes": "1k"}

    def ask(self, sent, status=None):
        answer = self.internal().send(sent).response()
        if status:
            self.assertEqual(answer.status, status, (sent[:100], answer.body))
        return answer

    def error(self, sent, status, code):
        with self.subTest(sent[:100]):
            answer = self.ask(sent, status)
            self.assertEqual(answer["Content-Type"], "application/json")
            error = json.loads(answer.body)["error"]
            self.assertEqual(error["code"], code)
            self.assertTrue(error["message"])
            return answer
        return None

    @staticmethod
    def post(path, body, **headers):
        body = body if isinstance(body, bytes) else body.encode()
        return wire.request(path, {"Host": "x", "Content-Length": str(len(body)), "Content-Type": "application/json", **headers}, "POST",
                            body=body)

    def test_errors_are_json(self):
        for path in ("/", "/v1", "/v1/nodes/", "/v1/rooms//messages", "/v1/rooms/a/b/messages", "/push", "/push/", "/v1/users/a/b"):
            self.error(wire.request(path), 404, "bad_request")
        for body in ("", "{", "[]", "1", "{}", '{"data":01}', '{"data":1}x', '{"data":1,"data":2}', '{"data":1,"key":""}',
                     '{"data":1,"key":5}', '{"data":1,"from":""}', '{"data":1,"from":"a\\u0000"}', '{"data":1,"key":"%s"}' % ("k" * 129),
                     '{"data":1,"content_type":"text/plain"}', b'{"data":"\xff"}', '{"data":"\\ud800"}', '{"data":%s1%s}' % ("[" * 40, "]" * 40)):
            self.error(self.post("/v1/rooms/r/messages", body), 400, "bad_request")
        self.error(self.post("/push/u", "{"), 400, "bad_json")
        self.error(self.post("/push/u", ""), 400, "bad_request")
        for path in ("/v1/rooms/%zz/messages", "/v1/rooms/a%00/messages", "/v1/rooms/%ff/messages", "/v1/rooms/" + "r" * 129 + "/messages"):
            self.error(self.post(path, '{"data":1}'), 400, "bad_name")
        self.error(wire.request("/v1/rooms/r/users?limit=x"), 400, "bad_request")
        self.error(wire.request("/v1/rooms/r/users?limit=501"), 400, "bad_request")
        self.error(wire.request("/v1/rooms/r/users?after=%00"), 400, "bad_name")
        for query in ("limit=x", "limit=501", "limit=-1", "after=", "after=x", "after=%00", "after=%zz", "after=99999999999999999999", "after=-1"):
            self.error(wire.request("/v1/rooms?" + query), 400, "bad_request")
        self.error(wire.request("/v1/nodes", {}), 400, "bad_request")
        self.error(b"nonsense\r\n\r\n", 400, "bad_request")
        self.error(wire.request("/v1/nodes", {"Host": "x", "A": "x" * 20000}), 431, "bad_request")

    def test_too_large(self):
        self.error(self.post("/push/u", "x" * 1025), 413, "too_large")
        self.error(wire.request("/push/u", {"Host": "x", "Content-Length": "99999999999999999999"}, "POST"), 413, "too_large")
        self.error(wire.request("/push/u", {"Host": "x", "Transfer-Encoding": "chunked"}, "POST",
                                body=b"401\r\n" + b"x" * 1025 + b"\r\n0\r\n\r\n"), 413, "too_large")
        self.ask(self.post("/push/u", "x" * 1024, **{"Content-Type": "text/plain"}), 202)

    def test_methods(self):
        for method, path, allow in (("POST", "/v1/nodes", "GET, HEAD"), ("PUT", "/metrics", "GET, HEAD"), ("PUT", "/v1/broadcast", "GET, HEAD, POST"),
                                    ("DELETE", "/v1/rooms/r/messages", "GET, HEAD, POST"), ("GET", "/push/u", "POST"), ("DELETE", "/v1/users/u", "GET, HEAD"),
                                    ("POST", "/v1/config", "GET, HEAD"), ("POST", "/v1/doctor", "GET, HEAD"), ("DELETE", "/v1/rooms", "GET, HEAD"), ("POST", "/v1/rooms/r", "GET, HEAD")):
            self.assertEqual(self.error(wire.request(path, method=method), 405, "bad_request")["Allow"], allow, path)

    def test_orders_of_web_pages_are_refused(self):
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{self.node.internal_port}"):
            self.error(self.post("/v1/broadcast", '{"data":1}', Origin=origin), 403, "forbidden")
        self.ask(wire.request("/v1/nodes", {"Host": "x", "Origin": "https://evil.example"}), 200)
        answer = self.ask(wire.request("/v1/nodes", {"Host": "x", "Origin": "https://evil.example"}), 200)
        self.assertIsNone(answer["Access-Control-Allow-Origin"], "so that the page cannot read it")

    def test_chunked_bodies(self):
        peer = self.internal().send(wire.request("/v1/broadcast", {"Host": "x", "Transfer-Encoding": "chunked"}, "POST",
                                                 body=b'5;x=y\r\n{"dat\r\n5\r\na":1}\r\n0\r\nTrailer: t\r\n\r\n'))
        self.assertEqual(peer.response().status, 202)

    def test_a_body_that_waits_to_be_asked_for(self):
        headers = {"Host": "x", "Content-Length": "10", "Expect": "100-continue"}
        for _ in range(2):
            peer = self.internal()
            for _ in range(2):
                self.assertEqual(peer.send(wire.request("/v1/broadcast", headers, "POST")).take(25), b"HTTP/1.1 100 Continue\r\n\r\n")
                self.assertEqual(peer.send(b'{"data":1}').response().status, 202)
            # nobody is asked for what is there, for too much, or in HTTP/1.0
            self.assertEqual(peer.send(wire.request("/v1/broadcast", headers, "POST", body=b'{"data":1}')).response().status, 202)
            self.assertEqual(peer.send(wire.request("/v1/broadcast", {**headers, "Content-Length": "99999999"}, "POST")).response().status, 413)
        old = self.internal().send(wire.request("/v1/broadcast", headers, "POST", version="HTTP/1.0"))
        self.assertEqual(old.send(b'{"data":1}').response().status, 202)
        public = self.peer().send(wire.request("/push/7", headers, "POST"))
        self.assertEqual(public.take(25), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(public.send(b"0123456789").response().status, 405)

    def test_keep_alive_and_pipelining(self):
        peer = self.internal()
        for _ in range(3):
            self.assertEqual(peer.send(wire.request("/healthz")).response().body, b"alive\n")
        peer.send(wire.request("/healthz") + self.post("/v1/broadcast", '{"data":1}') + wire.request("/v1/nodes") + wire.request("/none")
                  + wire.request("/readyz", method="HEAD") + wire.request("/healthz", {"Host": "x", "Connection": "close"})
                  + wire.request("/healthz"))
        self.assertEqual([peer.response().status for _ in range(4)], [200, 202, 200, 404])
        self.assertEqual(peer.response(to_head=True)["Content-Length"], "6")
        last = peer.response()
        self.assertEqual((last.body, last["Connection"]), (b"alive\n", "close"))
        self.assertEqual(peer.end(), b"", "nothing behind Connection: close")

    def test_http_1_0(self):
        peer = self.internal().send(wire.request("/healthz", {}, version="HTTP/1.0"))
        self.assertEqual(peer.response().body, b"alive\n")
        self.assertEqual(peer.end(), b"")

    def test_head_is_get_without_the_body(self):
        for path in ("/v1/nodes", "/metrics", "/healthz", "/v1/config", "/none"):
            whole = self.ask(wire.request(path))
            peer = self.internal().send(wire.request(path, {"Host": "x", "Connection": "close"}, method="HEAD"))
            head = peer.response(to_head=True)
            self.assertEqual(head.status, whole.status)
            if path != "/metrics":
                self.assertAlmostEqual(int(head["Content-Length"]), len(whole.body), delta=2)  # a lease's rest loses a digit
            self.assertGreater(int(head["Content-Length"]), 0)
            self.assertEqual(peer.end(), b"")

    def test_standalone_has_no_broker(self):
        for path in ("/v1/bindings", "/v1/queues"):
            self.error(wire.request(path), 409, "standalone")

    def test_health(self):
        self.assertEqual(self.ask(wire.request("/healthz"), 200).body, b"alive\n")
        self.assertEqual(self.ask(wire.request("/readyz"), 200).body, b"ready\n")

    def test_many_connections_at_once_are_bounded(self):
        peers = [self.internal() for _ in range(50)]
        for peer in peers:
            peer.send(wire.request("/v1/nodes"))
        self.assertEqual([peer.response().status for peer in peers], [200] * 50)


class InternalTime(HttpTest):
    settings = {"api.timeout": "3s"}

    def test_an_idle_connection_ends(self):
        peer = self.internal().send(wire.request("/healthz"))
        peer.response()
        self.assertTrue(self.internal().send(b"GET /healthz HTTP/1.1\r\n").is_cut_within(60, b"A: " + b"x" * 1000))
        self.assertTrue(peer.is_cut_within(60))


class InternalLimit(HttpTest):
    settings = {"api.connections": "2"}

    def test_further_connections_are_closed(self):
        def enters():
            """A connection that was let in and answered, or None. Who was there before, the fixture's question for readiness too, may still be leaving."""
            peer = self.internal()
            try:
                return peer if peer.send(wire.request("/healthz")).response().status == 200 else None
            except (ConnectionError, EOFError):
                return None

        inside = [warren.wait_for(enters, "there are two places") for _ in range(2)]
        self.assertTrue(self.internal().is_cut_within(60))
        inside[0].socket.close()
        inside.append(warren.wait_for(enters, "a place that was left is taken again"))
        self.assertTrue(self.internal().is_cut_within(60))
        inside[2].socket.close()
        inside[1].socket.close()
        warren.wait_for(lambda: self.node.is_ready(), "two places again")


class Metrics:
    node_count = 1

    async def test_they_are_prometheus_text(self):
        alice = await self.room(self.nodes[0], "lobby", "alice")
        await alice.request(op="send", room="lobby", data=1)
        await alice.message()
        with wire.Peer(self.nodes[0].internal_port) as peer:
            answer = peer.send(wire.request("/metrics")).response()
        self.assertEqual(answer["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        text = answer.body.decode()
        self.assertTrue(text.endswith("\n"))
        name, label = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
        sample = re.compile(rf"^({name})(?:\{{({label}(?:,{label})*)\}})? (-?[0-9.]+(?:e[-+]?[0-9]+)?|\+Inf|NaN)$")
        types, helps, series, families = {}, set(), set(), []
        for line in text.splitlines():
            if comment := re.match(rf"^# (HELP|TYPE) ({name}) (\S.*)$", line):
                kind, family, rest = comment.groups()
                if kind == "HELP":
                    self.assertNotIn(family, helps)
                    helps.add(family)
                else:
                    self.assertNotIn(family, types)
                    self.assertIn(rest, ("counter", "gauge", "histogram"))
                    types[family] = rest
                continue
            match = sample.match(line)
            self.assertTrue(match, line)
            family = match[1]
            if family not in types:
                family = re.sub("_(bucket|sum|count)$", "", family)
                self.assertEqual(types.get(family), "histogram", line)
            elif types[family] == "counter":
                self.assertTrue(family.endswith("_total"), line)
            self.assertIn(family, helps)
            self.assertNotIn((match[1], match[2]), series, "one line a series")
            series.add((match[1], match[2]))
            if family not in families[-1:]:
                self.assertNotIn(family, families, "the lines of a family stand together")
                families.append(family)
        self.assertGreater(len(families), 20)
        histograms = [family for family, kind in types.items() if kind == "histogram"]
        self.assertEqual(bool(histograms), not self.standalone, "round trips to the store")
        for family in histograms:
            for labels in {re.sub(r',?le="[^"]*"', "", l or "") for n, l in series if n == family + "_bucket"}:
                self.check_histogram(text, family, labels)
        self.assertEqual(self.nodes[0].metric("warren_gateway_operations_total", op="send"), 1)

    def check_histogram(self, text, family, labels):
        lines = [re.match(r".*\{(.*)\} (\S+)$", line) for line in text.splitlines() if line.startswith(family + "_bucket{")]
        buckets = [(re.search(r'le="([^"]*)"', m[1])[1], float(m[2])) for m in lines if re.sub(r',?le="[^"]*"', "", m[1]) == labels]
        self.assertEqual(buckets[-1][0], "+Inf", family)
        self.assertEqual([float(le) for le, _ in buckets], sorted(float(le) for le, _ in buckets))
        self.assertEqual([count for _, count in buckets], sorted(count for _, count in buckets), "cumulative")
        total = re.search(rf"^{family}_count{re.escape('{' + labels + '}') if labels else ''} (\S+)$", text, re.M)
        self.assertEqual(float(total[1]), buckets[-1][1])

class StandaloneMetrics(Metrics, warren.WarrenTest):
    standalone = True


class ServedMetrics(Metrics, warren.WarrenTest):
    """With broker and store, whose clients have metrics of their own."""


if __name__ == "__main__":
    warren.main()
