"""Clients: they stay, come back, wander, and send numbered lines until each is accepted.

Every frame that arrives goes into the client's book (ledger.py). They do what a good client does: come back with `since` and full jitter to any
node, honour `retry_after_ms`, repeat a send with its key, and give up a connection that says nothing to their pings.
"""
import asyncio
import datetime
import json
import random
import urllib.parse

import websockets

from ledger import Heard

ANSWER_TIMEOUT = 2.0  # then a send is repeated
BACKOFF_MIN, BACKOFF_MAX = 0.1, 2.0


class Client:
    def __init__(self, fleet, name, rooms, node, by_url, is_steady=True):
        self.fleet = fleet
        self.name = name
        self.rooms = rooms
        self.node = node
        self.by_url = by_url  # joins its one room by the URL; else by `join`
        self.book = fleet.ledger.book(name, is_steady)
        self.positions = {}  # room -> (epoch, offset) of the last message
        self.socket = None
        self.joined = asyncio.Event()
        self.joining = {}  # id -> (room, since)
        self.open = {}  # id -> future
        self.next_id = 0
        self.connections = 0
        self.refused = 0
        self.retry_at = None  # the moment that it was told
        self.heard_at = self.asked_at = 0
        self.is_over = False
        self.task = None
        self.pins = False  # comes back to the same node only
        self.rests = self.is_resting = False  # does not come back meanwhile
        self.chooses = None  # of which nodes, if not of all
        self.patience = None  # his own
        self.counts = {}  # room -> its online count as it was told last

    # ---- the connection ----

    def start(self):
        self.task = asyncio.create_task(self.run(), name=self.name)

    async def run(self):
        attempt = 0
        while not self.is_over:
            connected = await self.session()
            if self.is_over:
                return
            attempt = 0 if connected else attempt + 1
            if self.retry_at is not None:
                delay, self.retry_at = max(0, self.retry_at - self.fleet.now()), None
            else:
                delay = random.uniform(0, min(BACKOFF_MAX, BACKOFF_MIN * 2 ** attempt))
            await asyncio.sleep(delay)
            while self.rests:
                self.is_resting = True
                await asyncio.sleep(0.02)
            self.is_resting = False
            if not self.pins:
                self.node = random.choice(self.chooses or self.fleet.nodes)

    def url(self):
        if not self.by_url:
            return f"{self.node.ws}/ws?user={self.name}"
        room = self.rooms[0]
        at = self.positions.get(room)
        return f"{self.node.ws}/websocket/{room}/{self.name}" + (f"?since={at[0]}:{at[1]}" if at else "")

    async def session(self):
        """One connection from its beginning to its end; whether there was one."""
        sinces = {room: self.positions.get(room) for room in self.rooms}
        try:
            socket = await websockets.connect(self.url(), open_timeout=self.fleet.patience, close_timeout=1, ping_interval=None, compression=None,
                                              max_size=None)
        except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException) as error:
            self.refused += 1
            headers = getattr(error, "headers", None)
            if headers is not None and "Retry-After" in headers:
                self.retry_at = self.fleet.now() + random.uniform(0, float(headers["Retry-After"]))
            return False
        self.connections += 1
        self.fleet.connected(self)
        self.socket, self.heard_at = socket, self.fleet.now()
        try:
            while True:
                await self.take(await socket.recv(), sinces)
        except (OSError, websockets.exceptions.ConnectionClosed):
            pass
        finally:
            self.socket = None
            self.joined.clear()
            self.joining.clear()
            for future in self.open.values():
                future.cancel()
            self.open.clear()
            socket.transport.abort()
        return True

    async def leave(self):
        """Goes in one of several ways; run() brings it back."""
        socket = self.socket
        if socket and random.random() < 0.5:
            await socket.close()
        elif socket:
            socket.transport.abort()

    async def leave_at_once(self):
        if self.socket:
            self.socket.transport.abort()
            self.joined.clear()

    async def end(self):
        self.is_over = True
        if self.socket:
            self.socket.transport.abort()
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    # ---- frames ----

    async def take(self, frame, sinces):
        now = self.heard_at = self.fleet.now()
        said = json.loads(frame)
        event = said.get("event")
        if event == "message":
            self.take_message(said, now)
        elif event == "welcome":
            await self.take_welcome(said, sinces, now)
        elif event == "reset" and said["channel"].startswith("room:"):
            room, at = said["channel"][5:], (int(said["epoch"]), said["offset"])
            self.positions[room] = at
            self.book.add(room, Heard("reset", now, at))
        elif event == "online":
            self.counts[said["room"]] = said["count"]
        elif event == "gap":
            self.book.add(said["channel"][5:], Heard("gap", now, None))
        elif event == "goodbye":
            self.retry_at = now + said["retry_after_ms"] / 1000
            self.fleet.goodbyes.append((now, said["retry_after_ms"] / 1000, self.book.is_steady))
        elif "id" in said:
            self.take_answer(said, now)

    def take_message(self, said, now):
        room = said["channel"][5:]
        at = (int(said["epoch"]), said["offset"]) if "epoch" in said else None
        if at:
            self.positions[room] = at
        sender, number = said["data"]["s"], said["data"]["n"]
        self.book.add(room, Heard("message", now, at, id=said["id"], sender=sender, number=number))
        self.fleet.arrived(self, room, sender, number, now)

    async def take_welcome(self, said, sinces, now):
        if self.by_url:
            state = next(c for c in said["channels"] if c["channel"] == "room:" + self.rooms[0])
            self.take_joined(self.rooms[0], sinces[self.rooms[0]], state, now)
            self.joined.set()
            return
        for room in self.rooms:
            self.next_id += 1
            self.joining[self.next_id] = (room, sinces[room])
            op = {"id": self.next_id, "op": "join", "room": room}
            if sinces[room]:
                op["since"] = {"epoch": str(sinces[room][0]), "offset": sinces[room][1]}
            await self.socket.send(json.dumps(op))

    def take_joined(self, room, since, state, now):
        at = (int(state["epoch"]), state["offset"]) if "epoch" in state else None
        recovered = state.get("recovered", False)
        if at and not (since and recovered) and not since:
            self.positions[room] = at
        if since and not recovered:
            when = datetime.datetime.utcnow().isoformat(timespec="milliseconds")
            self.fleet.note(f"{when}Z {self.name} was told by {self.node.id} that {room} since {since} is not recovered: {state}")
        self.book.add(room, Heard("join", now, at, since=since, recovered=recovered))

    def take_answer(self, said, now):
        joining = self.joining.pop(said["id"], None)
        if joining:
            if "ok" not in said:
                self.fleet.trouble(f"{self.name} could not join {joining[0]}: {said}")
                return
            self.take_joined(*joining, said["ok"], now)
            if not self.joining:
                self.joined.set()
            return
        future = self.open.pop(said["id"], None)
        if future and not future.done():
            future.set_result(said)

    # ---- requests ----

    async def ask(self, **op):
        """A request on its way: its future; None without a connection."""
        if not self.socket or not self.joined.is_set() or self.socket.transport.is_closing():
            return None
        self.next_id += 1
        op["id"] = self.next_id
        future = self.open[self.next_id] = asyncio.get_running_loop().create_future()
        try:
            await self.socket.send(json.dumps(op))
        except (OSError, websockets.exceptions.ConnectionClosed):
            self.open.pop(op["id"], None)
            return None
        return future

    async def watch(self, now):
        """A connection that is silent is asked; one that does not answer is given up."""
        if not self.socket:
            return
        patience = self.patience or self.fleet.patience
        if now - self.heard_at > patience:
            self.fleet.given_up += 1
            self.socket.transport.abort()
        elif now - max(self.heard_at, self.asked_at) > patience / 4:
            self.asked_at = now
            try:
                await asyncio.wait_for(self.socket.send('{"id":0,"op":"ping"}'), 1)
            except (OSError, asyncio.TimeoutError, websockets.exceptions.ConnectionClosed):
                pass


