#!/usr/bin/python3
"""permessage-deflate (RFC 7692) on a whole node: negotiation by raw bytes, an independent library's clients with every set of
parameters, compressed and plain clients in one room, and what the metrics say of it.

No broker is needed: nodes stand alone.
"""
import asyncio
import itertools
import json
import os
import sys
import zlib

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402
import wire  # noqa: E402
from wire import BINARY, CONTINUATION, PING, PONG, TEXT, frame  # noqa: E402

NAME = "permessage-deflate"
OURS = NAME + "; server_no_context_takeover"
BOTH = OURS + "; client_no_context_takeover"
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"


class Sender:
    """Compresses as a client does; keeps its window between messages if told so."""

    def __init__(self, bits=15, keep=False, level=6):
        self.bits, self.keep, self.level, self.compressor = bits, keep, level, None

    def __call__(self, message):
        if not self.compressor or not self.keep:
            self.compressor = zlib.compressobj(self.level, zlib.DEFLATED, -self.bits)
        data = self.compressor.compress(message) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        return data[:-4]


def inflated(payload, bits=15):
    """A message on its own, by a receiver with that window."""
    return zlib.decompressobj(-bits).decompress(payload + TAIL)


class DeflateTest(warren.WarrenTest):
    node_count = 1
    standalone = True
    settings = {"listen.echo": "on", "deflate.min_bytes": "64"}

    @property
    def node(self):
        return self.nodes[0]

    def peer(self, path="/echo", offer=NAME, **options):
        peer = wire.Peer(self.node.port, **options)
        self.addCleanup(peer.socket.close)
        return peer.upgraded(path, Sec_WebSocket_Extensions=offer)

    def answer(self, offer):
        with wire.Peer(self.node.port) as peer:
            return peer.send(wire.upgrade("/ws", Sec_WebSocket_Extensions=offer)).response()


class Negotiation(DeflateTest):
    def test_offers_and_answers(self):
        for offer, answer in [
            (None, None),
            (NAME, BOTH),
            (NAME + "; client_max_window_bits", BOTH),
            (NAME + "; server_no_context_takeover; client_no_context_takeover", BOTH),
            (NAME + "; server_max_window_bits=8", BOTH + "; server_max_window_bits=8"),
            (NAME + "; server_max_window_bits=\"10\"; client_max_window_bits=9",
             BOTH + "; server_max_window_bits=10; client_max_window_bits=9"),
            (NAME + "; server_max_window_bits=15; client_max_window_bits=15", BOTH + "; server_max_window_bits=15"),
            # declined: unknown, repeated, bad, without a value or with one too many
            ("permessage-snappy", None),
            (NAME + "; mux", None),
            (NAME + "; server_no_context_takeover; server_no_context_takeover", None),
            (NAME + "; server_max_window_bits", None),
            (NAME + "; server_max_window_bits=7", None),
            (NAME + "; client_max_window_bits=16", None),
            (NAME + "; client_max_window_bits=010", None),
            (NAME + "; client_no_context_takeover=1", None),
            # the first that is good, over elements and lines
            (f"foo, {NAME}; server_max_window_bits=16, {NAME}; server_max_window_bits=12, {NAME}", BOTH + "; server_max_window_bits=12"),
            (["foo; bar=\"baz\"", NAME + "; x", NAME + "; server_max_window_bits=9", NAME], BOTH + "; server_max_window_bits=9"),
        ]:
            with self.subTest(offer):
                response = self.answer(offer)
                self.assertEqual((response.status, response["Sec-WebSocket-Extensions"]), (101, answer))

    def test_what_is_no_list_of_extensions(self):
        for offer in [NAME + ";", ";", NAME + "; =1", NAME + "; server_max_window_bits=", NAME + "; server_max_window_bits=\"9",
                      NAME + " " + NAME, "", " ,", [NAME, "foo bar"]]:
            with self.subTest(offer):
                response = self.answer(offer)
                self.assertEqual(response.status, 400)
                self.assertIn("Sec-WebSocket-Extensions", json.loads(response.body)["error"]["message"])

    def test_off(self):
        node = self.start_node(settings={"deflate.enabled": "off"})
        with wire.Peer(node.port) as peer:
            self.assertIsNone(peer.upgraded("/echo", Sec_WebSocket_Extensions=NAME).handshake["Sec-WebSocket-Extensions"])
            peer.send(frame(TEXT, Sender()(b"x" * 100), rsv=RSV1))
            self.assertEqual(peer.closed()[0], 1002)

    def test_client_context(self):
        node = self.start_node(settings={"deflate.client_context": "on", "deflate.client_window_bits": "11"})
        for offer, answer in [
            (NAME, OURS),
            (NAME + "; client_max_window_bits", OURS + "; client_max_window_bits=11"),
            (NAME + "; client_max_window_bits=9", OURS + "; client_max_window_bits=9"),
            (NAME + "; client_no_context_takeover", BOTH),
        ]:
            with self.subTest(offer), wire.Peer(node.port) as peer:
                self.assertEqual(peer.upgraded("/echo", Sec_WebSocket_Extensions=offer).handshake["Sec-WebSocket-Extensions"], answer)
        # the second message is nothing but a look back into the first one
        with wire.Peer(node.port) as peer:
            peer.upgraded("/echo", Sec_WebSocket_Extensions=NAME)
            sender, text = Sender(keep=True), os.urandom(150).hex().encode()
            first, second = sender(text), sender(text)
            self.assertLess(len(second), 10)
            for payload in (first, second):
                peer.send(frame(TEXT, payload, rsv=RSV1))
                self.assertEqual(inflated(peer.frame()[1]), text)
            warren.wait_for(lambda: node.metric("warren_gateway_inflaters") == 1, "the window is held")
        warren.wait_for(lambda: node.metric("warren_gateway_inflaters") == 0, "and given back")


