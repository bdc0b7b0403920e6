"""The archive: everything that was accepted is in the queue and then in the file, whoever is killed on the way."""
import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import msgpack
import pika
import websockets

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services  # noqa: E402
import warren  # noqa: E402


class ArchiveTest(warren.WarrenTest):
    settings = {"amqp.archive": "yes", "channel.plain.match": "room:plain", "channel.plain.sequenced": "no"}

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = os.path.join(folder.name, "archive.jsonl")

    def drain(self, *arguments, url=None):
        return warren.run_tool("warrenctl", "archive", "--out", self.out, "--url", url or self.broker.url, *arguments)

    def records(self):
        with open(self.out, encoding="utf-8", newline="\n") as file:
            lines = file.read().split("\n")
        self.assertEqual(lines.pop(), "", "the last line is whole")
        return [json.loads(line) for line in lines]

    def waiting(self):
        return self.broker.queues()["warren.archive"]["messages"]

    def wait_kept(self):
        for node in self.nodes:
            warren.wait_for(lambda: node.process.poll() is not None or node.metric("warren_archive_pending") == 0, "all records are kept")

    async def send_numbers(self, client, count, room="lobby"):
        """Sends without waiting in between; the ids of the messages that were accepted, in order."""
        for n in range(count):
            await client.send({"id": 10000 + n, "op": "send", "room": room, "data": n})
        answers = {}
        while len(answers) < count:
            message = await client.receive()
            if isinstance(message.get("id"), int):  # and no event of the room
                answers[message["id"] - 10000] = message
        return [answers[n]["ok"]["message"] for n in range(count) if "ok" in answers[n]]


