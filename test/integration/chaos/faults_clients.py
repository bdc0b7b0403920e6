"""What publishers do: everything twice, the same thing on two nodes, the same key by two of them."""
import asyncio
import collections
import threading

import pika

import fleet as fleets
from faults import fault


class BackEnd(threading.Thread):
    """Publishes numbered messages straight to the fanout exchange, each twice with its message_id, as a retrying back end does."""

    def __init__(self, world, name, room):
        super().__init__(daemon=True)
        self.broker, self.name_, self.room = world.broker, name, room
        self.numbers = world.fleet.ledger.foreign[(room, name)]
        world.fleet.ledger.foreign_senders.add(name)
        self.is_ending = threading.Event()
        self.error = None

    def run(self):
        try:
            with self.broker.channel() as channel:
                while not self.is_ending.wait(0.02):
                    number = len(self.numbers) + 1
                    self.numbers.append(number)
                    body = b'{"room":"%s","from":"%s","data":{"s":"%s","n":%d}}' % (
                        self.room.encode(), self.name_.encode(), self.name_.encode(), number)
                    for _ in range(2):
                        channel.basic_publish("warren.fanout", "", body, pika.BasicProperties(message_id=f"{self.name_}-{number}", delivery_mode=2))
        except Exception as error:
            self.error = error

    async def finish(self):
        self.is_ending.set()
        await asyncio.to_thread(self.join, 30)
        assert not self.error and not self.is_alive(), self.error


@fault("clients", sender=fleets.TwiceSender)
async def everything_twice(world):
    """Clients send everything twice with the same key, and a back end publishes everything twice with the same message_id."""
    world.mark("fault")
    # Into a room of its own listeners' node each; who joined before hears all of it.
    back_ends = [BackEnd(world, f"x{i}", world.rooms[i]) for i in range(2)]
    for each in back_ends:
        each.start()
    await world.pause(world.scale.hold)
    for each in back_ends:
        await each.finish()
    world.mark("mended")
    sent = world.fleet.ledger.sent.values()
    assert sum(len(s.answers) == 2 for s in sent) > len(sent) / 2, "both were answered"


async def pairs(world):
    """Each sender gets a second connection, to another node, under the same name; both are where their rooms are and hear everything."""
    for i, sender in enumerate(list(world.senders)):
        twin = world.fleet.add(fleets.Client, sender.name, sender.rooms, world.nodes[(i + 1) % 3])
        twin.book.name += "'"
        sender.second = twin


@fault("clients", sender=fleets.TwoWaySender, prepare=pairs)
async def send_on_two_nodes(world):
    """A client that does not wait for an answer repeats its send on another node at once: both answers are the same, and it is heard once."""
    world.mark("fault")
    await world.pause(world.scale.hold)
    world.mark("mended")
    sent = world.fleet.ledger.sent.values()
    assert sum(len(s.answers) == 2 for s in sent) > len(sent) / 2, "both were answered"


@fault("clients")
async def one_key_of_two_users(world):
    """Two users send under the same key: it is two messages. (All senders number their keys alike, on all nodes, in all faults; here it is counted.)"""
    world.mark("fault")
    await world.pause(world.scale.hold)
    world.mark("mended")
    by_key = collections.Counter((room, number) for room, _, number in world.fleet.ledger.sent)
    assert max(by_key.values()) > 1, "the same key in the same room of two users"
