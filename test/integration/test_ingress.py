"""The ingress queue: what back ends publish there is in order, in the log, once, whatever breaks; what can never be delivered is kept with its reason."""
import asyncio
import json
import os
import sys
import threading

import msgpack
import pika

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services  # noqa: E402
import warren  # noqa: E402

ENVELOPES = "application/vnd.warren.v1+msgpack"


class IngressTest(warren.WarrenTest):
    def ingress(self, body, content_type=None, routing_key="", **properties):
        self.broker.publish(body, content_type, exchange="warren.ingress", routing_key=routing_key, **properties)

    def active(self):
        """The id of the node whose turn it is, or None."""
        for consumer in self.broker.api("GET", f"consumers/{self.broker.vhost}"):
            if consumer["queue"]["name"] == "warren.ingress" and consumer["active"]:
                return consumer["consumer_tag"].removeprefix("warren ")
        return None

    def whose_turn(self):
        return warren.wait_for(self.active, "somebody's turn")

    def waiting(self, queue="warren.ingress"):
        """Bodies ready and unacknowledged."""
        return self.broker.queues()[queue]["messages"]

    def wait_all_taken(self, timeout=warren.PATIENCE):
        warren.wait_for(lambda: self.waiting() == 0, "the ingress queue is empty", timeout)

    def dead(self):
        """All dead letters, which stay: (body, properties)."""
        with self.broker.channel() as channel:
            found = []
            while True:
                method, properties, body = channel.basic_get("warren.ingress.dead")
                if method is None:
                    return found
                found.append((body, properties))

    def node(self, identifier):
        return next(n for n in self.nodes if n.id == identifier)


class Publisher:
    """A back end that publishes numbers to a room and repeats what was not confirmed, in order, until it is."""

    def __init__(self, broker, room, count, copies=1, pause=0.0):
        self.broker, self.room, self.count, self.copies, self.pause = broker, room, count, copies, pause
        self.confirmed = 0
        self.is_over = threading.Event()
        self.error = self.last = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while self.confirmed < self.count:
                try:
                    self.publish()
                except (pika.exceptions.AMQPError, OSError) as error:
                    self.last = error
                    self.is_over.wait(0.1)
        except BaseException as error:  # told by join()
            self.error = error

    def publish(self):
        with self.broker.channel() as channel:
            while self.confirmed < self.count:
                body = json.dumps({"room": self.room, "data": self.confirmed}).encode()
                properties = pika.BasicProperties(message_id=f"{self.room}-{self.confirmed}", app_id="shop", delivery_mode=2)
                for _ in range(self.copies):
                    channel.basic_publish("warren.ingress", "", body, properties, mandatory=True)
                self.confirmed += 1
                if self.pause:
                    self.is_over.wait(self.pause)

    def join(self, timeout=120):
        self.thread.join(timeout)
        if self.error:
            raise self.error
        if self.thread.is_alive():
            raise AssertionError(f"only {self.confirmed} of {self.count} were confirmed: {self.last!r}")


async def hear_numbers(client, count, timeout=90):
    """The data of so many messages, in order of arrival, with their offsets."""
    heard = []
    while len(heard) < count:
        message = await client.expect(lambda m: m.get("event") in ("message", "reset"), f"number {len(heard)}", timeout)
        heard.append((message.get("data"), message.get("offset")))
    return heard