class Echo(DeflateTest):
    def test_frames(self):
        """Compressed comes back compressed, in each window asked for; short and plain as they are."""
        text = " ".join(f"word{i * i % 113}" for i in range(3000)).encode()
        for bits in range(8, 16):
            with self.subTest(bits):
                peer = self.peer(offer=f"{NAME}; server_max_window_bits={bits}").send(frame(TEXT, Sender()(text), rsv=RSV1))
                opcode, payload, first = peer.frame()
                self.assertEqual((opcode, first & 0x70), (TEXT, 0x40))
                self.assertLess(len(payload), len(text))
                self.assertEqual(inflated(payload, bits), text)
        peer = self.peer().send(frame(TEXT, b"short") + frame(BINARY, Sender()(b"short"), rsv=RSV1) + frame(TEXT, b"a" * 64))
        self.assertEqual(peer.frame(), (TEXT, b"short", 0x81))
        self.assertEqual(peer.frame(), (BINARY, b"short", 0x82))
        _, payload, first = peer.frame()
        self.assertEqual((inflated(payload), first), (b"a" * 64, 0xc1))
        noise = os.urandom(5000)
        self.assertEqual(peer.send(frame(BINARY, noise)).frame(), (BINARY, noise, 0x82))
        warren.wait_for(lambda: self.node.metric("warren_gateway_deflate_skipped_total") == 1, "counted")

    def test_a_message_in_many_pieces(self):
        text = " ".join(f"wörd{i * i % 997}" for i in range(2000)).encode()
        payload = Sender()(text)
        peer = self.peer()
        peer.send(frame(TEXT, payload[:1], fin=False, rsv=RSV1) + frame(PING, b"p"))
        for i in range(1, len(payload), 5):
            peer.send(frame(CONTINUATION, payload[i:i + 5], fin=False))
        peer.send(frame(CONTINUATION, b""))
        self.assertEqual(peer.until(PONG), b"p")
        self.assertEqual(inflated(peer.frame()[1]), text)

    def test_broken_rules(self):
        hello = bytes.fromhex("f248cdc9c90700")
        bad_text = Sender()(b"abc\xff" + b"x" * 100)
        for sent, code in [
            (frame(TEXT, hello[:3], fin=False, rsv=RSV1) + frame(CONTINUATION, hello[3:], rsv=RSV1), 1002),
            (frame(PING, b"", rsv=RSV1), 1002),
            (frame(TEXT, hello, rsv=RSV1 | 2), 1002),
            (frame(TEXT, hello, rsv=1), 1002),
            (frame(TEXT, b"\xff\xff\xff", rsv=RSV1), 1007),
            (frame(BINARY, b"\x06", rsv=RSV1), 1007),
            (frame(BINARY, hello[:5], rsv=RSV1), 1007),
            (frame(BINARY, bytes.fromhex("f200110000"), rsv=RSV1), 1007),
            (frame(TEXT, bad_text, rsv=RSV1), 1007),
            (frame(TEXT, bad_text[:-2], fin=False, rsv=RSV1), 1007),
        ]:
            with self.subTest(sent[:20]):
                peer = self.peer().send(sent)
                self.assertEqual(peer.closed()[0], code)
                self.assertEqual(peer.end(), b"")

    def test_a_bomb(self):
        """64 MiB in 64 KiB: over at the limit of one, and the node little the fatter (sanitizers keep freed memory for a while)."""
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        block = compressor.compress(bytes(64 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)

        def resident():
            with open(f"/proc/{self.node.process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * 4096

        self.peer().send(frame(TEXT, Sender()(b"warm" * 100), rsv=RSV1)).frame()
        before = resident()
        for _ in range(5):
            peer = self.peer().send(frame(BINARY, block, fin=False, rsv=RSV1))
            self.assertEqual(peer.closed()[0], 1009)
            peer.socket.close()
        self.assertLess(resident() - before, 40 << 20)
        warren.wait_for(lambda: self.node.metric("warren_gateway_inflate_refused_total") == 5, "bombs counted")
        warren.wait_for(lambda: self.node.metric("warren_gateway_inflaters") == 0, "nothing held")

    def test_many_long_ones_in_one_write(self):
        """Few bytes that become many are taken a part a turn: all of them, in order, and what comes behind them."""
        peer = self.peer("/ws")
        peer.until(TEXT)  # the welcome
        pings = [json.dumps({"id": i, "op": "ping", "much": "a" * 300000}).encode() for i in range(60)]
        data = b"".join(frame(TEXT, Sender()(ping), rsv=RSV1) for ping in pings)
        self.assertLess(len(data), 60000)
        peer.send(data + frame(PING, b"behind"))
        for i in range(60):
            self.assertEqual(json.loads(peer.frame()[1]), {"id": i, "ok": {}})
        self.assertEqual(peer.until(PONG), b"behind")
        self.assertEqual(self.node.metric("warren_gateway_throttled_total"), 0)

    def test_no_window_for_the_idle(self):
        peers = [self.peer() for _ in range(20)]
        for peer in peers:
            peer.send(frame(TEXT, Sender()(b"x" * 100), rsv=RSV1))
        for peer in peers:
            self.assertEqual(inflated(peer.frame()[1]), b"x" * 100)
        warren.wait_for(lambda: self.node.metric("warren_gateway_inflated_messages_total") == 20, "all came")
        warren.wait_for(lambda: self.node.metric("warren_gateway_inflaters") == 0, "no window is held")
        self.assertEqual(self.node.metric("warren_gateway_deflate_connections"), 20)
        self.assertEqual(self.node.metric("warren_gateway_inflated_bytes_total", form="plain"), 2000)
        self.assertEqual(self.node.metric("warren_gateway_deflated_bytes_total", form="plain"), 2000)
        self.assertLess(self.node.metric("warren_gateway_deflated_bytes_total", form="compressed"), 500)
        for peer in peers:
            peer.socket.close()
        warren.wait_for(lambda: self.node.metric("warren_gateway_deflate_connections") == 0, "gone")


class Library(DeflateTest):
    settings = {**DeflateTest.settings, "deflate.client_context": "on", "limits.frame_bytes": "2m"}

    async def test_every_set_of_parameters(self):
        """An independent library's clients, told and telling all that can be told."""
        messages = ["", "a", "a" * 63, "ä€😀" * 50, "the same words " * 3000, "", b"", b"\x00" * 70000, os.urandom(1000),
                    " ".join(str(i * i) for i in range(20000)), ["frag", "ment" * 40, "", "ed ☕"], [b"", b"\xff" * 300]]
        for server_no, client_no, server_bits, client_bits in itertools.product(
                (False, True), (False, True), (None, 9, 15), (None, True, 9, 15)):
            factory = ClientPerMessageDeflateFactory(server_no_context_takeover=server_no, client_no_context_takeover=client_no,
                                                     server_max_window_bits=server_bits, client_max_window_bits=client_bits)
            with self.subTest(f"{server_no} {client_no} {server_bits} {client_bits}"):
                async with websockets.connect(self.node.ws + "/echo", compression=None, extensions=[factory], max_size=None, open_timeout=60) as socket:
                    self.assertEqual(len(socket.extensions), 1)
                    for message in messages * 2:
                        await socket.send(message)
                        whole = message if not isinstance(message, list) else type(message[0])().join(message)
                        self.assertEqual(await asyncio.wait_for(socket.recv(), 60), whole)
        self.assertGreater(self.node.metric("warren_gateway_deflated_messages_total"), 48)

    async def test_a_room_of_many_kinds(self):
        """All get the same text, whatever their window; what is compressed is so once a loop and window."""
        node = self.start_node(settings={"loop.workers": "1", "deflate.min_bytes": "600"})
        clients = [await self.room(node, "mixed", "plain-1", compression=None), await self.room(node, "mixed", "plain-2", compression=None)]
        for i, bits in enumerate([None, None, None, 15, 12, 13, 9, 9]):
            factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
            clients.append(await self.room(node, "mixed", f"deflate-{i}", compression=None, extensions=[factory]))
        warren.wait_for(lambda: node.metric("warren_gateway_deflate_connections") == 8, "negotiated")
        self.assertEqual(node.metric("warren_gateway_deflated_messages_total"), 0)
        data = {"text": "and so on, and so on " * 40, "number": 1.50}
        await clients[0].send({"op": "send", "room": "mixed", "data": data})
        events = [await client.message(data=data) for client in clients]
        frames = {next(f for f in client.frames if "and so on" in f) for client in clients}
        self.assertEqual((len(events), len(frames)), (10, 1))
        self.assertEqual(node.metric("warren_gateway_deflated_messages_total"), 3)
        # voice is relayed as it is
        await clients[2].send(b"\x01" * 500)
        for client in clients[:2] + clients[3:]:
            self.assertEqual((await client.expect(lambda m: "binary" in m, "relay"))["binary"], b"\x01" * 500)
        self.assertEqual(node.metric("warren_gateway_deflated_messages_total"), 3)


if __name__ == "__main__":
    warren.main()
