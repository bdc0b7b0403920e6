#!/usr/bin/python3
"""What other languages publish and see on the broker, and the proofs that lines really travel through it."""
import asyncio
import json
import os
import sys
import threading
import time
import urllib.parse

import msgpack
import pika

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import proxy  # noqa: E402
import warren  # noqa: E402

ENVELOPES = "application/vnd.warren.v1+msgpack"


class Foreign(warren.WarrenTest):
    """Bodies from back ends: every node's clients get each message once."""

    async def pair(self, room="lobby"):
        return [await self.room(node, room, f"user-{i}") for i, node in enumerate(self.nodes)]

    async def finish(self, clients):
        """Everything that the clients got, up to a last message, which comes by the way of all others: a node would have its own at once."""
        self.broker.publish({"room": "lobby", "data": "end"})
        return [[m for m in await client.drain("end") if m["event"] == "message"] for client in clients]

    async def test_json_bodies(self):
        clients = await self.pair()
        self.broker.publish(b'{"room":"lobby","data":{"b":1,"a":1.0},"from":"python"}')
        self.broker.publish({"user": "user-1", "data": "for one"}, "application/json")
        self.broker.publish({"broadcast": True, "data": "for all"})
        self.broker.publish([{"room": "lobby", "data": 1}, {"room": "lobby", "data": 2}])
        self.broker.publish({"data": "by routing key"}, routing_key="room:lobby")
        self.broker.publish({"eventType": 1, "message": "voice room, to all"})
        self.broker.publish({"eventType": 2, "sessionKey": "user-0", "message": "voice room, to one"})
        first, second = await self.finish(clients)
        self.assertEqual([m["data"] for m in first][:1] + [m["data"] for m in first][1:5],
                         [{"b": 1, "a": 1.0}, "for all", 1, 2, "by routing key"])
        self.assertTrue(any(frame.endswith('"data":{"b":1,"a":1.0}}') for frame in clients[0].frames))
        self.assertEqual(first[0]["from"], "python")
        self.assertIn("for one", [m["data"] for m in second])
        self.assertNotIn("for one", [m["data"] for m in first])
        self.assertIn("voice room, to one", [m["data"] for m in first])
        self.assertNotIn("voice room, to one", [m["data"] for m in second])

    async def test_msgpack_bodies(self):
        clients = await self.pair()
        self.broker.publish(msgpack.packb({"room": "lobby", "data": {"x": [1, "é"]}}), "application/msgpack")
        self.broker.publish(msgpack.packb({"room": "lobby", "data": "text"}), "application/msgpack")
        self.broker.publish(msgpack.packb({"room": "lobby", "data": b"\x00\xff"}), "application/msgpack")
        envelope = ["room:lobby", 1, "id-1", 1700000000000, "python", "application/json", b'{"raw": 1.50}', None, None, None, "new element"]
        self.broker.publish(msgpack.packb([envelope]), ENVELOPES)
        for messages in await self.finish(clients):
            self.assertEqual(messages[0]["data"], {"x": [1, "é"]})
            self.assertEqual(messages[1]["data"], "text")
            self.assertEqual((messages[2]["data"], messages[2]["encoding"]), ("AP8=", "base64"))
            self.assertEqual((messages[3]["id"], messages[3]["time"], messages[3]["data"]), ("id-1", 1700000000000, {"raw": 1.5}))
            self.assertEqual(len(messages), 4)

    async def test_integer_names(self):
        client = await self.room(self.nodes[1], "42", "7")
        self.broker.publish({"room": 42, "data": 1})
        self.broker.publish({"user": 7, "data": 2})
        self.assertEqual([(await client.message())["data"] for _ in range(2)], [1, 2])

    async def test_a_message_id_is_heard_once(self):
        clients = await self.pair()
        for _ in range(3):
            self.broker.publish({"room": "lobby", "data": "once"}, message_id="m-1")
        self.broker.publish({"room": "lobby", "data": "other"}, message_id="m-2")
        self.broker.publish({"room": "lobby", "data": "twice"})
        self.broker.publish({"room": "lobby", "data": "twice"})
        for messages in await self.finish(clients):
            self.assertEqual([m["data"] for m in messages], ["once", "other", "twice", "twice"])
        for node in self.nodes:
            self.assertEqual(node.metric("warren_hub_duplicates_total"), 2)

    async def test_a_message_id_is_heard_once_over_a_restart(self):
        node = self.nodes[1]
        client = await self.room(node, "lobby", "before")
        self.broker.publish({"room": "lobby", "data": "once"}, message_id="m-1")
        self.assertEqual((await client.message())["data"], "once")
        await asyncio.to_thread(node.stop)
        again = self.start_node(port=node.port, internal=node.internal_port)
        client = await self.room(again, "lobby", "after")
        self.broker.publish({"room": "lobby", "data": "once"}, message_id="m-1")
        self.broker.publish({"room": "lobby", "data": "end"})
        self.assertEqual([m for m in await client.drain("end") if m["event"] == "message"], [])

    async def test_poison_is_counted_and_spoils_nothing(self):
        clients = await self.pair()
        began = time.monotonic()
        for body in (b"", b"\xff\xfe", b"[1,2", b'{"room":"lobby"}', b'{"room":"","data":1}', b'{"data":1}', msgpack.packb([["room:lobby", 1]]),
                     json.dumps([{"room": "lobby", "data": "good 1"}, {"nonsense": 1}, {"room": "lobby", "data": "good 2"}]).encode(),
                     b'{"eventType":1,"message":""}'):
            self.broker.publish(body)
        self.broker.publish(b"\x91\xc1", ENVELOPES)
        for messages in await self.finish(clients):
            self.assertEqual([m["data"] for m in messages], ["good 1", "good 2"])
        for node in self.nodes:
            self.assertEqual(node.metric("warren_hub_poison_total"), 10)
            self.assertLessEqual(node.log().count("poison"), 2 + (time.monotonic() - began) / 10, "reported once a period")
        warren.wait_for(lambda: all(q["messages"] == 0 for name, q in self.broker.queues().items()), "nothing left in the queues")


