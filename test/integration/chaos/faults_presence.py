"""What nodes state of themselves: who is on them, how many, where; and that none of it is left behind."""
import asyncio
import random
import signal

import fleet as fleets
import warren
from faults import fault


def where(world, node, user):
    """The nodes of a user's sessions, as this node tells."""
    return sorted(s["node"] for s in asked(node, f"/v1/users/{user}")["sessions"])


def asked(node, path):
    """What a node answers; one that has lost the store for a moment is asked again."""
    return warren.wait_for(lambda: (lambda status, answer: answer if status == 200 else None)(*node.get(path)), f"{node.id} answers {path}", 30)


def count(node, room):
    return asked(node, f"/v1/rooms/{room}/users")["count"]


def is_alive(node, other):
    return any(n["node"] == other.id and n["alive"] for n in asked(node, "/v1/nodes")["nodes"])


async def has_ghosts(world):
    """A room with two users on the first node, who never come back by themselves, and one on each other."""
    world.ghosts = [world.fleet.add(fleets.Client, f"ghost{i}", ["ghosts"], world.nodes[0], i == 0, is_steady=False) for i in range(2)]
    world.others = [world.fleet.add(fleets.Client, f"other{i}", ["ghosts"], world.nodes[i]) for i in (1, 2)]
    for ghost in world.ghosts:
        ghost.pins, ghost.patience = True, 600


async def is_known(world, total, users, timeout, what):
    """Every living node tells this count and these places, and so were the listeners told."""
    async def all_of(node):
        await world.until(lambda: count(node, "ghosts") == total, f"{what}: {node.id} counts {total}", timeout)
        for user, nodes in users.items():
            await world.until(lambda user=user, nodes=nodes: where(world, node, user) == nodes, f"{what}: {node.id} knows where {user} is", timeout)
    await asyncio.gather(*[all_of(node) for node in world.nodes[1:]])
    try:
        await world.until_now(lambda: all(other.counts.get("ghosts") == total for other in world.others), "", timeout)
    except AssertionError:
        raise AssertionError(f"{what}: not told within {timeout} s that {total} are there, but {[other.counts for other in world.others]}") from None


@fault("presence", stays=False, prepare=has_ghosts)
async def killed_node_is_forgotten(world):
    """A killed node's users, counts and places are gone within two seconds after its lease has ended."""
    node, teller = world.nodes[0], world.nodes[1]
    home = {ghost.name: [node.id] for ghost in world.ghosts}
    await is_known(world, 4, home, 30, "before")
    for ghost in world.ghosts:
        ghost.rests = True
    world.mark("fault")
    await world.do(node.kill)
    await world.until(lambda: not is_alive(teller, node), "its lease ends", 60)
    ended = world.fleet.now()
    await is_known(world, 2, {ghost.name: [] for ghost in world.ghosts}, 2 if world.is_full else 10, "after the lease")
    world.note(f"gone {world.fleet.now() - ended:.2f} s after the lease was seen to have ended")
    node.start(ready=False)
    await world.do(node.wait_ready, 60)
    for ghost in world.ghosts:
        await world.wake(ghost)
    await is_known(world, 4, home, 30, "when it is back")
    world.mark("mended")


@fault("presence", stays=False, patience=2, prepare=has_ghosts)
async def frozen_node_puts_its_state_back(world):
    """A node stands still past its lease, and is forgotten; when it wakes, what it had is there again, for clients who had more patience."""
    node, teller = world.nodes[0], world.nodes[1]
    home = {ghost.name: [node.id] for ghost in world.ghosts}
    await is_known(world, 4, home, 30, "before")
    connections = [ghost.connections for ghost in world.ghosts]
    world.mark("fault")
    node.signal(signal.SIGSTOP)
    await world.until(lambda: not is_alive(teller, node), "its lease ends", 60)
    await is_known(world, 2, {ghost.name: [] for ghost in world.ghosts}, 3 if world.is_full else 10, "while it is frozen")
    node.signal(signal.SIGCONT)
    woke = world.fleet.now()
    await is_known(world, 4, home, 5 if world.is_full else 20, "when it woke")
    world.note(f"back {world.fleet.now() - woke:.2f} s after it woke")
    assert connections == [ghost.connections for ghost in world.ghosts], "on the connections that they had"
    world.mark("mended")
    await world.ready()


