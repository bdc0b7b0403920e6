#!/usr/bin/python3
"""Exact addressing: a targeted channel's messages reach the nodes that listen, and no other, whoever comes and goes meanwhile.

A spy is a queue of an independent client, bound as a node's own queue is: what it gets, the node gets.
"""
import asyncio
import os
import subprocess
import sys
import threading

import msgpack
import pika

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services  # noqa: E402
import side_by_side  # noqa: E402
import test_sequence  # noqa: E402
import warren  # noqa: E402

TARGETED = {"channel.rooms.match": "room:*", "channel.rooms.routing": "targeted"}


class Spy:
    """What the broker hands a node: the messages (kind 1) of its bodies, as (channel, data)."""

    def __init__(self, broker, node):
        self.seen = []
        self.lock = threading.Lock()
        self.connection = broker.connect()
        channel = self.connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "warren.fanout")
        channel.queue_bind(queue, "warren.node", node.id)
        channel.basic_consume(queue, self.on_body, auto_ack=True)
        self.channel = channel
        self.thread = threading.Thread(target=self.consume)
        self.thread.start()

    def consume(self):
        try:
            self.channel.start_consuming()
        except pika.exceptions.AMQPError:
            pass

    def on_body(self, _channel, _method, _properties, body):
        with self.lock:
            self.seen += [(e[0], e[6].decode()) for e in msgpack.unpackb(body) if e[1] == 1]

    def data(self, channel):
        with self.lock:
            return [data for c, data in self.seen if c == channel]

    def close(self):
        self.connection.add_callback_threadsafe(self.channel.stop_consuming)
        self.thread.join()
        self.connection.close()


class Targeted(test_sequence.Sequenced):
    settings = TARGETED

    def spy(self, node):
        spy = Spy(self.broker, node)
        self.addCleanup(spy.close)
        return spy

    def interest(self, channel):
        answer = subprocess.run(["redis-cli", "-u", warren.REDIS_URL, "--raw", "HKEYS", f"{self.prefix}interest:{{{channel}}}"],
                                capture_output=True, text=True, check=True).stdout
        return set(answer.split())

    async def all_have_passed(self, spies, mark="passed"):
        """What was published by the first node before this has reached each queue."""
        self.nodes[0].post("/v1/broadcast", {"data": mark})
        await asyncio.to_thread(warren.wait_for, lambda: all(f'"{mark}"' in spy.data("all") for spy in spies), "the broadcast at every node")


class OnlyListeners(Targeted):
    async def test_a_whisper_reaches_the_user_s_node_alone(self):
        spies = [self.spy(node) for node in self.nodes]
        alice = await self.client(f"{self.nodes[0].ws}/ws?user=alice")
        bob = await self.client(f"{self.nodes[2].ws}/ws?user=bob")
        before = self.nodes[0].metric("warren_amqp_consumed_bodies_total"), self.nodes[1].metric("warren_amqp_consumed_bodies_total")
        for n in range(50):
            self.assertIn("ok", await alice.request(op="whisper", user="bob", data=n))
        self.assertEqual([m["data"] for m in await self.messages(bob, 50)], list(range(50)))
        await self.all_have_passed(spies)
        self.assertEqual([len(spy.data("user:bob")) for spy in spies], [0, 0, 50])
        self.assertEqual(self.nodes[0].metric("warren_hub_routed_total", to="listeners"), 50)
        for node, count in zip(self.nodes, before):  # the broadcast, and perhaps a few canaries or a room's count
            self.assertLess(node.metric("warren_amqp_consumed_bodies_total") - count, 45)

    async def test_a_user_on_two_nodes(self):
        spies = [self.spy(node) for node in self.nodes]
        alice = await self.client(f"{self.nodes[0].ws}/ws?user=alice")
        bobs = [await self.client(f"{node.ws}/ws?user=bob&device=d{i}") for i, node in enumerate(self.nodes[:2])]
        for n in range(20):
            await alice.request(op="whisper", user="bob", data=n)
        for bob in bobs:
            self.assertEqual([m["data"] for m in await self.messages(bob, 20)], list(range(20)))
        await self.all_have_passed(spies)
        self.assertEqual([len(spy.data("user:bob")) for spy in spies], [0, 20, 0])  # the first node has it without the broker

    async def test_nobody_else_listens(self):
        spies = [self.spy(node) for node in self.nodes]
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        for n in range(1, 21):
            ok = (await alice.request(op="send", room="lobby", data=n))["ok"]
            self.assertEqual(ok["offset"], n)
        self.assert_contiguous(await self.messages(alice, 20), 1)
        status, answer = self.nodes[0].post("/push/nobody", "hello")
        self.assertEqual((status, answer["offset"], answer["sessions"]), (202, 1, 0))
        await self.all_have_passed(spies)
        self.assertEqual([spy.data("room:lobby") + spy.data("user:nobody") for spy in spies], [[], [], []])
        self.assertEqual(self.nodes[0].metric("warren_hub_routed_total", to="nobody"), 21)
        late = await self.listener(self.nodes[1], "lobby", "late", (ok["epoch"], 5))  # yet nothing is missed elsewhere
        self.assert_contiguous(await self.messages(late, 15), 6)

    async def test_who_leaves_gets_no_more(self):
        spies = [self.spy(node) for node in self.nodes]
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob, carol = [await self.listener(node, "lobby", user) for node, user in zip(self.nodes[1:], ("bob", "carol"))]
        await alice.request(op="send", room="lobby", data="both")
        for client in (bob, carol):
            await self.messages(client, 1)
        await bob.close()
        await carol.request(op="leave", room="lobby")
        await asyncio.to_thread(warren.wait_for, lambda: self.interest("room:lobby") == {self.nodes[0].id}, "the interest ends")
        for n in range(20):
            await alice.request(op="send", room="lobby", data=n)
        await self.all_have_passed(spies)
        self.assertEqual([spy.data("room:lobby") for spy in spies], [[], ['"both"'], ['"both"']])