class Bodies(IngressTest):
    async def test_topology(self):
        queues = self.broker.queues()
        self.assertEqual(queues["warren.ingress"]["arguments"], {"x-single-active-consumer": True})
        self.assertTrue(queues["warren.ingress"]["durable"] and queues["warren.ingress.dead"]["durable"])
        self.assertEqual(queues["warren.ingress.dead"]["arguments"], {})
        self.assertNotIn("warren.archive", queues)
        exchange = self.broker.api("GET", f"exchanges/{self.broker.vhost}/warren.ingress")
        self.assertEqual((exchange["type"], exchange["durable"]), ("direct", True))
        warren.wait_for(lambda: len([c for c in self.broker.api("GET", f"consumers/{self.broker.vhost}")
                                     if c["queue"]["name"] == "warren.ingress"]) == 2, "both nodes stand in line")
        self.assertIn(self.whose_turn(), [n.id for n in self.nodes])

    async def test_bodies_get_positions_on_every_node(self):
        clients = [await self.room(node, "lobby", f"u{i}") for i, node in enumerate(self.nodes)]
        envelope = ["room:lobby", 1, "id-1", 1700000000000, "python", "application/json", b'{"raw": 1.50}', 77, 5, None]
        self.ingress({"room": "lobby", "data": {"b": 1, "a": 1.0}, "from": "shop"}, message_id="m-1")
        self.ingress({"data": "by routing key", "room": "lobby"}, routing_key="warren.ingress", message_id="m-2")
        self.ingress(msgpack.packb({"room": "lobby", "data": [1]}), "application/msgpack")
        self.ingress(msgpack.packb([envelope]), ENVELOPES)
        with self.broker.channel() as channel:  # by the default exchange
            channel.basic_publish("", "warren.ingress", b'[{"room":"lobby","data":5},{"room":"lobby","data":6}]')
        for client in clients:
            messages = [await client.message() for _ in range(6)]
            self.assertEqual([m["data"] for m in messages], [{"b": 1, "a": 1.0}, "by routing key", [1], {"raw": 1.5}, 5, 6])
            self.assertEqual([m["offset"] for m in messages], [1, 2, 3, 4, 5, 6])
            self.assertEqual(len({m["epoch"] for m in messages}), 1)
            self.assertNotEqual(messages[0]["epoch"], "77", "an epoch is not theirs to say")
            self.assertEqual((messages[0]["id"], messages[0]["from"], messages[3]["id"]), ("m-1", "shop", "id-1"))
        late = await self.room(self.nodes[0], "lobby", "late")
        page = await late.request(op="history", room="lobby")
        self.assertEqual([m["offset"] for m in page["ok"]["messages"]], [1, 2, 3, 4, 5, 6])
        self.wait_all_taken()

    async def test_the_same_message_id_of_the_same_application_publishes_once(self):
        client = await self.room(self.nodes[1], "lobby", "u")
        for _ in range(3):
            self.ingress({"room": "lobby", "data": "once"}, message_id="m-1", app_id="shop")
        self.ingress({"room": "lobby", "data": "another's"}, message_id="m-1", app_id="stock")
        self.ingress({"room": "lobby", "data": "end"}, message_id="m-2", app_id="shop")
        heard = [await client.message() for _ in range(3)]
        self.assertEqual([(m["data"], m["offset"]) for m in heard], [("once", 1), ("another's", 2), ("end", 3)])

    async def test_voice_room_bodies(self):
        one, other = await self.room(self.nodes[0], "lobby", "one"), await self.room(self.nodes[1], "lobby", "other")
        self.ingress({"eventType": 1, "message": "to all"}, message_id="e-1")
        self.ingress({"eventType": 2, "sessionKey": "one", "message": {"to": "one"}}, message_id="e-2")
        self.ingress(msgpack.packb({"eventType": 2, "sessionKey": "one", "message": "text"}), "application/msgpack")
        self.ingress({"eventType": 1, "message": ""}, message_id="e-3")
        for client in (one, other):
            self.assertEqual((await client.message(channel="all"))["data"], {"eventType": 1, "message": "to all"})
        self.assertEqual((await one.message(channel="user:one"))["data"], {"to": "one"})
        self.assertEqual((await one.message(channel="user:one"))["data"], "text")
        self.wait_all_taken()
        self.assertEqual([(b, p.headers["x-warren-reason"]) for b, p in self.dead()], [(b'{"eventType": 1, "message": ""}', "an empty message")])

    async def test_unsequenced_channels(self):
        plain = {"channel.plain.match": "room:plain", "channel.plain.sequenced": "no"}
        for node in list(self.nodes):
            await asyncio.to_thread(node.stop)
        nodes = [self.start_node(settings=plain) for _ in range(2)]
        clients = [await self.room(node, "plain", "u") for node in nodes]
        for n in range(50):
            self.ingress({"room": "plain", "data": n}, message_id=f"p-{n}")
        for client in clients:
            messages = [await client.message() for _ in range(50)]
            self.assertEqual([m["data"] for m in messages], list(range(50)))
            self.assertNotIn("offset", messages[0])
        self.wait_all_taken()

    async def test_dead_letters_tell_why_and_spare_their_siblings(self):
        client = await self.room(self.nodes[0], "lobby", "u")
        good = ["room:lobby", 1, "g", 1700000000000, None, "application/json", b"3", None, None, None]
        bodies = [
            (b"\xff\xfe", None, "neither JSON nor msgpack"),
            (b"[1,2", None, None),
            (b'{"data":1}', None, "no room, user or broadcast, and the routing key is no channel"),
            (b'{"room":"","data":1}', None, "the channel's name is none"),
            (json.dumps({"room": "x" * 129, "data": 1}).encode(), None, "the channel's name is none"),
            (json.dumps({"room": "lobby", "data": "x" * 70000}).encode(), None, "the data is too large"),
            (msgpack.packb([good[:6] + [b""] + good[7:]]), ENVELOPES, "the data is empty"),
            (msgpack.packb([good[:6] + [b"{]"] + good[7:]]), ENVELOPES, None),
            (msgpack.packb([[good[0], 4] + good[2:]]), ENVELOPES, "control messages are from node to node"),
            (json.dumps({"room": "lobby", "data": "x" * (1 << 20)}).encode(), "application/json", "the body is larger than amqp.max_body_bytes"),
        ]
        for index, (body, content_type, _) in enumerate(bodies):
            self.ingress(body, content_type, message_id=f"bad-{index}", app_id="shop")
        self.ingress([{"room": "lobby", "data": 1}, {"nonsense": True}, {"room": "lobby", "data": 2}], message_id="mixed")
        self.ingress(msgpack.packb([["room:lobby", 1], good]), ENVELOPES)
        self.assertEqual([(await client.message())["data"] for _ in range(3)], [1, 2, 3])
        self.wait_all_taken()
        dead = self.dead()
        self.assertEqual(len(dead), len(bodies) + 2)
        for index, (body, content_type, reason) in enumerate(bodies):
            found, properties = dead[index]
            if reason:
                self.assertEqual(properties.headers["x-warren-reason"], reason)
            self.assertTrue(properties.headers["x-warren-reason"])
            self.assertIn(properties.headers["x-warren-node"], [n.id for n in self.nodes])
            self.assertEqual((properties.message_id, properties.app_id, properties.content_type), (f"bad-{index}", "shop", content_type))
            self.assertEqual(found, body, "whole")
            self.assertNotIn("x-warren-bytes", properties.headers)
        self.assertEqual((dead[10][0], dead[10][1].message_id), (b'{"nonsense": true}', "mixed#1"))
        self.assertEqual(msgpack.unpackb(dead[11][0]), [["room:lobby", 1]])
        for labels, count in (({"result": "dead"}, len(dead)), ({"result": "ok"}, 3)):
            warren.wait_for(lambda labels=labels, count=count: sum(n.metric("warren_ingress_messages_total", **labels) for n in self.nodes) == count,
                            f"{count} counted as {labels}")
        warren.wait_for(lambda: sum(n.metric("warren_ingress_line_bodies") for n in self.nodes) == 0, "nothing stands in line")

    async def test_a_node_that_shall_not_read_it(self):
        for node in list(self.nodes):
            await asyncio.to_thread(node.stop)
        self.start_node(settings={"amqp.ingress": "no"})
        self.ingress({"room": "lobby", "data": 1}, message_id="m")
        warren.wait_for(lambda: self.active() is None, "nobody's turn")
        self.assertEqual(self.waiting(), 1)
        reader = self.start_node()
        client = await self.client(f"{reader.ws}/websocket/lobby/u?since=room:lobby@1:0")
        self.assertEqual((await client.message())["data"], 1)


