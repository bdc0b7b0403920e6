#!/usr/bin/python3
"""Broker and store that die, freeze, block and come back empty, and a node that is killed; on services of its own.

What is promised: clients keep their connections and are answered at once, what cannot be done is refused with a word,
and everything goes on by itself. The channels here have no positions; integration/sequence breaks what those with a log
promise on top.
"""
import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services as services_module  # noqa: E402
import warren  # noqa: E402

services = None


def setUpModule():
    global services
    services = services_module.Services()
    unittest.addModuleCleanup(services.stop)
    warren.AMQP_URL, warren.MANAGEMENT_URL, warren.REDIS_URL = services.amqp_url, services.management_url, services.redis_url


async def until(condition, what, timeout=warren.PATIENCE):
    await asyncio.to_thread(warren.wait_for, condition, what, timeout)


class FailureTest(warren.WarrenTest):
    settings = {"amqp.publish_timeout": "2s", "redis.timeout": "500ms", "hub.lease": "3s", "hub.canary": "300ms",
                "hub.online_interval": "200ms", "channel.plain.match": "*", "channel.plain.sequenced": "no"}

    def setUp(self):
        super().setUp()
        self.addCleanup(services.heal)

    lines = itertools.count()

    def node_settings(self):
        return {**super().node_settings(), "amqp.heartbeat": "2s"}

    async def do(self, function, *arguments):
        """What takes a while, without letting clients miss anything."""
        return await asyncio.to_thread(function, *arguments)

    async def not_ready(self, node, words):
        for url in (node.api, node.http):
            await until(lambda: node.readiness(url)[0] == 503 and words in node.readiness(url)[1], f"{url} says \"{words}\"")

    async def ready(self, *nodes):
        for node in nodes or self.nodes:
            await until(node.is_ready, f"{node.id} ready")

    async def pair(self, room="lobby"):
        return await self.room(self.nodes[0], room, "alice"), await self.room(self.nodes[-1], room, "bob")

    async def answers_at_once(self, *clients):
        for client in clients:
            await self.within(1, self.ping, client)

    async def ping(self, client):
        self.assertEqual((await client.request(op="ping"))["ok"], {})

    async def within(self, seconds, act, *arguments):
        """It takes no longer than that. The machine may be busy at one moment; what is broken would hold up the next one, too."""
        took = []
        while not took or took[-1] >= seconds:
            self.assertLess(len(took), 5, took)
            started = time.monotonic()
            await act(*arguments)
            took.append(time.monotonic() - started)

    async def refused(self, client, room="lobby"):
        """A send that cannot be done is answered within the publish time-out and a second."""
        await self.within(3.5, self.send_into_the_void, client, room)

    async def send_into_the_void(self, client, room):
        answer = await client.request(op="send", room=room, data="into the void")
        self.assertEqual(answer["error"]["code"], "unavailable", answer)

    async def flows(self, alice, bob):
        """A line each way, heard once, in order, on connections that have been there all the time."""
        for sender, receiver in ((alice, bob), (bob, alice)):
            word = f"line {next(self.lines)}"
            answer = await sender.request(op="send", room="lobby", data=word)
            self.assertIn("ok", answer)
            heard = await receiver.message(data=word)
            self.assertEqual(heard["id"], answer["ok"]["message"])
        ids = [m["id"] for client in (alice, bob) for m in map(self.parse, client.frames) if m.get("event") == "message"]
        self.assertLessEqual(max(ids.count(i) for i in ids), 2, "each at most once a client")

    @staticmethod
    def parse(frame):
        return warren.json.loads(frame) if isinstance(frame, str) else {}

    async def counted(self, client, count):
        """The room's count becomes this; what was told before does not count any more."""
        await client.expect(lambda m: m.get("event") == "online" and m["count"] == count, f"online count {count}")
        client.waiting = [m for m in client.waiting if m.get("event") != "online"]

    def heard_twice(self, client):
        ids = [m["id"] for m in map(self.parse, client.frames) if m.get("event") == "message"]
        return sorted({i for i in ids if ids.count(i) > 1})

    def ctl(self, node, *arguments):
        return warren.run_tool("warrenctl", "--api", node.api, *arguments)


