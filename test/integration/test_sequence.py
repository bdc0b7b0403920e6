#!/usr/bin/python3
"""Nothing lost, nothing twice, in order: sequenced channels over several nodes, while things are broken on purpose.

Clients here count raw frames by position and never filter: a message that comes twice, out of order or not at all fails.
"""
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services  # noqa: E402
import side_by_side  # noqa: E402
import warren  # noqa: E402


class Sequenced(warren.WarrenTest):
    node_count = 3

    async def listener(self, node, room, user, since=None, channel=None):
        query = ""
        if since:
            query = "?since=" + (f"{urllib.parse.quote(channel, safe='')}@" if channel else "") + f"{since[0]}:{since[1]}"
        return await self.client(f"{node.ws}/websocket/{room}/{user}{query}")

    @staticmethod
    def state(client, channel):
        return next(c for c in client.welcome["channels"] if c["channel"] == channel)

    async def messages(self, client, count, timeout=warren.PATIENCE):
        """The next @count messages; a reset among them fails."""
        got = []
        deadline = time.monotonic() + timeout
        while len(got) < count:
            event = await client.receive(max(deadline - time.monotonic(), 0.01))
            self.assertNotEqual(event.get("event"), "reset", event)
            if event.get("event") == "message":
                got.append(event)
        return got

    def assert_contiguous(self, messages, first):
        self.assertEqual([m["offset"] for m in messages], list(range(first, first + len(messages))))
        self.assertEqual(len({m["epoch"] for m in messages}), 1)
        self.assertEqual(len({m["id"] for m in messages}), len(messages))


class Order(Sequenced):
    async def test_many_senders_on_three_nodes_make_one_sequence(self):
        clients = [await self.listener(self.nodes[i % 3], "lobby", f"user-{i}") for i in range(6)]
        for n in range(100):
            for i, client in enumerate(clients):
                await client.send({"op": "send", "room": "lobby", "data": [i, n]})
        heard = [await self.messages(client, 600) for client in clients]
        for messages in heard:
            self.assert_contiguous(messages, 1)
            self.assertEqual([m["id"] for m in messages], [m["id"] for m in heard[0]])
            for i in range(6):
                self.assertEqual([m["data"][1] for m in messages if m["data"][0] == i], list(range(100)))

    async def test_a_node_s_clients_come_back_to_the_others(self):
        """Many of them, to nodes that know their rooms and to nodes that do not; a room's log is read once a node, not once a client."""
        dying, *others = self.nodes
        code, out, err = await asyncio.to_thread(
            warren.run_tool, "warren-bench", "rejoin", "--json", "--from", dying.ws, "--nodes", ",".join(n.ws for n in others),
            "--metrics", ",".join(n.api for n in others), "--kill", str(dying.process.pid), "--clients", "300", "--rooms", "11",
            "--stream-rate", "5", "--seconds", "0.5", "--away", "1", "--settle", "0.3")
        report = json.loads(out)
        self.assertEqual(code, 0, out + err)
        self.assertEqual((report["clients"], report["recovered"], report["lost"], report["duplicated"]), (300, 300, 0, 0))
        self.assertGreater(report["missed_each"], 3)
        self.assertLessEqual(report["log_reads"], 2 * 11 * len(others))
        dying.kill()

    async def test_ok_tells_the_position(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[1], "lobby", "bob")
        self.assertFalse(self.state(alice, "room:lobby")["recovered"])
        for n in range(1, 4):
            ok = (await alice.request(op="send", room="lobby", data=n))["ok"]
            heard = (await self.messages(bob, 1))[0]
            self.assertEqual((ok["epoch"], ok["offset"], ok["message"]), (heard["epoch"], n, heard["id"]))
            self.assertIsInstance(ok["epoch"], str)
        status, answer = self.nodes[2].post("/v1/rooms/lobby/messages", {"data": "api"})
        self.assertEqual((status, answer["offset"]), (202, 4))
        self.assertEqual((await self.messages(bob, 1))[0]["offset"], 4)

    async def test_a_key_on_two_nodes_publishes_once(self):
        first, second = [await self.listener(node, "lobby", "alice") for node in self.nodes[:2]]
        ok = (await first.request(op="send", room="lobby", data="once", key="k"))["ok"]
        again = (await second.request(op="send", room="lobby", data="once", key="k"))["ok"]
        self.assertEqual(ok, again)
        await first.request(op="send", room="lobby", data="end")
        for client in (first, second):
            self.assertEqual([m["data"] for m in await self.messages(client, 2)], ["once", "end"])