class Sender(Client):
    """Sends its numbers into its rooms by the clock, each again with its key until it is accepted, in every room one after the other."""

    ways = 1  # how many connections one send takes at once
    copies = 1  # how many times on each

    def begin(self, period):
        self.period = period
        self.is_ending = False
        self.workers = [asyncio.create_task(self.work(room, i)) for i, room in enumerate(self.rooms) if self.speaks_in(i)]

    def speaks_in(self, index):
        """Not everywhere: a node whose own client sends into a room learns by that of what it has missed, and others have to do without."""
        return index % 3 != int(self.name[1:]) % 3

    async def finish(self, timeout):
        """No new numbers; waits until the last ones are accepted."""
        self.is_ending = True
        done, left = await asyncio.wait(self.workers, timeout=timeout)
        for task in left:
            task.cancel()
        for task in done:
            task.result()

    async def work(self, room, index):
        loop = asyncio.get_running_loop()
        due = loop.time() + self.period * (index + random.random()) / len(self.rooms)
        number = 0
        is_quiet = room in self.fleet.quiet_rooms
        while True:
            await asyncio.sleep(max(0, due - loop.time()))
            if self.is_ending or (is_quiet and self.fleet.are_quiet):
                return
            number += 1
            await self.line(room, number, due)
            due += self.period

    async def line(self, room, number, due):
        sent = self.fleet.ledger.sent[(room, self.name, number)] = self.fleet.sent(due)
        op = {"op": "send", "room": room, "data": {"s": self.name, "n": number}, "key": f"{number}"}
        while sent.accepted is None:
            delay = await self.attempt(op, sent)
            if delay:
                await asyncio.sleep(delay)

    def connections_for_send(self):
        return [self]

    async def attempt(self, op, sent):
        """One try; how long to wait before the next."""
        futures = []
        for client in self.connections_for_send():
            for _ in range(self.copies):
                if future := await client.ask(**op):
                    futures.append(future)
        if not futures:
            return 0.02
        now = self.fleet.now()
        sent.first = sent.first or now
        sent.tries += 1
        done, _ = await asyncio.wait(futures, timeout=ANSWER_TIMEOUT)
        delay = 0
        for future in done:
            if future.cancelled():
                continue
            answer = future.result()
            if "ok" in answer:
                ok = answer["ok"]
                position = (int(ok["epoch"]), ok["offset"]) if "epoch" in ok else None
                sent.answers.append((ok["message"], position))
                if sent.accepted is None:
                    sent.accepted, sent.position, sent.message = self.fleet.now(), position, ok["message"]
                continue
            error = answer["error"]
            sent.refusals += 1
            self.fleet.refusals[error["code"]] += 1
            if error["code"] not in ("unavailable", "busy", "rate_limited"):
                self.fleet.trouble(f"{self.name}: {op} was refused: {answer}")
            if "retry_after_ms" not in error:
                self.fleet.trouble(f"{self.name}: a refusal without retry_after_ms: {answer}")
            delay = max(delay, error.get("retry_after_ms", 100) / 1000 * random.uniform(1, 1.2))
        return delay


