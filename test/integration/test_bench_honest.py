#!/usr/bin/env python3
"""warren-bench must notice: two fake nodes that lose, double, disorder or change one delivery on purpose.

    WARREN_BIN=build/release/bin /usr/bin/python3 test/integration/test_bench_honest.py

A load tool that reports success when nothing is checked proves nothing, so each way to be wrong is played here once, and
the tool has to say exactly that and nothing else. What the fake nodes hand on is by hand, not by a JSON library: data
must come back byte for byte.
"""
import asyncio
import http
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import websockets

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import side_by_side  # noqa: E402

BINARY = os.path.join(os.environ.get("WARREN_BIN", "build/release/bin"), "warren-bench")

SENDERS = ["ann", "bob b", "c/d?e", "小明", "🦊", "x%41y"]
TEXTS = ["hello", "two\twords", 'a "quote" and \\', "✈ 弹幕 🚀", "", "<b>&amp;</b>", "２３３３３", "\u200b\u2028 odd"]
VICTIM = 4  # the viewer at which things go wrong, of SENDERS: they come in any order
COMMENTS = 48
SLIP = 21  # the comment with which they do; its sender, 3, is not the victim


def write_input(path, comments=COMMENTS, step_ms=5, pause_ms=0):
    """pause_ms: behind the comment with which things go wrong."""
    with open(path, "w", encoding="utf-8", newline="") as out:
        for i in range(comments):
            at_ms = 1000 + i * step_ms + (pause_ms if i > SLIP else 0)
            out.write(f"{at_ms}\t{SENDERS[i % len(SENDERS)]}\t{TEXTS[i % len(TEXTS)]} #{i}\n")


class Viewer:
    def __init__(self, user, ws):
        self.user = user
        self.ws = ws
        self.held = []
        self.got = 0  # of what was said before things go wrong


class FakeCluster:
    """Rooms of the json dialect on two ports. fault: how to be wrong, see deliver() and receive()."""

    def __init__(self, fault):
        self.fault = fault
        self.viewers = []
        self.ports = []
        self.paths = []
        self.ready = threading.Event()
        self.has_heard = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        if not self.ready.wait(60):
            raise RuntimeError("the fake nodes did not start")
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set_result, None)
        self.thread.join(10)

    def run(self):
        self.loop.run_until_complete(self.serve())
        self.loop.close()

    async def serve(self):
        self.stop = self.loop.create_future()
        servers = []
        for _ in range(2):
            server = await websockets.serve(self.session, "127.0.0.1", 0, compression=None, process_request=self.request)
            servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])
        self.ready.set()
        await self.stop
        for server in servers:
            server.close()
            await server.wait_closed()

    def wait_for_comment(self, tool):
        """Until one has come, so that the tool is in the middle of it."""
        deadline = time.monotonic() + 60
        while not self.has_heard.wait(0.02):
            if tool.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the tool sends nothing")

    async def request(self, path, _headers):
        if self.fault == "http_503" and len(self.paths) == VICTIM:
            return http.HTTPStatus.SERVICE_UNAVAILABLE, [], b"full\n"
        self.paths.append(path)
        return None

    async def session(self, ws, path):
        _, kind, room, user = path.split("/")
        assert kind == "websocket"
        me = Viewer(urllib.parse.unquote(user), ws)
        self.room = urllib.parse.unquote(room)
        self.viewers.append(me)
        if self.fault != "no_welcome" or me.user != SENDERS[VICTIM]:
            await ws.send(json.dumps({"event": "welcome", "session": "s", "user": me.user, "node": "fake", "heartbeat_s": 25,
                                      "channels": [{"channel": f"room:{self.room}", "epoch": "1", "offset": 0}]}))
            await ws.send('{"event":"online","room":"r","count":3}')
        try:
            async for text in ws:
                await self.receive(me, text)
        except websockets.ConnectionClosed:
            pass

    async def receive(self, me, text):
        self.has_heard.set()
        request = json.loads(text)
        assert request["op"] == "send" and request["room"] == self.room, text
        data = re.search(r'"data":(.*)}$', text, re.S).group(1)
        number = request["data"]["n"]
        if self.fault == "refuse" and number == SLIP:
            await me.ws.send(f'{{"id":{request["id"]},"error":{{"code":"rate_limited","message":"slowly"}}}}')
            return
        answer = f'{{"id":{request["id"]},"ok":{{"message":"m{number}","epoch":"1","offset":{number + 1}}}}}'
        message = (f'{{"event":"message","channel":{json.dumps("room:" + self.room)},"epoch":"1","offset":{number + 1},'
                   f'"id":"m{number}","from":{json.dumps(me.user)},"time":1,"data":{data}}}')
        for viewer in list(self.viewers):
            if not viewer.ws.open:
                continue
            if viewer.user == SENDERS[VICTIM] and number >= SLIP:
                await self.deliver_wrongly(viewer, number, message)
            else:
                await viewer.ws.send(message)
                viewer.got += number < SLIP
        if not (self.fault == "silent" and number == SLIP):
            await me.ws.send(answer)

    async def deliver_wrongly(self, viewer, number, message):
        ws = viewer.ws
        if viewer.held and number % len(SENDERS) == SLIP % len(SENDERS):
            await ws.send(message)
            await ws.send(viewer.held.pop())
        elif number != SLIP or self.fault in (None, "refuse", "silent", "no_welcome", "http_503"):
            await ws.send(message)
        elif self.fault == "drop":
            pass
        elif self.fault == "duplicate":
            await ws.send(message)
            await ws.send(message)
        elif self.fault == "late_duplicate":
            await ws.send(message)
            self.loop.call_later(0.6, lambda: asyncio.ensure_future(ws.send(message)))
        elif self.fault == "reorder":
            viewer.held.append(message)
        elif self.fault == "corrupt":
            await ws.send(message.replace(f"#{SLIP}\"", f"#{SLIP}!\""))
        elif self.fault == "other_bytes":  # the same value, but not as it was sent
            await ws.send(message.replace('"t":"', '"t": "'))
        elif self.fault == "wrong_sender":
            await ws.send(message.replace('"from":', '"from":"mallory","was":'))
        elif self.fault == "stray":
            await ws.send(message)
            await ws.send(message.replace(f'"n":{number},', '"n":99999,'))
        elif self.fault == "garbage":
            await ws.send(message)
            await ws.send('{"event":"message","data":')
        elif self.fault == "binary":
            await ws.send(message)
            await ws.send(b"\x01\x02")
        elif self.fault == "batched":  # an array of two objects is two objects
            await ws.send(f'[{message},{{"event":"likes","room":"r","total":1}}]')
        elif self.fault == "elsewhere":  # of another channel: not the tool's business
            await ws.send(message)
            await ws.send('{"event":"message","channel":"user:me","id":"x","time":1,"data":{"n":1,"t":"","s":1}}')
        elif self.fault == "disconnect":
            while viewer.got < SLIP:  # those of others may be under way, each on its own connection
                await asyncio.sleep(0.01)
            await ws.send(message)
            await ws.close(4101, "too slow")
        else:
            raise AssertionError(self.fault)