class Archive(ArchiveTest):
    async def test_every_way_of_being_accepted(self):
        alice, bob = await self.room(self.nodes[0], "lobby", "alice"), await self.room(self.nodes[1], "plain", "bob")
        ids = {}
        ids["send"] = (await alice.request(op="send", room="lobby", data={"b": 1, "a": 1.50}))["ok"]["message"]
        ids["plain"] = (await bob.request(op="send", room="plain", data="text"))["ok"]["message"]
        ids["whisper"] = (await alice.request(op="whisper", user="bob", data=[1], key="k"))["ok"]["message"]
        ids["api"] = self.nodes[1].post("/v1/rooms/lobby/messages", {"data": "shop", "from": "back"})[1]["message"]
        ids["push"] = self.nodes[0].post("/push/alice", b"\x00\xff", {"Content-Type": "application/octet-stream"})[1]["message"]
        ids["text"] = self.nodes[0].post("/push/alice", "line\nline", {"Content-Type": "text/plain"})[1]["message"]
        self.broker.publish({"room": "lobby", "data": "ingress"}, exchange="warren.ingress", message_id="i-1")
        self.broker.publish({"room": "plain", "data": "ingress"}, exchange="warren.ingress", message_id="i-2")
        envelope = ["room:lobby", 1, "i-3", 1700000000000, "x", "application/json", b'{\n"a":\n1}', None, None, {"level": 7, "tags": ["a"]}]
        self.broker.publish(msgpack.packb([envelope]), "application/vnd.warren.v1+msgpack", exchange="warren.ingress")
        self.broker.publish({"room": "lobby", "data": "not accepted by a node"}, message_id="f-1")
        await bob.send(b"voice")
        while (await alice.message())["data"] != "not accepted by a node":
            pass
        warren.wait_for(lambda: sum(n.metric("warren_archive_records_total", result="ok") for n in self.nodes) == 9, "all are kept")
        code, _, errors = self.drain()
        self.assertEqual((code, errors), (0, "9 records\n"))
        records = {r["id"]: r for r in self.records()}
        self.assertEqual(set(records), {*ids.values(), "i-1", "i-2", "i-3"})
        first = records[ids["send"]]
        self.assertEqual((first["channel"], first["from"], first["content_type"], first["data"], first["offset"]),
                         ("room:lobby", "alice", "application/json", {"b": 1, "a": 1.5}, 1))
        self.assertRegex(first["epoch"], r"^\d+$")
        self.assertAlmostEqual(first["time"] / 1000, time.time(), delta=60)
        self.assertEqual((records[ids["plain"]]["channel"], records[ids["plain"]]["data"]), ("room:plain", "text"))
        self.assertNotIn("offset", records[ids["plain"]])
        self.assertEqual(records[ids["whisper"]]["channel"], "user:bob")
        self.assertEqual(records[ids["api"]]["from"], "back")
        self.assertEqual((base64.b64decode(records[ids["push"]]["data"]), records[ids["push"]]["encoding"]), (b"\x00\xff", "base64"))
        self.assertEqual(records[ids["text"]]["data"], "line\nline")
        self.assertEqual((records["i-3"]["data"], records["i-3"]["meta"]), ({"a": 1}, {"level": 7, "tags": ["a"]}))
        with open(self.out, encoding="utf-8") as file:
            self.assertIn('"data":{"b": 1, "a": 1.5', file.read(), "data stands as it was sent")
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(self.drain()[0], 0, "again, with nothing there")
        self.assertEqual(len(self.records()), 9, "and nothing is overwritten")

    async def test_many_travel_together(self):
        client = await self.room(self.nodes[0], "lobby", "u")
        ids = await self.send_numbers(client, 1500)
        self.assertEqual(len(ids), 1500)
        self.wait_kept()
        self.assertLess(self.nodes[0].metric("warren_amqp_deposits_total"), 500)
        self.assertEqual(self.drain()[0], 0)
        self.assertEqual([r["id"] for r in self.records()], ids)
        self.assertEqual([r["offset"] for r in self.records()], list(range(1, 1501)))

    async def test_a_killed_node_has_archived_what_it_confirmed(self):
        """Unless the broker was slow: a node does not wait for it for longer than half a second."""
        node = self.nodes[0]
        client = await warren.Client.connect(f"{node.ws}/websocket/lobby/u")
        confirmed, answered, sent = [], 0, []  # in time; at all; when

        async def send(count):
            for _ in range(count):
                sent.append(time.monotonic())
                await client.send({"id": len(sent) - 1, "op": "send", "room": "lobby", "data": len(sent) - 1})

        deadline = time.monotonic() + warren.PATIENCE
        while len(confirmed) < 300:  # a hundred are always under way
            self.assertLess(time.monotonic(), deadline, "the broker is always slow")
            await send(20)
            while answered < len(sent) - 100:
                answer = await client.receive()
                if "ok" in answer:
                    answered += 1
                    if time.monotonic() - sent[answer["id"]] < 0.45:
                        confirmed.append(answer["ok"]["message"])
        node.process.send_signal(signal.SIGSTOP)
        await send(100)  # never read by it, so that it is killed in the middle whatever it had done of the others
        node.kill()
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.close()
        self.assertEqual(self.drain()[0], 0)
        archived = [r["id"] for r in self.records()]
        self.assertLess(len(archived), len(sent), "it was killed in the middle")
        self.assertEqual(set(confirmed) - set(archived), set())

    async def test_a_killed_command_loses_nothing(self):
        client = await self.room(self.nodes[0], "lobby", "u")
        ids = await self.send_numbers(client, 4000)
        self.wait_kept()
        command = [os.path.join(warren.BIN, "warrenctl"), "archive", "--out", self.out, "--url", self.broker.url, "--follow"]
        kills = 0
        while self.waiting() > 0 and kills < 12:
            size = os.path.getsize(self.out) if os.path.exists(self.out) else 0
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            warren.wait_for(lambda: (os.path.exists(self.out) and os.path.getsize(self.out) > size) or self.waiting() == 0, "it writes")
            process.kill()
            process.wait()
            kills += 1
        with open(self.out, "a", encoding="utf-8") as file:
            file.write('{"torn":')  # as a crash of the machine may leave it
        code, _, errors = self.drain()
        self.assertEqual(code, 0, errors)
        archived = [r["id"] for r in self.records()]
        self.assertEqual(set(archived), set(ids))
        self.assertGreater(kills, 0)

    async def test_following(self):
        client = await self.room(self.nodes[0], "lobby", "u")
        command = [os.path.join(warren.BIN, "warrenctl"), "archive", "--out", self.out, "--follow"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "WARREN_AMQP_URL": self.broker.url})
        self.addCleanup(lambda: process.poll() is None and process.kill())
        for n in range(3):
            await client.request(op="send", room="lobby", data=n)
            warren.wait_for(lambda: os.path.exists(self.out) and len(self.records()) == n + 1, "the record is written at once")
        code, _, errors = self.drain()
        self.assertEqual(code, 1, "a second one is kept out")
        self.assertIn("another one writes to it", errors)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(await asyncio.to_thread(process.wait, 60), 0)
        self.assertEqual(process.stderr.read(), b"3 records\n")
        process.stderr.close()

    async def test_what_is_not_ours_is_kept_too(self):
        self.broker.publish(b"\xff not a record", exchange="", routing_key="warren.archive")
        code, _, errors = self.drain()
        self.assertEqual((code, errors), (0, "0 records, some of them unreadable\n"))
        self.assertEqual(base64.b64decode(self.records()[0]["data"]), b"\xff not a record")
        self.assertTrue(self.records()[0]["unreadable"])

    async def test_a_full_disk_loses_nothing(self):
        client = await self.room(self.nodes[0], "lobby", "u")
        ids = await self.send_numbers(client, 20)
        self.wait_kept()
        waiting = self.waiting()
        code, _, errors = warren.run_tool("warrenctl", "archive", "--out", "/dev/full", "--url", self.broker.url)
        self.assertEqual(code, 1)
        self.assertIn("No space left on device", errors)
        warren.wait_for(lambda: self.broker.queues()["warren.archive"]["messages_ready"] == waiting, "all of it is given back")
        self.assertEqual(self.drain()[0], 0)
        self.assertEqual([r["id"] for r in self.records()], ids)

    async def test_a_nodes_own_configuration(self):
        """--config is the node's file; the environment is stronger, and what is asked for is the strongest."""
        folder = os.path.dirname(self.out)
        path, secret = os.path.join(folder, "warren.conf"), os.path.join(folder, "url")
        with open(secret, "w", encoding="utf-8") as file:
            file.write(f"amqp://nobody:wrong@127.0.0.1:{warren.free_port()}/, {self.broker.url}\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[listen]\npublic = 0.0.0.0:1\n[route.chat]\npath = /chat/{{room}}\n"
                       f"[amqp]\nurl_file = {secret}\nprefix = shop\narchive = yes\n[hub]\nlease = 6s\n")
        with self.broker.channel() as channel:
            for name in ("shop", "env", "asked"):
                channel.queue_declare(f"{name}.archive", durable=True)
                channel.basic_publish("", f"{name}.archive", msgpack.packb([["room:1", 1, name, 1, None, "text/plain", b"x", None, None, None]]),
                                      pika.BasicProperties(content_type="application/vnd.warren.v1+msgpack"))

        def moved(*arguments, environment=None):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.out)
            code, _, errors = warren.run_tool("warrenctl", "archive", "--out", self.out, "--config", path, *arguments, environment=environment)
            self.assertEqual((code, errors), (0, "1 records\n"))
            return self.records()[0]["id"]
        self.assertEqual(moved(), "shop")
        environment = {"WARREN_AMQP_PREFIX": "env", "WARREN_AMQP_URL": self.broker.url}
        self.assertEqual(moved(environment=environment), "env")
        environment["WARREN_AMQP_URL"] = f"amqp://nobody@127.0.0.1:{warren.free_port()}/"
        self.assertEqual(moved("--prefix", "asked", "--url", self.broker.url, environment=environment), "asked")

        with open(path, "a", encoding="utf-8") as file:
            file.write("[amqp]\nprefixx = x\n")
        code, _, errors = warren.run_tool("warrenctl", "archive", "--out", self.out, "--config", path)
        self.assertEqual(code, 1)
        self.assertIn(f'{path}:12: unknown option "amqp.prefixx"; did you mean "amqp.prefix"?', errors)
        code, _, errors = warren.run_tool("warrenctl", "archive", "--out", self.out, "--config", path + ".none")
        self.assertEqual(code, 1)
        self.assertIn("cannot be read", errors)
        code, _, errors = warren.run_tool("warrenctl", "archive", "--out", self.out, "--url", "http://127.0.0.1")
        self.assertEqual(code, 2)
        self.assertIn("warrenctl archive: --url: expected amqp://", errors)

    async def test_exit_codes(self):
        self.assertEqual(self.drain("--what")[0], 2)
        self.assertEqual(warren.run_tool("warrenctl", "archive", "--out", self.out)[0], 2, "which broker?")
        with open(self.out + ".url", "w", encoding="utf-8") as file:
            file.write(self.broker.url + "\n")
        self.assertEqual(warren.run_tool("warrenctl", "archive", "--out", self.out, "--url-file", self.out + ".url")[0], 0)
        self.assertEqual(warren.run_tool("warrenctl", "archive", "--out", self.out,
                                         environment={"WARREN_AMQP_URL_FILE": self.out + ".url"})[0], 0)
        self.assertEqual(warren.run_tool("warrenctl", "archive", "--out", self.out, "--url-file", self.out + ".none")[0], 1)
        self.assertEqual(self.drain(url=f"amqp://guest:guest@127.0.0.1:{warren.free_port()}/")[0], 3)
        self.broker.api("DELETE", f"queues/{self.broker.vhost}/warren.archive")
        code, _, errors = self.drain()
        self.assertEqual(code, 1)
        self.assertIn("amqp.archive", errors)


