#!/usr/bin/python3
"""Users: on which nodes and devices they are, messages that find them there, and sessions that are closed from outside."""
import asyncio
import json
import os
import sys
import urllib.parse

import websockets

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services  # noqa: E402
import test_targeted  # noqa: E402
import warren  # noqa: E402


class Users(test_targeted.Targeted):
    settings = {"hub.lease": "4s"}

    def delete(self, node, path):
        status, answer, _ = warren.fetch(node.api + path, "DELETE", timeout=60)
        return status, json.loads(answer)

    def ctl(self, node, *arguments, code=0):
        result, out, err = warren.run_tool("warrenctl", "--api", node.api, *arguments)
        self.assertEqual(result, code, out + err)
        return out + err

    async def known(self, user, count):
        """The sessions of @user, once so many of them are stated."""
        def look():
            sessions = self.nodes[0].get(f"/v1/users/{user}")[1]["sessions"]
            return sessions if len(sessions) == count else None
        return await asyncio.to_thread(warren.wait_for, look, f"{count} sessions of {user}") if count else look()

    async def device(self, node, user, device):
        return await self.client(f"{node.ws}/ws?user={user}&device={device}")

    async def closed(self, client, code, reason):
        with self.assertRaises(websockets.ConnectionClosed) as closed:
            while True:
                await client.receive()
        self.assertEqual((closed.exception.rcvd.code, closed.exception.rcvd.reason), (code, reason))


class Kick(Users):
    async def test_a_user_on_three_nodes(self):
        bobs = [await self.device(node, "bob", f"d{i}") for i, node in enumerate(self.nodes)]
        bobs.append(await self.device(self.nodes[1], "bob", "again"))
        alice = await self.device(self.nodes[1], "alice", "d1")
        sessions = await self.known("bob", 4)
        self.assertEqual(sorted((s["node"], s["device"]) for s in sessions),
                         sorted([(self.nodes[0].id, "d0"), (self.nodes[1].id, "d1"), (self.nodes[2].id, "d2"), (self.nodes[1].id, "again")]))
        shown = await asyncio.to_thread(self.ctl, self.nodes[2], "user", "bob")
        for session in sessions:
            self.assertIn(session["session"], shown)
        status, answer = await asyncio.to_thread(self.delete, self.nodes[0], "/v1/users/bob/sessions?reason=out+you+go")
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["closed"], 4)
        self.assertEqual({n["node"]: (n["closed"], n["state"]) for n in answer["nodes"]},
                         {self.nodes[0].id: (1, "done"), self.nodes[1].id: (2, "done"), self.nodes[2].id: (1, "done")})
        for bob in bobs:
            await self.closed(bob, 4501, "out you go")
        self.assertEqual((await alice.request(op="ping"))["ok"], {})
        self.assertEqual(self.nodes[1].metric("warren_gateway_ended_total", reason="kicked"), 2)

    async def test_one_device_and_one_session(self):
        phone, desk = await self.device(self.nodes[1], "bob", "phone"), await self.device(self.nodes[2], "bob", "desk")
        await self.known("bob", 2)
        answer = json.loads(await asyncio.to_thread(self.ctl, self.nodes[0], "--json", "kick", "bob", "--device", "phone"))
        self.assertEqual((answer["closed"], [n["node"] for n in answer["nodes"]]), (1, [self.nodes[1].id]))
        await self.closed(phone, 4501, "kicked")
        self.assertEqual((await desk.request(op="ping"))["ok"], {})
        session = (await self.known("bob", 1))[0]["session"]
        self.assertEqual(session, desk.welcome["session"])
        said = await asyncio.to_thread(self.ctl, self.nodes[0], "kick", "bob", "--session", session, "--reason", "because \u2603")
        self.assertEqual(said, "sessions closed: 1\n")
        await self.closed(desk, 4501, "because \u2603")

    async def test_nobody(self):
        phone = await self.device(self.nodes[1], "bob", "phone")
        await self.known("bob", 1)
        for path in ("nobody/sessions", "bob/sessions?device=desk", "bob/sessions?session=x"):
            status, answer = await asyncio.to_thread(self.delete, self.nodes[0], "/v1/users/" + path)
            self.assertEqual((status, answer["error"]["message"]), (404, "this user has no such session"), path)
        self.assertIn("no such session", await asyncio.to_thread(self.ctl, self.nodes[0], "kick", "nobody", code=1))
        for path, word in (("bob/sessions?device=%00", "device"), ("bob/sessions?reason=%ff", "reason"),
                           ("bob/sessions?reason=" + "x" * 124, "reason"), ("bob/sessions?session=", "session")):
            status, answer = await asyncio.to_thread(self.delete, self.nodes[0], "/v1/users/" + path)
            self.assertEqual(status, 400, path)
            self.assertIn(word, answer["error"]["message"])
        self.assertEqual((await phone.request(op="ping"))["ok"], {})
        for arguments in ([], ["a", "b"], ["a", "--bogus"]):
            self.ctl(self.nodes[0], "kick", *arguments, code=2)


