#!/usr/bin/python3
"""A node is killed and comes back under its name at once, while what it said in its last life is to be believed for long."""
import asyncio
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import test_sequence  # noqa: E402
import warren  # noqa: E402

LEASE_S = 300  # nothing here may wait for its end


class Comeback(test_sequence.Sequenced):
    node_count = 2
    settings = {"hub.lease": f"{LEASE_S}s"}

    def incarnations(self, node):
        nodes = self.nodes[0].get("/v1/nodes")[1]["nodes"]
        return [n["incarnation"] for n in nodes if n["node"] == node.id and n["alive"]]

    def count(self):
        return self.nodes[0].get("/v1/rooms/lobby/users")[1]["count"]

    async def until(self, condition, what):
        await asyncio.to_thread(warren.wait_for, condition, what)

    async def test_under_its_old_lease(self):
        stays, dies = self.nodes
        alice = await self.listener(stays, "lobby", "alice")
        bob, carol = [await self.listener(dies, "lobby", user) for user in ("bob", "carol")]
        await alice.request(op="send", room="lobby", data="before")
        last = (await self.messages(bob, 1))[0]
        await self.messages(carol, 1)
        await self.until(lambda: self.count() == 3, "everybody is counted")
        before = self.incarnations(dies)
        began = time.monotonic()
        await asyncio.to_thread(dies.kill)
        for n in range(5):
            self.assertIn("ok", await alice.request(op="send", room="lobby", data=n))
        await asyncio.to_thread(dies.start, False)
        await self.until(dies.is_ready, "it is ready under its name")
        self.assertNotEqual(self.incarnations(dies), before)
        self.assertEqual(len(self.incarnations(dies)), 1)
        self.assertNotIn("set node.address", dies.log())  # it is nobody but itself
        await self.until(lambda: self.count() == 1, "who was on it is not counted any more")

        bob = await self.listener(dies, "lobby", "bob", (last["epoch"], last["offset"]))
        state = self.state(bob, "room:lobby")
        self.assertEqual((state["recovered"], state["offset"]), (True, 6))
        self.assertEqual([m["data"] for m in await self.messages(bob, 5)], list(range(5)))
        for n in range(5):
            await alice.request(op="send", room="lobby", data=f"live-{n}")
            await bob.request(op="whisper", user="alice", data=n)
        heard = await self.messages(bob, 5)
        self.assert_contiguous(heard, 7)
        whispers = []
        while len(whispers) < 5:
            whispers += [m for m in await self.messages(alice, 1) if m["channel"] == "user:alice"]
        self.assertEqual([m["data"] for m in whispers], list(range(5)))
        await self.until(lambda: self.count() == 2, "who came back is counted")
        await self.until(lambda: [s["node"] for s in stays.get("/v1/users/bob")[1]["sessions"]] == [dies.id], "and where")
        await self.until(lambda: stays.get("/v1/users/carol")[1]["sessions"] == [], "who did not is nowhere")
        self.assertLess(time.monotonic() - began, LEASE_S - 10, "the old lease has not ended meanwhile")


class Durable(Comeback):
    """With a queue that stays: what came meanwhile is in it as well, and nobody hears it twice."""

    settings = {**Comeback.settings, "amqp.queue": "durable"}


if __name__ == "__main__":
    warren.main()
