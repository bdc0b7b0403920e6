"""Three nodes, a broker and a store with ways to them that can be broken, a fleet of clients, and the run of one fault from its beginning to its end."""
import asyncio
import collections
import http.client
import random
import time
import urllib.parse

import fleet as fleets
import ledger as ledgers
import pace
import proxy as proxies
import services
import warren


class Fleet:
    """All clients of one run."""

    def __init__(self, nodes, patience):
        self.nodes = nodes
        self.patience = patience  # seconds of silence until a client gives its connection up
        self.ledger = ledgers.Ledger()
        self.clients = []
        self.troubles, self.notes = [], []
        self.refusals = collections.Counter()
        self.given_up = 0
        self.goodbyes = []  # (when it was heard, in how many seconds to come back, whether by one who stays)
        self.connects = []  # (when, whether it was there before, whether it stays)
        self.delays = []  # (first sent, delay) of every delivery to who stays
        self.pulse = pace.Pulse()  # of the loop on which all of them are
        self.watcher = None
        self.quiet_rooms, self.are_quiet = set(), False  # where nobody speaks any more from the middle of the fault on

    @staticmethod
    def now():
        return time.monotonic()

    @staticmethod
    def sent(due):
        """@due: when the clock says that it is said; what is in the way of saying it counts."""
        return ledgers.Sent(due)

    def trouble(self, text):
        if len(self.troubles) < 20:
            self.troubles.append(text)

    def note(self, text):
        if len(self.notes) < 5:
            self.notes.append(text)

    def connected(self, client):
        self.connects.append((self.now(), client.connections > 1, client.book.is_steady))

    def arrived(self, client, room, sender, number, now):
        sent = self.ledger.sent.get((room, sender, number))
        if sent and sent.first and client.book.is_steady:
            self.delays.append((sent.first, now - sent.first))

    def add(self, kind, name, rooms, node, by_url=False, is_steady=True):
        client = kind(self, name, rooms, node, by_url, is_steady)
        self.clients.append(client)
        return client

    async def start(self):
        self.pulse.start()
        for client in self.clients:
            client.start()
        await asyncio.wait_for(asyncio.gather(*[client.joined.wait() for client in self.clients]), 120)
        self.watcher = asyncio.create_task(self.watch())

    async def watch(self):
        while True:
            now = self.now()
            await asyncio.gather(*[client.watch(now) for client in self.clients])
            await asyncio.sleep(0.1)

    async def end(self):
        if self.watcher:
            self.watcher.cancel()
            await self.pulse.stop()
        await asyncio.gather(*[client.end() for client in self.clients])


class Scale:
    """How large and how long."""

    def __init__(self, rooms, period, before, hold, after, stayers, wanderers, stay):
        self.rooms = rooms
        self.period = period  # of a sender's numbers in one room
        self.before, self.hold, self.after = before, hold, after  # seconds
        self.stayers = stayers  # clients that stay, a node
        self.wanderers = wanderers
        self.stay = stay  # seconds between which a wanderer goes


SHORT = Scale(rooms=6, period=0.25, before=1.0, hold=4.0, after=1.5, stayers=2, wanderers=4, stay=(0.3, 1.5))
FULL = Scale(rooms=30, period=0.75, before=5.0, hold=30.0, after=10.0, stayers=8, wanderers=12, stay=(0.5, 6.0))


