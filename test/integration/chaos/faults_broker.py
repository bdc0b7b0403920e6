"""Faults of the broker itself, and of the way to it."""
from faults import fault
from proxy import BASIC_ACK


async def is_not_ready(world, nodes, words):
    for node in nodes:
        await world.until(lambda node=node: (lambda r: r[0] == 503 and words in r[1])(node.readiness()), f"{node.id} says \"{words}\"")


@fault("broker", needs_services=True)
async def broker_killed(world):
    """The broker is killed, and started again after a while."""
    world.mark("fault")
    await world.do(world.services.kill, "rabbitmq")
    await is_not_ready(world, world.nodes, "no broker")
    await world.pause(world.scale.hold)
    world.mark("mended")
    await world.do(world.services.start, "rabbitmq")
    world.mark("back")
    await world.ready()


@fault("broker", needs_services=True)
async def broker_frozen(world):
    """The broker stands still (SIGSTOP), with all its connections open."""
    world.mark("fault")
    await world.do(world.services.freeze, "rabbitmq")
    await is_not_ready(world, world.nodes, "no ")
    await world.pause(world.scale.hold)
    world.mark("mended")
    await world.do(world.services.thaw, "rabbitmq")
    world.mark("back")
    await world.ready()


@fault("broker", needs_services=True)
async def broker_alarm(world):
    """The broker blocks its publishers by its memory alarm, for 20 s at full length."""
    world.mark("fault")
    await world.do(world.services.alarm, True)
    await is_not_ready(world, world.nodes, "blocked by the broker")
    await world.pause(min(world.scale.hold, 20))
    world.mark("mended")
    await world.do(world.services.alarm, False)
    world.mark("back")
    await world.ready()


@fault("way")
async def node_cut_and_locked(world):
    """One node's way to the broker goes silent until the node gives up; when it comes by a new way, the broker still holds its queue for the dead one."""
    way, node = world.ways[0], world.nodes[0]
    connections = await world.do(node.metric, "warren_amqp_connections")
    heartbeat = 10 if world.is_full else 2

    def has_met_the_lock():
        return node.metric("warren_amqp_name_locked_total") >= 1

    world.mark("fault")
    for _ in range(8):
        way.silence()
        await is_not_ready(world, [node], "no ")
        # The node notices after two heartbeats, the broker after three. A node that the machine holds up meanwhile may find the name free.
        await world.until(lambda: node.metric("warren_amqp_connections") < connections, "the node gives its connections up", 4 * heartbeat + 30)
        way.forget()
        await world.until(lambda: has_met_the_lock() or node.is_ready(), "the queue's name is locked", 3 * heartbeat + 30)
        if await world.do(has_met_the_lock):
            break
    world.mark("mended")
    await world.until(node.is_ready, "the name is free", 6 * heartbeat + 30)
    world.mark("back")
    assert await world.do(has_met_the_lock)
    await world.ready()


@fault("way")
async def node_alone_cut(world):
    """One node of three is cut from the broker: its connections are reset, new ones refused."""
    world.mark("fault")
    await world.ways[0].cut()
    await is_not_ready(world, world.nodes[:1], "no broker")
    await world.pause(world.scale.hold)
    assert not await world.do(world.nodes[0].is_ready)
    await world.until(world.nodes[1].is_ready, "another node has a broker")
    world.mark("mended")
    await world.ways[0].start()
    world.mark("back")
    await world.ready()


@fault("way", settings={"amqp.queue": "durable"})
async def consumer_cut_before_acks(world):
    """What a node takes from its durable queue is never acknowledged, and then its consumer's connection is cut: all of it comes again."""
    way, node = world.ways[0], world.nodes[0]
    link = next(link for link in way.links if link.is_consumer)
    world.mark("fault")
    link.frames.dropping.add(BASIC_ACK)
    await world.pause(world.scale.hold / 2)
    for _ in range(2):
        before = await world.do(node.metric, "warren_amqp_redelivered_bodies_total")
        link.abort()
        await world.until(lambda before=before: node.metric("warren_amqp_redelivered_bodies_total") > before, "bodies come again")
        link = next(link for link in way.links if link.is_consumer)
        link.frames.dropping.add(BASIC_ACK)
        await world.pause(world.scale.hold / 4)
    link.abort()
    world.mark("mended")
    await world.ready()


@fault("way")
async def consumer_cut(world):
    """The same with an exclusive queue, which dies with its connection, and with it what was not acknowledged."""
    way = world.ways[0]
    world.mark("fault")
    for round_ in range(3):
        link = await world.until_now(lambda: next((link for link in way.links if link.is_consumer), None), "a consumer")
        link.frames.dropping.add(BASIC_ACK)
        link.hold(up=False)  # and the last of it never arrives
        await world.pause(0.5)
        if round_ == 2:
            world.quieten()  # after what is lost now, nothing comes
        link.abort()
        await world.pause(world.scale.hold / 3)
    world.mark("mended")
    await world.ready()
