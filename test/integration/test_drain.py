#!/usr/bin/python3
"""Draining: clients are told, served until their own moment, sent away evenly; nothing is lost; and the node ends, whatever is broken."""
import asyncio
import http.client
import json
import os
import signal
import socket
import sys
import time

import websockets

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import pace  # noqa: E402
import services  # noqa: E402
import warren  # noqa: E402
import wire  # noqa: E402


GONE = (OSError, ValueError, http.client.HTTPException)  # what asking a node may end with that ends meanwhile


class Viewer:
    """Somebody who stays in a room over the nodes that come and go, as docs/protocol.md tells. Keeps all that comes; filters nothing."""

    def __init__(self, name, room, urls):
        self.name, self.room, self.urls = name, room, urls
        self.heard = []  # (epoch, offset, data)
        self.position = None
        self.told = None  # retry_after_ms of the goodbye, and when it came; until it was heeded
        self.goodbyes = []  # all of them
        self.closed = []  # (when, code)
        self.opened = []  # when
        self.recovered = []
        self.faults = []  # resets, and what is not in order
        self.socket = None

    async def run(self):
        turn = 0
        while True:
            since = f"?since={self.position[0]}:{self.position[1]}" if self.position else ""
            try:
                self.socket = await websockets.connect(f"{self.urls[turn % len(self.urls)]}/websocket/{self.room}/{self.name}{since}",
                                                       open_timeout=60, max_size=None)
            except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException):  # it ends, or has not begun
                turn += 1
                await asyncio.sleep(0.02)
                continue
            self.opened.append(time.monotonic())
            try:
                async for frame in self.socket:
                    self.take(json.loads(frame))
            except websockets.exceptions.ConnectionClosed:
                pass
            self.closed.append((time.monotonic(), self.socket.close_code))
            if self.told:  # its moment has come, or comes
                await asyncio.sleep(max(0, self.told[1] + self.told[0] / 1000 - time.monotonic()))
                self.told = None
                turn += 1

    def take(self, event):
        if event.get("event") == "welcome":
            state = next(c for c in event["channels"] if c["channel"] == f"room:{self.room}")
            self.recovered.append(state.get("recovered"))
            if self.position is None:
                self.position = (state["epoch"], state["offset"])
        elif event.get("event") == "message" and event["channel"] == f"room:{self.room}":
            is_first = self.position[1] == 0 and event["offset"] == 1  # an empty channel gets its epoch with its first message
            if not is_first and (event["epoch"], event["offset"]) != (self.position[0], self.position[1] + 1):
                self.faults.append((self.position, event))
            self.position = (event["epoch"], event["offset"])
            self.heard.append(event["data"])
        elif event.get("event") == "goodbye":
            self.told = (event["retry_after_ms"], time.monotonic())
            self.goodbyes.append(self.told)
        elif event.get("event") in ("reset", "gap"):
            self.faults.append(event)


class Talker(Viewer):
    """Also speaks: numbers, one after the other's answer, each repeated with its key until it is answered."""

    def __init__(self, name, room, urls):
        super().__init__(name, room, urls)
        self.number = 0
        self.answered = None
        self.stopping = False
        self.refused = []

    def take(self, event):
        super().take(event)
        if event.get("id") == self.number and self.answered:
            if "error" in event:
                self.refused.append(event["error"]["code"])
            if not self.answered.done():
                self.answered.set_result("ok" in event)

    async def talk(self, pause):
        while not self.stopping:
            self.number += 1
            while True:
                self.answered = asyncio.get_running_loop().create_future()
                op = {"id": self.number, "op": "send", "room": self.room, "data": [self.name, self.number], "key": f"{self.name}-{self.number}"}
                try:
                    await self.socket.send(json.dumps(op))
                    if await asyncio.wait_for(self.answered, 2):
                        break
                except (AttributeError, asyncio.TimeoutError, websockets.exceptions.ConnectionClosed):
                    await asyncio.sleep(0.02)
            await asyncio.sleep(pause)