class Outage(services.OwnServices, ArchiveTest):
    node_count = 0

    async def test_what_was_accepted_without_a_broker_follows(self):
        node = await asyncio.to_thread(self.start_node)
        few = await asyncio.to_thread(lambda: self.start_node(settings={"amqp.archive_pending": "10"}))
        client, other = await self.room(node, "lobby", "u"), await self.room(few, "lounge", "u")
        ids = await self.send_numbers(client, 100)
        self.wait_kept()  # what the broker has and has not confirmed it gets again
        self.services.kill("rabbitmq")
        warren.wait_for(lambda: all("no broker" in n.readiness()[1] for n in (node, few)), "both nodes know that the broker is away")
        ids += await self.send_numbers(client, 100)
        beyond = await self.send_numbers(other, 100, "lounge")
        self.assertEqual((len(ids), len(beyond)), (200, 100), "all are accepted")
        self.assertEqual(few.metric("warren_archive_pending"), 10)
        self.assertEqual(few.metric("warren_archive_records_total", result="lost"), 90)
        self.assertIn("a message was not archived", few.log())
        self.services.start("rabbitmq")
        for n in (node, few):
            await asyncio.to_thread(n.wait_ready)
        self.wait_kept()
        self.assertEqual(node.metric("warren_archive_records_total", result="lost"), 0)
        self.assertEqual(self.drain()[0], 0)
        archived = [r["id"] for r in self.records()]
        self.assertEqual([i for i in archived if i in set(ids)], ids)
        self.assertEqual([i for i in archived if i not in set(ids)], beyond[:10])


class Off(warren.WarrenTest):
    async def test_it_is_off_by_default(self):
        client = await self.room(self.nodes[0], "lobby", "u")
        await client.request(op="send", room="lobby", data=1)
        self.assertNotIn("warren.archive", self.broker.queues())
        self.assertEqual(self.nodes[0].metric("warren_archive_records_total", result="lost"), 0)


if __name__ == "__main__":
    warren.main()