class TwiceSender(Sender):
    """Every send twice on one connection."""

    copies = 2


class Viewer(Sender):
    """Of one room: hears everything, and says its lines (by a plan) when their time comes."""

    def speaks_in(self, index):
        return False

    def say_by(self, plan, began):
        self.workers = [asyncio.create_task(self.say(plan, began))]

    async def say(self, plan, began):
        loop = asyncio.get_running_loop()
        for number, due in enumerate(plan, 1):
            await asyncio.sleep(max(0, began + due - loop.time()))
            await self.line(self.rooms[0], number, began + due)


class TwoWaySender(Sender):
    """Every send on two connections to different nodes at once, as somebody does who does not wait for an answer."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.second = None

    def connections_for_send(self):
        pair = [self, self.second]
        random.shuffle(pair)
        return pair


class Wanderer(Client):
    """Goes and comes back, to any node, every now and then."""

    def wander(self, shortest, longest):
        self.is_settled = False
        self.wandering = asyncio.create_task(self.roam(shortest, longest))

    async def roam(self, shortest, longest):
        while not self.is_settled:
            await asyncio.sleep(random.uniform(shortest, longest))
            await self.leave()

    async def settle(self):
        self.is_settled = True  # the library's close() swallows a cancellation
        self.wandering.cancel()
        await asyncio.gather(self.wandering, return_exceptions=True)