class Drain(warren.WarrenTest):
    settings = {"drain.period": "3s"}

    async def audience(self, count, speakers, urls, kind=Talker):
        people = [kind(f"v{i}", "stage", urls) for i in range(count)]
        tasks = [asyncio.create_task(p.run()) for p in people]
        await self.until(lambda: all(p.position for p in people), "everybody is in")
        talks = [asyncio.create_task(p.talk(0.05)) for p in people[:speakers]]
        self.addAsyncCleanup(self.cancel, tasks + talks)
        return people, talks

    @staticmethod
    async def cancel(tasks):
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, condition, what, timeout=warren.PATIENCE):
        deadline = time.monotonic() + timeout
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            await asyncio.sleep(0.01)

    async def ended(self, node, timeout=warren.PATIENCE):
        code = await asyncio.to_thread(node.process.wait, timeout)
        self.assertEqual(code, 0, node.log())

    async def progress(self, node, seen):
        """(its own clock, clients left), until it is gone."""
        while True:
            try:
                _, answer = await asyncio.to_thread(node.get, "/v1/node/drain")
            except GONE:
                return
            if answer["draining"]:
                seen.append((answer["elapsed_ms"] / 1000, answer["left"]))
            await asyncio.sleep(0.05)  # between two looks

    def assert_at_most_twice_the_even_rate(self, times, even, late, what):
        for width in (0.5, 1.0):
            self.assertLessEqual(pace.steepest(times, width), 2 * even * (width + late), f"{what} within {width} s; the machine let wait {late:.2f} s")

    async def test_nothing_is_lost_and_nobody_rushes(self):
        first, second = self.nodes
        people, talks = await self.audience(60, 10, [first.ws, second.ws])
        await self.until(lambda: all(p.number > 5 for p in people[:10]), "they talk")
        # What has no part in the drain and is late all the same, is the machine's doing: this process, and either node when it is asked something
        # else over and over.
        other = await warren.Client.connect(f"{second.ws}/ws?user=pulse")

        async def ask():
            await other.request(op="ping")
            await asyncio.to_thread(first.readiness)
        pulse = pace.Pulse(0.05, ask).start()
        seen = []
        watch = asyncio.create_task(self.progress(first, seen))
        began = time.monotonic()
        first.signal(signal.SIGTERM)
        await self.until(lambda: all(p.goodbyes for p in people), "everybody is told at once")
        await asyncio.to_thread(warren.wait_for, lambda: first.readiness() == (503, "draining"), "it says so")
        with self.assertRaises(OSError):
            await websockets.connect(f"{first.ws}/ws")
        # What is told does not depend on how busy the machine is: in any part of the period hardly more than its share.
        moments = sorted(p.goodbyes[0][0] / 1000 for p in people)
        even = len(people) / 3
        for width in (0.25, 0.5, 1.0):
            self.assertLessEqual(pace.steepest(moments, width), even * width + 4, "two workers, and each begins and ends a part of its own")
        for third in range(3):
            self.assertAlmostEqual(sum(third <= m < third + 1 or (third == 2 and m == 3) for m in moments), 20, delta=3)
        numbers = [p.number for p in people[:10]]
        await self.ended(first)
        self.assertGreater(time.monotonic() - began, 2.5, "the period was used")
        await self.until(lambda: all(len(p.opened) == 2 for p in people), "everybody is back")
        self.assertTrue(any(p.number > n for p, n in zip(people, numbers)))
        late = pulse.late(began, time.monotonic())
        await pulse.stop()
        await watch
        self.assertEqual({code for p in people for _, code in p.closed}, {4100})
        for p in people:
            self.assertGreaterEqual(p.closed[0][0] + 0.002, began + p.goodbyes[0][0] / 1000, "by clocks of milliseconds, nobody is sent away before the moment")
            self.assertGreaterEqual(p.opened[1], p.goodbyes[0][1] + p.goodbyes[0][0] / 1000, "nor comes before it")
        self.assert_at_most_twice_the_even_rate([p.closed[0][0] for p in people], even, late, "were closed")
        self.assert_at_most_twice_the_even_rate([p.opened[1] for p in people], even, late, "came back")
        # The same by the node's own clock and count.
        self.assertGreater(len(seen), 5)
        for i, (at, left) in enumerate(seen):
            for later, fewer in seen[i + 1:]:
                if later - at >= 0.5:
                    self.assertLessEqual(left - fewer, 2 * even * (later - at + late), f"left between {at} and {later} s: {seen}")
        for p in people[:10]:
            p.stopping = True
        await asyncio.gather(*talks)
        said = sorted([p.name, n] for p in people[:10] for n in range(1, p.number + 1))
        await self.until(lambda: all(len(p.heard) >= len(said) for p in people), "all was heard")
        for p in people:
            self.assertEqual(sorted(p.heard), said, "each once")
            self.assertEqual(p.heard, people[0].heard, "in one order")
            self.assertEqual((p.faults, p.recovered), ([], [False, True]))
        self.assertEqual([code for p in people for code in p.refused], [], "no send was refused")

    async def test_what_the_cluster_sees(self):
        """Lease, presence and queue are given back; who is elsewhere hears of it at once."""
        first, second = self.nodes
        here = await self.room(first, "stage", "ada")
        there = await self.room(second, "stage", "bob")
        await there.expect(lambda m: m.get("event") == "online" and m["count"] == 2, "both")
        first.signal(signal.SIGTERM)
        await here.expect(lambda m: m.get("event") == "goodbye", "goodbye")
        await there.expect(lambda m: m.get("event") == "online" and m["count"] == 1, "one left")
        await self.ended(first)
        leases = {lease["node"]: lease for lease in second.get("/v1/nodes")[1]["nodes"]}
        self.assertFalse(leases.get(first.id, {"alive": False})["alive"])
        self.assertEqual(second.get("/v1/users/ada")[1]["sessions"], [])
        self.assertEqual(second.get("/v1/rooms/stage/users")[1]["users"], ["bob"])
        warren.wait_for(lambda: f"warren.node.{first.id}" not in self.broker.queues(), "the broker has ended its queue with its connection")

    async def test_rolling_restart(self):
        """Each node in turn, by warrenctl drain --wait; the audience moves on each time, and misses nothing."""
        people, talks = await self.audience(12, 3, [n.ws for n in self.nodes])
        for node in list(self.nodes):
            code, out, err = await asyncio.to_thread(warren.run_tool, "warrenctl", "--api", node.api, "drain", "--wait")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, rf"^{node.id}: \d+ of \d+ clients left, ")
            self.assertTrue(out.endswith("drained\n"), out)
            await self.ended(node)
            await asyncio.to_thread(self.start_node, port=node.port, internal=node.internal_port)
        for p in people[:3]:
            p.stopping = True
        await asyncio.gather(*talks)
        said = sorted([p.name, n] for p in people[:3] for n in range(1, p.number + 1))
        await self.until(lambda: all(len(p.heard) >= len(said) for p in people), "all was heard")
        for p in people:
            self.assertEqual((sorted(p.heard), p.faults), (said, []))
            self.assertGreaterEqual(len(p.opened), 2)

    async def test_echo_goes_too_and_what_was_asked_is_answered(self):
        node = self.start_node(settings={"listen.echo": "on", "drain.period": "4s", "drain.rate": "0"})
        echo = await websockets.connect(f"{node.ws}/echo")
        askers = [await self.client(f"{node.ws}/ws?user=ada-{n}") for n in range(5)]
        for asker in askers:
            await asker.request(op="join", room="r")
        node.signal(signal.SIGTERM)

        async def ask(asker):
            """How often it was answered: no question before its moment is left without."""
            await asker.expect(lambda m: m.get("event") == "goodbye", "goodbye")
            answered = 0
            try:
                while True:
                    self.assertIn("ok", await asker.request(op="send", room="r", data=answered))
                    answered += 1
            except websockets.exceptions.ConnectionClosed as closed:
                self.assertEqual(closed.rcvd.code, 4100)
            return answered
        self.assertGreater(sum(await asyncio.gather(*map(ask, askers))), 0)  # one's own moment may be the first one
        await echo.wait_closed()
        self.assertEqual(echo.close_code, 4100)
        await self.ended(node)


