#!/usr/bin/env python3
"""warren-bench's scenarios of synthetic load: each against a real node, and each against a fake one that is wrong once.

    WARREN_BIN=build/release/bin /usr/bin/python3 test/integration/test_bench_scenarios.py

test_bench_honest.py does the same for `replay`. Needs no services: the real node stands alone.
"""
import asyncio
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402
import warren  # noqa: E402
import websockets  # noqa: E402

BINARY = os.path.join(warren.BIN, "warren-bench")
FAULTS = ["lost", "duplicated", "out_of_order", "corrupted", "unexpected", "refused", "disconnects"]


def bench(*arguments, timeout=240):
    """(exit code, report, stderr)."""
    done = subprocess.run([BINARY, *map(str, arguments), "--json"], capture_output=True, timeout=timeout, check=False)
    stderr = done.stderr.decode()
    if warren.REPORTS.search(stderr):
        raise AssertionError(stderr)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, stderr


class Listener:
    def __init__(self, number, room, user, ws):
        self.number, self.room, self.user, self.ws = number, room, user, ws
        self.got = 0
        self.held = None


class FakeNode:
    """Rooms of the json dialect. The message number `slip` of its room that the listener number `victim` gets is handled as `fault` says."""

    def __init__(self, fault, victim, slip):
        self.fault, self.victim, self.slip = fault, victim, slip
        self.listeners = []
        self.seen_keys = set()
        self.numbers = 0
        self.slipped = False
        self.ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        if not self.ready.wait(60):
            raise RuntimeError("the fake node did not start")
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set_result, None)
        self.thread.join(10)

    def run(self):
        self.loop.run_until_complete(self.serve())
        self.loop.close()

    async def serve(self):
        self.stop = self.loop.create_future()
        server = await websockets.serve(self.session, "127.0.0.1", 0, compression=None, max_size=None)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.ready.set()
        await self.stop
        server.close()
        await server.wait_closed()

    async def session(self, ws, path):
        _, kind, room, user = path.split("/")
        assert kind == "websocket"
        me = Listener(self.numbers, urllib.parse.unquote(room), urllib.parse.unquote(user), ws)
        self.numbers += 1
        if self.fault == "no_welcome" and me.number == self.victim:
            await ws.wait_closed()
            return
        self.listeners.append(me)
        await ws.send(json.dumps({"event": "welcome", "session": "s", "user": me.user, "node": "fake", "heartbeat_s": 25,
                                  "channels": [{"channel": f"room:{me.room}", "recovered": False}]}))
        await ws.send(json.dumps({"event": "online", "room": me.room, "count": 1}))
        try:
            async for frame in ws:
                await self.receive(me, frame)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.listeners.remove(me)

    async def receive(self, me, frame):
        if isinstance(frame, bytes):
            for listener in [x for x in self.listeners if x.room == me.room and x is not me]:
                with contextlib.suppress(websockets.ConnectionClosed):  # who is just cut off cuts off nobody else
                    await listener.ws.send(frame)
            if self.fault == "own_frame" and not self.slipped:
                self.slipped = True
                await me.ws.send(frame)
            return
        # By hand, because data must come back byte for byte.
        decoder = json.JSONDecoder()
        at = 0
        while True:
            at = frame.find("{", at)
            if at < 0:
                return
            op, end = decoder.raw_decode(frame, at)
            start = re.compile('"data": *').search(frame, at).end()
            _, stop = decoder.raw_decode(frame, start)
            await self.operate(me, op, frame[start:stop])
            at = end

    async def operate(self, me, op, data):
        if self.fault == "refuse" and not self.slipped and self.about_to_slip(me, op):
            self.slipped = True
            await me.ws.send('{"event":"error","error":{"code":"rate_limited","message":"slowly"}}' if "id" not in op else
                             json.dumps({"id": op["id"], "error": {"code": "rate_limited", "message": "slowly"}}))
            return
        channel = f"room:{op['room']}" if op["op"] == "send" else f"user:{op['user']}"
        message = (f'{{"event":"message","channel":{json.dumps(channel)},"id":"m","from":{json.dumps(me.user)},"time":1,'
                   f'"data":{data}}}')
        key = (me.user, channel, op.get("key"))
        if not op.get("key") or key not in self.seen_keys:
            self.seen_keys.add(key)
            for listener in list(self.listeners):
                if (listener.room == op.get("room")) if op["op"] == "send" else (listener.user == op["user"]):
                    await self.deliver(listener, message, data, (me.user, channel))
        if "id" in op:
            await me.ws.send(json.dumps({"id": op["id"], "ok": {"message": "m"}}))

    def about_to_slip(self, me, op):
        victim = [x for x in self.listeners if x.number == self.victim]
        return victim and op.get("room") == victim[0].room and victim[0].got >= self.slip

    async def deliver(self, listener, message, data, stream):
        ws, fault = listener.ws, self.fault
        is_of_room = stream[1].startswith("room:")
        number = listener.got
        listener.got += is_of_room
        try:
            if listener.held and listener.held[1] == stream:
                await ws.send(message)
                await ws.send(listener.held[0])
                listener.held = None
                return
            is_it = listener.number == self.victim and is_of_room and number >= self.slip and not self.slipped
            if not is_it or fault in (None, "no_welcome", "refuse", "own_frame"):
                await ws.send(message)
                return
            self.slipped = True
            if fault == "duplicate":
                await ws.send(message)
                await ws.send(message)
            elif fault == "late_duplicate":
                await ws.send(message)
                self.loop.call_later(0.3, lambda: asyncio.ensure_future(ws.send(message)))
            elif fault == "reorder":
                listener.held = (message, stream)
            elif fault == "corrupt":
                await ws.send(message.replace(data, data[:-3] + "!" + data[-2:]))
            elif fault == "other_bytes":  # the same value, but not as it was sent
                await ws.send(message.replace('"x":', '"x": '))
            elif fault == "wrong_sender":
                await ws.send(message.replace('"from":', '"from":"mallory","was":'))
            elif fault == "wrong_room":
                await ws.send(message.replace('"channel":"room:', '"channel":"room:not '))
            elif fault == "stray":
                await ws.send(message)
                await ws.send('{"event":"message","channel":"room:x","id":"x","from":"y","time":1,"data":"never sent"}')
            elif fault == "garbage":
                await ws.send(message)
                await ws.send('{"event":"message","data":')
            elif fault == "batched":
                await ws.send(f'[{{"event":"likes","room":"r","total":1}},{message},{{"event":"likes","room":"r","total":2}}]')
            elif fault == "disconnect":
                await ws.send(message)
                await ws.close(4101, "too slow")
            else:
                assert fault == "drop", fault
        except websockets.ConnectionClosed:
            pass