class Cut(Users):
    """The third node reaches the broker by a way that is cut."""

    node_count = 1

    def setUp(self):
        super().setUp()
        if not self.broker:
            return
        parts = urllib.parse.urlsplit(self.broker.url)
        self.proxy = services.Wire(parts.port)
        self.addCleanup(self.proxy.cut)
        self.lone = self.start_node(settings={"amqp.url": self.broker.url.replace(f":{parts.port}/", f":{self.proxy.port}/")})

    async def test_the_answer_says_who_was_not_reached(self):
        here, there = await self.device(self.nodes[0], "bob", "here"), await self.device(self.lone, "bob", "there")
        await self.known("bob", 2)
        await asyncio.to_thread(self.proxy.cut)
        is_cut = lambda: next(n["cut"] for n in self.nodes[0].get("/v1/nodes")[1]["nodes"] if n["node"] == self.lone.id)  # noqa: E731
        await asyncio.to_thread(warren.wait_for, is_cut, "the node is cut")
        status, answer = await asyncio.to_thread(self.delete, self.nodes[0], "/v1/users/bob/sessions")
        self.assertEqual((status, answer["closed"]), (503, 1))
        self.assertEqual({n["node"]: n["state"] for n in answer["nodes"]}, {self.nodes[0].id: "done", self.lone.id: "cut"})
        self.assertIn(f"1 on {self.lone.id} (cut off from the broker)", answer["error"]["message"])
        await self.closed(here, 4501, "kicked")
        here = await self.device(self.nodes[0], "bob", "here")
        await self.known("bob", 2)
        # and from the other side
        said = await asyncio.to_thread(self.ctl, self.lone, "kick", "bob", "--device", "here", code=1)
        self.assertIn(f"0 sessions closed; not reached: 1 on {self.nodes[0].id} (this node is cut off from the broker)", said)
        answer = json.loads(await asyncio.to_thread(self.ctl, self.lone, "--json", "kick", "bob", "--device", "there"))
        self.assertEqual(answer["closed"], 1)  # what is here needs no broker
        await self.closed(there, 4501, "kicked")
        await asyncio.to_thread(self.proxy.mend)
        await asyncio.to_thread(self.lone.wait_ready)
        await asyncio.to_thread(self.ctl, self.lone, "kick", "bob")
        await self.closed(here, 4501, "kicked")


class Logs(Users):
    node_count = 1

    async def test_history(self):
        node = self.nodes[0]
        for n in range(12):
            node.post("/v1/rooms/lobby/messages", {"data": n, "from": "shop"})
        node.post("/push/bob", "text \u2603")
        node.post("/v1/broadcast", {"data": {"a": 1.0}})
        page = node.get("/v1/rooms/lobby/messages?limit=5")[1]
        self.assertEqual([m["data"] for m in page["messages"]], [7, 8, 9, 10, 11])
        first, last = page["messages"][0], page["last"]
        self.assertEqual((page["more"], first["from"], first["channel"], last["offset"]), (True, "shop", "room:lobby", 12))
        back = node.get(f"/v1/rooms/lobby/messages?before={first['epoch']}:{first['offset']}")[1]
        self.assertEqual(([m["data"] for m in back["messages"]], back["more"]), (list(range(7)), False))
        on = node.get(f"/v1/rooms/lobby/messages?after={last['epoch']}%3A9&limit=2")[1]
        self.assertEqual(([m["offset"] for m in on["messages"]], on["more"]), ([10, 11], True))
        on = node.get(f"/v1/rooms/lobby/messages?after={last['epoch']}:12")[1]
        self.assertEqual((on["messages"], on["more"], on["last"]), ([], False, last))
        inbox = node.get("/v1/users/bob/messages")[1]["messages"][0]
        self.assertEqual((inbox["data"], inbox["content_type"]), ("text \u2603", "text/plain"))
        self.assertIn(b'"data":{"a": 1.0}', warren.fetch(node.api + "/v1/broadcast")[1])
        self.assertEqual(node.get("/v1/rooms/nothing/messages")[1], {"messages": [], "more": False, "last": None})
        for query in ("limit=501", "before=1", "after=x:y", "before=1:2&after=1:2", "after=1:2:3"):
            self.assertEqual(node.get("/v1/rooms/lobby/messages?" + query)[0], 400, query)
        shown = self.ctl(node, "history", "--room", "lobby", "--limit", "2").splitlines()
        self.assertEqual([line.split(" ", 1)[1] for line in shown], [f"{last['epoch']}:11 shop 10", f"{last['epoch']}:12 shop 11"])
        self.ctl(node, "history", "--room", "a", "--all", code=2)
        facts = self.ctl(node, "node", node.id)
        self.assertRegex(facts, r"alive +yes")
        self.assertEqual(json.loads(self.ctl(node, "--json", "node", node.id))["node"], node.id)
        self.assertIn("no node 10.0.0.9:1", self.ctl(node, "node", "10.0.0.9:1", code=1))

    async def test_tail(self):
        node = self.nodes[0]
        for n in range(3):
            node.post("/v1/rooms/lobby/messages", {"data": n})
        tail = await asyncio.create_subprocess_exec(os.path.join(warren.BIN, "warrenctl"), "--api", node.api, "--json", "tail", "--room", "lobby",
                                                    "--count", "2", stdout=asyncio.subprocess.PIPE)
        line = lambda: asyncio.wait_for(tail.stdout.readline(), 60)  # noqa: E731
        self.assertEqual([json.loads(await line())["offset"] for _ in range(2)], [2, 3])
        for n in range(3, 40):
            node.post("/v1/rooms/lobby/messages", {"data": n})
        self.assertEqual([json.loads(await line())["data"] for _ in range(37)], list(range(3, 40)))
        self.assertEqual(node.get("/v1/rooms/lobby/users")[1]["count"], 0)  # nobody sees it
        tail.terminate()
        await tail.wait()


