#!/usr/bin/python3
"""Live rooms over two nodes: likes, and what else is added up in them; and the same on one node alone."""
import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402


class Live:
    settings = {"hub.likes_interval": "200ms", "hub.online_interval": "200ms"}

    async def likes(self, client, total):
        """Waits until the client has heard this total; totals never go down."""
        heard = []
        while not heard or heard[-1] != total:
            message = await client.expect(lambda m: m.get("event") == "likes", f"likes {total} after {heard}")
            self.assertEqual(sorted(message), ["event", "room", "total"])
            heard.append(message["total"])
        self.assertEqual(heard, sorted(heard))
        return heard

    async def test_likes_are_added_up_over_nodes(self):
        alice = await self.room(self.nodes[0], "42", "alice")
        bob = await self.room(self.nodes[-1], "42", "bob")
        for _ in range(300):
            await alice.send({"op": "like", "room": "42"})
            await bob.send({"op": "like", "room": "42", "n": 2})
        self.assertEqual((await bob.request(op="like", room="42", n=100))["ok"], {})
        await asyncio.gather(self.likes(alice, 1000), self.likes(bob, 1000))  # not all of the same in between: what comes late is not told
        self.assertEqual((await bob.request(op="like", room="43"))["error"]["code"], "not_joined")
        self.assertEqual((await bob.request(op="like", room="42", n=1001))["error"]["code"], "too_large")
        for bad in (0, -1, 1.5, "1", []):
            self.assertEqual((await bob.request(op="like", room="42", n=bad))["error"]["code"], "bad_request")

    async def test_likes_are_told_a_few_times_a_second(self):
        alice = await self.room(self.nodes[0], "42", "alice")
        bob = await self.room(self.nodes[-1], "42", "bob")
        begun, likes, heard = asyncio.get_running_loop().time(), 0, []
        while len(heard) < 3:
            self.assertLess(asyncio.get_running_loop().time(), begun + warren.PATIENCE, heard)
            for client in (alice, bob):
                await client.request(op="like", room="42")
                likes += 1
                await asyncio.sleep(0.01)  # likes come one by one, all the time
            while any(m.get("event") == "likes" for m in alice.waiting):
                heard.append((await alice.expect(lambda m: m.get("event") == "likes", "likes"))["total"])
        if heard[-1] != likes:
            heard += await self.likes(alice, likes)
        self.assertEqual(heard, sorted(heard))
        self.assertLessEqual(len(heard), (asyncio.get_running_loop().time() - begun) / 0.2 + 2)

    async def online(self, client, count):
        """Waits until the client has heard this count; returns all events up to there."""
        heard = []
        while not heard or heard[-1]["count"] != count:
            heard.append(await client.expect(lambda m: m.get("event") == "online", f"count {count} after {heard}"))
        return heard

    async def test_a_newcomer_gets_the_rooms_state_in_one_frame(self):
        alice = await self.room(self.nodes[0], "42", "alice")
        room = next(c for c in alice.welcome["channels"] if c["channel"] == "room:42")
        self.assertEqual((room["online"], room["likes"]), (1, 0))
        self.assertNotIn("messages", room)
        self.assertNotIn("online", next(c for c in alice.welcome["channels"] if c["channel"] == "user:alice"))
        for n in range(30):
            await alice.send({"op": "send", "room": "42", "data": n})
        await alice.send({"op": "like", "room": "42", "n": 7})
        await self.likes(alice, 7)
        await self.online(alice, 1)
        bob = await self.client(f"{self.nodes[-1].ws}/websocket/42/bob?history=3")
        room = next(c for c in bob.welcome["channels"] if c["channel"] == "room:42")
        self.assertEqual((room["online"], room["likes"], room["recovered"]), (2, 7, False))
        self.assertEqual([m["data"] for m in room["messages"]], [27, 28, 29])
        self.assertEqual([m["offset"] for m in room["messages"]], [28, 29, 30])
        carol = await self.client(f"{self.nodes[-1].ws}/ws?user=carol")
        answer = (await carol.request(op="join", room="42", history=1000))["ok"]
        self.assertEqual((answer["online"], answer["likes"], len(answer["messages"])), (3, 7, 30))
        answer = (await carol.request(op="join", room="42", history=5))["ok"]  # once more: no messages
        self.assertEqual((answer["likes"], answer.get("messages")), (7, None))
        await self.online(carol, 3)  # a count that is told from elsewhere meanwhile may not have her
        await alice.request(op="send", room="42", data="end")
        for client in (bob, carol):
            self.assertEqual([m for m in await client.drain("end") if m["event"] == "message"], [], "nothing twice")

    async def test_a_user_on_two_nodes_counts_once(self):
        alice = await self.room(self.nodes[0], "42", "alice")
        phone = await self.room(self.nodes[0], "42", "bob")
        desk = await self.room(self.nodes[-1], "42", "bob")
        await self.online(alice, 2)
        page = (await desk.request(op="online", room="42"))["ok"]
        self.assertEqual(page, {"count": 2, "connections": 3, "users": ["alice", "bob"]})
        await phone.close()
        warren.wait_for(lambda: self.nodes[0].get("/v1/rooms/42")[1]["connections"] == 2, "the phone has left")
        self.assertEqual(self.nodes[0].get("/v1/rooms/42")[1]["count"], 2)
        await desk.close()
        told = await alice.expect(lambda m: m.get("event") == "online" and m["left"], "who has left")
        self.assertEqual((told["left"], told["count"]), (["bob"], 1))
        status, room = self.nodes[-1].get("/v1/rooms/42")
        self.assertEqual((status, room["count"], room["connections"], room["likes"]), (200, 1, 1, 0))
        self.assertEqual(room["nodes"], [{"node": self.nodes[0].id, "users": 1, "connections": 1}])
        self.assertEqual(self.nodes[-1].get("/v1/rooms/none")[1], {"count": 0, "connections": 0, "likes": 0, "nodes": []})

    async def test_a_roster_is_paged(self):
        users = [f"user {n:03}" for n in range(120)]
        clients = await asyncio.gather(*(self.room(self.nodes[n % len(self.nodes)], "42", user) for n, user in enumerate(users)))
        await self.online(clients[0], 120)
        seen, after = [], None
        while True:
            page = (await clients[0].request(op="online", room="42", limit=50, after=after))["ok"]
            seen += page["users"]
            after = page.get("next")
            if not after:
                break
        self.assertEqual(seen, users)
        page = self.nodes[-1].get("/v1/rooms/42/users?limit=2&after=user%20117")[1]
        self.assertEqual((page["count"], page["users"], page["next"]), (120, users[118:], None))


