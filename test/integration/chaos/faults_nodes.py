"""Faults of nodes: killed, killed at the worst moment, frozen, doubled."""
import asyncio
import collections
import os
import signal

import fleet as fleets
import pace
import warren
from faults import fault

COMMENTS = os.path.join(warren.TOP, "test", "data", "danmaku.tsv")


def audience(limit):
    """Of the video's viewers the first ones (None: all): when each commented, in milliseconds."""
    plans = collections.OrderedDict()
    with open(COMMENTS, encoding="utf-8") as file:
        for line in file:
            at, who, _ = line.split("\t", 2)
            if who in plans or limit is None or len(plans) < limit:
                plans.setdefault(who, []).append(int(at))
    return plans


async def has_an_audience(world):
    """One more room with the viewers of a video, evenly over the nodes, who say what they said, in as much time as all of this takes."""
    plans = audience(None if world.is_full else 90)
    speed = 220_000 / (240 if world.is_full else 14)  # so slow: all of them are one Python process
    world.viewers = []
    for i, (who, plan) in enumerate(plans.items()):
        viewer = world.fleet.add(fleets.Viewer, f"v-{who}", ["video"], world.nodes[i % 3], by_url=True)
        viewer.plan = [at / speed for at in plan]
        world.viewers.append(viewer)


async def comments_were_heard(world):
    end = world.video_began + max(max(viewer.plan) for viewer in world.viewers)
    for viewer in world.viewers:
        await viewer.finish(max(0, end - world.fleet.now()) + 90)
    await world.fleet_complete(90)
    lines = sum(len(v.plan) for v in world.viewers)
    sent = sum(room == "video" for room, _, _ in world.fleet.ledger.sent)
    assert sent == lines, f"{sent} of {lines} comments were sent"


@fault("drain", stays=False, prepare=has_an_audience, check=comments_were_heard, settings={"drain.rate": "0"}, scale={"wanderers": 3}, takes=330,
       has_ways=False)
async def three_nodes_drained_in_turn(world):
    """A rolling restart by SIGTERM under the audience of a video: who is sent away comes back evenly, and misses nothing."""
    period = 30 if world.is_full else 3
    slack = 5 if world.is_full else 20  # a sanitizer looks for leaks at the end, as long as that takes
    world.video_began = asyncio.get_running_loop().time()  # of the clock of fleet.now()
    for viewer in world.viewers:
        viewer.say_by(viewer.plan, world.video_began)
    world.mark("fault")
    for node, other in zip(world.nodes, world.nodes[1:] + world.nodes[:1]):
        here = {c.name for c in world.fleet.clients if c.socket and c.node is node and c.book.is_steady}
        # What it takes to ask either node something that has no part in this, is the machine's doing, and the lateness of the clients themselves.
        async def ask(node=node, other=other):
            await world.do(other.readiness)
            await world.do(node.readiness)
        pulse = pace.Pulse(0.1, ask).start()
        start = world.fleet.now()
        node.signal(signal.SIGTERM)
        await world.do(node.process.wait, 60)
        took = world.fleet.now() - start
        assert node.process.returncode == 0, f"{node.id} ended with {node.process.returncode}"
        back = [t for t, again, steady in world.fleet.connects if again and steady and t >= start]
        even, width = len(here) / period, period / 3
        await pulse.stop()
        late = pulse.late(start, world.fleet.now())
        peak = pace.steepest(back, width) / (width + late)
        told = pace.steepest([moment for t, moment, steady in world.fleet.goodbyes if steady and t >= start], width) / width
        world.note(f"{node.id}: {len(here)} clients left in {took:.1f} s: {even:.1f}/s if even; told to go at most {told:.1f}/s, "
                   f"{len(back)} came back, at most {peak:.1f}/s over any {width + late:.1f} s ({late:.1f} s of it for what the machine let wait)")
        assert len(here) >= len(world.viewers) / 6, "it had clients"
        assert took <= period + slack + late, f"it took {took:.1f} s to drain"
        assert told <= 2 * even, f"{told:.1f} clients a second were told to go, more than twice the even {even:.1f}"
        assert peak <= 2 * even, f"{peak:.1f} clients a second came back, more than twice the even {even:.1f}"
        node.start(ready=False)
        await world.do(node.wait_ready, 60)
    world.mark("mended")
    world.mark("back")
    await world.ready()


@fault("nodes", stays=False)
async def node_killed(world):
    """A node is killed (SIGKILL) and started again under its name; then the next one."""
    world.mark("fault")
    for node in world.nodes[:2]:
        await world.do(node.kill)
        await world.pause(world.scale.hold / 2)
        node.start(ready=False)
        await world.do(node.wait_ready, 60)
    world.mark("mended")
    world.mark("back")
    await world.ready()