class Restless(Targeted):
    settings = {**TARGETED, "channel.rooms.log_length": "50000", "channel.rooms.log_bytes": "64m"}

    async def test_joining_and_leaving_under_traffic(self):
        """The room's nodes change all the time; everybody gets each message once, in order, from where the join said."""
        senders = [await self.client(f"{node.ws}/ws?user=s{i}") for i, node in enumerate(self.nodes)]
        for sender in senders:
            await sender.request(op="join", room="lobby")
        await senders[2].request(op="leave", room="lobby")  # sends from here go on by the API
        stop = asyncio.Event()

        async def stream(i):
            n = 0
            while not stop.is_set():
                if i == 2:
                    await asyncio.to_thread(self.nodes[2].post, "/v1/rooms/lobby/messages", {"data": n})
                else:
                    await senders[i].send({"op": "send", "room": "lobby", "data": n})
                n += 1
                await asyncio.sleep(0.01)

        async def wander(seed):
            position = None
            for turn in range(7):
                client = await self.listener(self.nodes[(seed + turn) % 3], "lobby", f"w-{seed}", position)
                state = self.state(client, "room:lobby")
                if position:
                    self.assertTrue(state["recovered"], f"since {position}: {state}")
                expected = position[1] if position else state["offset"]
                for m in await self.messages(client, 15 + 9 * seed):
                    self.assertEqual(m["offset"], expected + 1)
                    expected += 1
                    position = (m["epoch"], m["offset"])
                await client.close()

        async def listen(client):
            while True:
                await client.receive(timeout=60)

        tasks = [asyncio.create_task(stream(i)) for i in range(3)]
        readers = [asyncio.create_task(listen(sender)) for sender in senders[:2]]
        await asyncio.gather(*[wander(seed) for seed in range(6)])
        stop.set()
        await asyncio.gather(*tasks)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for node in self.nodes:
            self.assertEqual(node.metric("warren_hub_sequence_resets_total"), 0)

    async def test_a_lost_binding_is_healed_by_the_sweep(self):
        second = self.start_node(settings={"amqp.queue": "durable"})
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(second, "lobby", "bob")
        queue = f"warren.node.{second.id}"
        for binding in self.broker.api("GET", f"bindings/{self.broker.vhost}/e/warren.node/q/{queue}"):
            self.broker.api("DELETE", f"bindings/{self.broker.vhost}/e/warren.node/q/{queue}/{binding['properties_key']}")
        for n in range(10):
            await alice.request(op="send", room="lobby", data=n)
        self.assert_contiguous(await self.messages(bob, 10), 1)


class Aging(Targeted):
    settings = {**TARGETED, "hub.restate": "2s", "hub.lease": "3s"}  # what is not restated is gone after six seconds

    async def test_a_killed_node_s_interest_ends_and_a_living_one_s_does_not(self):
        alice = await self.listener(self.nodes[0], "lobby", "alice")
        bob = await self.listener(self.nodes[1], "lobby", "bob")
        await self.listener(self.nodes[2], "lobby", "carol")
        spies = [self.spy(node) for node in self.nodes]
        await asyncio.to_thread(self.nodes[2].kill)
        numbers = iter(range(100000))
        await alice.request(op="send", room="lobby", data=next(numbers))

        async def reaches_the_dead():
            n = next(numbers)
            await alice.request(op="send", room="lobby", data=n)
            await self.all_have_passed(spies, f"behind {n}")
            return str(n) in spies[2].data("room:lobby")

        deadline = asyncio.get_running_loop().time() + warren.PATIENCE
        while await reaches_the_dead():
            self.assertLess(asyncio.get_running_loop().time(), deadline)
            await asyncio.sleep(0.1)  # between two looks
        self.assertGreater(len(spies[2].data("room:lobby")), 0)
        last = next(numbers)
        await alice.request(op="send", room="lobby", data=last)
        heard = []
        while len(heard) <= last:
            heard += [m for m in await self.messages(bob, 1) if m["channel"] == "room:lobby"]
        self.assert_contiguous(heard, 1)  # who lives has it all, by the broker
        await asyncio.to_thread(warren.wait_for, lambda: len(spies[1].data("room:lobby")) == last + 1, "each was sent to the living one")


class Away(test_sequence.Cut):
    """A node without the broker, as in test_sequence, with targeted rooms."""

    settings = TARGETED


class Store(test_sequence.Store):
    settings = TARGETED
    test_unsequenced_rooms_go_on_without_redis = None  # what is targeted is sequenced


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 3)


if __name__ == "__main__":
    warren.main()
