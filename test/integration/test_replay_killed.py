#!/usr/bin/python3
"""Part of the real audience over three nodes, with likes and joins, while one node is killed and comes back under its name.

The viewers are clients of an independent library. Each looks at every position it is given, comes back to another node with the
position it had, and at the end knows the room's count and its likes from what it was told.
"""
import asyncio
import collections
import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402

VIEWERS, GUESTS = 48, 10
DURATION = 11.0  # seconds, of what were 220
LIKE_PERIOD = 0.25  # of a viewer
LIKES_INTERVAL = 0.3
ROOM = "video"


def plans():
    """Of the video's viewers the first ones: (when, number of the line, text) of their comments."""
    result = collections.OrderedDict()
    with open(os.path.join(warren.TOP, "test", "data", "danmaku.tsv"), encoding="utf-8") as file:
        for number, line in enumerate(file):
            at, who, text = line.rstrip("\n").split("\t", 2)
            if who in result or len(result) < VIEWERS:
                result.setdefault(who, []).append((int(at) / 220_000 * DURATION, number, text))
    return result


class Viewer:
    def __init__(self, evening, name, node, plan=()):
        self.evening, self.name, self.node, self.plan = evening, name, node, plan
        self.socket = None
        self.is_here, self.has_left = asyncio.Event(), False
        self.connections = 0
        self.first = self.epoch = self.offset = None  # positions
        self.heard = []
        self.unanswered = {}  # comments, by id
        self.hurry = asyncio.Semaphore(0)  # says the next one now
        self.said = 0
        self.count = self.total = None  # as it was told
        self.tasks = []

    def start(self):
        self.tasks.append(asyncio.create_task(self.listen()))

    def speak(self, begun):
        self.tasks += [asyncio.create_task(self.comment(begun)), asyncio.create_task(self.like())]

    # ---- speaking ----

    async def send(self, op):
        if self.is_here.is_set():
            try:
                await self.socket.send(json.dumps(op))
                return True
            except warren.websockets.ConnectionClosed:
                pass
        return False

    async def comment(self, begun):
        for at, number, text in self.plan:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.hurry.acquire(), max(begun + at - self.evening.now(), 0.001))  # as the video goes on
            op = {"op": "send", "room": ROOM, "data": {"n": number, "text": text}, "key": str(number), "id": f"c{number}"}
            self.said += 1
            self.unanswered[op["id"]] = op  # and said again by whoever has to come back meanwhile
            await self.send(op)

    async def like(self):
        while not self.evening.no_more_likes:
            await self.is_here.wait()
            self.evening.likes_sent += 1
            if not await self.send({"op": "like", "room": ROOM, "id": f"l{self.evening.likes_sent}"}):
                self.evening.likes_sent -= 1  # it did not leave
            await asyncio.sleep(LIKE_PERIOD)

    # ---- listening ----

    async def listen(self):
        while not self.has_left:
            if self.node.process.poll() is not None:
                self.node = self.evening.another(self.node)
            since = f"?since={self.epoch}:{self.offset}" if self.connections else ""
            try:
                self.socket = await warren.websockets.connect(f"{self.node.ws}/websocket/{ROOM}/{self.name}{since}", open_timeout=60,
                                                              compression=None, ping_interval=None)
            except (OSError, asyncio.TimeoutError, warren.websockets.WebSocketException):
                await asyncio.sleep(0.05)  # and then again
                continue
            try:
                async for frame in self.socket:
                    await self.take(json.loads(frame))
            except warren.websockets.ConnectionClosed:
                pass
            finally:
                self.is_here.clear()
                await self.socket.close()

    async def take(self, message):
        event, answer = message.get("event"), message.get("id")
        if event == "message":
            if (message["epoch"], message["offset"]) != (self.epoch, self.offset + 1):
                self.evening.trouble(f"{self.name}: {message['epoch']}:{message['offset']} after {self.epoch}:{self.offset}")
            self.epoch, self.offset = message["epoch"], message["offset"]
            self.heard.append(message["data"])
        elif event == "online":
            self.count = message["count"]
        elif event == "likes":
            if self.total is not None and message["total"] < self.total:
                self.evening.trouble(f"{self.name}: {message['total']} likes after {self.total}")
            self.total = message["total"]
        elif event == "welcome":
            await self.welcome(next(c for c in message["channels"] if c["channel"] == f"room:{ROOM}"))
        elif "ok" not in message or answer is None:
            self.evening.trouble(f"{self.name}: {message}")
        elif answer[0] == "l":
            self.evening.likes_taken.append((self.evening.now(), self.node))
        else:
            self.unanswered.pop(answer, None)

    async def welcome(self, channel):
        if self.connections:
            if not channel["recovered"]:
                self.evening.trouble(f"{self.name}: not recovered behind {self.epoch}:{self.offset}: {channel}")
        else:
            self.epoch, self.offset = channel["epoch"], channel["offset"]
            self.first = self.offset
        self.count, self.total = channel.get("online", self.count), channel.get("likes", self.total)
        self.connections += 1
        self.is_here.set()
        for op in list(self.unanswered.values()):
            self.evening.said_again += 1
            await self.send(op)

    async def leave(self):
        self.has_left = True
        if self.socket:
            await self.socket.close()

    async def end(self):
        await self.leave()
        for task in self.tasks:
            task.cancel()
        for result in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
                raise result