async def has_a_late_one(world):
    world.late = world.fleet.add(fleets.Client, "late", world.rooms[:1], world.nodes[0], by_url=True, is_steady=False)


@fault("nodes", stays=False, prepare=has_a_late_one)
async def node_started_before_its_store(world):
    """A node starts, and a client comes back to it before the node has reached Redis: it waits a little, and gets what it missed."""
    node, way, late = world.nodes[0], world.store_ways[0], world.late
    await world.until_now(lambda: late.positions.get(world.rooms[0], (0, 0))[1] > 1, "it has heard something")
    world.mark("fault")
    await world.rest(late)
    await world.do(node.kill)
    way.silence()
    node.start(ready=False)
    await world.do(node.wait_listening)
    late.node, late.pins, late.rests = node, True, False
    await world.until(lambda: node.metric("warren_gateway_connections") > 0, "somebody has come", 60)
    way.mend()
    await world.until_now(late.joined.is_set, "it is back")
    world.mark("mended")
    await world.ready()


async def listeners_elsewhere(world):
    """A room that is heard on the other nodes alone, where nobody else speaks: nothing but the sweep tells them that they miss something."""
    for i in (1, 2):
        world.fleet.add(fleets.Client, f"z{i}", ["z"], world.nodes[i])


@fault("nodes", stays=False, prepare=listeners_elsewhere)
async def node_killed_between_append_and_publish(world):
    """What a node publishes does not reach the broker; as soon as the logs have what it appended, it is killed."""
    way, node = world.ways[0], world.nodes[0]
    room, key = "z", "w:log:{room:z}"
    world.mark("fault")
    for round_ in range(4 if world.is_full else 2):
        publisher = await world.until_now(lambda: next((link for link in way.links if link.is_publisher), None), "a publisher")
        publisher.hold(down=False)
        line = f'{{"s": "api", "n": {round_ + 1}}}'
        sending = asyncio.create_task(world.do(world.post_quietly, node, f"/v1/rooms/{room}/messages", {"s": "api", "n": round_ + 1}))
        # What the confirm would have told is never told: it is killed within the 500 ms that it may take.
        await world.until(lambda line=line: any(line in str(record) for _, record in world.redis.command("XREVRANGE", key, "+", "-", "COUNT", 20)),
                          "it is in the log")
        await world.do(node.kill)
        await sending
        world.fleet.ledger.sent[(room, "api", round_ + 1)] = sent = world.fleet.sent(world.fleet.now())
        sent.first = sent.accepted = world.fleet.now()  # it is in the log, and so everybody hears it
        sent.tries = 1
        await world.pause(world.scale.hold / 2)
        publisher.abort()
        node.start(ready=False)
        await world.do(node.wait_ready, 60)
    world.mark("mended")
    await world.ready()


@fault("nodes", stays=False, patience=2)
async def node_frozen_past_its_lease(world):
    """A node stands still (SIGSTOP) until its lease has ended and the broker may have given it up, and goes on as if nothing had been."""
    node = world.nodes[0]
    lease = 6 if world.is_full else 3
    world.mark("fault")
    node.signal(signal.SIGSTOP)
    await world.until(lambda: any(n["node"] == node.id and not n["alive"] for n in world.nodes[1].get("/v1/nodes")[1]["nodes"]), "its lease ended",
                      lease * 20)
    await world.pause(max(world.scale.hold - lease, 1))
    world.mark("mended")
    node.signal(signal.SIGCONT)
    world.mark("back")
    await world.ready()


@fault("nodes")
async def second_node_of_the_same_name(world):
    """A second live node takes the name of a first one: it has no queue, says so, and whoever is on either loses nothing."""
    first = world.nodes[0]
    world.mark("fault")
    port = first.port
    second = await world.add_node(**{"listen.public": f"127.0.0.2:{port}", "node.address": "127.0.0.1"})
    world.nodes.remove(second)
    world.spare.append(second)
    second.ws = f"ws://127.0.0.2:{port}"
    second.start(ready=False)
    await world.until(lambda: second.readiness()[0] == 503 and "name" in second.readiness()[1], "the second one says what is wrong", 60)
    guest = world.fleet.add(fleets.Client, "guest", world.rooms[:2], second)
    guest.pins = True
    guest.start()
    await world.until_now(guest.joined.is_set, "somebody is on it")
    await world.pause(world.scale.hold)
    assert await world.do(first.is_ready), "the first one goes on"
    assert (await world.do(second.readiness))[0] == 503
    assert "node.address" in second.log(), "it says what to set"
    heard = len(guest.book.numbers[world.rooms[0]])
    assert heard > 3, f"the guest hears what is said: {heard}"
    world.mark("mended")
    guest.pins = False