class Proofs(warren.WarrenTest):
    """Nothing of the way is faked."""

    async def test_without_its_binding_a_node_hears_nothing(self):
        # RabbitMQ lets nobody but its connection touch an exclusive queue's bindings, so here node B's queue is a durable one.
        # And the room has no log, from which a sequenced one would be repaired.
        plain = {"channel.plain.match": "room:*", "channel.plain.sequenced": "no"}
        first, second = self.start_node(settings=plain), self.start_node(settings={"amqp.queue": "durable", **plain})
        alice, bob = await self.room(first, "lobby", "alice"), await self.room(second, "lobby", "bob")
        self.unbind_by_management(second)
        self.assertEqual(self.tool(first, "bindings")[0], 1, "a missing binding changes the exit code")
        await alice.request(op="send", room="lobby", data="unheard")
        self.assertEqual((await alice.message())["data"], "unheard")
        self.bind_by_management(second)
        await alice.request(op="send", room="lobby", data="heard")
        self.assertEqual((await bob.message())["data"], "heard", "and the one before never came")
        self.assertEqual(self.tool(first, "bindings")[0], 0)

    def tool(self, node, *arguments):
        return warren.run_tool("warrenctl", "--api", node.api, *arguments)

    def unbind_by_management(self, node):
        queue = f"warren.node.{node.id}"
        for binding in self.broker.api("GET", f"bindings/{self.broker.vhost}/e/warren.fanout/q/{queue}"):
            self.broker.api("DELETE", f"bindings/{self.broker.vhost}/e/warren.fanout/q/{queue}/{binding['properties_key']}")

    def bind_by_management(self, node):
        self.broker.api("POST", f"bindings/{self.broker.vhost}/e/warren.fanout/q/warren.node.{node.id}", {"routing_key": ""})

    async def test_messages_are_persistent_and_shaped_as_documented(self):
        alice = await self.room(self.nodes[0], "lobby", "alice")
        await self.room(self.nodes[1], "lobby", "bob")  # so it goes to the second node
        seen = []
        with self.broker.channel() as channel:
            channel.queue_declare("spy", exclusive=True)
            channel.queue_bind("spy", "warren.fanout")
            channel.queue_bind("spy", "warren.node", self.nodes[1].id)
            await alice.request(op="send", room="lobby", data={"a": 1})
            for method, properties, body in channel.consume("spy", auto_ack=True, inactivity_timeout=60):
                self.assertIsNotNone(method, "the message never came by the foreign queue")
                self.assertEqual(properties.content_type, ENVELOPES)
                self.assertEqual(properties.delivery_mode, 2)
                seen += [e for e in msgpack.unpackb(body) if e[1] == 1]
                if seen:
                    break
            channel.cancel()
        channel_name, kind, identifier, time_ms, sender, content_type, data = seen[0][:7]
        self.assertEqual((channel_name, kind, sender, content_type, data), ("room:lobby", 1, "alice", "application/json", b'{"a": 1}'))
        self.assertLess(abs(time_ms - time.time() * 1000), 60000)
        self.assertEqual(len(identifier), 26)

    async def test_topology(self):
        exchanges = {e["name"]: e for e in self.broker.api("GET", f"exchanges/{self.broker.vhost}")}
        self.assertEqual((exchanges["warren.fanout"]["type"], exchanges["warren.fanout"]["durable"]), ("fanout", True))
        self.assertEqual((exchanges["warren.node"]["type"], exchanges["warren.node"]["durable"]), ("direct", True))
        queues = self.broker.queues()
        for node in self.nodes:
            self.assertTrue(queues[f"warren.node.{node.id}"]["exclusive"])
            bound = [b["source"] for b in self.broker.api("GET", f"queues/{self.broker.vhost}/warren.node.{node.id}/bindings")]
            self.assertEqual(sorted(bound), ["", "warren.fanout", "warren.node"])

    async def test_the_direct_exchange_reaches_one_node(self):
        clients = [await self.room(node, "lobby", "u") for node in self.nodes]
        self.broker.publish({"room": "lobby", "data": "only there"}, exchange="warren.node", routing_key=self.nodes[1].id)
        self.assertEqual((await clients[1].message())["data"], "only there")
        self.broker.publish({"room": "lobby", "data": "end"})
        self.assertEqual([m for m in await clients[0].drain("end") if m["event"] == "message"], [])