class Wrong(unittest.TestCase):
    """Every scenario against every fault; the counts must name the fault and nothing else."""

    # The arguments, the listener at which it goes wrong, and the message of its room to it: one that is sent while it counts, and behind which
    # others come, however long the machine lets anybody wait.
    scenarios = {
        "fanout": (["--clients", 6, "--window", 4, "--seconds", 0.3, "--quiet", 0, "--warmup", 0, "--settle", 0.5], 3, 2),
        "fanout open": (["--clients", 3, "--rooms", 2, "--rate", 100, "--seconds", 0.5, "--quiet", 0, "--warmup", 0.1, "--settle", 0.5],
                        3, 20),
        "latency": (["--clients", 4, "--rate", 100, "--seconds", 0.5, "--quiet", 0, "--warmup", 0, "--settle", 0.5], 2, 20),
        "idle": (["--clients", 12, "--room-size", 6, "--quiet", 0, "--seconds", 0.4, "--settle", 0.5], 3, 3),
        "verify": (["--clients", 6, "--room-size", 3, "--rate", 200, "--churn", 0, "--seconds", 0.5, "--settle", 0.5], 2, 8),
        "storm": (["--clients", 10, "--residents", 4, "--stream-rate", 100, "--baseline", 0.4, "--settle", 0.6], 2, 20),
    }

    EVERY = tuple(scenarios)
    NUMBERED = tuple(name for name in scenarios if name != "idle")  # the others do not know of an order
    MARKED = tuple(name for name in scenarios if name != "verify")  # what is changed in these is not what was sent, and has not arrived

    # A fault, in which scenarios it is played, and the counts that name it.
    faults = [
        (None, EVERY, {}),
        ("drop", EVERY, {"lost": 1}),
        ("duplicate", EVERY, {"duplicated": 1}),
        ("late_duplicate", EVERY, {"duplicated": 1}),
        ("reorder", NUMBERED, {"out_of_order": 1}),
        ("corrupt", MARKED, {"corrupted": 1, "lost": 1}),
        ("other_bytes", ("verify",), {"corrupted": 1}),
        ("wrong_sender", ("verify",), {"unexpected": 1, "lost": 1}),
        ("wrong_room", ("verify",), {"unexpected": 1, "lost": 1}),
        ("own_frame", ("verify",), {"unexpected": 1}),
        ("stray", EVERY, {"unexpected": 1}),
        ("garbage", EVERY, {"unexpected": 1}),
        ("batched", EVERY, {}),
        ("refuse", EVERY, None),  # and these are looked at by themselves
        ("disconnect", EVERY, None),
        ("no_welcome", EVERY, None),
    ]
    AT_ONCE = 12  # mostly they wait

    def run_one(self, name, fault):
        """(code, report, stderr, node) of a scenario with a fake node of its own."""
        arguments, victim, slip = self.scenarios[name]
        more = ["--settle", 3] if fault == "late_duplicate" else []
        with FakeNode(fault, victim, slip) as node:
            return *bench(name.split()[0], "--nodes", node.url, "--timeout", 4, *arguments, *more), node

    def test_every_fault_in_every_scenario(self):
        with concurrent.futures.ThreadPoolExecutor(self.AT_ONCE) as pool:
            runs = [(fault, name, counts, pool.submit(self.run_one, name, fault)) for fault, names, counts in self.faults for name in names]
        for fault, name, counts, run in runs:
            with self.subTest(name, fault=fault):
                code, report, stderr, node = run.result()
                if counts is None:
                    getattr(self, "judge_" + fault)(code, report, stderr)
                else:
                    self.assertEqual({k: report[k] for k in FAULTS if report[k]}, counts, stderr)
                    self.assertEqual((code, report["ok"]), (1, False) if counts else (0, True), stderr)
                    self.assertTrue(fault is None or node.slipped, "the fault was not reached")

    def judge_refuse(self, code, report, stderr):
        self.assertEqual((code, report["refused"], report["refusal"]), (1, 1, "rate_limited"), stderr)
        self.assertGreater(report["lost"], 0)  # for everybody in the room

    def judge_disconnect(self, code, report, stderr):
        self.assertEqual((code, report["disconnects"]), (1, 1), stderr)
        self.assertIn("too slow (close code 4101)", report["disconnect"])

    def judge_no_welcome(self, code, report, stderr):
        self.assertEqual((code, report["ok"]), (1, False), stderr)
        self.assertIn("were welcomed", report["failure"])

    def test_nobody_there(self):
        for name, (arguments, _, _) in self.scenarios.items():
            with self.subTest(name):
                code, report, stderr = bench(name.split()[0], "--nodes", f"ws://127.0.0.1:{warren.free_port()}", *arguments)
                self.assertEqual((code, report["ok"]), (3, False), stderr)
                self.assertIn("Connection refused", stderr)