class LiveOverTwoNodes(Live, warren.WarrenTest):
    async def test_a_count_is_told_once_an_interval(self):
        """Whoever joins where: a client hears of the room once an interval, not once for each node; and at last the right count."""
        alice = await self.room(self.nodes[0], "42", "alice")
        begun = asyncio.get_running_loop().time()
        for n in range(60):
            await self.room(self.nodes[n % 2], "42", f"user-{n}")
        heard = await self.online(alice, 61)
        self.assertLessEqual(len(heard), (asyncio.get_running_loop().time() - begun) / 0.2 + 2)
        named = [name for event in heard for name in event["joined"]]
        self.assertEqual(len(named), len(set(named)), "nobody is named twice")
        self.assertEqual([event["left"] for event in heard], [[]] * len(heard))

    async def test_a_killed_nodes_users_are_gone(self):
        self.start_node(settings={"hub.lease": "2s"})
        alice = await self.room(self.nodes[0], "42", "alice")
        await self.room(self.nodes[2], "42", "bob")
        await self.room(self.nodes[2], "42", "alice")
        await self.online(alice, 2)
        self.nodes[2].kill()
        begun = asyncio.get_running_loop().time()
        await self.online(alice, 1)
        self.assertLess(asyncio.get_running_loop().time() - begun, 2 + 2 + 8, "within two seconds after the lease, on a machine that has them")
        self.assertEqual((await alice.request(op="online", room="42"))["ok"]["users"], ["alice"])

    async def test_a_frozen_node_states_its_users_again(self):
        self.start_node(settings={"hub.lease": "2s"})
        alice = await self.room(self.nodes[0], "42", "alice")
        bob = await self.room(self.nodes[2], "42", "bob")
        await self.online(alice, 2)
        self.nodes[2].signal(signal.SIGSTOP)
        await self.online(alice, 1)
        self.nodes[2].signal(signal.SIGCONT)
        await self.online(alice, 2)
        self.assertEqual((await bob.request(op="online", room="42"))["ok"]["users"], ["alice", "bob"])