FAULTS = ["lost", "duplicated", "out_of_order", "corrupted", "unexpected", "refused", "unanswered", "unsent", "disconnects"]


class Honest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.input = os.path.join(self.directory.name, "input.tsv")
        write_input(self.input)

    def command(self, ports, *more):
        nodes = ",".join(f"ws://127.0.0.1:{port}" for port in ports)
        return [BINARY, "replay", self.input, "--nodes", nodes, "--timeout", "4", *more]

    def bench(self, fault, *more):
        with FakeCluster(fault) as cluster:
            done = subprocess.run(self.command(cluster.ports, "--json", *more), capture_output=True, timeout=180)
            self.paths = cluster.paths
        report = json.loads(done.stdout) if done.stdout else None
        return done.returncode, report, done.stderr.decode()

    def expect(self, fault, *more, **counts):
        """Runs with the fault; exactly these counts must be wrong. Exit code 1 if any is."""
        code, report, stderr = self.bench(fault, *more)
        self.assertEqual({name: report[name] for name in FAULTS if report[name]}, counts, stderr)
        self.assertEqual((code, report["ok"]), (1, False) if counts else (0, True), stderr)
        return report

    def test_nothing_wrong(self):
        report = self.expect(None)
        self.assertEqual(report["viewers"], len(SENDERS))
        self.assertEqual(report["sent"], COMMENTS)
        self.assertEqual(report["accepted"], COMMENTS)
        self.assertEqual(report["expected"], COMMENTS * len(SENDERS))
        self.assertEqual(report["received"], report["expected"])
        self.assertEqual(len(report["nodes"]), 2)
        self.assertGreaterEqual(report["duration_s"], 0.23)
        self.assertGreater(report["latency_ms"]["p50"], 0)
        self.assertLessEqual(report["latency_ms"]["p50"], report["latency_ms"]["max"])
        names = [urllib.parse.unquote(path.split("/")[3]) for path in self.paths]
        self.assertEqual(sorted(names), sorted(SENDERS))

    def test_drop(self):
        self.assertEqual(self.expect("drop", lost=1)["received"], COMMENTS * len(SENDERS) - 1)

    def test_duplicate(self):
        self.expect("duplicate", duplicated=1)

    def test_duplicate_after_everything_has_arrived(self):
        self.expect("late_duplicate", "--settle", "5", duplicated=1)

    def test_reorder(self):
        self.expect("reorder", out_of_order=1)

    def test_corrupt(self):
        self.expect("corrupt", corrupted=1)

    def test_other_bytes_of_the_same_value(self):
        self.expect("other_bytes", corrupted=1)

    def test_wrong_sender(self):
        self.expect("wrong_sender", corrupted=1)

    def test_message_that_nobody_sent(self):
        self.expect("stray", unexpected=1)

    def test_frame_that_is_not_json(self):
        self.expect("garbage", unexpected=1)

    def test_frame_of_the_wrong_kind(self):
        self.expect("binary", unexpected=1)

    def test_array_of_events(self):
        self.expect("batched")

    def test_other_channels_do_not_count(self):
        self.expect("elsewhere")

    def test_refuse(self):
        self.assertEqual(self.expect("refuse", refused=1)["refusal"], "rate_limited")

    def test_no_answer(self):
        self.expect("silent", unanswered=1)

    def test_disconnect(self):
        write_input(self.input, pause_ms=3000)  # in which the tool takes note, before it is the victim's turn to say something
        code, report, _ = self.bench("disconnect")
        self.assertEqual(code, 1)
        self.assertEqual(report["disconnects"], 1)
        self.assertIn("too slow (close code 4101)", report["disconnect"])
        # What the victim had still to send is not sent, and of the rest it misses what came later.
        unsent = len([n for n in range(SLIP + 1, COMMENTS) if n % len(SENDERS) == VICTIM])
        self.assertEqual(report["unsent"], unsent)
        self.assertEqual(report["lost"], COMMENTS - 1 - SLIP - unsent)

    def test_viewer_that_is_not_welcomed(self):
        code, report, stderr = self.bench("no_welcome")
        self.assertEqual((code, report["sent"]), (1, 0))
        self.assertIn(f"only {len(SENDERS) - 1} of {len(SENDERS)} viewers were welcomed", stderr)

    def test_refused_upgrade(self):
        code, report, stderr = self.bench("http_503")
        self.assertEqual((code, report["ok"]), (1, False))
        self.assertIn("(HTTP 503)", stderr)

    def test_unreachable(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            done = subprocess.run(self.command([port]), capture_output=True, timeout=180)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"Connection refused", done.stderr)

    def test_latency_counts_from_the_scheduled_time(self):
        """A tool that is stopped for 400 ms must find those in its latency: it was late, so the viewers were."""
        write_input(self.input, comments=800)
        with FakeCluster(None) as cluster:
            tool = subprocess.Popen(self.command(cluster.ports, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            cluster.wait_for_comment(tool)
            tool.send_signal(signal.SIGSTOP)
            time.sleep(0.4)
            tool.send_signal(signal.SIGCONT)
            out, stderr = tool.communicate(timeout=120)
        report = json.loads(out)
        self.assertEqual((tool.returncode, report["ok"]), (0, True), stderr)
        self.assertGreater(report["latency_ms"]["max"], 300)

    def test_interrupt_reports_what_was_done(self):
        write_input(self.input, comments=2000)
        with FakeCluster(None) as cluster:
            tool = subprocess.Popen(self.command(cluster.ports, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            cluster.wait_for_comment(tool)
            tool.send_signal(signal.SIGINT)
            out, _ = tool.communicate(timeout=120)
        report = json.loads(out)
        self.assertEqual((tool.returncode, report["interrupted"], report["ok"]), (1, True, False))
        self.assertGreater(report["sent"], 0)
        self.assertEqual(report["sent"] + report["unsent"], 2000)
        self.assertEqual((report["lost"], report["received"]), (0, report["sent"] * len(SENDERS)))

    def test_the_table_says_so_too(self):
        with FakeCluster("drop") as cluster:
            done = subprocess.run(self.command(cluster.ports), capture_output=True, timeout=180)
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 1)
        self.assertRegex(text, r"lost +1\n")
        self.assertRegex(text, rf"lost are +comment {SLIP} of {SENDERS[SLIP % len(SENDERS)]} at viewer")
        self.assertTrue(text.rstrip().endswith("FAILED"), text)

    def test_usage(self):
        for arguments in ([], ["nothing"], ["replay"], ["replay", self.input], ["replay", "--nodes", "ws://127.0.0.1:1"],
                          ["replay", self.input, "--nodes", "http://127.0.0.1:1"],
                          ["replay", self.input, "--nodes", "ws://127.0.0.1:1/ws"],
                          ["replay", self.input, "--nodes", "ws://127.0.0.1:1", "--speed", "0"],
                          ["replay", self.input, "--nodes", "ws://127.0.0.1:1", "--speed", "nan"],
                          ["replay", self.input, "--nodes", "ws://127.0.0.1:1", "--frobnicate"],
                          ["replay", self.input + "-absent", "--nodes", "ws://127.0.0.1:1"]):
            with self.subTest(arguments):
                done = subprocess.run([BINARY, *arguments], capture_output=True, timeout=180)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotEqual(done.stderr, b"")
        for arguments in (["--help"], ["replay", "--help"], ["--version"]):
            done = subprocess.run([BINARY, *arguments], capture_output=True, timeout=180)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"warren-bench", done.stdout)


def load_tests(_loader, tests, _pattern):
    return side_by_side.Suite(tests, 8)


if __name__ == "__main__":
    unittest.main()