class Dead(IngressTest):
    """The dead letters in people's hands."""

    def tool(self, *arguments):
        return warren.run_tool("warrenctl", "--api", self.nodes[0].api, "ingress", *arguments)

    def bury(self, count):
        for n in range(count):
            self.ingress({"room": "lobby", "n": n}, message_id=f"dead-{n}", app_id="shop")
        warren.wait_for(lambda: self.waiting("warren.ingress.dead") == count, "they are dead")

    async def test_looking(self):
        warren.wait_for(lambda: "ingress  0 waiting, 2 nodes in line" in self.tool()[1], "both nodes stand in line")
        code, out, _ = self.tool()
        self.assertEqual(code, 0)
        self.assertIn("dead     0\n", out)
        self.bury(3)
        self.ingress(b"\xff\x00", message_id="octets")
        warren.wait_for(lambda: self.waiting("warren.ingress.dead") == 4, "it is dead")
        warren.wait_for(lambda: "read by" in self.tool()[1], "whose turn it is")
        code, out, _ = self.tool()
        self.assertEqual(code, 1, "there are dead letters")
        self.assertRegex(out, r"read by (%s)\n" % "|".join(n.id for n in self.nodes))
        self.assertRegex(out, r"no data +dead-0 +shop +- +\d+ +\{\"room\": \"lobby\", \"n\": 0\}")
        code, out, _ = self.tool("--json", "--peek", "4")
        self.assertEqual(code, 1)
        letters = json.loads(out)["dead"]["letters"]
        self.assertEqual([x["message_id"] for x in letters], ["dead-0", "dead-1", "dead-2", "octets"])
        self.assertEqual((letters[3]["body"], letters[3]["encoding"], letters[3]["bytes"]), ("/wA=", "base64", 2))
        self.assertEqual(self.waiting("warren.ingress.dead"), 4, "looking takes nothing away")

    async def test_what_was_mended_is_requeued_in_order(self):
        # What was dead once is not for ever: the room's names may be longer after an update, say. Here the author mends the queue by hand.
        client = await self.room(self.nodes[1], "lobby", "u")
        with self.broker.channel() as channel:
            for n in range(5):
                channel.basic_publish("", "warren.ingress.dead", json.dumps({"room": "lobby", "data": n}).encode(),
                                      pika.BasicProperties(message_id=f"m-{n}", app_id="shop", headers={"x-warren-reason": "old"}))
        code, out, _ = self.tool("--requeue", "--count", "2")
        self.assertEqual((code, out), (0, "2 requeued, 3 left\n"))
        self.assertEqual([(await client.message())["data"] for _ in range(2)], [0, 1])
        code, out, _ = self.tool("--requeue", "--json")
        self.assertEqual(json.loads(out), {"requeued": 3, "cut": 0, "left": 0, "error": None})
        messages = [await client.message() for _ in range(3)]
        self.assertEqual([(m["data"], m["id"], m["offset"]) for m in messages], [(2, "m-2", 3), (3, "m-3", 4), (4, "m-4", 5)])
        warren.wait_for(lambda: self.waiting("warren.ingress.dead") == 0, "none is left")

    async def test_what_is_still_bad_dies_again_and_what_was_cut_stays(self):
        self.bury(2)
        self.ingress(json.dumps({"room": "lobby", "data": "x" * (16 << 20)}).encode(), message_id="large")
        warren.wait_for(lambda: self.waiting("warren.ingress.dead") == 3, "it is dead")
        code, out, errors = self.tool("--requeue", "--all")
        self.assertEqual((code, out), (0, "2 requeued, 1 left\n"))
        self.assertIn("1 cannot be requeued", errors)
        warren.wait_for(lambda: self.waiting("warren.ingress.dead") == 3, "they are dead again")
        dead = {p.message_id: (body, p.headers) for body, p in self.dead()}
        self.assertEqual(set(dead), {"dead-0", "dead-1", "large"})
        self.assertEqual((len(dead["large"][0]), dead["large"][1]["x-warren-bytes"]), (1 << 20, len(json.dumps({"room": "lobby", "data": ""})) + (16 << 20)))

    async def test_what_was_too_large_is_whole_and_goes_where_more_is_allowed(self):
        """Many at once, which are never in memory together; then a node that takes such."""
        for n in range(12):
            self.ingress(json.dumps({"room": "lobby", "data": [n, "x" * (3 << 20)]}).encode(), message_id=f"large-{n}")
        warren.wait_for(lambda: self.waiting("warren.ingress.dead") == 12, "they are dead")
        self.wait_all_taken()
        for node in list(self.nodes):
            await asyncio.to_thread(node.stop)
        self.nodes.clear()
        node = await asyncio.to_thread(lambda: self.start_node(settings={"amqp.max_body_bytes": "8m", "limits.message_bytes": "4m",
                                                                         "limits.queued_bytes": "64m"}))
        client = await self.room(node, "lobby", "u")
        code, out, errors = self.tool("--requeue", "--all")
        self.assertEqual((code, out, errors), (0, "12 requeued, 0 left\n", ""))
        for n in range(12):
            message = await client.message()
            self.assertEqual((message["id"], message["data"][0], len(message["data"][1])), (f"large-{n}", n, 3 << 20))

    async def test_dropping(self):
        self.bury(5)
        self.assertEqual(self.tool("--drop")[0], 2, "how many has to be said")
        self.assertEqual(self.tool("--drop", "--count", "2")[:2], (0, "2 dropped, 3 left\n"))
        self.assertEqual([p.message_id for _, p in self.dead()], ["dead-2", "dead-3", "dead-4"])
        self.assertEqual(self.tool("--drop", "--all")[:2], (0, "3 dropped, 0 left\n"))
        self.assertEqual(self.dead(), [])

    async def test_bad_orders(self):
        for arguments in (("--requeue", "--drop"), ("--count", "1"), ("--peek", "x"), ("--requeue", "--count", "0"), ("more",)):
            self.assertEqual(self.tool(*arguments)[0], 2, arguments)
        for body in ('{"count":0}', '{"count":"all"}', "[]", '{"n":1}'):
            self.assertEqual(self.nodes[0].post("/v1/ingress/drop", body)[0], 400, body)
        self.assertEqual(self.nodes[0].get("/v1/ingress?peek=101")[0], 400)