class OldReaders(warren.WarrenTest):
    """Programs that read plain keys."""

    def setUp(self):
        self.old = "old-" + secrets.token_hex(4) + "-"
        self.settings = {"hub.likes_interval": "100ms", "hub.online_interval": "100ms"}
        super().setUp()

    def start_node(self, *arguments, **options):
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
            file.write(f"""[route.live]
path = /websocket/{{room}}/{{user}}
online_key = {self.old}LiveActivityOnlineNum:{{room}}
likes_key = {self.old}LiveActivityZanNum:{{room}}
""")
        self.addCleanup(os.unlink, file.name)
        return super().start_node(*arguments, config=file.name, **options)

    def redis(self, *command):
        url = warren.REDIS_URL
        return subprocess.run(["redis-cli", "-u", url, *command], capture_output=True, text=True, check=True).stdout.strip()

    async def test_keys_are_kept_up_to_date(self):
        online, likes = f"{self.old}LiveActivityOnlineNum:42", f"{self.old}LiveActivityZanNum:42"
        alice = await self.room(self.nodes[0], "42", "alice")
        bob = await self.room(self.nodes[1], "42", "bob")
        warren.wait_for(lambda: self.redis("GET", online) == "2", "two are online")
        await alice.send({"op": "like", "room": "42", "n": 5})
        await bob.send({"op": "like", "room": "42", "n": 6})
        warren.wait_for(lambda: self.redis("GET", likes) == "11", "eleven likes")
        await bob.close()
        warren.wait_for(lambda: self.redis("GET", online) == "1", "one is online")
        await alice.close()
        warren.wait_for(lambda: self.redis("GET", online) == "0", "nobody is online")
        for key in (online, likes):
            self.assertGreater(int(self.redis("PTTL", key)), 0, "it does not stay for ever")

    async def test_who_comes_by_another_way_counts_in_them(self):
        """The room was entered by the route, on one node; on the other one it is only joined."""
        online, likes = f"{self.old}LiveActivityOnlineNum:44", f"{self.old}LiveActivityZanNum:44"
        alice = await self.room(self.nodes[0], "44", "alice")
        warren.wait_for(lambda: self.redis("GET", online) == "1", "one is online")
        bob = await self.client(f"{self.nodes[1].ws}/ws?user=bob")
        await bob.request(op="join", room="44")
        warren.wait_for(lambda: self.redis("GET", online) == "2", "two are online")
        await bob.send({"op": "like", "room": "44", "n": 6})
        warren.wait_for(lambda: self.redis("GET", likes) == "6", "six likes")
        await alice.close()
        warren.wait_for(lambda: self.redis("GET", online) == "1", "one is online again")
        await bob.close()
        warren.wait_for(lambda: self.redis("GET", online) == "0", "nobody is online")

    async def test_other_rooms_have_none(self):
        alice = await self.client(f"{self.nodes[0].ws}/ws?user=alice")
        await alice.request(op="join", room="43")
        await alice.expect(lambda m: m.get("event") == "online", "count")
        self.assertEqual(self.redis("KEYS", self.old + "*"), "")