@fault("presence", stays=False, patience=2, prepare=has_ghosts)
async def late_close_of_an_old_connection(world):
    """A user's old connection closes on a node that is frozen; the node hears of it when he is elsewhere, and his new session stays."""
    node = world.nodes[0]
    world.mark("fault")
    for ghost, place in zip(world.ghosts, world.nodes[1:]):
        node.signal(signal.SIGSTOP)
        ghost.pins, ghost.node = False, place
        ghost.patience = None
        ghost.chooses = [place]
        await ghost.leave_at_once()
        await world.until_now(lambda ghost=ghost: ghost.joined.is_set(), "he is back elsewhere", 60)
        await world.until(lambda ghost=ghost, place=place: place.id in where(world, place, ghost.name), "and known to be")
        node.signal(signal.SIGCONT)
        await world.until(lambda ghost=ghost, place=place: where(world, world.nodes[1], ghost.name) == [place.id], "the old session ends", 60)
        deadline = world.fleet.now() + 1.5  # what is yet to be done about it would be done by then
        while world.fleet.now() < deadline:
            assert place.id in await world.do(where, world, world.nodes[2], ghost.name), "the new session was erased"
            await asyncio.sleep(0.05)
    world.mark("mended")
    await world.ready()


class Mayfly(fleets.Wanderer):
    """Joins rooms, leaves them, says nothing; goes and comes back."""

    async def flit(self, rooms, until):
        while self.fleet.now() < until:
            if not self.joined.is_set():
                await asyncio.sleep(0.02)
                continue
            room = random.choice(rooms)
            self.visits += 1
            for op in ("join", "leave"):
                if future := await self.ask(op=op, room=room):
                    await asyncio.wait([future], timeout=2)
            if random.random() < 0.05:
                await self.leave()
            await asyncio.sleep(random.uniform(0, self.pause))


def keys(world):
    found, cursor = set(), 0
    while True:
        cursor, page = world.redis.command("SCAN", cursor, "COUNT", 1000)
        found.update(page)
        if int(cursor) == 0:
            return found


async def has_mayflies(world):
    world.mayflies = [world.fleet.add(Mayfly, f"may{i}", ["perch"], world.nodes[i % 3], is_steady=False) for i in range(60 if world.is_full else 12)]


@fault("presence", prepare=has_mayflies, scale={"wanderers": 0}, takes=700)
async def a_thousand_rooms_with_churn(world):
    """Clients come to a thousand rooms and go, for ten minutes at full length: no room, session, place or key is left behind, and memory returns."""
    rooms = [f"churn{i}" for i in range(1000)]
    living = ("warren_hub_rooms", "warren_hub_sessions", "warren_hub_channels")

    def numbers():
        return [[node.metric(name) for name in living] for node in world.nodes]

    def resident():
        return sum(node.metric("warren_process_resident_bytes") for node in world.nodes)

    async def churn(seconds):
        until = world.fleet.now() + seconds
        await asyncio.gather(*[mayfly.flit(rooms, until) for mayfly in world.mayflies])
        await asyncio.gather(*[world.rest(mayfly) for mayfly in world.mayflies])

    def of_churn():
        # That a user was ever here is remembered on purpose, once for each, for channel.known_age.
        return {key for key in keys(world) if ("churn" in key or "may" in key or "perch" in key) and not key.startswith("w:known:{user:")}

    async def left(count):
        try:
            await world.until(lambda: len(of_churn()) == count, "", 90)
        except AssertionError:
            raise AssertionError(f"left in Redis: {[(key, world.redis.command('PTTL', key)) for key in sorted(of_churn())[:8]]} …") from None

    async def are_gone():
        """What each node counts is what its other clients are in: that of before, since they stay where they are."""
        try:
            await world.until(lambda: numbers() == before, "", 90)
        except AssertionError:
            lines = [line for node in world.nodes for line in warren.fetch(node.api + "/metrics")[1].decode().splitlines()
                     if line.startswith(("warren_hub", "warren_gateway_sess")) and not line.endswith(" 0")]
            raise AssertionError(f"rooms, sessions, channels: {before} before, {numbers()} now\n" + "\n".join(lines)) from None

    for mayfly in world.mayflies:
        mayfly.visits, mayfly.pause = 0, 0.2 if world.is_full else 0.02
    await asyncio.gather(*[world.rest(mayfly) for mayfly in world.mayflies])
    await left(0)
    await world.pause(1)
    before = await world.do(numbers)
    for mayfly in world.mayflies:
        await world.wake(mayfly)
    world.mark("fault")
    await churn(60 if world.is_full else 2)  # allocators find their shape
    await left(0)
    await are_gone()
    memory = await world.do(resident)
    for mayfly in world.mayflies:
        await world.wake(mayfly)
    await churn(540 if world.is_full else 3)
    await left(0)
    await are_gone()
    grown = (await world.do(resident) - memory) / 1e6
    visits = sum(mayfly.visits for mayfly in world.mayflies)
    world.note(f"{visits} visits; keys of theirs in Redis: 0; resident memory of the three nodes grew by {grown:.1f} MB")
    assert visits > 100, visits
    # A sanitizer keeps on purpose what was freed, and tells at the end what was not.
    assert warren.is_sanitized() or grown < 12, f"{grown:.1f} MB"
    world.mark("mended")