class Alone(warren.WarrenTest):
    standalone = True
    node_count = 1

    async def test_a_node_alone_has_none(self):
        for answer in (self.nodes[0].get("/v1/ingress"), self.nodes[0].post("/v1/ingress/requeue"), self.nodes[0].post("/v1/ingress/drop")):
            self.assertEqual((answer[0], answer[1]["error"]["code"]), (409, "standalone"))


class Accidents(IngressTest):
    node_count = 3

    async def test_order_over_the_death_of_the_node_whose_turn_it_is(self):
        count = 1200
        active = self.whose_turn()
        node = next(n for n in self.nodes if n.id != active)
        client = await self.room(node, "lobby", "u")
        publisher = Publisher(self.broker, "lobby", count)
        heard = await hear_numbers(client, count // 10)
        victim = self.node(self.whose_turn())
        self.assertNotEqual(victim, node)
        victim.kill()
        warren.wait_for(lambda: self.active() not in (None, victim.id), "another node's turn")
        heard += await hear_numbers(client, count - len(heard))
        await asyncio.to_thread(publisher.join)
        self.assertEqual(heard, [(n, n + 1) for n in range(count)])
        self.wait_all_taken()

    async def test_a_publisher_that_sends_everything_twice_while_connections_are_cut(self):
        count = 800
        client = await self.room(self.nodes[0], "lobby", "u")
        publisher = Publisher(self.broker, "lobby", count, copies=2, pause=0.005)  # it is not over before the last cut
        heard = []
        for round_ in range(1, 5):
            heard += await hear_numbers(client, count * round_ // 5 - len(heard))
            await asyncio.to_thread(self.cut_ingress)
        heard += await hear_numbers(client, count - len(heard))
        await asyncio.to_thread(publisher.join)
        self.wait_all_taken()
        self.assertEqual(heard, [(n, n + 1) for n in range(count)])
        extra = [m for m in client.waiting if m.get("event") == "message"]
        self.assertEqual(extra, [])

    def cut_ingress(self):
        """Closes the connection of whose turn it is."""
        def close():
            active = self.active()
            return active and self.broker.cut(active, "ingress")

        warren.wait_for(close, "the connection of whose turn it is, among the broker's")

    async def test_a_deleted_queue_of_the_dead_is_declared_again(self):
        warren.wait_for(lambda: "warren.ingress.dead" in self.broker.queues(), "the queue of the dead")
        self.broker.api("DELETE", f"queues/{self.broker.vhost}/warren.ingress.dead")
        self.ingress(b"no message", message_id="m")
        warren.wait_for(lambda: "warren.ingress.dead" in self.broker.queues() and self.waiting("warren.ingress.dead") == 1, "the dead letter")
        self.assertEqual(self.dead()[0][0], b"no message")
        self.wait_all_taken()


class Outages(services.OwnServices, IngressTest):
    """With a broker and a store of its own, which are broken on purpose."""

    node_count = 0

    async def start(self, count=2):
        return [await asyncio.to_thread(self.start_node) for _ in range(count)]

    async def test_redis_away(self):
        nodes = await self.start()
        client = await self.room(nodes[1], "lobby", "u")
        count = 600
        publisher = Publisher(self.broker, "lobby", count, pause=0.005)
        heard = await hear_numbers(client, 50)
        self.services.freeze("redis")
        warren.wait_for(lambda: publisher.confirmed > 250, "the back end goes on")
        warren.wait_for(lambda: all(n.metric("warren_ingress_reading") == 0 for n in nodes), "nobody reads the queue")
        warren.wait_for(lambda: self.waiting() > 0, "it waits there")
        self.services.thaw("redis")
        heard += await hear_numbers(client, count - len(heard))
        await asyncio.to_thread(publisher.join)
        self.wait_all_taken()
        self.assertEqual([n for n, _ in heard], list(range(count)))
        self.assertEqual(self.dead(), [])

    async def test_the_broker_is_killed_and_comes_back(self):
        nodes = await self.start()
        client = await self.room(nodes[0], "lobby", "u")
        count = 600
        publisher = Publisher(self.broker, "lobby", count, pause=0.002)
        heard = await hear_numbers(client, 100)
        self.services.kill("rabbitmq")
        self.services.start("rabbitmq")
        heard += await hear_numbers(client, count - len(heard))
        await asyncio.to_thread(publisher.join)
        self.wait_all_taken()
        self.assertEqual(heard, [(n, n + 1) for n in range(count)])
        self.assertEqual(self.dead(), [])

    async def test_the_broker_blocks_publishers(self):
        nodes = await self.start(1)
        client = await self.room(nodes[0], "lobby", "u")
        with self.broker.channel() as channel:  # one for all: the client would not answer the node's pings for too long
            for n in range(300):
                channel.basic_publish("warren.ingress", "", json.dumps({"room": "lobby", "data": n}).encode(),
                                      pika.BasicProperties(message_id=f"n-{n}", delivery_mode=2))
        self.services.alarm(True)
        try:
            warren.wait_for(lambda: nodes[0].metric("warren_ingress_reading") == 0, "the queue is not read")
            warren.wait_for(lambda: nodes[0].readiness()[1] == "blocked by the broker", "it says so")
        finally:
            self.services.alarm(False)
        self.assertEqual(await hear_numbers(client, 300), [(n, n + 1) for n in range(300)])
        self.wait_all_taken()
        self.ingress({"room": "lobby", "data": "after"}, message_id="after")
        self.assertEqual((await client.message())["offset"], 301)


if __name__ == "__main__":
    warren.main()