class Rejoin(Sequenced):
    settings = {"channel.long.match": "room:*", "channel.long.log_length": "50000", "channel.long.log_bytes": "64m"}

    async def test_rejoining_under_traffic_misses_and_doubles_nothing(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        stop = asyncio.Event()

        async def stream():
            n = 0
            while not stop.is_set():
                await alice.send({"op": "send", "room": "lobby", "data": n})
                n += 1
                await asyncio.sleep(0.002)
            return n

        async def wander(seed):
            position, count = None, 0
            for turn in range(8):
                client = await self.listener(self.nodes[(seed + turn) % 3], "lobby", f"w-{seed}", position)
                state = self.state(client, "room:lobby")
                if position:
                    self.assertTrue(state["recovered"])
                expected = position[1] if position else state["offset"]
                for m in await self.messages(client, 20 + 7 * seed):
                    self.assertEqual(m["offset"], expected + 1)
                    expected += 1
                    position = (m["epoch"], m["offset"])
                    count += 1
                await client.close()
            return count

        async def listen():  # who does not read what he says himself would be held up by it
            while True:
                await alice.receive(timeout=60)

        task, reader = asyncio.create_task(stream()), asyncio.create_task(listen())
        await asyncio.gather(*[wander(seed) for seed in range(6)])
        stop.set()
        await task
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


class Since(Sequenced):
    async def test_on_another_node_exactly_what_was_missed(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[1], "lobby", "bob")
        await alice.request(op="send", room="lobby", data=0)
        last = (await self.messages(bob, 1))[0]
        await bob.close()
        for n in range(1, 150):
            await alice.send({"op": "send", "room": "lobby", "data": n})
        await self.messages(alice, 150)
        for node in self.nodes:  # where there are listeners, where there were, and where there never were
            bob = await self.listener(node, "lobby", "bob", (last["epoch"], last["offset"]))
            state = self.state(bob, "room:lobby")
            self.assertEqual((state["recovered"], state["offset"]), (True, 150))
            missed = await self.messages(bob, 149)
            self.assert_contiguous(missed, 2)
            self.assertEqual([m["data"] for m in missed], list(range(1, 150)))
            again = await self.client(f"{node.ws}/ws?user=carol")
            ok = (await again.request(op="join", room="lobby", since={"epoch": last["epoch"], "offset": 148}))["ok"]
            self.assertEqual((ok["recovered"], ok["offset"]), (True, 150))
            self.assert_contiguous(await self.messages(again, 2), 149)
            await bob.close()
            await again.close()

    async def test_an_inbox_keeps_what_came_meanwhile(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[1], "lobby", "bob")
        at = self.state(bob, "user:bob")
        await bob.close()
        for n in range(3):
            await alice.request(op="whisper", user="bob", data=n)
        bob = await self.listener(self.nodes[2], "lobby", "bob", (at["epoch"], at["offset"]), "user:bob")
        got = await self.messages(bob, 3)
        self.assertEqual([(m["channel"], m["data"]) for m in got], [("user:bob", n) for n in range(3)])

    async def test_an_inbox_goes_on_where_the_device_took_it(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        for n in range(3):
            await alice.request(op="whisper", user="bob", data=n)
        phone = await self.client(f"{self.nodes[1].ws}/ws?user=bob&device=phone")
        got = await self.messages(phone, 3)
        self.assertEqual([m["data"] for m in got], [0, 1, 2])
        self.assertEqual((await phone.request(op="ack", channel="user:bob", offset=2))["ok"], {})
        self.assertEqual((await phone.request(op="ack", channel="user:alice", offset=2))["error"]["code"], "forbidden")
        await phone.close()
        await alice.request(op="whisper", user="bob", data=3)
        phone = await self.client(f"{self.nodes[2].ws}/ws?user=bob&device=phone")
        self.assertTrue(self.state(phone, "user:bob")["recovered"])
        self.assertEqual([m["data"] for m in await self.messages(phone, 2)], [2, 3])
        desk = await self.client(f"{self.nodes[2].ws}/ws?user=bob&device=desk")
        self.assertFalse(self.state(desk, "user:bob")["recovered"])
        self.assertEqual([m["data"] for m in await self.messages(desk, 4)], [0, 1, 2, 3])

    async def test_history(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        for n in range(10):
            await alice.request(op="send", room="lobby", data=n)
        bob = await self.client(f"{self.nodes[1].ws}/ws?user=bob")
        self.assertEqual((await bob.request(op="history", room="lobby"))["error"]["code"], "not_joined")
        await bob.request(op="join", room="lobby")
        page = (await bob.request(op="history", room="lobby", limit=4))["ok"]
        self.assertEqual(([m["data"] for m in page["messages"]], page["more"]), ([6, 7, 8, 9], True))
        first = page["messages"][0]
        page = (await bob.request(op="history", room="lobby", before={"epoch": first["epoch"], "offset": first["offset"]}))["ok"]
        self.assertEqual(([m["data"] for m in page["messages"]], page["more"]), ([0, 1, 2, 3, 4, 5], False))
        self.assertEqual(page["messages"][0]["from"], "alice")

    async def test_what_the_log_has_no_more_is_told(self):
        for node in self.nodes[:2]:
            await asyncio.to_thread(node.stop)
        short = self.start_node(settings={"channel.short.match": "room:*", "channel.short.log_length": "10"})
        alice = await self.listener(short, "lobby", "alice")
        for n in range(400):
            await alice.send({"op": "send", "room": "lobby", "data": n})
        first = (await self.messages(alice, 400))[0]
        bob = await self.listener(self.nodes[2], "lobby", "bob", (first["epoch"], 1))
        state = self.state(bob, "room:lobby")
        self.assertEqual((state["recovered"], state["offset"]), (False, 400))
        await alice.request(op="send", room="lobby", data="end")
        got = []
        while not got or got[-1]["data"] != "end":
            got += await self.messages(bob, 1)
        self.assertGreater(got[0]["offset"], 2)
        self.assert_contiguous(got, got[0]["offset"])
        self.assertGreaterEqual(len(got), 11)


class Faults(Sequenced):
    async def test_a_killed_node(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[1], "lobby", "bob")
        got = []
        for n in range(50):
            await alice.request(op="send", room="lobby", data=n)
        got += await self.messages(bob, 30)
        await asyncio.to_thread(self.nodes[1].kill)
        for n in range(50, 100):
            await alice.request(op="send", room="lobby", data=n)
        bob = await self.listener(self.nodes[2], "lobby", "bob", (got[-1]["epoch"], got[-1]["offset"]))
        self.assertTrue(self.state(bob, "room:lobby")["recovered"])
        got += await self.messages(bob, 70)
        self.assert_contiguous(got, 1)
        self.assertEqual([m["data"] for m in got], list(range(100)))

    async def test_a_lost_binding_is_healed_by_the_sweep(self):
        second = self.start_node(settings={"amqp.queue": "durable"})
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(second, "lobby", "bob")
        queue = f"warren.node.{second.id}"
        for exchange in ("warren.fanout", "warren.node"):
            for binding in self.broker.api("GET", f"bindings/{self.broker.vhost}/e/{exchange}/q/{queue}"):
                self.broker.api("DELETE", f"bindings/{self.broker.vhost}/e/{exchange}/q/{queue}/{binding['properties_key']}")
        for n in range(10):
            await alice.request(op="send", room="lobby", data=n)
        got = await self.messages(bob, 10)
        self.assert_contiguous(got, 1)

    async def test_a_deleted_queue_is_healed(self):
        second = self.start_node(settings={"amqp.queue": "durable"})  # nobody but its connection may delete an exclusive one
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(second, "lobby", "bob")
        name = urllib.parse.quote(f"warren.node.{second.id}", safe="")
        self.broker.api("DELETE", f"queues/{self.broker.vhost}/{name}")
        for n in range(20):
            await alice.request(op="send", room="lobby", data=n)
            await asyncio.sleep(0.02)
        self.assert_contiguous(await self.messages(bob, 20), 1)


class Cut(Sequenced):
    """One node reaches the broker by a way that is cut."""

    node_count = 2

    def setUp(self):
        super().setUp()
        if not self.broker:
            return
        parts = urllib.parse.urlsplit(self.broker.url)
        self.proxy = services.Wire(parts.port)
        self.addCleanup(self.proxy.cut)
        self.lone = self.start_node(settings={"amqp.url": self.broker.url.replace(f":{parts.port}/", f":{self.proxy.port}/")})

    def is_known_to_be_cut(self):
        return next(n["cut"] for n in self.nodes[0].get("/v1/nodes")[1]["nodes"] if n["node"] == self.lone.id)

    async def test_a_node_without_the_broker_loses_nothing_and_sends_on(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.lone, "lobby", "bob")
        await alice.request(op="send", room="lobby", data=0)
        await asyncio.to_thread(self.proxy.cut)
        sent, took, deadline = 1, [], time.monotonic() + warren.PATIENCE
        while sent < 60 or not await asyncio.to_thread(self.is_known_to_be_cut):
            self.assertLess(time.monotonic(), deadline, "the other node knows")
            for client in (alice, bob):
                began = time.monotonic()
                answer = await client.request(op="send", room="lobby", data=sent)
                self.assertIn("ok", answer)
                took.append(time.monotonic() - began)
                sent += 1
            await asyncio.sleep(0.02)
        self.assertLess(sorted(took)[len(took) // 2], 2)
        delivered = [await self.messages(client, sent) for client in (alice, bob)]
        await asyncio.to_thread(self.proxy.mend)
        await asyncio.to_thread(self.lone.wait_ready)
        for n in range(5):
            await bob.request(op="send", room="lobby", data=sent + n)
        for client, messages in zip((alice, bob), delivered):
            messages += await self.messages(client, 5)
            self.assert_contiguous(messages, 1)
        self.assertEqual([m["id"] for m in delivered[0]], [m["id"] for m in delivered[1]])


class Broker(Sequenced):
    """A broker of our own that dies, freezes and blocks under a steady stream of numbered lines."""

    settings = {"amqp.heartbeat": "2s"}
    alone = threading.Lock()  # one thing at a time happens to it
    services = None

    def setUp(self):
        if not warren.AMQP_URL:
            self.skipTest("no broker and store in the environment; run scripts/test")
        self.alone.acquire()
        self.addCleanup(self.alone.release)
        if not Broker.services:
            Broker.services = services.Services()
            unittest.addModuleCleanup(Broker.services.stop)
        self.addCleanup(self.services.heal)
        super().setUp()

    def new_broker(self):
        return warren.Broker(self.services.amqp_url, self.services.management_url)

    def node_settings(self):
        return {**super().node_settings(), "redis.url": self.services.redis_url, **self.settings}

    async def stream_through(self, fault, mend):
        """Three senders on three nodes go on while something is broken; everybody hears all of it, soon."""
        clients = [await self.listener(node, "lobby", f"user-{i}") for i, node in enumerate(self.nodes)]
        counts, slow, stop = [0, 0, 0], [], asyncio.Event()

        async def send(i):
            while not stop.is_set():
                began = time.monotonic()
                answer = await clients[i].request(op="send", room="lobby", data=[i, counts[i]])
                self.assertIn("ok", answer)
                if time.monotonic() - began > 10:
                    slow.append(time.monotonic() - began)
                counts[i] += 1
                await asyncio.sleep(0.02)

        async def go_on():
            """Until each has sent some more."""
            wanted, deadline = [count + 30 for count in counts], time.monotonic() + warren.PATIENCE
            while any(have < want for have, want in zip(counts, wanted)):
                for task in tasks:
                    if task.done():
                        task.result()
                self.assertLess(time.monotonic(), deadline, "sending goes on")
                await asyncio.sleep(0.02)  # between two looks

        tasks = [asyncio.create_task(send(i)) for i in range(3)]
        await go_on()
        await asyncio.to_thread(fault)
        for node in self.nodes:
            await asyncio.to_thread(warren.wait_for, lambda node=node: node.readiness()[0] == 503, "it knows")
        await go_on()
        await asyncio.to_thread(mend)
        for node in self.nodes:
            await asyncio.to_thread(node.wait_ready)
        await go_on()
        stop.set()
        await asyncio.gather(*tasks)
        self.assertEqual(slow, [])
        total = sum(counts)
        heard = [await self.messages(client, total) for client in clients]
        for messages in heard:
            self.assert_contiguous(messages, 1)
            self.assertEqual([m["id"] for m in messages], [m["id"] for m in heard[0]])
        await clients[0].request(op="send", room="lobby", data="end")
        for client in clients:
            self.assertEqual([m["offset"] for m in await self.messages(client, 1)], [total + 1])

    async def test_killed_and_started(self):
        await self.stream_through(lambda: self.services.kill("rabbitmq"), lambda: self.services.start("rabbitmq"))

    async def test_frozen(self):
        await self.stream_through(lambda: self.services.freeze("rabbitmq"), lambda: self.services.thaw("rabbitmq"))

    async def test_blocked(self):
        await self.stream_through(lambda: self.services.alarm(True), lambda: self.services.alarm(False))


class Redis:
    """A Redis of our own, to be ended and begun again."""

    def __init__(self):
        self.port = warren.free_port()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder.name, "--save", "", "--appendonly", "no",
             "--maxmemory-policy", "noeviction"], stdout=subprocess.DEVNULL)
        warren.wait_for(self.answers, "redis answers")

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 30) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def save(self):
        """What is there now is there again after the next start."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as s:
            s.sendall(b"SAVE\r\n")
            if not s.recv(64).startswith(b"+OK"):
                raise AssertionError("redis did not save")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        self.folder.cleanup()


class Store(Sequenced):
    node_count = 2

    def setUp(self):
        self.redis = Redis()
        self.redis.start()
        self.addCleanup(self.redis.close)
        super().setUp()

    def node_settings(self):
        return {**super().node_settings(), "redis.url": self.redis.url}

    async def redis_is_gone(self):
        """And every node knows: what is asked of one that does not is kept for Redis's return."""
        await asyncio.to_thread(self.redis.kill)
        await self.all_know_that_redis_is_gone()

    async def all_know_that_redis_is_gone(self):
        for node in self.nodes:
            await asyncio.to_thread(warren.wait_for, lambda node=node: "no store" in node.readiness()[1], "it knows")

    async def test_redis_is_lost_for_a_moment(self):
        """Long enough for each node to give its connection up: who comes back meanwhile has recovered all the same."""
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[0], "lobby", "bob")
        await alice.request(op="send", room="lobby", data="heard")
        last = (await self.messages(bob, 1))[0]
        await bob.close()
        for n in range(100):  # more than a node keeps
            await alice.request(op="send", room="lobby", data=n)
        lost = [node.metric("warren_redis_reconnects_total") for node in self.nodes]
        self.redis.process.send_signal(signal.SIGSTOP)
        back = [asyncio.create_task(self.listener(node, "lobby", f"b{i}", (last["epoch"], last["offset"])))
                for node in self.nodes for i in range(3)]
        await self.all_know_that_redis_is_gone()
        self.redis.process.send_signal(signal.SIGCONT)
        for client in await asyncio.gather(*back):
            state = self.state(client, "room:lobby")
            self.assertEqual((state["recovered"], state["offset"]), (True, 101))
            self.assert_contiguous(await self.messages(client, 100), 2)
        for node, before in zip(self.nodes, lost):
            self.assertGreater(node.metric("warren_redis_reconnects_total"), before)

    async def test_redis_comes_back_empty(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[1], "lobby", "bob")
        for n in range(10):
            await alice.request(op="send", room="lobby", data=n)
        before = await self.messages(bob, 10)
        await self.redis_is_gone()
        answer = await alice.request(op="send", room="lobby", data="refused")
        self.assertEqual(answer["error"]["code"], "unavailable")
        self.assertGreater(answer["error"]["retry_after_ms"], 0)
        self.assertEqual((await alice.request(op="ping"))["ok"], {})
        await asyncio.to_thread(self.redis.start)
        sent, deadline = [], time.monotonic() + warren.PATIENCE
        while len(sent) < 10:
            self.assertLess(time.monotonic(), deadline)
            answer = await alice.request(op="send", room="lobby", data=["after", len(sent)])
            if "ok" in answer:
                sent.append(answer["ok"])
            else:
                await asyncio.sleep(0.1)
        self.assertGreater(int(sent[0]["epoch"]), int(before[0]["epoch"]))
        self.assertEqual([ok["offset"] for ok in sent], list(range(1, 11)))
        heard = []
        while len(heard) < 10:
            event = await bob.receive()
            if event.get("event") == "message":
                heard.append(event)
        self.assertEqual([m["data"] for m in heard], [["after", n] for n in range(10)])
        self.assertEqual([(m["epoch"], m["offset"]) for m in heard], [(ok["epoch"], ok["offset"]) for ok in sent])
        carol = await self.listener(self.nodes[0], "lobby", "carol", (before[4]["epoch"], before[4]["offset"]))
        state = self.state(carol, "room:lobby")
        self.assertEqual((state["recovered"], state["epoch"], state["offset"]), (False, sent[0]["epoch"], 10))
        self.assertEqual([m["data"] for m in await self.messages(carol, 10)], [["after", n] for n in range(10)])

    async def test_redis_comes_back_with_its_data(self):
        """Its logs have ended: who was away is told, and given their rest; who listens goes on."""
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        for n in range(10):
            await alice.request(op="send", room="lobby", data=n)
        before = await self.messages(alice, 10)
        self.assertEqual(self.nodes[0].post("/v1/users/bob/messages", {"data": "waiting"})[0], 202)
        await asyncio.to_thread(self.redis.save)
        await self.redis_is_gone()
        await asyncio.to_thread(self.redis.start)
        for node in self.nodes:
            await asyncio.to_thread(node.wait_ready)
        since = (before[5]["epoch"], before[5]["offset"])
        there = await self.listener(self.nodes[0], "lobby", "carol", since)  # where the channel is known
        self.assertTrue(self.state(there, "room:lobby")["recovered"])
        self.assert_contiguous(await self.messages(there, 4), 7)
        bob = await self.listener(self.nodes[1], "lobby", "bob", since)  # where it is not
        state = self.state(bob, "room:lobby")
        self.assertFalse(state["recovered"])
        self.assertGreater(int(state["epoch"]), int(since[0]))
        heard = await self.messages(bob, 5)
        self.assert_contiguous([m for m in heard if m["channel"] == "room:lobby"], 7)
        self.assertEqual([m["data"] for m in heard if m["channel"] == "user:bob"], ["waiting"])
        ok = (await alice.request(op="send", room="lobby", data="after"))["ok"]
        self.assertGreater(int(ok["epoch"]), int(since[0]))
        self.assertEqual(ok["offset"], 1)
        self.assertEqual((await self.messages(bob, 1))[0]["data"], "after")
        for client in (alice, there):  # somebody may have lost something with the old life
            events = [await client.expect(lambda m: m.get("event") in ("reset", "message"), "what came") for _ in range(2)]
            self.assertEqual([e["event"] for e in events], ["reset", "message"])
            self.assertEqual((events[0]["epoch"], events[1]["data"]), (ok["epoch"], "after"))
        self.assertIn('msg="messages of a channel are gone, and its listeners are told" channel=room:', "".join(n.log() for n in self.nodes))

    async def test_unsequenced_rooms_go_on_without_redis(self):
        quick = {"channel.quick.match": "room:quick*", "channel.quick.sequenced": "no"}
        nodes = [self.start_node(settings=quick) for _ in range(2)]
        alice = await self.listener(nodes[0], "quick", "alice")
        bob = await self.listener(nodes[1], "quick", "bob")
        await asyncio.to_thread(self.redis.kill)
        answer = await alice.request(op="send", room="quick", data="hello")
        self.assertNotIn("offset", answer["ok"])
        heard = (await self.messages(bob, 1))[0]
        self.assertEqual((heard["data"], heard.get("epoch")), ("hello", None))
        await asyncio.to_thread(self.redis.start)
        for node in nodes:
            await asyncio.to_thread(node.wait_ready)


class Standalone(Sequenced):
    standalone = True
    node_count = 1

    async def test_positions_and_since(self):
        node = self.nodes[0]
        alice = await self.listener(node, "lobby", "alice")
        for n in range(20):
            await alice.request(op="send", room="lobby", data=n)
        got = await self.messages(alice, 20)
        self.assert_contiguous(got, 1)
        bob = await self.listener(node, "lobby", "bob", (got[4]["epoch"], 5))
        self.assertTrue(self.state(bob, "room:lobby")["recovered"])
        self.assert_contiguous(await self.messages(bob, 15), 6)
        carol = await self.listener(node, "lobby", "carol", (1, 5))
        self.assertFalse(self.state(carol, "room:lobby")["recovered"])
        self.assert_contiguous(await self.messages(carol, 20), 1)

    async def test_whispers_wait_for_users_who_were_here(self):
        node = self.nodes[0]
        alice = await self.listener(node, "lobby", "alice")
        bob = await self.listener(node, "lobby", "bob")
        await bob.close()
        ok = (await alice.request(op="whisper", user="bob", data="waits"))["ok"]
        self.assertEqual(ok["offset"], 1)
        ok = (await alice.request(op="whisper", user="made-up", data="does not"))["ok"]
        self.assertEqual(sorted(ok), ["message"])
        self.assertEqual(node.post("/v1/users/new/messages", {"data": "from a back end"})[0], 202)
        self.assertEqual((await alice.request(op="whisper", user="new", data="behind it"))["ok"]["offset"], 2)
        for user, expected in (("bob", ["waits"]), ("new", ["from a back end", "behind it"]), ("made-up", [])):
            client = await self.listener(node, "lobby", user)
            await alice.request(op="whisper", user=user, data="end")
            self.assertEqual([m["data"] for m in await self.messages(client, len(expected) + 1)], [*expected, "end"])


def load_tests(_loader, tests, _pattern):
    services.end_them_on_sigterm()
    return side_by_side.Suite(tests, 4)


if __name__ == "__main__":
    warren.main()