class ReplayKilled(warren.WarrenTest):
    node_count = 3
    settings = {"hub.likes_interval": f"{LIKES_INTERVAL * 1000:.0f}ms", "hub.online_interval": "300ms", "hub.lease": "3s"}

    def setUp(self):
        super().setUp()
        self.viewers, self.troubles, self.turns, self.said_again = [], [], 0, 0
        self.likes_sent, self.likes_taken, self.no_more_likes = 0, [], False

    @staticmethod
    def now():
        return asyncio.get_running_loop().time()

    def trouble(self, text):
        self.troubles.append(text)

    def another(self, node):
        """One that lives, evenly."""
        living = [n for n in self.nodes if n.process.poll() is None and n is not node]
        self.turns += 1
        return living[self.turns % len(living)]

    def add(self, name, node, plan=()):
        viewer = Viewer(self, name, node, plan)
        self.viewers.append(viewer)
        self.addAsyncCleanup(viewer.end)
        viewer.start()
        return viewer

    async def until(self, condition, what, show=lambda: "", timeout=90, pause=0.02):
        deadline = self.now() + timeout
        while not condition():
            self.assertEqual(self.troubles[:5], [])
            if self.now() > deadline:
                self.fail(f"not within {timeout} s: {what}; {show()}")
            await asyncio.sleep(pause)  # between two looks

    async def replay(self, is_back_at_once):
        """The half of the viewers is there from the beginning, the others come as the video goes on; guests leave while the node is dead."""
        audience = list(plans().items())
        # The numbering begins with the room's first message: who comes before that has no position to come back with.
        self.assertEqual(self.nodes[0].post(f"/v1/rooms/{ROOM}/messages", {"data": "the show begins"})[0], 202)
        said = {number: text for _, plan in audience for _, number, text in plan}
        killed = self.nodes[2]
        for i, (who, plan) in enumerate(audience[::2]):
            self.add(who, self.nodes[i % 3], plan)
        guests = [self.add(f"guest-{i}", killed if i % 2 else self.nodes[i % 4 // 2]) for i in range(GUESTS)]
        await self.until(lambda: all(v.connections for v in self.viewers), "all are there")
        witness = self.viewers[0]
        begun = self.now()
        for viewer in self.viewers:
            viewer.speak(begun)
        latecomers = asyncio.create_task(self.come_late(audience[1::2], begun))

        await self.until(lambda: len(witness.heard) > len(said) * 0.45, "it is under way")
        on_it = [v for v in self.viewers if v.node is killed and v not in guests]
        for guest in guests[1::2]:
            guest.has_left = True  # and never come back
        # They all speak at once, and the node is killed in the middle of it.
        hurried = {v.plan[v.said][1] for v in on_it if v.said < len(v.plan)}
        before = len(witness.heard)
        for viewer in on_it:
            viewer.hurry.release()
        await self.until(lambda: any(c["n"] in hurried for c in witness.heard[before:]), "the first of them was heard", pause=0)
        killed.process.kill()
        killed_at = self.now()
        killed.process.wait()
        for guest in guests[::2]:
            await guest.leave()
        if is_back_at_once:
            killed.start(ready=False)
        await self.until(lambda: len(witness.heard) > len(said) * 0.65 and all(v.connections > 1 for v in on_it), "it goes on elsewhere")
        if not is_back_at_once:
            await self.until(lambda: self.now() > killed_at + 3.5, "its lease is over")
            killed.start(ready=False)
        await asyncio.to_thread(killed.wait_ready, 60)
        for viewer in on_it:
            viewer.node = killed
            await viewer.socket.close()
        await self.until(lambda: all(v.node is killed and v.is_here.is_set() for v in on_it), "they are back")
        back_at = self.now()
        await latecomers

        present = [v for v in self.viewers if v not in guests]
        await self.until(lambda: all(v.offset == len(said) + 1 for v in present), "all have heard everything", lambda: [v.offset for v in present])
        self.assertFalse([v.name for v in present if v.unanswered])
        print(f"{len(hurried)} spoke when the node was killed; {self.said_again} comments were said again", file=sys.stderr)
        self.check_comments(present, said)
        await self.until(lambda: any(at > back_at and node is killed for at, node in self.likes_taken), "it takes likes again")
        self.no_more_likes = True
        await self.until(lambda: all(v.count == len(present) for v in present), "the count is right everywhere",
                         lambda: collections.Counter(v.count for v in present))
        await self.check_likes(present, killed, killed_at)
        await self.check_state(present)
        self.assertEqual(self.troubles, [])

    async def come_late(self, audience, begun):
        for i, (who, plan) in sorted(enumerate(audience), key=lambda each: each[1][1][0]):
            await asyncio.sleep(begun + plan[0][0] - 0.2 - self.now())  # until shortly before the first comment
            node = self.nodes[i % 3]
            self.add(who, node if node.process.poll() is None else self.another(node), plan).speak(begun)

    def check_comments(self, present, said):
        log = present[0].heard
        self.assertEqual(present[0].first, 1)
        self.assertEqual(len(log), len(said), "each comment once")
        self.assertEqual({c["n"]: c["text"] for c in log}, said)
        for viewer in present:
            self.assertEqual(viewer.heard, log[viewer.first - 1:], viewer.name)

    async def check_likes(self, present, killed, killed_at):
        """All have the same total; missing is at most what the killed node took in its last interval, and while that was on its way."""
        await asyncio.gather(*[task for v in present for task in v.tasks[1:]])  # they have done
        late = sum(node is killed and killed_at - 2 * LIKES_INTERVAL < at <= killed_at + 0.5 for at, node in self.likes_taken)
        early = sum(node is killed and at <= killed_at - 2 * LIKES_INTERVAL for at, node in self.likes_taken)
        self.assertGreater(early, late, "what must not be missed is more than what may")
        seen = {}

        def has_settled():
            """All agree, on what is not too little, and have done so for some intervals."""
            totals = {node.get(f"/v1/rooms/{ROOM}")[1]["likes"] for node in self.nodes} | {v.total for v in present}
            if seen.get("totals") != totals:
                seen.update(totals=totals, since=self.now())
            return len(totals) == 1 and min(totals) >= len(self.likes_taken) - late and self.now() > seen["since"] + 4 * LIKES_INTERVAL

        await self.until(has_settled, f"all know the same total, from {len(self.likes_taken) - late} to {self.likes_sent}", lambda: seen)
        total = present[0].total
        print(f"{total} likes of {self.likes_sent} sent, {len(self.likes_taken)} answered; of the killed node {early}, and {late} in the end",
              file=sys.stderr)
        self.assertLessEqual(total, self.likes_sent)

    async def check_state(self, present):
        """The nodes say the same, and so is a newcomer told."""
        for node in self.nodes:
            room = node.get(f"/v1/rooms/{ROOM}")[1]
            self.assertEqual((room["count"], room["connections"]), (len(present), len(present)), room)
            self.assertEqual({n["node"]: n["users"] for n in room["nodes"]}, collections.Counter(v.node.id for v in present))
        newcomer = await self.room(self.nodes[2], ROOM, "newcomer")
        room = next(c for c in newcomer.welcome["channels"] if c["channel"] == f"room:{ROOM}")
        self.assertEqual((room["online"], room["likes"]), (len(present) + 1, present[0].total))
        await self.until(lambda: all(v.count == len(present) + 1 for v in present), "the newcomer is counted")

    async def test_a_killed_node_is_back_at_once(self):
        """Before its lease is over: what it stated in its former life is under the lease of its new one."""
        await self.replay(True)

    async def test_a_killed_node_is_back_when_it_was_given_up(self):
        await self.replay(False)


if __name__ == "__main__":
    warren.main()