class Watch(warren.WarrenTest):
    """How long users are in rooms."""

    def start_node(self, *arguments, **options):
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
            file.write("""[channel.watched]
match = room:watched-*
watch = yes
[hub]
watch_interval = 200ms
watch_gap = 8s
[session]
heartbeat = 1s
""")
        self.addCleanup(os.unlink, file.name)
        return super().start_node(*arguments, config=file.name, **options)

    def seconds(self, user, room="watched-1"):
        status, page = self.nodes[0].get(f"/v1/rooms/{room}/watch?user={user}")
        self.assertEqual(status, 200)
        return page["watched"][0]["seconds"] if page["watched"] else 0

    async def test_seconds(self):
        begun = asyncio.get_running_loop().time()
        phone = await self.room(self.nodes[0], "watched-1", "alice")
        desk = await self.room(self.nodes[1], "watched-1", "alice")  # on another node, at the same time
        bob = await self.room(self.nodes[1], "watched-1", "bob")
        bobs = asyncio.get_running_loop().time()
        other = await self.room(self.nodes[1], "other", "bob")
        listening = [asyncio.create_task(client.socket.wait_closed()) for client in (phone, desk, bob, other)]  # answers pings
        await asyncio.to_thread(warren.wait_for, lambda: self.seconds("alice") >= 4, "four seconds")
        seconds = self.seconds("alice")
        self.assertLessEqual(seconds, asyncio.get_running_loop().time() - begun + 1)
        # His time is not quite alice's. A node says how long ago a span of time was, so what it is kept waiting then is missing in the next one.
        whole = int(asyncio.get_running_loop().time() - bobs - 1.2)
        await bob.close()
        await asyncio.to_thread(warren.wait_for, lambda: self.seconds("bob") >= whole, "bob's time up to the end")
        self.assertEqual(self.seconds("bob", "other"), 0)
        page = self.nodes[1].get("/v1/rooms/watched-1/watch?limit=10")[1]
        self.assertEqual(sorted(entry["user"] for entry in page["watched"]), ["alice", "bob"])
        self.assertIsNone(page["next"])
        code, out, _ = warren.run_tool("warrenctl", "--api", self.nodes[0].api, "room", "watched-1", "--watch")
        self.assertEqual((code, len(out.splitlines())), (0, 3), out)
        self.assertEqual(self.nodes[0].get("/v1/rooms/r/watch?limit=501")[0], 400)
        for task in listening:
            task.cancel()


class Presences(warren.WarrenTest):
    """Rooms whose users are not counted, or not named."""

    def start_node(self, *arguments, **options):
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
            file.write("""[channel.huge]
match = room:huge-*
presence = connections
[channel.off]
match = room:off-*
presence = off
[channel.quiet]
match = room:quiet-*
roster = no
[hub]
online_interval = 100ms
""")
        self.addCleanup(os.unlink, file.name)
        return super().start_node(*arguments, config=file.name, **options)

    async def both(self, room):
        alice = await self.room(self.nodes[0], room, "alice")
        return alice, await self.room(self.nodes[1], room, "alice")

    async def count(self, client, count):
        return await client.expect(lambda m: m.get("event") == "online" and m["count"] == count, f"count {count}")

    async def test_connections(self):
        alice, again = await self.both("huge-1")
        event = await self.count(alice, 2)
        self.assertEqual((event["joined"], event["left"]), ([], []))
        self.assertEqual((await alice.request(op="online", room="huge-1"))["ok"], {"count": 2, "connections": 2, "users": []})
        await again.close()
        await self.count(alice, 1)

    async def test_off(self):
        alice, again = await self.both("off-1")
        room = next(c for c in again.welcome["channels"] if c["channel"] == "room:off-1")
        self.assertNotIn("online", room)
        self.assertEqual(room["likes"], 0)
        await alice.request(op="like", room="off-1", n=3)
        self.assertEqual(await alice.receive(), {"event": "likes", "room": "off-1", "total": 3}, "and no count before")

    async def test_no_roster(self):
        alice, _ = await self.both("quiet-1")
        bob = await self.room(self.nodes[1], "quiet-1", "bob")
        event = await self.count(bob, 2)
        self.assertEqual((event["joined"], event["left"]), ([], []))
        self.assertEqual((await alice.request(op="online", room="quiet-1"))["ok"], {"count": 2, "connections": 3, "users": []})


class LiveStandalone(Live, warren.WarrenTest):
    node_count = 1
    standalone = True


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 3)


if __name__ == "__main__":
    warren.main()