class Real(warren.WarrenTest):
    """Every scenario for a moment against a node."""

    node_count = 1
    standalone = True

    def run_bench(self, scenario, *arguments):
        node = self.nodes[0]
        code, report, stderr = bench(scenario, "--nodes", node.ws, "--metrics", node.api, "--pid", node.process.pid, *arguments)
        self.assertEqual((code, report["ok"], {k: report[k] for k in FAULTS if report[k]}), (0, True, {}), str(report) + stderr)
        self.assertTrue(report["command"].startswith(f"warren-bench {scenario} --nodes {node.ws}"))
        self.assertRegex(report["versions"]["node"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(report["versions"]["node"], report["versions"]["warren_bench"])
        self.assertEqual(report["cores"], os.cpu_count())
        self.assertTrue(report["pinning"]["tool"] and report["pinning"]["nodes"])
        return report

    def run_bench_unprobed(self, scenario, *arguments):
        code, report, stderr = bench(scenario, "--nodes", self.nodes[0].ws, *arguments)
        self.assertEqual((code, report["ok"], {k: report[k] for k in FAULTS if report[k]}), (0, True, {}), str(report) + stderr)
        return report

    async def test_fanout(self):
        cpu = max(os.sched_getaffinity(0))
        report = self.run_bench("fanout", "--clients", 50, "--window", 8, "--seconds", 0.4, "--warmup", 0.2, "--quiet", 0.2, "--settle",
                                0.2, "--pin", cpu, "--with-limit")
        self.assertEqual((report["warm"], report["window"], report["pinning"]["tool"]), (True, 8, str(cpu)))
        self.assertEqual(report["received"], report["sent"] * 50)
        self.assertEqual(report["received"], report["expected"])
        self.assertGreater(report["frame_bytes"], 128)
        self.assertGreater(report["node_cpu_s_each"], 0)
        self.assertGreater(report["tool_cpu_s_each"], 0)
        ratio = report["node_cpu_s_each"] / report["write_cpu_s_per_million"]
        self.assertAlmostEqual(report["ratio_to_write"], ratio, delta=0.05 + ratio / 100)  # of figures that were rounded
        # What the node says it delivered is at least what was counted here: the warm-up is not.
        self.assertGreater(self.nodes[0].metric("warren_hub_deliveries_total"), report["received"])

    async def test_fanout_rooms_at_a_rate(self):
        report = self.run_bench("fanout", "--rooms", 20, "--clients", 3, "--rate", 500, "--seconds", 0.5, "--warmup", 0, "--quiet", 0.1,
                                "--settle", 0.1)
        self.assertEqual((report["warm"], report["sent"], report["received"]), (False, 250, 750))
        self.assertGreater(report["duration_s"], 0.45)

    async def test_latency(self):
        report = self.run_bench("latency", "--clients", 4, "--rate", 200, "--seconds", 0.5, "--warmup", 0.1, "--quiet", 0.1)
        latency = report["latency_same_node_ms"]
        self.assertEqual((report["sent"], latency["count"]), (100, 400))
        self.assertTrue(0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"])

    async def test_latency_counts_a_stall_of_the_node(self):
        """A node that is stopped for 300 ms: what was due meanwhile was late, though it could not even be sent."""
        node = self.nodes[0]
        before = node.metric("warren_hub_deliveries_total")

        def stand_still():
            warren.wait_for(lambda: node.metric("warren_hub_deliveries_total") > before + 20, "it is under way")
            node.signal(signal.SIGSTOP)
            time.sleep(0.6)
            node.signal(signal.SIGCONT)

        stall = threading.Thread(target=stand_still)
        stall.start()
        report = self.run_bench("latency", "--clients", 2, "--rate", 200, "--seconds", 3, "--warmup", 0, "--quiet", 0)
        stall.join()
        self.assertGreater(report["latency_same_node_ms"]["max"], 500)
        self.assertGreater(report["latency_same_node_ms"]["p90"], 50)  # 120 of 600 messages were due while it stood still

    async def test_idle(self):
        report = self.run_bench("idle", "--clients", 60, "--room-size", 7, "--seconds", 0.3, "--quiet", 0.1)
        self.assertEqual((report["clients"], report["rooms"]), (60, 9))
        self.assertEqual(report["received"], 8 * 7 * 7 + 4 * 4 + 60)  # everybody heard by all, then one of each room
        self.assertGreater(report["rss_bytes_after"], report["rss_bytes_before"])
        self.assertGreater(report["rss_bytes_each"], 0)

    async def test_storm(self):
        report = self.run_bench("storm", "--clients", 200, "--residents", 5, "--stream-rate", 50, "--baseline", 1, "--settle", 1)
        self.assertEqual((report["clients"], report["join_ms"]["count"]), (200, 200))
        self.assertGreater(report["node_cpu_ms_per_join"], 0)
        self.assertGreater(report["stream_before_ms"]["count"], 5 * 10)
        # The residents hear all of the stream, the newcomers what is sent once they are there.
        self.assertGreater(report["received"], 5 * report["sent"] + 200 * 10)
        self.assertLessEqual(report["received"], 205 * report["sent"])

    async def test_storm_counts(self):
        """Everybody hears in the end how many they are; and of the storm no more than a few counts."""
        report = self.run_bench("storm", "--clients", 200, "--residents", 5, "--stream-rate", 10, "--baseline", 0.3, "--settle", 6, "--count")
        self.assertIn("right_count_s", report, "in time")
        self.assertLess(report["online_events_each"], report["all_welcome_s"] + 6 + 4, "one a second, while it lasts")

    async def test_voice(self):
        report = self.run_bench("voice", "--clients", 10, "--speakers", 3, "--rate", 20, "--seconds", 1.5, "--settle", 0.3)
        self.assertGreaterEqual(report["sent"], 60)
        self.assertEqual((report["lost"], report["received"]), (0, report["sent"] * 9))

    async def test_storm_at_a_pace(self):
        report = self.run_bench("storm", "--clients", 50, "--within", 0.5, "--residents", 0, "--baseline", 0, "--settle", 0.1)
        self.assertGreater(report["all_welcome_s"], 0.45)
        self.assertEqual(report["sent"], 0)

    async def test_verify(self):
        report = self.run_bench_unprobed("verify", "--clients", 30, "--room-size", 5, "--rate", 800, "--churn", 40, "--seconds", 2,
                                         "--max-bytes", 3000, "--settle", 0.3, "--seed", 42)
        self.assertEqual((report["seed"], report["unanswered"]), (42, 0))
        for what in ("received_room", "received_whisper", "received_binary", "fragmented", "batches", "compressed", "aborts", "resent"):
            self.assertGreater(report[what], 0, what)
        self.assertGreater(report["departures"], report["aborts"])
        self.assertGreater(report["received_room"], report["sent_room"])  # of five, some are away: on a busy machine for longer
        self.assertLessEqual(report["received_room"], 5 * report["sent_room"])
        self.assertLessEqual(report["received_binary"], 4 * report["sent_binary"])

    async def test_interrupt(self):
        node = self.nodes[0]
        for arguments in (["fanout", "--clients", "5"], ["idle", "--clients", "5"], ["storm", "--clients", "5", "--baseline", "20"]):
            with self.subTest(arguments[0]):
                tool = subprocess.Popen([BINARY, *arguments, "--nodes", node.ws, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                tool.stderr.readline()  # it is under way
                tool.send_signal(signal.SIGINT)  # a second one, once the first has been taken, ends it without a report
                out, _ = tool.communicate(timeout=120)
                report = json.loads(out)
                self.assertEqual((tool.returncode, report["ok"], report["interrupted"]), (1, False, True))

    async def test_a_node_that_does_not_tell(self):
        code, report, stderr = bench("latency", "--nodes", self.nodes[0].ws, "--metrics", f"http://127.0.0.1:{warren.free_port()}",
                                     "--quiet", 0, "--seconds", 0.2)
        self.assertEqual((code, report["ok"]), (3, False), stderr)
        code, report, stderr = bench("latency", "--nodes", self.nodes[0].ws, "--metrics", self.nodes[0].http, "--quiet", 0)
        self.assertEqual(code, 1, stderr)
        self.assertIn("without warren_process_cpu_seconds_total", report["failure"])


class Cluster(warren.WarrenTest):
    """Over two nodes, RabbitMQ and Redis."""

    node_count = 2

    def run_bench(self, scenario, *arguments):
        code, report, stderr = bench(scenario, "--nodes", ",".join(node.ws for node in self.nodes), *arguments)
        self.assertEqual((code, report["ok"], {k: report[k] for k in FAULTS if report[k]}), (0, True, {}), str(report) + stderr)
        return report

    async def test_fanout(self):
        before = [node.metric("warren_amqp_consumed_bodies_total") for node in self.nodes]
        report = self.run_bench("fanout", "--rooms", 20, "--clients", 4, "--seconds", 2, "--warmup", 0.2, "--quiet", 0.5)
        self.assertEqual(report["received"], report["sent"] * 4)
        self.assertGreaterEqual(report["sent"], 20)
        for node, bodies in zip(self.nodes, before):  # and it went through the broker, to both
            self.assertGreater(node.metric("warren_amqp_consumed_bodies_total"), bodies + 5)

    async def test_latency(self):
        report = self.run_bench("latency", "--clients", 4, "--rate", 50, "--seconds", 1, "--warmup", 0.2, "--quiet", 0.5)
        self.assertEqual((report["latency_same_node_ms"]["count"], report["latency_across_nodes_ms"]["count"]), (100, 100))

    async def test_verify(self):
        report = self.run_bench("verify", "--clients", 40, "--room-size", 8, "--rate", 400, "--churn", 40, "--seconds", 4, "--settle", 1)
        self.assertGreater(report["resent"], 0)
        self.assertGreater(report["received_whisper"], 0)


class Encrypted(warren.WarrenTest):
    node_count = 0
    standalone = True

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.certificate = os.path.join(directory.name, "certificate.pem")
        key = os.path.join(directory.name, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
                       check=True, capture_output=True)
        self.node = self.start_node(settings={"tls.certificate": self.certificate, "tls.key": key})
        self.url = f"wss://127.0.0.1:{self.node.port}"

    async def test_scenarios(self):
        for arguments in (["fanout", "--clients", 20, "--seconds", 0.3, "--warmup", 0, "--quiet", 0],
                          ["idle", "--clients", 30, "--seconds", 0.2, "--quiet", 0, "--pid", self.node.process.pid],
                          ["storm", "--clients", 30, "--baseline", 0.1, "--settle", 0.2]):
            for trust in (["--insecure"], ["--ca", self.certificate]):
                with self.subTest(arguments[0], trust=trust[0]):
                    code, report, stderr = bench(*arguments, "--nodes", self.url, *trust)
                    self.assertEqual((code, report["ok"]), (0, True), stderr)
                    self.assertEqual(report.get("transport", "TLS"), "TLS")

    async def test_a_certificate_that_nobody_vouches_for(self):
        code, report, _ = bench("latency", "--nodes", self.url)
        self.assertEqual((code, report["ok"]), (3, False))

    async def test_a_file_that_is_not_there(self):
        code, report, _ = bench("latency", "--nodes", self.url, "--ca", self.certificate + "-absent")
        self.assertEqual((code, report["ok"]), (1, False))
        self.assertIn("-absent", report["failure"])


class Limit(unittest.TestCase):
    def test_it_measures(self):
        code, report, stderr = bench("limit", "--clients", 20, "--bytes", 100, "--messages", 640)
        self.assertEqual((code, report["ok"], report["frames"]), (0, True, 12800), stderr)
        self.assertGreater(report["write_cpu_s_per_million"], report["writev_cpu_s_per_million"])
        self.assertGreater(report["writev_cpu_s_per_million"], 0)

    def test_pinned(self):
        cpu = max(os.sched_getaffinity(0))
        code, report, stderr = bench("limit", "--clients", 2, "--messages", 64, "--pin", cpu, "--writer", min(os.sched_getaffinity(0)))
        self.assertEqual((code, report["pinning"]["tool"]), (0, str(cpu)), stderr)
        self.assertEqual(bench("limit", "--clients", 2, "--messages", 64, "--pin", 1000)[0], 1)

    def test_too_many_sockets(self):
        done = subprocess.run(["bash", "-c", f"ulimit -n 64; {BINARY} limit --clients 100 --messages 64"], capture_output=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 1)

    def test_usage(self):
        for arguments in (["fanout"], ["fanout", "--nodes", "ws://a:1", "--clients", "0"], ["fanout", "--nodes", "ws://a:1", "--bytes", "8"],
                          ["latency", "--nodes", "http://a:1"], ["limit", "--nodes", "ws://a:1"], ["idle", "--nodes", "ws://a:1", "more"],
                          ["storm", "--nodes", "ws://a:1", "--warmup", "1"], ["limit", "--messages", "1"]):
            with self.subTest(arguments):
                done = subprocess.run([BINARY, *arguments], capture_output=True, timeout=180, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotEqual(done.stderr, b"")

    def test_help_and_tables(self):
        for scenario in ("fanout", "latency", "idle", "storm", "rejoin", "verify", "limit", "replay"):
            done = subprocess.run([BINARY, scenario, "--help"], capture_output=True, timeout=180, check=False)
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"Usage: warren-bench " + scenario.encode(), done.stdout)
        done = subprocess.run([BINARY, "limit", "--clients", "2", "--messages", "64"], capture_output=True, timeout=180, check=False)
        self.assertTrue(re.search(rb"limit, a write each +[\d.]+ s CPU per 1,000,000 frames", done.stdout), done.stdout)
        self.assertTrue(re.search(rb"^  machine +\d+ cores?, ", done.stdout, re.M), done.stdout)


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 3)  # most of their time they wait


if __name__ == "__main__":
    warren.main()
