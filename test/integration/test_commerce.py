#!/usr/bin/python3
"""The live dialect, played literally by an old client: its URL, its fields, its numbers; nothing else of ours."""
import asyncio
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import msgpack  # noqa: E402
import warren  # noqa: E402
import websockets  # noqa: E402


class OldClient:
    """What the shop's page did: opens its URL, sends what a button says, and looks at messageType. Every frame is one object."""

    def __init__(self, socket_, name):
        self.socket = socket_
        self.name = name
        self.heard = []
        self.next = 0

    @classmethod
    async def open(cls, test, node, room, name):
        url = f"{node.ws}/websocket/{urllib.parse.quote(room)}/{urllib.parse.quote(name)}"
        client = cls(await websockets.connect(url, open_timeout=60, compression=None, max_queue=None), name)
        test.addAsyncCleanup(client.socket.close)
        return client

    async def read(self, timeout=60):
        frame = await asyncio.wait_for(self.socket.recv(), timeout)
        message = json.loads(frame)
        assert isinstance(message, dict) and isinstance(message["messageType"], int), frame
        self.heard.append(message)
        return message

    async def until(self, kind, timeout=60, **fields):
        """The next one of this kind with these fields; each is looked at once."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            while self.next < len(self.heard):
                message = self.heard[self.next]
                self.next += 1
                if message["messageType"] == kind and all(message.get(k) == v for k, v in fields.items()):
                    return message
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise AssertionError(f"{self.name}: no messageType {kind} {fields} within {timeout} s; heard {self.heard[-8:]}")
            await self.read(left)

    async def say(self, text, **more):
        await self.socket.send(json.dumps({"messageType": 4, "message": text, "company_id": "c-1", "openid": "o-" + self.name,
                                           "unionid": "u-" + self.name, "avatar": f"https://img.example/{self.name}.png", **more}))

    async def like(self):
        await self.socket.send(json.dumps({"messageType": 6, "company_id": "c-1", "openid": "o-" + self.name, "unionid": "u-" + self.name}))

    async def beat(self):
        await self.socket.send(json.dumps({"messageType": 7, "company_id": "c-1", "openid": "o-" + self.name, "unionid": "u-" + self.name}))

    def texts(self):
        return [m["textMessage"] for m in self.heard if m["messageType"] == 4]


class Commerce(warren.WarrenTest):
    node_count = 2
    settings = {"route.shop.path": "/websocket/{room}/{user}", "route.shop.dialect": "live", "hub.online_interval": "200ms"}

    async def both(self, room="1001"):
        return await OldClient.open(self, self.nodes[0], room, "anna"), await OldClient.open(self, self.nodes[1], room, "bob")

    async def test_texts_reach_everybody_with_the_old_fields_and_no_others(self):
        anna, bob = await self.both()
        await anna.say("你好 \"all\"")
        for client in (anna, bob):
            self.assertEqual(await client.until(4), {"messageType": 4, "textMessage": "你好 \"all\"", "avatar": "https://img.example/anna.png",
                                                     "fromusername": "anna"})
        self.assertFalse(any("openid" in json.dumps(m) or "c-1" in json.dumps(m) for m in bob.heard), "identities stay here")

    async def test_who_comes_and_goes_and_how_many_there_are(self):
        anna, bob = await self.both()
        await anna.until(1, username="bob")
        await anna.until(5, onlineNumber=2)
        await bob.until(5, onlineNumber=2)
        await bob.socket.close()
        await anna.until(2, username="bob")
        await anna.until(5, onlineNumber=1)

    async def test_every_message_of_a_batch_is_handled(self):
        anna, bob = await self.both()
        await anna.socket.send(json.dumps([{"messageType": 4, "message": str(i)} for i in range(5)] + [{"messageType": 6}]))
        await bob.until(6, zanNumber=1)
        if "4" not in bob.texts():
            await bob.until(4, textMessage="4")
        self.assertEqual(bob.texts(), ["0", "1", "2", "3", "4"])

    async def test_empty_texts_and_heartbeats_reach_nobody(self):
        anna, bob = await self.both()
        await anna.say("")
        await anna.say(" \n")
        await anna.until(0)
        self.assertEqual((await anna.until(0))["error"]["code"], "bad_request")
        await anna.beat()
        await anna.say("end")
        await bob.until(4)
        self.assertEqual(bob.texts(), ["end"])
        self.assertFalse(any(m["messageType"] not in (1, 2, 3, 4, 5, 6) for m in bob.heard), bob.heard)
        await anna.socket.send('{"messageType":12}')
        self.assertEqual((await anna.until(0))["error"]["code"], "unknown_op")

    async def test_likes_are_counted_once_and_told(self):
        anna, bob = await self.both()
        for client in (anna, bob, anna):
            await client.like()
        for client in (anna, bob):
            await client.until(6, zanNumber=3)

    async def test_a_newcomer_is_told_likes_count_and_who_is_there(self):
        anna = await OldClient.open(self, self.nodes[0], "1001", "anna")
        await anna.until(6, zanNumber=0)
        await anna.until(3, usernames=["anna"])
        await anna.like()
        await anna.until(6, zanNumber=1)
        bob = await OldClient.open(self, self.nodes[1], "1001", "bob")
        await bob.until(6, zanNumber=1)
        self.assertEqual(bob.heard[0]["messageType"], 6, "the likes come first")
        await bob.until(5, onlineNumber=2)
        self.assertIn("anna", (await bob.until(3))["usernames"])

    async def test_text_like_and_heartbeat_are_archived_with_all_fields(self):
        node = self.start_node(settings={"amqp.archive": "yes"})
        anna = await OldClient.open(self, node, "1003", "anna")
        await anna.say("hi")
        await anna.like()
        await anna.beat()
        await anna.until(4)
        await anna.until(6, zanNumber=1)
        records = []
        with self.broker.channel() as channel:
            def arrived():
                frame, _, body = channel.basic_get("warren.archive", auto_ack=True)
                if frame:
                    records.extend(msgpack.unpackb(body))
                return len(records) == 3
            warren.wait_for(arrived, "three records")
        texts = {}
        for channel_name, kind, _, _, sender, _, data, _, offset, meta, *_ in records:
            self.assertEqual((channel_name, sender), ("room:1003", "anna"))
            fields = {**json.loads(data), **(meta or {})}
            texts[fields.get("messageType", 4)] = fields
            self.assertEqual((fields["company_id"], fields["openid"], fields["unionid"]), ("c-1", "o-anna", "u-anna"))
            self.assertEqual(kind == 1, offset is not None)
        self.assertEqual(sorted(texts), [4, 6, 7])
        self.assertEqual((texts[4]["message"], texts[4]["avatar"]), ("hi", "https://img.example/anna.png"))

    async def test_back_ends_and_other_dialects_are_in_the_same_room(self):
        anna, bob = await self.both()
        other = await self.client(self.nodes[1].ws + "/ws?user=carol")
        await other.request(op="join", room="1001")
        await anna.say("hi")
        heard = await other.message(channel="room:1001")
        self.assertEqual((heard["data"], heard["from"]), ({"message": "hi", "avatar": "https://img.example/anna.png"}, "anna"))
        self.assertIn("ok", await other.request(op="send", room="1001", data="plain"))
        self.broker.publish({"room": 1001, "data": {"text": "from the shop"}}, message_id="m-1")
        self.assertEqual(self.nodes[0].post("/v1/rooms/1001/messages", {"data": {"order": 1}})[0], 202)
        self.assertEqual(self.nodes[0].post("/push/bob", "your parcel")[0], 202)
        await bob.until(4, textMessage="your parcel")
        for text in ("hi", "plain", "from the shop", '{"order": 1}'):
            if text not in bob.texts():
                await bob.until(4, textMessage=text)
            if text not in anna.texts():
                await anna.until(4, textMessage=text)
        self.assertNotIn("your parcel", anna.texts())

    async def test_a_word_list_sees_what_people_read(self):
        path = os.path.join(os.path.dirname(self.nodes[0].log_file.name), self.prefix.strip(":") + ".words")
        with open(path, "w", encoding="utf-8") as file:
            file.write("scam\n")
        self.addCleanup(os.unlink, path)
        node = self.start_node(settings={"words.file": path})
        anna = await OldClient.open(self, node, "1002", "anna")
        await anna.say("a \u0073cam", avatar="scam.png")
        self.assertEqual(await anna.until(4), {"messageType": 4, "textMessage": "a ****", "avatar": "scam.png", "fromusername": "anna"})
        # Where it looks at another member of what others send, it looks at this one all the same.
        node = self.start_node(settings={"words.file": path, "channel.c.match": "room:1004", "channel.c.text": "text"})
        bob = await OldClient.open(self, node, "1004", "bob")
        await bob.say("no scam")
        self.assertEqual((await bob.until(4))["textMessage"], "no ****")

    async def test_one_blocked_reader_does_not_stall_the_room(self):
        anna, bob = await self.both()
        bob.socket.transport.pause_reading()
        carol = await OldClient.open(self, self.nodes[1], "1001", "carol")
        for i in range(300):
            await anna.say(f"{i} " + "x" * 2000)
        await carol.until(4, textMessage="299 " + "x" * 2000, timeout=60)
        self.assertEqual([t.split()[0] for t in carol.texts()], [str(i) for i in range(300)])
        for client in (anna, bob):  # who have not read it all, and would wait long for the node's close frame behind it
            client.socket.transport.abort()


if __name__ == "__main__":
    warren.main()