class Absent(FailureTest):
    """Not there when the node starts."""

    node_count = 0

    async def listening(self):
        node = self.start_node(ready=False)
        await until(lambda: node.readiness()[0] != 0, f"{node.id} listens")
        await self.not_ready(node, "no broker")
        return node

    async def test_both_and_then_the_broker_alone(self):
        await self.do(services.kill, "redis")
        await self.do(services.kill, "rabbitmq")
        short = await self.listening()
        await self.do(short.stop)  # without either it ends cleanly

        both = await self.listening()
        carol = await self.room(both, "lobby", "carol")
        await self.answers_at_once(carol)

        await self.do(services.start, "redis")
        node = await self.listening()
        self.assertEqual(warren.fetch(node.api + "/healthz")[0], 200)
        alice = await self.room(node, "lobby", "alice")
        bob = await self.client(f"{node.ws}/ws?user=bob")
        self.assertIn("ok", await bob.request(op="join", room="lobby"))
        await self.answers_at_once(alice, bob)
        await self.refused(alice)
        status, answer = await self.do(node.post, "/v1/rooms/lobby/messages", {"data": 1})
        self.assertEqual((status, answer["error"]["code"]), (503, "unavailable"))
        self.assertEqual((await self.do(self.ctl, node, "bindings"))[0], 1)

        await self.do(services.start, "rabbitmq")
        await self.ready(node, both)
        await self.flows(alice, bob)
        await self.flows(carol, await self.room(both, "lobby", "dora"))

    async def test_store(self):
        await self.do(services.kill, "redis")
        node = self.start_node(ready=False)
        node.wait_listening()
        await self.not_ready(node, "no store")
        alice, bob = await self.room(node, "lobby", "alice"), await self.room(node, "lobby", "bob")
        await self.flows(alice, bob)
        code, _, err = await self.do(self.ctl, node, "nodes")
        self.assertEqual(code, 1)
        self.assertIn("store", err)
        await self.do(services.start, "redis")
        await self.ready(node)
        await until(lambda: "bob" in self.ctl(node, "room", "lobby")[1], "the room is stated")
        await until(lambda: node.id in self.ctl(node, "user", "alice")[1], "and who is where")
        await self.flows(alice, bob)


class BrokerFails(FailureTest):
    async def test_killed_and_started(self):
        """Under load: every send gets one answer; what was confirmed while nothing was wrong was heard; nothing is heard twice."""
        alice, bob = await self.pair()
        carol = await self.room(self.nodes[1], "lobby", "carol")
        await self.flows(alice, bob)
        await self.counted(alice, 3)
        dave, erin = await self.room(self.nodes[0], "load", "dave"), await self.room(self.nodes[1], "load", "erin")
        answers = {}
        stop = asyncio.Event()

        async def send():
            n = 0
            while not stop.is_set():
                n += 1
                await dave.send({"id": n, "op": "send", "room": "load", "data": n})
                answer = await dave.expect(lambda m, n=n: m.get("id") == n, f"answer to {n}")
                self.assertNotIn(n, answers)
                answers[n] = "ok" if "ok" in answer else answer["error"]["code"]

        sending = asyncio.create_task(send())
        await until(lambda: len(answers) > 100, "a hundred sent")
        before = len(answers)
        await erin.message(data=before)  # what a queue holds, the broker takes with it
        await self.do(services.kill, "rabbitmq")
        for node in self.nodes:
            await self.not_ready(node, "no broker")
        await self.answers_at_once(alice, bob)
        await carol.close()
        await self.refused(alice)
        await self.refused(bob)
        await until(lambda: "unavailable" in answers.values(), "refusals")

        await self.do(services.start, "rabbitmq")
        await self.ready()
        known = len(answers)
        await self.flows(alice, bob)
        await self.counted(alice, 2)
        queues = {name for name in self.broker.queues() if name.startswith("warren.node.")}
        self.assertEqual(queues, {f"warren.node.{node.id}" for node in self.nodes})
        await until(lambda: self.ctl(self.nodes[0], "bindings")[0] == 0, "nothing is missing")
        await self.flows(*await self.pair())
        await until(lambda: list(answers.values())[known:].count("ok") > 100, "a hundred more")
        stop.set()
        await sending
        self.assertEqual(set(answers.values()), {"ok", "unavailable"})
        await dave.request(op="send", room="load", data="end")
        heard = [before] + [m["data"] for m in await erin.drain("end") if m["event"] == "message"]
        self.assertEqual(len(heard), len(set(heard)), "nothing twice")
        self.assertEqual([n for n in range(1, before + 1) if n not in heard], [])
        self.assertEqual([n for n in answers if n > known + 1 and answers[n] == "ok" and n not in heard], [])
        self.assertEqual([self.heard_twice(client) for client in (alice, bob, dave)], [[], [], []])

    async def test_frozen(self):
        alice, bob = await self.pair()
        await self.do(services.freeze, "rabbitmq")
        frozen = time.monotonic()
        await self.refused(alice)
        for node in self.nodes:
            await self.not_ready(node, "no ")
        while any(node.metric("warren_amqp_connections") > 0 for node in self.nodes):  # until no heartbeat has patience left
            self.assertLess(time.monotonic(), frozen + warren.PATIENCE)
            await self.answers_at_once(alice, bob)
            await self.refused(bob)
        await self.refused(bob)
        await self.do(services.thaw, "rabbitmq")
        await self.ready()
        await self.flows(alice, bob)
        self.assertEqual(self.heard_twice(alice) + self.heard_twice(bob), [])

    async def test_blocked_by_its_memory_alarm(self):
        alice, bob = await self.pair()
        await self.flows(alice, bob)
        await self.do(services.alarm, True)
        try:
            for node in self.nodes:
                await self.not_ready(node, "blocked by the broker")
            await self.answers_at_once(alice, bob)
            await asyncio.gather(*[self.refused(client) for client in (alice, bob)])
            for _ in range(200):  # many at once stop nobody
                await alice.send({"op": "send", "room": "lobby", "data": "flood"})
            await self.answers_at_once(bob)
            await self.flows_not(alice)
        finally:
            await self.do(services.alarm, False)
        await self.ready()
        await self.flows(alice, bob)
        self.assertGreaterEqual(self.nodes[0].metric("warren_amqp_blocked_total"), 1)
        self.assertEqual(self.heard_twice(alice) + self.heard_twice(bob), [])

    async def flows_not(self, client):
        """Every op of the flood is refused, none is forgotten."""
        for _ in range(200):
            error = await client.expect(lambda m: "error" in m, "the refusal of a flooded send")
            self.assertEqual(error["error"]["code"], "unavailable")


