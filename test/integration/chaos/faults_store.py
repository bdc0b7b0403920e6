"""Faults of the store: it goes, comes back with all, with some or with nothing, or is slow; a log that ends before its reader comes back."""
import fleet as fleets
import ledger
from faults import fault

# Sends are refused while it is away; its return begins every numbering again, which whoever comes back with the old one is told.
RETURNED = ledger.Rules(may_reset=ledger.EVERYBODY, may_restart=True, may_double_repeats=True)


async def has_a_late_one(world):
    """Somebody who is away while the store is."""
    world.late = world.fleet.add(fleets.Client, "late", world.rooms[:1], world.nodes[0], by_url=True, is_steady=False)


async def store_restart(world, before_start=None):
    world.mark("fault")
    await world.rest(world.late)
    await world.do(world.redis.kill)
    for node in world.nodes:
        await world.until(lambda node=node: node.readiness()[0] == 503, f"{node.id} is not ready")
    refused = world.fleet.refusals["unavailable"]
    await world.until_now(lambda: world.fleet.refusals["unavailable"] > refused, "sends are refused")
    await world.pause(world.scale.hold / 2)
    if before_start:
        await world.do(before_start)
    world.mark("mended")
    await world.do(world.redis.start)
    world.mark("back")
    await world.ready()
    room, at = world.rooms[0], world.late.positions[world.rooms[0]]
    await world.until_now(lambda: world.senders[1].positions[room][0] != at[0], "the numbering begins again")
    await world.wake(world.late)


async def the_late_one_was_told(world):
    """Who comes back with a position of before is told that it does not count any more."""
    joins = [e for e in world.late.book.rooms[world.rooms[0]] if e.kind == "join"]
    assert [e.recovered for e in joins] == [False, False] and joins[1].since and joins[1].at, [(e.since, e.at, e.recovered) for e in joins]


AWAY = {"rules": RETURNED, "store_away": True, "prepare": has_a_late_one, "check": the_late_one_was_told}


@fault("store", kept=True, **AWAY)
async def redis_restarted_with_its_data(world):
    """Redis is killed and comes back with everything it had."""
    await store_restart(world)


@fault("store", **AWAY)
async def redis_restarted_empty(world):
    """Redis is killed and comes back with nothing."""
    await store_restart(world)


@fault("store", **AWAY)
async def redis_comes_back_older(world):
    """Redis is killed and comes back as it was a second before: the last entries of its logs are gone."""
    await world.do(world.redis.save)
    await world.pause(1)
    await store_restart(world)


@fault("store")
async def redis_answers_late(world):
    """Redis answers after 500 ms."""
    world.mark("fault")
    for way in world.store_ways:
        way.delay_s = 0.5
    await world.pause(world.scale.hold)
    for way in world.store_ways:
        way.delay_s = 0
    world.mark("mended")
    world.mark("back")
    await world.ready()


@fault("store", rules=ledger.Rules(may_reset={"late"}), prepare=has_a_late_one, check=the_late_one_was_told,
       settings={"channel.long.log_length": "20", "channel.long.log_bytes": "4k"}, scale={"wanderers": 0, "period": 0.05})
async def away_longer_than_the_log(world):
    """A client comes back when the log has forgotten what it missed: it is told, and gets what is left."""
    room = world.rooms[0]
    late, key = world.late, f"w:log:{{room:{room}}}"
    await world.until_now(lambda: len(late.book.rooms[room]) > 5, "it has heard something")
    world.mark("fault")
    await world.rest(late)
    at = late.positions[room]

    def is_forgotten():
        first, last = world.redis.command("XRANGE", key, "-", "+", "COUNT", 1), world.redis.command("XREVRANGE", key, "+", "-", "COUNT", 1)
        # And by the nodes, which remember the newest 64.
        return int(first[0][0].split("-")[1]) > at[1] + 1 and int(last[0][0].split("-")[1]) > at[1] + 100
    await world.until(is_forgotten, "the log has forgotten it", 60)
    await world.wake(late)
    world.mark("mended")