class World:
    """What a fault gets into its hands. settings: of every node. Each node has its own way to the broker (ways) and to the store (store_ways)."""

    settings = {}

    def __init__(self, scale, is_full, shared=None):
        self.scale = scale
        self.is_full = is_full
        self.services = shared  # a broker of our own, which may be broken; None: the one of the environment
        self.nodes, self.ways, self.store_ways = [], [], []
        self.broker = self.redis = self.fleet = None
        self.notes = []
        self.marks = {}
        self.backends = []
        self.spare = []  # nodes beyond the three

    # ---- building ----

    async def build(self, settings, patience, kept=False, has_ways=True):
        self.has_ways = has_ways
        self.broker = await asyncio.to_thread(warren.Broker, *((self.services.amqp_url, self.services.management_url) if self.services else ()))
        self.redis = await asyncio.to_thread(services.Redis(kept).start)
        times = {"drain.period": "30s"} if self.is_full else {"drain.period": "3s", "hub.lease": "3s", "hub.canary": "1s", "amqp.heartbeat": "2s"}
        self.settings = {"hub.online_interval": "500ms", "redis.timeout": "5s", "channel.long.match": "room:*", "channel.long.log_length": "20000",
                         "channel.long.log_bytes": "16m", **times, **settings}
        for _ in range(3):
            await self.add_node()
        await self.start_nodes(self.nodes)
        self.fleet = Fleet(self.nodes, patience)

    async def add_node(self, **settings):
        amqp_port = urllib.parse.urlsplit(self.broker.url).port
        way_port, store_port = amqp_port, self.redis.port
        if self.has_ways:
            way, store_way = proxies.Proxy(amqp_port, is_amqp=True), proxies.Proxy(self.redis.port)
            for each, among in ((way, self.ways), (store_way, self.store_ways)):
                await each.start()
                among.append(each)
            way_port, store_port = way.port, store_way.port
        node = warren.Node({
            **self.settings, **settings, "amqp.url": self.broker.url.replace(f":{amqp_port}/", f":{way_port}/"),
            "amqp.management_url": self.broker.management, "redis.url": f"redis://127.0.0.1:{store_port}/0", "redis.prefix": "w:"})
        self.nodes.append(node)
        return node

    async def start_nodes(self, nodes):
        for node in nodes:
            node.start(ready=False)
        for node in nodes:
            await asyncio.to_thread(node.wait_ready, 60)

    async def populate(self, sender=fleets.Sender, senders=3):
        """Senders are in every room; half of those who stay come by URL, half of the wanderers too.

        In the quiet rooms nobody comes and goes, and nobody speaks any more from the middle of the fault on: whatever is missing there is told by no
        later message, and by no client that knows better.
        """
        scale, rooms = self.scale, [f"r{i}" for i in range(self.scale.rooms)]
        quiet = [f"q{i}" for i in range(max(3, scale.rooms // 4))]
        self.rooms = rooms
        self.fleet.quiet_rooms = set(quiet)
        self.senders = [self.fleet.add(sender, f"s{i}", rooms + quiet, self.nodes[i % 3]) for i in range(senders)]
        for i, node in enumerate(self.nodes):
            self.fleet.add(fleets.Client, f"q{i}", quiet, node)
        for i in range(3 * scale.stayers):
            by_url = i % 2 == 0
            some = [rooms[i % len(rooms)]] if by_url else random.sample(rooms, max(1, len(rooms) // 2))
            self.fleet.add(fleets.Client, f"c{i}", some, self.nodes[i % 3], by_url)
        self.wanderers = []
        for i in range(scale.wanderers):
            by_url = i % 2 == 0
            some = [random.choice(rooms)] if by_url else random.sample(rooms, max(1, len(rooms) // 3))
            self.wanderers.append(self.fleet.add(fleets.Wanderer, f"w{i}", some, self.nodes[i % 3], by_url, is_steady=False))

    # ---- running ----

    def mark(self, name):
        self.marks[name] = self.fleet.now()
        if name == "fault":
            asyncio.get_running_loop().call_later(self.scale.hold * 0.6, self.quieten)

    def quieten(self):
        self.fleet.are_quiet = True

    def note(self, text):
        self.notes.append(text)

    async def pause(self, seconds):
        """Lets the stream go on."""
        await asyncio.sleep(seconds)

    async def until(self, condition, what, timeout=60):
        """condition() may block; returns its value."""
        return await asyncio.to_thread(warren.wait_for, condition, what, timeout)

    async def until_now(self, condition, what, timeout=60):
        """condition() looks at what this loop holds."""
        deadline = self.fleet.now() + timeout
        while not (value := condition()):
            if self.fleet.now() > deadline:
                raise AssertionError(f"not within {timeout} s: {what}")
            await asyncio.sleep(0.02)
        return value

    async def do(self, function, *arguments):
        return await asyncio.to_thread(function, *arguments)

    @staticmethod
    def post_quietly(node, path, data, **members):
        """A publication by HTTP whose answer may never come."""
        try:
            return node.post(path, {"data": data, **members})
        except OSError:
            return None
        except http.client.HTTPException:
            return None

    async def begin(self):
        await self.fleet.start()
        for sender in self.senders:
            sender.begin(self.scale.period)
        for wanderer in self.wanderers:
            wanderer.wander(*self.scale.stay)
        self.mark("begin")
        await self.pause(self.scale.before)

    async def rest(self, client):
        """It goes, and does not come back before wake()."""
        client.rests = True
        while not client.is_resting:  # it may be on its way in
            await client.leave()
            await asyncio.sleep(0.05)

    async def wake(self, client):
        client.rests = False
        await self.until_now(client.joined.is_set, "it is back")

    async def ready(self, timeout=60):
        for node in self.nodes:
            await asyncio.to_thread(node.wait_ready, timeout)

    async def finish(self):
        """The stream ends; what was accepted arrives everywhere; one number more in every room comes last."""
        await self.pause(self.scale.after)
        self.quieten()
        await asyncio.gather(*[sender.finish(90) for sender in self.senders])
        for wanderer in self.wanderers:
            await wanderer.settle()
        await self.fleet_complete(60)
        self.mark("end")

    async def fleet_complete(self, timeout):
        """Everybody has everything; whoever never gets it is told of by the judgement."""
        deadline = self.fleet.now() + timeout
        accepted, wanted = self.fleet.ledger.accepted_by_room(), {}
        for client in self.fleet.clients:
            wanted[client] = self.fleet.ledger.wanted(client.book, accepted)
            await asyncio.sleep(0)  # the ways to the services are on this loop too
        left = list(wanted)
        while left and self.fleet.now() < deadline:
            left = [client for client in left if not client.joined.is_set() or
                    any(numbers - client.book.numbers[room] for room, numbers in wanted[client].items())]
            excused = [client for client in left if any(e.kind == "reset" or (e.kind == "join" and e.since and not e.recovered)
                                                        for events in client.book.rooms.values() for e in events)]
            if left and len(excused) == len(left) and self.fleet.now() > deadline - timeout + 3:
                return
            await asyncio.sleep(0.05)
        if left:
            self.note(f"incomplete: {[(c.name, self.fleet.ledger.missing(c.book)) for c in left][:8]}")

    async def close(self):
        """Everything ends, and every node cleanly."""
        problems = []
        if self.fleet:
            await self.fleet.end()
        for node in self.nodes + self.spare:
            if node.process and node.process.poll() is None:
                node.signal(18)  # SIGCONT
        if self.services:
            await self.do(self.services.heal)
        for way in self.ways:
            way.mend()
        for node in self.nodes + self.spare:
            try:
                await self.do(node.stop)
            except AssertionError as error:
                problems.append(str(error))
        for way in self.ways + self.store_ways:
            await way.close()
        if self.redis:
            self.redis.close()
        if self.broker:
            await self.do(self.broker.close)
        return problems