class OneIsCut(FailureTest):
    """One node alone loses its way to the broker."""

    node_count = 1

    async def test_cut_and_mended(self):
        address = urllib.parse.urlsplit(self.broker.url)
        cable = services_module.Wire(address.port)
        self.addCleanup(cable.cut)
        url = urllib.parse.urlunsplit(address._replace(netloc=address.netloc.replace(f":{address.port}", f":{cable.port}")))
        cut = self.start_node(settings={"amqp.url": url})
        alice, bob = await self.room(cut, "lobby", "alice"), await self.room(self.nodes[0], "lobby", "bob")
        carol = await self.room(self.nodes[0], "lobby", "carol")
        await self.counted(alice, 3)
        await self.counted(bob, 3)
        await self.flows(alice, bob)
        cable.cut()
        await self.not_ready(cut, "no broker")
        await until(lambda: warren.re.search(rf"(?m)^{cut.id} +cut ", self.ctl(self.nodes[0], "nodes")[1]), "the others know")
        await self.answers_at_once(alice, bob)
        await self.refused(alice)
        self.assertIn("ok", await bob.request(op="send", room="lobby", data="among those who are left"))
        await carol.close()
        await self.counted(bob, 2)
        cable.mend()
        await self.ready(cut)
        await self.flows(alice, bob)
        await self.counted(alice, 2)


