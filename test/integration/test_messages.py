#!/usr/bin/python3
"""What clients do, over two nodes with RabbitMQ and Redis between them, and the same on one node alone."""
import asyncio
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402


class Messages:
    """The suite; two nodes are first and last, which are one node in the standalone case."""

    @property
    def first(self):
        return self.nodes[0]

    @property
    def last(self):
        return self.nodes[-1]

    async def pair(self, room="lobby"):
        return await self.room(self.first, room, "alice"), await self.room(self.last, room, "bob")

    async def test_a_line_crosses(self):
        alice, bob = await self.pair()
        answer = await alice.request(op="send", room="lobby", data="hello")
        heard = await bob.message()
        self.assertEqual(heard["channel"], "room:lobby")
        self.assertEqual(heard["from"], "alice")
        self.assertEqual(heard["data"], "hello")
        self.assertEqual(heard["id"], answer["ok"]["message"])
        own = await alice.message()
        self.assertEqual(own["id"], heard["id"], "a sender hears its own message")

    async def test_welcome_names_session_user_node_and_channels(self):
        alice = await self.room(self.first, "a b/ü☕", "al ice")
        self.assertEqual(alice.welcome["user"], "al ice")
        self.assertEqual(alice.welcome["node"], self.first.id)
        self.assertEqual(alice.welcome["heartbeat_s"], 25)
        self.assertEqual(sorted(c["channel"] for c in alice.welcome["channels"]), ["all", "room:a b/ü☕", "user:al ice"])

    async def test_data_arrives_byte_for_byte(self):
        alice, bob = await self.pair()
        for data in ['{"b":1,"a":1.0,"b2":1e5,"n":-0.0}', '"\\u00e9\\/é"', "[ 1 , 2 ]", "12345678901234567890123", "null", '""',
                     '{"a":{"a":[[[{}]]]}}', "true"]:
            await alice.send('{"id":1,"op":"send","room":"lobby","data":%s}' % data)
            await bob.message()
            self.assertTrue(bob.frames[-1].endswith('"data":%s}' % data), bob.frames[-1])

    async def test_order_and_count_of_many(self):
        alice, bob = await self.pair()
        for n in range(500):
            await alice.send({"op": "send", "room": "lobby", "data": n})
        self.assertEqual([(await bob.message())["data"] for _ in range(500)], list(range(500)))
        self.assertEqual([(await alice.message())["data"] for _ in range(500)], list(range(500)))
        await alice.request(op="send", room="lobby", data="end")
        self.assertEqual([m for m in await bob.drain("end") if m["event"] == "message"], [], "nothing twice")

    async def test_join_leave_and_not_joined(self):
        alice, bob = await self.pair()
        answer = await bob.request(op="send", room="kitchen", data=1)
        self.assertEqual(answer["error"]["code"], "not_joined")
        answer = await bob.request(op="join", room="kitchen")
        self.assertEqual(answer["ok"]["channel"], "room:kitchen")
        await alice.request(op="join", room="kitchen")
        await bob.request(op="send", room="kitchen", data="in")
        self.assertEqual((await alice.message(channel="room:kitchen"))["data"], "in")
        self.assertEqual((await alice.request(op="leave", room="kitchen"))["ok"], {})
        await bob.request(op="send", room="kitchen", data="gone")
        await bob.request(op="send", room="lobby", data="end")
        self.assertNotIn("gone", [m.get("data") for m in await alice.drain("end")])
        self.assertEqual((await alice.request(op="leave", room="kitchen"))["error"]["code"], "not_joined")

    async def test_whisper_reaches_every_device_and_nobody_else(self):
        phone = await self.client(f"{self.first.ws}/ws?user=bob&device=phone")
        desk = await self.client(f"{self.last.ws}/ws?user=bob&device=desk")
        other = await self.client(f"{self.last.ws}/ws?user=bobby")
        alice = await self.client(f"{self.first.ws}/ws?user=alice")
        await alice.request(op="whisper", user="bob", data={"to": "bob"})
        for device in (phone, desk):
            heard = await device.message()
            self.assertEqual((heard["channel"], heard["from"], heard["data"]), ("user:bob", "alice", {"to": "bob"}))
        await alice.request(op="whisper", user="bobby", data="end")
        self.assertEqual(await other.drain("end"), [])

    async def test_broadcast_reaches_all(self):
        clients = [await self.room(node, f"r{i}", f"u{i}") for i, node in enumerate((self.first, self.last, self.last))]
        status, answer = self.first.post("/v1/broadcast", {"data": "to all", "from": "office"})
        self.assertEqual(status, 202)
        for client in clients:
            heard = await client.message()
            self.assertEqual((heard["channel"], heard["data"], heard["from"], heard["id"]), ("all", "to all", "office", answer["message"]))

    async def test_writes_share_calls(self):
        """What falls due together for the members of a room; where the kernel has no io_uring for us the doctor says so."""
        clients = [await self.room(self.first, "lobby", f"u{i}") for i in range(6)]
        for i in range(20):
            await clients[0].request(op="send", room="lobby", data=i)
        for client in clients:
            self.assertEqual([m["data"] for m in await client.drain(19) if m.get("event") == "message"], list(range(19)))
        detail = next(c["detail"] for c in self.first.get("/v1/doctor")[1]["checks"] if c["name"] == "io_uring")
        if detail == "writes to clients share calls":
            warren.wait_for(lambda: self.first.metric("warren_gateway_ring_writes_total") >= 20, "they are counted")
        else:
            self.assertTrue(detail.startswith("not to be had"), detail)

    async def test_a_key_publishes_once(self):
        alice, bob = await self.pair()
        first = await alice.request(op="send", room="lobby", data=1, key="k")
        again = await alice.request(op="send", room="lobby", data=1, key="k")
        other = await bob.request(op="send", room="lobby", data=2, key="k")
        self.assertEqual(first["ok"]["message"], again["ok"]["message"])
        self.assertNotEqual(first["ok"]["message"], other["ok"]["message"], "a key is its sender's own")
        await alice.request(op="send", room="lobby", data="end")
        self.assertEqual(sorted(m["data"] for m in await bob.drain("end") if m["event"] == "message"), [1, 2])

    async def test_several_ops_in_one_frame(self):
        alice, bob = await self.pair()
        await alice.send([{"op": "send", "room": "lobby", "data": 1}, {"id": "x", "op": "nonsense"}, {"id": 7, "op": "ping"},
                          {"op": "send", "room": "lobby", "data": 2}])
        self.assertEqual([(await bob.message())["data"] for _ in range(2)], [1, 2])
        error = await alice.expect(lambda m: "error" in m, "error")
        self.assertEqual((error["id"], error["error"]["code"]), ("x", "unknown_op"))
        self.assertEqual((await alice.expect(lambda m: m.get("id") == 7, "pong"))["ok"], {})

    async def test_bad_requests_get_an_answer_and_the_connection_stays(self):
        alice = await self.room(self.first, "lobby", "alice")
        for text, code, words in [
            ('{"id":1,"op":"send"', "bad_json", "byte"),
            ('{"id":1,"op":"send","room":"lobby","data":01}', "bad_json", "byte 43"),
            ("not json", "bad_json", "byte 0"),
            ("", "bad_json", "byte 0"),
            ('"text"', "bad_request", ""),
            ('{"id":1,"op":"dance"}', "unknown_op", "dance"),
            ('{"id":1}', "bad_request", "op"),
            ('{"id":1,"op":"join","room":""}', "bad_name", "empty"),
            ('{"id":1,"op":"join","room":"%s"}' % ("x" * 129), "bad_name", "128"),
            ('{"id":1,"op":"join","room":"a\\u0007b"}', "bad_name", "control"),
            ('{"id":1,"op":"join","room":[1]}', "bad_name", "room"),
            ('{"id":1,"op":"send","room":"lobby"}', "bad_request", "data"),
            ('{"id":{},"op":"ping"}', "bad_request", "id"),
            ('{"id":1,"op":"send","room":"lobby","data":"%s"}' % ("x" * 70000), "too_large", ""),
        ]:
            await alice.send(text)
            error = (await alice.expect(lambda m: "error" in m, f"error for {text[:60]}"))["error"]
            self.assertEqual(error["code"], code, f"{text[:80]} -> {error}")
            self.assertIn(words, error["message"], f"{text[:80]} -> {error}")
        self.assertEqual((await alice.request(op="ping"))["ok"], {})

    async def test_who_is_here(self):
        alice, bob = await self.pair("busy")
        carol = await self.room(self.last, "busy", "carol")
        named, count = set(), 0
        while count != 3 or not {"bob", "carol"} <= named:  # a node tells the count of all, and the names of its own
            event = await alice.expect(lambda m: m.get("event") == "online", "online 3, with names")
            named, count = named | set(event["joined"]), event["count"]
            self.assertEqual(event["room"], "busy")
        page = (await bob.request(op="online", room="busy"))["ok"]
        self.assertEqual((page["count"], page["users"]), (3, ["alice", "bob", "carol"]))
        await carol.close()
        event = await alice.expect(lambda m: m.get("event") == "online" and "carol" in m["left"], "carol left")
        self.assertEqual(event["count"], 2)

    async def test_binary_frames_go_to_the_others(self):
        alice, bob = await self.pair()
        await alice.send(b"\x00\x01voice\xff")
        heard = await bob.expect(lambda m: "binary" in m, "binary frame")
        self.assertEqual(heard["binary"], b"\x00\x01voice\xff")
        await bob.request(op="send", room="lobby", data="end")
        self.assertEqual([m for m in await alice.drain("end") if "binary" in m], [], "not to the sender")

    async def test_the_long_url_and_identity(self):
        client = await self.client(f"{self.first.ws}/demo/websocket/class-1/vod/u%2042/token/ipad")
        self.assertEqual(client.welcome["user"], "u 42")
        self.assertIn("room:class-1", [c["channel"] for c in client.welcome["channels"]])
        anonymous = await self.client(f"{self.first.ws}/ws")
        self.assertRegex(anonymous.welcome["user"], "^anon-")

    async def test_http_publishes_to_rooms_and_users(self):
        alice, bob = await self.pair()
        raw = '{"data":{"z":1.00,"a":"\\u00e9"},"from":"shop"}'
        status, answer = self.last.post("/v1/rooms/lobby/messages", raw, {"Content-Type": "application/json"})
        self.assertEqual(status, 202)
        heard = await alice.message()
        self.assertEqual((heard["id"], heard["from"]), (answer["message"], "shop"))
        self.assertTrue(alice.frames[-1].endswith('"data":{"z":1.00,"a":"\\u00e9"}}'), alice.frames[-1])
        await bob.message()
        # the number of sessions is the store's, which a node tells right after the session began
        await asyncio.to_thread(warren.wait_for, lambda: self.first.get("/v1/users/bob")[1].get("sessions"), "bob's session")
        status, answer = self.first.post("/push/bob", "plain words", {"Content-Type": "text/plain"})
        self.assertEqual((status, answer["sessions"]), (202, 1))
        self.assertEqual((await bob.message())["data"], "plain words")
        status, answer = self.first.post("/push/nobody", '{"a":1}')
        self.assertEqual((status, answer["sessions"]), (202, 0))
        status, answer = self.first.post("/v1/users/bob/messages", {"data": [1], "key": "once"})
        again = self.last.post("/v1/users/bob/messages", {"data": [1], "key": "once"})[1]
        self.assertEqual(answer["message"], again["message"])
        self.assertEqual((await bob.message())["data"], [1])
        self.first.post("/push/bob", '"end"')
        self.assertEqual([m for m in await bob.drain("end") if m["event"] == "message"], [])

    async def test_goodbye_on_sigterm(self):
        alice = await self.room(self.first, "lobby", "alice")
        self.first.signal(15)
        goodbye = await alice.expect(lambda m: m.get("event") == "goodbye", "goodbye")
        self.assertEqual((goodbye["code"], goodbye["reason"]), (4100, "draining"))
        self.assertLessEqual(goodbye["retry_after_ms"], 1000)
        await alice.socket.wait_closed()
        self.assertEqual(alice.socket.close_code, 4100)
        self.assertEqual(await asyncio.to_thread(self.first.process.wait, 60), 0)


class ClusterMessages(Messages, warren.WarrenTest):
    node_count = 2


class StandaloneMessages(Messages, warren.WarrenTest):
    node_count = 1
    standalone = True


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 3)


if __name__ == "__main__":
    warren.main()