class Redelivered(warren.WarrenTest):
    node_count = 0

    async def test_unacked_messages_come_again_and_are_heard_once(self):
        """The consumer's connection is cut before its acks: what is redelivered was heard already."""
        port = urllib.parse.urlsplit(self.broker.url).port
        way = proxy.Proxy(port, is_amqp=True)
        await way.start()
        self.addAsyncCleanup(way.close)
        url = self.broker.url.replace(f":{port}/", f":{way.port}/")
        node = await asyncio.to_thread(lambda: self.start_node(settings={"amqp.url": url, "amqp.queue": "durable"}))
        self.addAsyncCleanup(asyncio.to_thread, node.stop)  # while it has its way
        client = await self.room(node, "lobby", "bob")
        link = None
        for round_ in range(3):
            link = next(each for each in way.links if each.is_consumer and each is not link)
            link.frames.dropping.add(proxy.BASIC_ACK)
            redelivered = await asyncio.to_thread(node.metric, "warren_amqp_redelivered_bodies_total")
            await asyncio.to_thread(self.publish, round_, 20)
            self.assertEqual([(await client.message())["data"] for _ in range(20)], [[round_, n] for n in range(20)])
            link.abort()
            await asyncio.to_thread(warren.wait_for, lambda: node.metric("warren_amqp_redelivered_bodies_total") >= redelivered + 20, "they come again")
        await asyncio.to_thread(self.broker.publish, {"room": "lobby", "data": "end"})
        self.assertEqual([m for m in await client.drain("end") if m["event"] == "message"], [])

    def publish(self, round_, count):
        with self.broker.channel() as channel:
            for n in range(count):
                channel.basic_publish("warren.fanout", "", b'{"room":"lobby","data":[%d,%d]}' % (round_, n),
                                      pika.BasicProperties(message_id=f"{round_}-{n}", delivery_mode=2))


class LockedName(warren.WarrenTest):
    node_count = 1

    async def test_a_foreign_connection_holds_the_name(self):
        node = self.nodes[0]
        alice = await self.room(node, "lobby", "alice")
        await asyncio.to_thread(node.stop)
        warren.wait_for(lambda: f"warren.node.{node.id}" not in self.broker.queues(), "the broker has ended its queue with its connection")
        connection = self.broker.connect(heartbeat=60)
        connection.channel().queue_declare(f"warren.node.{node.id}", exclusive=True)
        release = threading.Event()
        keeper = threading.Thread(target=self.keep, args=(connection, release))
        keeper.start()
        try:
            again = self.start_node(ready=False, port=node.port, internal=node.internal_port)
            again.wait_listening()
            await alice.close()
            alice = await self.room(again, "lobby", "alice")
            warren.wait_for(lambda: "locked" in again.readiness()[1], "readiness says that the name is locked")
            tries = again.metric("warren_amqp_name_locked_total")
            while again.metric("warren_amqp_name_locked_total") < tries + 3:  # it asks again and again
                self.assertEqual(again.readiness()[0], 503)
                self.assertEqual((await alice.request(op="ping"))["ok"], {}, "clients stay")
            self.assertIn("locked", again.log())
        finally:
            release.set()
            keeper.join()
        again.wait_ready()
        await alice.request(op="send", room="lobby", data="again")
        self.assertEqual((await alice.message())["data"], "again")

    @staticmethod
    def keep(connection, release):
        while not release.is_set():
            connection.process_data_events(time_limit=0.1)
        connection.close()


if __name__ == "__main__":
    warren.main()