class Standalone(Users):
    standalone = True
    node_count = 1

    async def test_kick(self):
        bob = await self.device(self.nodes[0], "bob", "phone")
        await self.known("bob", 1)
        self.assertEqual(self.delete(self.nodes[0], "/v1/users/bob/sessions")[1]["closed"], 1)
        await self.closed(bob, 4501, "kicked")
        self.assertEqual(self.delete(self.nodes[0], "/v1/users/bob/sessions")[0], 404)


class OldPush(Users):
    """The userId push system: pages connect to /websocket/{businessType}/{userId}, order services POST to any node, the push finds its node."""

    async def test_literally(self):
        spies = [self.spy(node) for node in self.nodes]
        page = await websockets.connect(f"{self.nodes[2].ws}/websocket/order/10086", subprotocols=None)
        self.addAsyncCleanup(page.close)
        welcome = json.loads(await page.recv())
        self.assertEqual((welcome["event"], welcome["user"], welcome["node"]), ("welcome", "10086", self.nodes[2].id))
        # the lookup user -> node
        sessions = await self.known("10086", 1)
        self.assertEqual(sessions[0]["node"], self.nodes[2].id)
        self.assertGreater(sessions[0]["since"], 1600000000000)
        # the push, to a node that has not the user
        bodies = [('{"orderId": 1, "state": "PAID"}', {"orderId": 1, "state": "PAID"}), ("your order has shipped", "your order has shipped"),
                  ("\u60a8\u7684\u8ba2\u5355\u5df2\u53d1\u8d27", "\u60a8\u7684\u8ba2\u5355\u5df2\u53d1\u8d27")]
        for offset, (body, data) in enumerate(bodies, 1):
            status, answer = self.nodes[0].post("/push/10086", body)
            self.assertEqual((status, answer["sessions"], answer["offset"]), (202, 1, offset))
            while True:
                event = json.loads(await asyncio.wait_for(page.recv(), 60))
                if event["event"] == "message":
                    break
            self.assertEqual((event["channel"], event["data"], event["id"]), ("user:10086", data, answer["message"]))
        await self.all_have_passed(spies)
        self.assertEqual([len(spy.data("user:10086")) for spy in spies], [0, 0, 3])
        # a page that is not there: kept for it, and said so
        status, answer = self.nodes[1].post("/push/10010", "later")
        self.assertEqual((status, answer["sessions"]), (202, 0))
        late = await self.client(f"{self.nodes[0].ws}/websocket/order/10010?since={urllib.parse.quote('user:10010')}@{answer['epoch']}:0")
        self.assertEqual((await late.message(channel="user:10010"))["data"], "later")
        status, answer = self.nodes[1].post("/v1/users/10086/messages", {"data": 1})
        self.assertEqual((status, answer["sessions"]), (202, 1))


if __name__ == "__main__":
    warren.main()