class StoreFails(FailureTest):
    def told(self, node, user):
        return self.ctl(node, "user", user)[1]

    async def traffic(self, alice, bob, count=20):
        for n in range(count):
            self.assertIn("ok", await alice.request(op="send", room="lobby", data=n))
        self.assertEqual([(await bob.message())["data"] for _ in range(count)], list(range(count)))
        self.assertEqual([(await alice.message())["data"] for _ in range(count)], list(range(count)))

    async def duplicates(self, name, clients):
        """A retrying back end is heard once by everyone, also with the store away."""
        for _ in range(2):
            await self.do(lambda: self.broker.publish({"room": "lobby", "data": name}, message_id=name))
        for client in clients:
            await client.message(data=name)

    async def test_killed_and_started_empty(self):
        alice, bob = await self.pair()
        await self.duplicates("before", (alice, bob))
        await self.do(services.kill, "redis")
        for node in self.nodes:
            await self.not_ready(node, "no store")
        await self.answers_at_once(alice, bob)
        await self.traffic(alice, bob)
        await self.duplicates("away", (alice, bob))
        self.assertEqual((await alice.request(op="online", room="lobby"))["error"]["code"], "unavailable")
        await self.do(services.start, "redis")
        await self.ready()
        for node in self.nodes:
            await until(lambda node=node: self.nodes[0].id in self.told(node, "alice"), "alice's session is stated again")
            await until(lambda node=node: self.nodes[1].id in self.told(node, "bob"), "bob's session is stated again")
        await until(lambda: "\n2 users, 2 connections" in self.ctl(self.nodes[0], "room", "lobby")[1], "the room is stated again")
        await until(lambda: self.ctl(self.nodes[1], "nodes")[1].count(" up ") == 2, "both leases are there again")
        await self.duplicates("back", (alice, bob))
        await self.duplicates("before", ())
        await self.traffic(alice, bob)
        self.assertEqual(self.heard_twice(alice) + self.heard_twice(bob), [])

    async def test_frozen(self):
        alice, bob = await self.pair()
        await self.do(services.freeze, "redis")
        for node in self.nodes:
            await self.not_ready(node, "no store")
        await self.answers_at_once(alice, bob)
        await self.traffic(alice, bob)
        carol = await self.room(self.nodes[0], "lobby", "carol")
        await self.traffic(alice, bob)
        await self.do(services.thaw, "redis")
        await self.ready()
        await until(lambda: self.nodes[0].id in self.told(self.nodes[1], "carol"), "who came meanwhile is stated")
        await until(lambda: "\n3 users, 3 connections" in self.ctl(self.nodes[1], "room", "lobby")[1], "and in the room")
        await carol.close()
        await until(lambda: "\n2 users, 2 connections" in self.ctl(self.nodes[1], "room", "lobby")[1], "and gone again")
        await self.traffic(alice, bob)

    async def test_a_server_that_forgot_its_scripts_and_its_keys(self):
        alice, bob = await self.pair()
        connection = await asyncio.open_connection("127.0.0.1", int(services.redis_url.rsplit(":", 1)[1].split("/")[0]))
        for command in (b"FLUSHALL", b"SCRIPT FLUSH"):
            connection[1].write(command + b"\r\n")
            self.assertEqual(await connection[0].readline(), b"+OK\r\n")
        connection[1].close()
        await self.traffic(alice, bob)
        await until(lambda: self.ctl(self.nodes[0], "nodes")[1].count(" up ") == 2, "both leases are there again")
        await self.ready()


class NodeFails(FailureTest):
    async def test_killed(self):
        alice, bob = await self.pair()
        await self.counted(alice, 2)
        first, second = self.nodes
        second.signal(signal.SIGKILL)
        second.process.wait()
        with contextlib.suppress(warren.websockets.ConnectionClosed):
            await bob.socket.wait_closed()
        await self.counted(alice, 1)
        await until(lambda: f"warren.node.{second.id}" not in self.broker.queues(), "its queue is gone")

        def states():
            return {line.split()[0]: line.split()[1] for line in self.ctl(first, "nodes")[1].splitlines()[1:]}

        await until(lambda: states() == {first.id: "up", second.id: "dead"}, "its lease ends")
        self.assertEqual((await alice.request(op="online", room="lobby"))["ok"]["users"], ["alice"])
        await until(lambda: self.ctl(first, "bindings")[0] == 0, "a dead exclusive queue leaves nothing")
        self.assertIn("ok", await alice.request(op="send", room="lobby", data="alone"))
        again = self.start_node(port=second.port, internal=second.internal_port)
        bob = await self.room(again, "lobby", "bob")
        await self.flows(alice, bob)
        await until(lambda: states() == {first.id: "up", second.id: "up"}, "it lives again")

    async def test_frozen(self):
        """A node that stops for longer than its lease is dead to the others, and comes back without harm."""
        alice, bob = await self.pair()
        await self.counted(alice, 2)
        first, second = self.nodes
        second.signal(signal.SIGSTOP)
        try:
            await self.counted(alice, 1)
            self.assertIn("ok", await alice.request(op="send", room="lobby", data="meanwhile"))
        finally:
            second.signal(signal.SIGCONT)
        await self.ready()
        await self.flows(alice, bob)
        await self.counted(alice, 2)


if __name__ == "__main__":
    if not os.path.exists(services_module.RABBITMQ_SERVER):
        print("skipped: rabbitmq-server is not installed")
        sys.exit(77)
    warren.main()
