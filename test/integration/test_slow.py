#!/usr/bin/python3
"""Readers that stand still: what each class of frames does for them, when they are ended, and that nobody else notices.

The stuck reader is a bare socket with a small receive buffer that is not read from, so the node's socket fills up as it does with a
phone in a tunnel. When it reads again, its bytes are taken apart here, frame by frame, by a reader that knows nothing of the node.
"""
import asyncio
import fcntl
import json
import os
import socket
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402


class StuckReader:
    """Upgrades, and reads when told to."""

    def __init__(self, node, path):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # before connect: it bounds the window
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", node.port))
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(1)
        assert self.buffer.startswith(b"HTTP/1.1 101"), self.buffer
        self.buffer = b""

    def arrived(self):
        """How many bytes the kernel has for him."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.FIONREAD, bytes(4)))[0]

    def more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def frame(self):
        """(opcode, payload), or None at the end of the stream."""
        while True:
            if len(self.buffer) >= 2:
                size, at = self.buffer[1] & 0x7F, 2
                if size == 126 and len(self.buffer) >= 4:
                    size, at = struct.unpack(">H", self.buffer[2:4])[0], 4
                elif size == 127 and len(self.buffer) >= 10:
                    size, at = struct.unpack(">Q", self.buffer[2:10])[0], 10
                elif size >= 126:
                    size = None
                if size is not None and len(self.buffer) >= at + size:
                    opcode, payload = self.buffer[0] & 0x0F, self.buffer[at:at + size]
                    assert self.buffer[0] & 0x80 and not self.buffer[0] & 0x70, "whole frames without reserved bits"
                    self.buffer = self.buffer[at + size:]
                    return opcode, payload
            if not self.more():
                assert not self.buffer, "the stream ends at a frame's end"
                return None

    def events(self, last):
        """Frames as objects up to the one for which last() is true, or the end."""
        seen = []
        while True:
            frame = self.frame()
            if frame is None:
                return seen
            opcode, payload = frame
            if opcode == 1:
                seen.append(json.loads(payload))
            elif opcode == 2:
                seen.append({"binary": payload})
            elif opcode == 8:
                seen.append({"close": struct.unpack(">H", payload[:2])[0], "reason": payload[2:].decode()})
            if last(seen[-1]):
                return seen

    def close(self):
        self.socket.close()


LARGE = "x" * 3000


class SlowReaders(warren.WarrenTest):
    standalone = True
    node_count = 0
    # Large limits; each case sets the one that it is about.
    settings = {"limits.queued_bytes": "32m", "limits.queued_soft_bytes": "0", "limits.queued_age": "0",
                "limits.queued_total": "1g", "hub.online_interval": "20ms"}

    def node(self, **settings):
        return self.start_node(settings={key.replace("__", "."): value for key, value in settings.items()})

    def stuck(self, node, room, user="stuck"):
        reader = StuckReader(node, f"/websocket/{room}/{user}")
        self.addCleanup(reader.close)
        return reader

    async def block(self, node, speaker, room, stuck):
        """Sends numbered messages until the stuck reader's socket takes no more, or he has been ended for that already. Returns the next number.

        That something waits at one moment is not enough: it may be the kernel that has not come round to bring over what it has, and room
        for more comes then. So nothing may have arrived through some rounds, though something waits."""
        number, arrived, steady = 0, None, 0
        while steady < 3 and node.metric("warren_gateway_slow_total") == 0:
            for _ in range(40):
                await speaker.send({"op": "send", "room": room, "data": [number, LARGE]})
                await speaker.message()
                number += 1
            before, arrived = arrived, stuck.arrived()
            steady = steady + 1 if arrived == before and node.metric("warren_gateway_behind") else 0
            await asyncio.sleep(0.05)  # between two looks
            self.assertLess(number, 20000, "the socket takes everything")
        return number

    def ended(self, node, cause):
        return node.metric("warren_gateway_slow_total", cause=cause)

    def numbers(self, events):
        return [e["data"][0] for e in events if e.get("event") == "message" and isinstance(e["data"], list)]

    async def test_too_much_at_once_ends_it_and_delays_nobody(self):
        node = self.node(limits__queued_bytes="128k")
        stuck = self.stuck(node, "lobby")
        speaker = await self.room(node, "lobby", "speaker")
        listener = await self.room(node, "lobby", "listener")
        worst, number = 0, 0
        while self.ended(node, "queued_bytes") == 0:
            for _ in range(20):
                began = time.monotonic()
                await speaker.send({"op": "send", "room": "lobby", "data": [number, LARGE]})
                self.assertEqual((await listener.message())["data"][0], number)
                await speaker.message()
                worst = max(worst, time.monotonic() - began)
                number += 1
            self.assertLess(number, 20000)
        self.assertLess(worst, 5, "a stuck reader, who never reads, delays nobody")
        events = stuck.events(lambda e: "close" in e)
        self.assertEqual(events[-1]["close"], 4101)
        self.assertEqual(events[-1]["reason"], "reads too slowly")
        self.assertEqual(self.numbers(events), list(range(len(self.numbers(events)))), "what came before has no gap")
        self.assertLess(len(self.numbers(events)), number)
        warren.wait_for(lambda: node.metric("warren_gateway_ended_total", reason="too_slow") == 1, "counted")
        await speaker.request(op="send", room="lobby", data="still here")
        self.assertEqual((await listener.message(data="still here"))["from"], "speaker")

    async def test_behind_for_too_long(self):
        node = self.node(limits__queued_soft_bytes="16k", limits__queued_soft_time="500ms")
        stuck = self.stuck(node, "lobby")
        speaker = await self.room(node, "lobby", "speaker")
        number = await self.block(node, speaker, "lobby", stuck)
        for n in range(number, number + 20):
            await speaker.send({"op": "send", "room": "lobby", "data": [n, LARGE]})
        warren.wait_for(lambda: self.ended(node, "queued_soft_bytes") == 1, "the end")
        self.assertEqual(stuck.events(lambda e: "close" in e)[-1]["close"], 4101)

    async def test_age(self):
        node = self.node(limits__queued_age="700ms")
        stuck = self.stuck(node, "lobby")
        speaker = await self.room(node, "lobby", "speaker")
        await self.block(node, speaker, "lobby", stuck)
        warren.wait_for(lambda: self.ended(node, "queued_age") == 1, "the end")
        self.assertEqual(stuck.events(lambda e: "close" in e)[-1]["close"], 4101)
        warren.wait_for(lambda: node.metric("warren_gateway_sessions") == 1, "its session is gone")

    async def test_signals_are_replaced_and_messages_are_not(self):
        node = self.node()
        stuck = self.stuck(node, "lobby")
        speaker = await self.room(node, "lobby", "speaker")
        number = await self.block(node, speaker, "lobby", stuck)
        for i in range(25):  # each changes the room's count, and each count is told before the next
            guest = await self.room(node, "lobby", f"guest{i}")
            await speaker.expect(lambda m, want=3 + i: m.get("event") == "online" and m["count"] == want, "the count")
            self.addAsyncCleanup(guest.close)
        await speaker.send({"op": "send", "room": "lobby", "data": "end"})
        await speaker.message(data="end")
        warren.wait_for(lambda: node.metric("warren_gateway_replaced_frames_total") >= 20, "replaced signals")
        events = stuck.events(lambda e: e.get("data") == "end")
        self.assertEqual(self.numbers(events), list(range(number)), "messages: all, in order")
        counts = [e["count"] for e in events if e.get("event") == "online"]
        self.assertEqual(counts[-1], 27, "the newest count")
        self.assertLess(len(counts), 8, counts)
        self.assertEqual([e for e in events[-2:] if e.get("event") == "online"], [events[-2]], "behind the messages before it")

    async def test_relay_drops_the_oldest(self):
        node = self.node(limits__relay_bytes="16k")
        stuck = self.stuck(node, "voice")
        speaker = await self.room(node, "voice", "speaker")
        listener = await self.room(node, "voice", "listener")
        for n in range(1500):
            await speaker.send(struct.pack(">I", n) + b"v" * 1000)
            self.assertEqual(struct.unpack(">I", (await listener.receive_binary())[:4])[0], n, "who keeps up misses nothing")
        await speaker.request(op="send", room="voice", data="end")
        warren.wait_for(lambda: node.metric("warren_gateway_dropped_frames_total") > 100, "dropped frames")
        self.assertLess(node.metric("warren_gateway_queued_bytes"), 40000)
        events = stuck.events(lambda e: e.get("data") == "end")
        heard = [struct.unpack(">I", e["binary"][:4])[0] for e in events if "binary" in e]
        self.assertEqual(heard, sorted(heard))
        self.assertEqual(heard[-1], 1499, "the newest are there")
        self.assertEqual(heard[0], 0)
        self.assertLess(len(heard), 1400)
        warren.wait_for(lambda: len(heard) + node.metric("warren_gateway_dropped_frames_total") == 1500, "what is missing is counted")
        self.assertEqual(node.metric("warren_gateway_ended_total", reason="too_slow"), 0)

    async def test_class_of_a_channel(self):
        node = self.node(limits__relay_bytes="16k", channel__flood__match="room:flood-*", channel__flood__class="drop-oldest")
        stuck = self.stuck(node, "flood-1")
        speaker = await self.room(node, "flood-1", "speaker")
        number = await self.block(node, speaker, "flood-1", stuck)
        for n in range(number, number + 200):
            await speaker.send({"op": "send", "room": "flood-1", "data": [n, LARGE]})
            await speaker.message()
        warren.wait_for(lambda: node.metric("warren_gateway_dropped_frames_total") >= 150, "dropped messages")
        events = stuck.events(lambda e: e.get("data", [None])[0] == number + 199)
        self.assertLess(len(self.numbers(events)), number + 50)
        self.assertEqual(self.gaps_told(events, "room:flood-1"), number + 200 - len(self.numbers(events)), "each is heard, or told")

    def gaps_told(self, events, channel):
        """How many messages were told as left out; with those that were heard they are all, in order."""
        told, expected = 0, 1
        for event in events:
            if event.get("event") == "message":
                self.assertEqual(event["offset"], expected)
                expected += 1
            elif event.get("event") == "gap":
                self.assertEqual((event["channel"], event["from"]), (channel, expected))
                self.assertIsInstance(event["epoch"], str)
                self.assertGreaterEqual(event["to"], event["from"])
                told += event["to"] - event["from"] + 1
                expected = event["to"] + 1
        return told

    async def test_the_latest_of_a_sequenced_channel(self):
        node = self.node(channel__price__match="room:price-*", channel__price__class="latest")
        stuck = self.stuck(node, "price-1")
        speaker = await self.room(node, "price-1", "speaker")
        number = await self.block(node, speaker, "price-1", stuck)
        for n in range(number, number + 50):
            await speaker.send({"op": "send", "room": "price-1", "data": [n, LARGE]})
            await speaker.message()
        await speaker.send({"op": "send", "room": "price-1", "data": ["end"]})
        await speaker.message()
        events = stuck.events(lambda e: e.get("data") == ["end"])
        self.assertEqual([e.get("event") for e in events[-2:]], ["gap", "message"], "one gap, before what comes next")
        heard = [e for e in events if e.get("event") == "message"]
        self.assertGreaterEqual(self.gaps_told(events, "room:price-1"), 50)
        self.assertEqual(self.gaps_told(events, "room:price-1") + len(heard), number + 51)

    async def test_of_all_together_the_worst_goes_first(self):
        node = self.node(limits__queued_total="12m", loop__workers="1")
        worst, modest = self.stuck(node, "a", "worst"), self.stuck(node, "b", "modest")
        speaker = await self.room(node, "b", "speaker")
        await speaker.request(op="join", room="a")
        number = await self.block(node, speaker, "b", modest)
        warren.wait_for(lambda: node.metric("warren_gateway_behind") == 1, "one behind")
        for n in range(300):  # about a megabyte for the modest one
            await speaker.send({"op": "send", "room": "b", "data": [number + n, LARGE]})
            await speaker.message()
        for n in range(20000):
            await speaker.send({"op": "send", "room": "a", "data": [n, LARGE]})
            await speaker.message()
            if n % 50 == 0 and self.ended(node, "queued_total"):
                break
        self.assertEqual(self.ended(node, "queued_total"), 1)
        self.assertEqual(worst.events(lambda e: "close" in e)[-1]["close"], 4101)
        await speaker.send({"op": "send", "room": "b", "data": "end"})
        self.assertEqual(self.numbers(modest.events(lambda e: e.get("data") == "end")), list(range(number + 300)))

    async def test_one_pong_waits(self):
        node = self.node()
        stuck = self.stuck(node, "lobby")
        speaker = await self.room(node, "lobby", "speaker")
        await self.block(node, speaker, "lobby", stuck)
        ping = b"\x89\x84\x00\x00\x00\x00"
        for n in range(2000):
            stuck.socket.sendall(ping + struct.pack(">I", n))
        warren.wait_for(lambda: node.metric("warren_gateway_received_messages_total", type="ping") == 2000, "pings")
        warren.wait_for(lambda: node.metric("warren_gateway_replaced_frames_total") == 1999, "replaced pongs")
        await speaker.send({"op": "send", "room": "lobby", "data": "end"})
        frames = []
        while not frames or b'"data":"end"' not in frames[-1][1]:
            frames.append(stuck.frame())
        pongs = [payload for opcode, payload in frames if opcode == 10]
        self.assertEqual(pongs, [struct.pack(">I", 1999)], "the last ping is the one that is answered")


if __name__ == "__main__":
    warren.main()