class Order(warren.WarrenTest):
    """The order to drain, and its end, on a node alone."""

    standalone = True
    node_count = 0

    async def test_few_clients_do_not_take_the_period(self):
        node = self.start_node(settings={"drain.period": "600s"})
        people = [await self.client(f"{node.ws}/ws?user=u{i}") for i in range(5)]
        status, answer = node.get("/v1/node/drain")
        self.assertEqual((status, answer["draining"], answer["clients"]), (200, False, 5))
        began = time.monotonic()
        status, answer = node.post("/v1/node/drain")
        self.assertEqual((status, answer["draining"], answer["clients"], answer["period_ms"]), (202, True, 5, 500))
        for p in people:
            self.assertLessEqual((await p.expect(lambda m: m.get("event") == "goodbye", "goodbye"))["retry_after_ms"], 500)
        self.assertEqual(await asyncio.to_thread(node.process.wait, 60), 0)
        self.assertLess(time.monotonic() - began, 60, "and not the ten minutes")

    async def test_no_clients(self):
        node = self.start_node(settings={"drain.period": "600s", "drain.rate": "0"})
        code, out, _ = warren.run_tool("warrenctl", "--api", node.api, "--json", "drain")
        self.assertEqual((code, json.loads(out)["draining"]), (0, True))
        self.assertEqual(await asyncio.to_thread(node.process.wait, 60), 0)

    async def test_a_signal_behind_an_order_is_the_first(self):
        node = self.start_node(settings={"drain.period": "3600s", "drain.rate": "0"})
        self.addCleanup(node.kill)
        client = await self.client(f"{node.ws}/ws?user=ada")
        self.assertEqual(node.post("/v1/node/drain")[0], 202)
        self.assertEqual(node.post("/v1/node/drain")[0], 202, "once more is no harm")
        await client.expect(lambda m: m.get("event") == "goodbye", "goodbye")
        node.signal(signal.SIGTERM)
        warren.wait_for(lambda: "signal=SIGTERM" in node.log(), "the signal is seen")
        self.assertEqual((await client.request(op="ping"))["ok"], {})
        node.signal(signal.SIGTERM)
        self.assertEqual(await asyncio.to_thread(node.process.wait, 60), 1)
        self.assertIn("second signal", node.log())
        node.process.returncode = 0  # looked at here

    async def test_reading_of_progress(self):
        node = self.start_node(settings={"drain.period": "4s", "drain.rate": "0"})
        people = [await self.client(f"{node.ws}/ws?user=u{i}") for i in range(12)]
        node.post("/v1/node/drain")
        seen = []
        while True:
            try:
                _, answer = node.get("/v1/node/drain")
            except GONE:
                break
            seen.append(answer["left"])
            await asyncio.sleep(0.02)  # between two looks
        self.assertEqual(seen, sorted(seen, reverse=True))
        self.assertGreaterEqual(len(set(seen)), 3, "they went one by one")
        self.assertEqual(await asyncio.to_thread(node.process.wait, 60), 0)
        self.assertEqual(len(people), 12)

    async def test_methods_and_pages(self):
        node = self.start_node()
        status, _, headers = warren.fetch(node.api + "/v1/node/drain", "DELETE")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, POST"))
        status, _, _ = warren.fetch(node.api + "/v1/node/drain", "POST", headers={"Origin": "http://evil"})
        self.assertEqual(status, 403)
        self.assertEqual(node.get("/v1/node/drain")[1]["draining"], False)
        code, _, err = warren.run_tool("warrenctl", "--api", node.api, "drain", "now")
        self.assertEqual(code, 2)
        self.assertIn("Usage: warrenctl drain [--wait]", err)

    async def test_a_reader_that_is_stuck(self):
        """It is cut off when limits.close_timeout is over, and holds nobody up."""
        node = self.start_node(settings={"drain.period": "500ms", "limits.close_timeout": "500ms", "limits.queued_age": "60s",
                                         "limits.queued_bytes": "64m", "limits.queued_soft_time": "60s"})
        with wire.Peer(node.port) as stuck:
            stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.upgraded("/websocket/r/stuck")
            talker = await self.room(node, "r", "talker")
            sent = 0
            while node.metric("warren_gateway_queued_bytes") < 1000000:
                await talker.request(op="send", room="r", data="x" * 30000)
                sent += 1
                self.assertLess(sent, 2000)
            began = time.monotonic()
            node.signal(signal.SIGTERM)
            await talker.expect(lambda m: m.get("event") == "goodbye", "goodbye")
            self.assertEqual(await asyncio.to_thread(node.process.wait, 60), 0)
            self.assertLess(time.monotonic() - began, 30, "and not the minute that a reader may be behind")


