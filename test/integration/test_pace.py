#!/usr/bin/python3
"""What one session, and one user, may do: operations and bytes a second, sessions at a time."""
import asyncio
import contextlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402
import websockets  # noqa: E402


class Pace(warren.WarrenTest):
    standalone = True
    node_count = 0

    def node(self, **settings):
        return self.start_node(settings={key.replace("__", "."): value for key, value in settings.items()})

    async def closed(self, client, timeout=60):
        """(code, reason) of the close frame."""
        try:
            while True:
                await asyncio.wait_for(client.socket.recv(), timeout)
        except websockets.ConnectionClosed as end:
            return end.rcvd.code, end.rcvd.reason

    async def test_operations_beyond_the_rate_are_refused_until_later(self):
        node = self.node(limits__session_messages_rate="1", limits__session_messages_burst="10")
        alice = await self.room(node, "lobby", "alice")
        for i in range(15):
            await alice.send({"id": i, "op": "ping"})
        answers = [await alice.expect(lambda m: "id" in m, "an answer") for _ in range(15)]
        self.assertEqual([a["id"] for a in answers], list(range(15)))
        refused = [a for a in answers if "error" in a]
        self.assertGreaterEqual(len(refused), 3)
        self.assertTrue(all("ok" in a for a in answers[:10]), "the burst")
        for answer in refused:
            self.assertEqual(answer["error"]["code"], "rate_limited")
            self.assertGreater(answer["error"]["retry_after_ms"], 0)
        await asyncio.sleep(refused[-1]["error"]["retry_after_ms"] / 1000)
        self.assertEqual((await alice.request(op="ping"))["ok"], {}, "who heeds it goes on")
        self.assertEqual(node.metric("warren_gateway_errors_total", code="rate_limited"), len(refused))

    async def test_what_was_refused_was_not_done(self):
        node = self.node(limits__session_messages_rate="1", limits__session_messages_burst="5")
        alice = await self.room(node, "lobby", "alice")
        bob = await self.room(node, "lobby", "bob")
        await alice.send([{"id": i, "op": "send", "room": "lobby", "data": i} for i in range(9)])
        answers = [await alice.expect(lambda m: "ok" in m or "error" in m, "an answer") for _ in range(9)]
        done = sorted(a["id"] for a in answers if "ok" in a)
        self.assertEqual(done, [0, 1, 2, 3, 4])
        await asyncio.sleep(max(a["error"]["retry_after_ms"] for a in answers if "error" in a) / 1000)
        self.assertIn("ok", await alice.request(op="send", room="lobby", data="end"))
        self.assertEqual([m["data"] for m in await bob.drain("end") if m.get("event") == "message"], done)

    async def test_who_heeds_nothing_is_closed(self):
        node = self.node(limits__session_messages_rate="1", limits__session_messages_burst="20")
        alice = await self.room(node, "lobby", "alice")
        bob = await self.room(node, "lobby", "bob")
        with contextlib.suppress(websockets.ConnectionClosed):
            for i in range(60):
                await alice.send({"op": "ping"})
        code, reason = await self.closed(alice)
        self.assertEqual((code, reason), (1008, "too many messages"))
        self.assertEqual((await bob.request(op="ping"))["ok"], {})
        warren.wait_for(lambda: node.metric("warren_gateway_ended_total", reason="abuse") == 1, "counted")

    async def test_pings_count_too(self):
        node = self.node(limits__session_messages_rate="1", limits__session_messages_burst="20")
        alice = await self.room(node, "lobby", "alice")
        for _ in range(15):
            await (await alice.socket.ping())
        pongs = []
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(100):
                pongs.append(await alice.socket.ping())
        self.assertEqual(await self.closed(alice), (1008, "too many messages"))
        await asyncio.gather(*pongs, return_exceptions=True)

    async def test_frames_without_operations_count_too(self):
        node = self.node(limits__session_messages_rate="1", limits__session_messages_burst="20")
        alice = await self.room(node, "lobby", "alice")
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(60):
                await alice.send([])
        self.assertEqual(await self.closed(alice), (1008, "too many messages"))

    async def test_relayed_frames_count_too(self):
        node = self.node(limits__session_messages_rate="1", limits__session_messages_burst="20")
        alice = await self.room(node, "voice", "alice")
        bob = await self.room(node, "voice", "bob")
        for i in range(25):
            await alice.send(bytes([i]))
        self.assertEqual((await alice.expect(lambda m: "error" in m, "an error"))["error"]["code"], "rate_limited")
        self.assertEqual([(await bob.receive_binary())[0] for _ in range(20)], list(range(20)))

    async def test_bytes_beyond_the_rate_are_waited_for(self):
        node = self.node(limits__session_bytes_rate="200k", limits__session_bytes_burst="100k")
        bob = await self.room(node, "lobby", "bob")
        for options in ({"compression": None}, {}):  # what is compressed counts as what it becomes
            with self.subTest(options=options):
                alice = await self.room(node, "lobby", "alice", **options)
                await self.slow_down(alice, bob)
                await alice.close()
        self.assertGreaterEqual(node.metric("warren_gateway_throttled_total"), 2)

    async def slow_down(self, alice, bob):
        began = time.monotonic()
        for i in range(50):
            await alice.send({"op": "send", "room": "lobby", "data": [i, "x" * 10000]})
        heard = [(await bob.message())["data"][0] for _ in range(50)]
        took = time.monotonic() - began
        self.assertEqual(heard, list(range(50)), "nothing is lost")
        for _ in range(50):
            await alice.message()
        self.assertGreater(took, 1.2, "500 KB with 100 KB at once and 200 KB a second")
        self.assertLess(took, 40)
        self.assertEqual((await bob.request(op="ping"))["ok"], {})

    async def test_a_throttled_session_is_not_idle_and_can_close(self):
        node = self.node(limits__session_bytes_rate="1k", limits__session_bytes_burst="1k", session__heartbeat="2s")
        alice = await self.room(node, "lobby", "alice", compression=None)
        await alice.send({"op": "send", "room": "lobby", "data": "x" * 6000})
        await alice.message()
        await asyncio.sleep(3)
        self.assertEqual((await alice.request(op="ping"))["ok"], {})
        await alice.close()

    async def test_sessions_of_a_user(self):
        node = self.node(limits__sessions_per_user="2")
        first = await self.client(f"{node.ws}/ws?user=bob&device=phone")
        await self.client(f"{node.ws}/ws?user=bob&device=desk")
        third = warren.Client(await websockets.connect(f"{node.ws}/ws?user=bob&device=tv", open_timeout=60))
        self.assertEqual(await self.closed(third), (4505, "this user has as many sessions as it may"))
        self.assertEqual(third.frames, [], "no welcome")
        await self.client(f"{node.ws}/ws?user=alice")
        await first.close()
        warren.wait_for(lambda: node.metric("warren_gateway_sessions") == 2, "one session less")
        await self.client(f"{node.ws}/ws?user=bob&device=tv")
        warren.wait_for(lambda: node.metric("warren_gateway_ended_total", reason="limit") == 1, "counted")


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 4)


if __name__ == "__main__":
    warren.main()