class Broken(services.OwnServices, warren.WarrenTest):
    """With broker or store away the drain is as even, and ends as well."""

    node_count = 0
    settings = {"drain.period": "1s", "drain.rate": "0"}

    async def drained(self, node, client, seconds):
        began = time.monotonic()
        node.signal(signal.SIGTERM)
        goodbye = await client.expect(lambda m: m.get("event") == "goodbye", "goodbye")
        self.assertLessEqual(goodbye["retry_after_ms"], 1000)
        await client.socket.wait_closed()
        self.assertEqual(client.socket.close_code, 4100)
        self.assertEqual(await asyncio.to_thread(node.process.wait, 60), 0, node.log())
        self.assertLess(time.monotonic() - began, seconds)

    async def test_broker_away(self):
        """What was accepted meanwhile is in the log, and is had from another node afterwards."""
        node = self.start_node()
        client = await self.room(node, "r", "ada")
        for state, undo in ((self.services.freeze, self.services.thaw), (self.services.kill, self.services.start)):
            state("rabbitmq")
            positions = [(await client.request(op="send", room="r", data=[state.__name__, n]))["ok"] for n in range(5)]
            since = f"{positions[0]['epoch']}:{positions[0]['offset'] - 1}"
            await self.drained(node, client, 30)
            undo("rabbitmq")
            node = self.start_node()
            client = await self.client(f"{node.ws}/websocket/r/ada?since={since}")
            heard = [(await client.message())["data"] for _ in range(5)]
            self.assertEqual(heard, [[state.__name__, n] for n in range(5)])

    async def test_store_away(self):
        for state, undo in ((self.services.freeze, self.services.thaw), (self.services.kill, self.services.start)):
            node = self.start_node()
            client = await self.room(node, "r", "ada")
            state("redis")
            try:
                await self.drained(node, client, 30)
            finally:
                undo("redis")


if __name__ == "__main__":
    warren.main()
