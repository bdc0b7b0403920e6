#!/usr/bin/python3
"""The two commands as people and supervisors meet them: arguments, configuration, signals, exit codes, tables, the doctor."""
import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402
import wire  # noqa: E402

PASSWORD = "Zq7secretZq7"  # looked for everywhere


def binary_has(name, symbol):
    with open(os.path.join(warren.BIN, name), "rb") as file:
        return symbol in file.read()


def table(text):
    """A printed table: rows as dicts by heading; columns stand where their headings do."""
    lines = text.splitlines()
    starts = [m.start() for m in re.finditer(r"(?<!\S)\S(?:\S| (?! ))*", lines[0])]
    cut = [slice(a, b) for a, b in zip(starts, starts[1:] + [None])]
    return [{lines[0][c].strip(): line[c].strip() for c in cut} for line in lines[1:]]


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="warren-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, text, name="warren.conf"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_warrend(self, *arguments, code=0, environment=None):
        have, out, err = warren.run_tool("warrend", *arguments, environment=environment)
        self.assertEqual(have, code, (arguments, out, err))
        return out, err


class Arguments(Files):
    def test_help_and_version(self):
        for option in ("--help", "-h"):
            out, err = self.run_warrend(option)
            self.assertTrue(out.startswith("Usage: warrend"))
            self.assertEqual(err, "")
            for word in ("--config", "--set", "--check-config", "--print-config", "--doctor", "--standalone", "--version"):
                self.assertIn(word, out)
        out, _ = self.run_warrend("--version")
        self.assertRegex(out, r"^warrend \d+\.\d+\.\d+\n$")
        for option in (["--bogus"], ["--set"], ["--config"], ["positional"], ["--standalone", "positional"]):
            out, err = self.run_warrend(*option, code=2)
            self.assertEqual(out, "")
            self.assertIn("warrend --help", err)

    def test_ctl_options_behind_the_command(self):
        for arguments in (["nodes", "--help"], ["publish", "--room", "r", "--help"], ["--json", "user", "--help"]):
            code, out, err = warren.run_tool("warrenctl", *arguments)
            self.assertEqual((code, err), (0, ""))
            self.assertTrue(out.startswith("Usage: warrenctl [--api URL] [--json] "), out)
        api = f"http://127.0.0.1:{warren.free_port()}"
        for arguments in (["nodes", "--api", api], ["nodes", f"--api={api}/"], ["--api", "http://127.0.0.1:1", "user", "u", "--api", api, "--here"],
                          ["publish", "--all", "--api", api, "--json", "--", "1"]):
            code, out, err = warren.run_tool("warrenctl", *arguments)
            self.assertEqual((code, out), (3, ""), err)
            self.assertIn(f"no node answers at {api}:", err)
        code, _, err = warren.run_tool("warrenctl", "publish", "--all", "--", "--help")
        self.assertEqual(code, 2, "behind -- it is data")
        self.assertIn("DATA is not JSON", err)

    def test_ctl_help_and_usage(self):
        code, out, err = warren.run_tool("warrenctl", "--help")
        self.assertEqual((code, err), (0, ""))
        for word in ("nodes", "bindings", "queues", "rooms [--limit N]", "room ROOM", "user USER", "publish", "doctor", "config", "--json", "WARREN_API"):
            self.assertIn(word, out)
        self.assertRegex(warren.run_tool("warrenctl", "--version")[1], r"^warrenctl \d+\.\d+\.\d+\n$")
        for arguments in ([], ["--bogus", "nodes"], ["bogus"], ["nodes", "extra"], ["user"], ["user", "a", "b"], ["room"], ["publish"],
                          ["publish", "--room", "r"], ["publish", "1"], ["publish", "--room", "r", "--all", "1"],
                          ["publish", "--room", "r", "{"], ["publish", "--bogus", "1"], ["--api", "nonsense", "nodes"],
                          ["config", "x"], ["doctor", "x"], ["queues", "x"], ["bindings", "x"], ["nodes", "--api"], ["room", ""], ["room", "--watch"],
                          ["user", "\x01"], ["user", "--here"], ["kick", ""], ["publish", "--room", "", "1"], ["publish", "--user", "u" * 129, "1"],
                          ["history", "--room", ""], ["history", "--all", "--limit", "x"], ["tail", "--all", "--count", "501"],
                          ["archive", "--out", "-", "--url", "http://h"], ["archive", "--out", "-", "--url-file", __file__]):
            code, out, err = warren.run_tool("warrenctl", *arguments)
            self.assertEqual((code, out), (2, ""), (arguments, err))
            self.assertTrue(err, arguments)


class Configuration(Files):
    def test_check_config(self):
        self.assertEqual(self.run_warrend("--check-config")[0], "The configuration is good.\n")
        good = self.file("[listen]\npublic = 127.0.0.1:8091 # clients\n[session]\nheartbeat = 30s\n[route.a]\npath = /a/{room}\n")
        self.assertEqual(self.run_warrend("--check-config", "-c", good)[0], "The configuration is good.\n")

    def test_errors_name_file_line_and_the_nearest_name(self):
        path = self.file("[listen]\npubilc = 127.0.0.1:1\n[sesion]\n[session]\nheartbeat = 3\nheartbeat = 4s\n[log]\nlevel = loud\n"
                         "nonsense\n[limits]\nconnections = 0\n")
        out, err = self.run_warrend("--check-config", "--config", path, code=2)
        self.assertEqual(out, "")
        for line, words in ((2, ['unknown option "listen.pubilc"', '"listen.public"']), (3, ["[sesion]", "[session]"]),
                            (5, ["session.heartbeat", "25s", '"3"']), (8, ["log.level", "warning", "loud"]), (9, ["="]),
                            (11, ["limits.connections", "from 1"])):
            told = [text for text in err.splitlines() if text.startswith(f"{path}:{line}: ")]
            self.assertEqual(len(told), 1, err)
            for word in words:
                self.assertIn(word, told[0])
        self.assertEqual(self.run_warrend("--config", path, code=2)[1], err, "a node does not start with it")
        out, err = self.run_warrend("--check-config", "--config", path + ".none", code=2)
        self.assertIn(path + ".none", err)
        self.assertIn("No such file", err)
        out, err = self.run_warrend("--check-config", "--config", self.file("[log]\nlevel = info\nlevel = error\n"), code=2)
        self.assertIn("twice", err)

    def test_other_sources_name_themselves(self):
        _, err = self.run_warrend("--check-config", "--set", "log.levle=info", code=2)
        self.assertIn('"log.level"', err)
        _, err = self.run_warrend("--check-config", "--set", "log.level", code=2)
        self.assertIn("section.key=value", err)
        _, err = self.run_warrend("--check-config", environment={"WARREN_LOG_LEVEL": "loud"}, code=2)
        self.assertTrue(err.startswith("WARREN_LOG_LEVEL: "), err)
        for name in ("WARREN_NOTHING_OF_OURS", "WARREN_API", "WARREN_BIN", "WARREN_AMQP_PASSWORD", "WARREN_AMQP_URL_FILE"):
            _, err = self.run_warrend("--check-config", environment={name: self.file("amqp://h/")})
            self.assertEqual(err, "")
        _, err = self.run_warrend("--check-config", environment={"WARREN_AMPQ_URL": "secret"})
        self.assertEqual(err, "WARREN_AMPQ_URL: names no option, and is ignored; did you mean WARREN_AMQP_URL?\n")
        _, err = self.run_warrend("--check-config", "--set", "chanel.x.class=must", code=2)
        self.assertIn("[channel.x]", err)

    def test_what_would_keep_a_node_from_starting_is_found(self):
        for settings, words in [
            (["listen.internal=8.8.8.8:9091"], "internal_anywhere"),
            (["listen.internal=0.0.0.0:9091"], "internal_anywhere"),
            (["listen.internal=[::]:9091"], "internal_anywhere"),
            (["listen.public=127.0.0.1:0"], "port"),
            (["listen.public=nowhere"], "listen.public"),
            (["tls.certificate=/none.pem"], "tls.key"),
            (["tls.certificate=/none.pem", "tls.key=/none.pem"], "/none.pem"),
            (["amqp.url=http://localhost/"], "amqp://"),
            (["amqp.management_url=ftp://localhost/"], "amqp.management_url"),
            (["redis.url=localhost"], "redis://"),
            (["route.a.path=/a/{room"], "{room"),
            (["node.address=10.0.0.1:80"], "without port"),
        ]:
            with self.subTest(settings):
                arguments = [part for setting in settings for part in ("--set", setting)]
                for also in (["--check-config"], ["--set", "loop.workers=1"]):  # the second would start the node
                    out, err = self.run_warrend(*arguments, *also, code=2)
                    self.assertEqual(out, "")
                    self.assertIn(words, err)
                    self.assertLessEqual(len(err.splitlines()), 2, err)
        for address in ("10.1.2.3:1", "192.168.0.1:1", "172.16.0.1:1", "[::1]:1", "[fd00::1]:1"):
            self.run_warrend("--check-config", "--set", f"listen.internal={address}")
        self.run_warrend("--check-config", "--set", "listen.internal=0.0.0.0:1", "--set", "listen.internal_anywhere=on")

    def test_print_config_loads_again(self):
        options = ["--set", "listen.public=127.0.0.1:1234", "--set", "session.heartbeat=90s", "--set", "limits.message_bytes=32k",
                   "--set", "route.long.path=/long/{room}/{user}", "--set", "redis.prefix= a # b", "--set", "amqp.queue=durable",
                   "--set", "node.address=[fd00::5]"]
        printed, err = self.run_warrend("--print-config", *options)
        self.assertEqual(err, "")
        for line in ("\npublic = 127.0.0.1:1234\n", "\nheartbeat = 90s\n", "\nmessage_bytes = 32k\n", "\n[route.long]\n", "\nqueue = durable\n",
                     '\nprefix = "a # b"\n'):
            self.assertIn(line, printed)
        path = self.file(printed)
        self.run_warrend("--check-config", "--config", path)
        self.assertEqual(self.run_warrend("--print-config", "--config", path)[0], printed)
        default, _ = self.run_warrend("--print-config")
        self.assertEqual([line for line in default.splitlines() if line and line[0] not in "#["], [], "defaults are comments")
        self.assertLessEqual(max(map(len, default.splitlines())), 100)

    def test_precedence(self):
        path = self.file("[session]\nheartbeat = 11s\n[log]\nlevel = warning\n[limits]\nheaders = 11\n[drain]\nperiod = 11s\n")
        environment = {"WARREN_SESSION_HEARTBEAT": "22s", "WARREN_LOG_LEVEL": "error", "WARREN_LIMITS_HEADERS": "22"}
        printed, _ = self.run_warrend("--print-config", "-c", path, "--set", "session.heartbeat=33s", "--set", "limits.headers=32",
                                      "--set", "limits.headers=33", environment=environment)
        for line in ("heartbeat = 33s", "level = error", "headers = 33", "period = 11s", "# echo = no"):
            self.assertIn("\n" + line + "\n", printed)

    def test_passwords_are_not_told(self):
        secret_file = self.file(f"amqp://me:{PASSWORD}@127.0.0.1:1/v\n", "secret")
        for options in (["--set", f"amqp.url=amqp://me:{PASSWORD}@127.0.0.1:1/v"], ["--set", f"amqp.url_file={secret_file}"],
                        ["--set", f"redis.url=redis://me:{PASSWORD}@127.0.0.1:1/0"],
                        ["--set", f"amqp.management_url=http://me:{PASSWORD}@127.0.0.1:1"],
                        ["-c", self.file(f"[amqp]\nurl = amqp://me:{PASSWORD}@127.0.0.1:1/v, amqp://you:{PASSWORD}@127.0.0.1:2/v\n")]):
            out, _ = self.run_warrend("--print-config", *options)
            self.assertNotIn(PASSWORD, out)
            out, err = self.run_warrend("--doctor", "--set", f"listen.public=127.0.0.1:{warren.free_port()}", *options, code=1)
            self.assertNotIn(PASSWORD, out + err)
        for bad in (f"amqp.url=amqp://me:{PASSWORD}@:1:1/", f"redis.url=redis://me:{PASSWORD}@h:99999/", f"amqp.url=me:{PASSWORD}@host",
                    f"amqp.management_url=ftp://me:{PASSWORD}@h/", f"redis.url=me:{PASSWORD}"):
            _, err = self.run_warrend("--check-config", "--set", bad, code=2)
            self.assertNotIn(PASSWORD, err)
        _, err = self.run_warrend("--check-config", "-c", self.file(f"[redis]\nurl = redis//me:{PASSWORD}@h\n"), code=2)
        self.assertNotIn(PASSWORD, err)


class Process(warren.WarrenTest):
    node_count = 0
    standalone = True

    def launch(self, node, *arguments, environment=None):
        """A node whose end the test looks at itself."""
        self.addCleanup(node.kill)
        node.environment = environment or {}
        return node.start(ready=True)

    def test_signals_end_it_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            node = self.launch(warren.Node(standalone=True))
            node.signal(number)
            self.assertEqual(node.process.wait(60), 0)
            self.assertIn(f"signal={number.name}", node.log())
            self.assertIn('msg="node ended"', node.log())
            node.stop()  # scans the log

    def test_a_second_signal_ends_at_once(self):
        node = self.launch(warren.Node({"limits.close_timeout": "60s", "drain.period": "60s"}, standalone=True))
        with wire.Peer(node.port) as peer:  # never answers the close frame, which would take the minute
            peer.upgraded()
            node.signal(signal.SIGTERM)
            self.assertEqual(peer.closed(), (4100, "draining"))
            self.assertIsNone(node.process.poll())
            node.signal(signal.SIGTERM)
            self.assertEqual(node.process.wait(30), 1)
        self.assertIn("second signal", node.log())

    def test_sigpipe_does_not_end_it(self):
        node = self.start_node()
        node.signal(signal.SIGPIPE)
        self.assertEqual(node.readiness()[0], 200)

    def test_a_crash_tells_where_and_dies_of_its_signal(self):
        numbers = [signal.SIGABRT]
        if not binary_has("warrend", b"__asan_init"):  # the sanitizer's own report otherwise
            numbers += [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL]
        for number in numbers:
            node = self.launch(warren.Node(standalone=True))
            node.signal(number)
            self.assertEqual(node.process.wait(60), -number)
            log = node.log()
            self.assertIn(f"fatal signal {number.name}\n", log)
            frames = log.split(f"fatal signal {number.name}\n")[1].splitlines()
            self.assertGreater(len(frames), 3, "a backtrace")
            self.assertTrue(any("warrend" in frame for frame in frames), frames)

    def test_supervisor_is_notified(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in (os.path.join(folder.name, "notify"), "\0warren-" + secrets.token_hex(8)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
                supervisor.bind(name)
                supervisor.settimeout(60)
                node = warren.Node(standalone=True)
                self.launch(node, environment={"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "600000"})
                self.assertEqual(supervisor.recv(100), b"READY=1")
                times, deadline = [], time.monotonic() + 60
                while len(times) < 4 or times[-1] - times[-4] >= 3 * 0.6:  # four in a row in time for the supervisor, once the machine lets them
                    self.assertLess(time.monotonic(), deadline, times)
                    self.assertEqual(supervisor.recv(100), b"WATCHDOG=1")
                    times.append(time.monotonic())
                node.signal(signal.SIGTERM)
                said = supervisor.recv(100)
                while said == b"WATCHDOG=1":
                    said = supervisor.recv(100)
                self.assertEqual(said, b"STOPPING=1")
                self.assertRegex(supervisor.recv(100), rb"^EXTEND_TIMEOUT_USEC=[0-9]+000000$", "a long drain needs longer than usual")
                self.assertEqual(node.process.wait(60), 0)

    def test_no_watchdog_for_another_process(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            name = "\0warren-" + secrets.token_hex(8)
            supervisor.bind(name)
            supervisor.settimeout(60)
            self.launch(warren.Node(standalone=True),
                        environment={"NOTIFY_SOCKET": "@" + name[1:], "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}).stop()
            self.assertEqual([supervisor.recv(100), supervisor.recv(100)], [b"READY=1", b"STOPPING=1"])


class Ports(warren.WarrenTest):
    """A port that is taken ends the start with a sentence, before the broker has seen anything."""

    node_count = 0

    def test_taken(self):
        for key, field in (("listen.public", "port"), ("listen.internal", "internal_port")):
            node = warren.Node(self.node_settings())
            self.addCleanup(node.kill)
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier test may wait for their end
                taken.bind(("127.0.0.1", getattr(node, field)))
                taken.listen()
                node.start(ready=False)
                self.assertEqual(node.process.wait(60), 1)
            address = f"127.0.0.1:{getattr(node, field)}"
            self.assertEqual(node.log().splitlines()[-1], f"{key}: {address}: Address already in use")
            self.assertEqual(self.broker.queues(), {})


class Ctl(warren.WarrenTest):
    node_count = 2
    settings = {"amqp.queue": "durable"}

    def ctl(self, *arguments, code=0):
        have, out, err = warren.run_tool("warrenctl", "--api", self.nodes[0].api, *arguments)
        self.assertEqual(have, code, (arguments, out, err))
        return out, err

    def both(self, *arguments, code=0):
        """The table's rows, and the JSON."""
        out, err = self.ctl(*arguments, code=code)
        self.assertEqual(err, "")
        return table(out), json.loads(self.ctl(*arguments, "--json", code=code)[0])

    def test_nodes(self):
        rows, answer = self.both("nodes")
        ids = sorted(node.id for node in self.nodes)
        self.assertEqual(sorted(row["NODE"] for row in rows), ids)
        self.assertEqual({row["STATE"] for row in rows}, {"up"})
        self.assertEqual({row["INTERNAL"] for row in rows}, {f"127.0.0.1:{node.internal_port}" for node in self.nodes})
        self.assertRegex(rows[0]["STARTED"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(answer["this"], self.nodes[0].id)
        self.assertEqual(sorted(node["node"] for node in answer["nodes"] if node["alive"]), ids)
        code, out, _ = warren.run_tool("warrenctl", "--json", "nodes", environment={"WARREN_API": self.nodes[1].api + "/"})
        self.assertEqual((code, json.loads(out)["this"]), (0, self.nodes[1].id))
        self.nodes[1].stop()

    async def test_user_and_room(self):
        await self.client(f"{self.nodes[0].ws}/ws?user=a%20b&device=phone")
        bob = await self.client(f"{self.nodes[1].ws}/ws?user=a%20b&device=desk")
        await bob.request(op="join", room="kitchen/☕")
        await self.room(self.nodes[0], "kitchen/☕", "carol")
        warren.wait_for(lambda: len(self.both("user", "a b")[0]) == 2, "both sessions are stated")
        rows, answer = self.both("user", "a b")
        self.assertEqual({(row["NODE"], row["DEVICE"]) for row in rows}, {(self.nodes[0].id, "phone"), (self.nodes[1].id, "desk")})
        self.assertEqual({s["session"] for s in answer["sessions"]}, {row["SESSION"] for row in rows})
        warren.wait_for(lambda: self.both("room", "kitchen/☕")[1]["count"] == 2, "both are in the room")
        out, _ = self.ctl("room", "kitchen/☕")
        nodes, users = out.split("\n\n")
        nodes = [line.split() for line in nodes.splitlines()]
        self.assertEqual(nodes[0], ["NODE", "USERS", "CONNECTIONS"])
        self.assertEqual(sorted(nodes[1:-1]), sorted([node.id, "1", "1"] for node in self.nodes))
        self.assertEqual(" ".join(nodes[-1]), "2 users, 2 connections, 0 likes")
        self.assertEqual([line.strip() for line in users.splitlines()], ["USER", "a b", "carol"])
        answer = self.both("room", "kitchen/☕")[1]
        self.assertEqual([answer[key] for key in ("count", "connections", "likes", "users", "next")], [2, 2, 0, ["a b", "carol"], None])
        self.assertEqual(sorted(part["node"] for part in answer["nodes"]), sorted(node.id for node in self.nodes))
        self.assertEqual(self.both("user", "nobody"), ([], {"sessions": []}))
        self.ctl("user", "a\nb", code=2)

    async def test_a_crowded_room(self):
        """All pages; for programs an object each."""
        names = sorted(f"user & {i:03}" for i in range(520))
        clients = await asyncio.gather(*(self.client(f"{self.nodes[0].ws}/ws?user=user%20%26%20{i:03}") for i in range(520)))
        await asyncio.gather(*(client.request(op="join", room="crowd") for client in clients))
        await clients[0].expect(lambda m: m.get("event") == "online" and m["count"] == 520, "the count")
        code, out, _ = warren.run_tool("warrenctl", "--api", self.nodes[1].api, "room", "crowd")
        self.assertEqual((code, [line.strip() for line in out.split("\n\n")[1].splitlines()]), (0, ["USER", *names]))
        code, out, _ = warren.run_tool("warrenctl", "--api", self.nodes[1].api, "--json", "room", "crowd")
        pages = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, [page["count"] for page in pages], sum((page["users"] for page in pages), [])), (0, [520, 520], names))

    async def test_what_a_node_knows_of_a_user(self):
        """Where, in which rooms, what waits, and how it ended: of the asked node, and of no other."""
        client = await self.client(f"{self.nodes[0].ws}/ws?user=a%20b&device=phone")
        await client.request(op="join", room="kitchen/☕")
        await client.request(op="join", room="hall")

        def tables(node, *arguments):
            code, out, err = warren.run_tool("warrenctl", "--api", node.api, "user", "a b", "--here", *arguments)
            self.assertEqual((code, err), (0, ""))
            return out

        sessions, ended = map(table, tables(self.nodes[0]).split("\n\n"))
        self.assertEqual([(row["DEVICE"], sorted(row["ROOMS"].split(", "))) for row in sessions], [("phone", ["hall", "kitchen/☕"])])
        self.assertLess(int(sessions[0]["QUEUED BYTES"]), 1000, "an event of the rooms may just be leaving")
        self.assertRegex(sessions[0]["PEER"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual(ended, [])
        answer = json.loads(tables(self.nodes[0], "--json"))
        self.assertEqual((answer["node"], [s["session"] for s in answer["sessions"]]), (self.nodes[0].id, [sessions[0]["SESSION"]]))
        self.assertEqual(list(map(table, tables(self.nodes[1]).split("\n\n"))), [[], []])
        self.ctl("kick", "a b")
        sessions, ended = map(table, tables(self.nodes[0]).split("\n\n"))
        self.assertEqual(sessions, [])
        self.assertEqual([(row["DEVICE"], row["CODE"], row["REASON"], row["DETAIL"]) for row in ended], [("phone", "4501", "kicked", "kicked")])
        self.assertRegex(ended[0]["ENDED"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        for arguments in (["user", "a", "--there"], ["user", "--here"], ["user", "a", "--here", "b"]):
            self.assertIn("Usage: warrenctl user", self.ctl(*arguments, code=2)[1])

    async def test_rooms(self):
        self.assertEqual(self.both("rooms"), ([], {"rooms": [], "more": 0}))
        for node, room, user in ((0, "kitchen/☕", "a b"), (1, "kitchen/☕", "a b"), (1, "kitchen/☕", "carol"), (1, "hall", "bob"), (0, "{1}", "x"),
                                 (0, "{1}", "y")):
            client = await self.client(f"{self.nodes[node].ws}/ws?user={urllib.parse.quote(user)}")
            await client.request(op="join", room=room)
        expected = [("kitchen/☕", "2", "3", "2"), ("{1}", "2", "2", "1"), ("hall", "1", "1", "1")]

        def listed():
            return [tuple(row.values()) for row in self.both("rooms")[0]]

        warren.wait_for(lambda: listed() == expected, "all three are stated")
        rows, answer = self.both("rooms", "--limit", "3")
        self.assertEqual(rows[0], {"ROOM": "kitchen/☕", "USERS": "2", "CONNECTIONS": "3", "NODES": "2"})
        self.assertEqual(answer, {"rooms": [{"room": r, "count": int(u), "connections": int(c), "nodes": int(n)} for r, u, c, n in expected], "more": 0})
        self.assertTrue(self.ctl("rooms", "--limit", "1")[0].endswith("\nand 2 smaller ones\n"))
        self.assertEqual(json.loads(self.ctl("rooms", "--limit", "1", "--json")[0]), {"rooms": answer["rooms"][:1], "more": 2})
        for arguments in (["x"], ["--limit", "0"], ["--limit", "x"], ["--limit", "-1"], ["--limit"], ["--after", "1"]):
            self.assertIn("Usage: warrenctl rooms", self.ctl("rooms", *arguments, code=2)[1])
        self.nodes[1].kill()
        warren.wait_for(lambda: listed() == [("{1}", "2", "2", "1"), ("kitchen/☕", "1", "1", "1")], "the other's lease has ended")

    async def test_publish(self):
        bob = await self.room(self.nodes[1], "lobby", "bob")
        await bob.request(op="online", room="lobby")
        self.assertRegex(self.ctl("publish", "--room", "lobby", '{"a":1.50}')[0], r"^published \S+\n$")
        self.assertEqual((await bob.message())["data"], {"a": 1.5})
        self.assertTrue(bob.frames[-1].endswith('"data":{"a":1.50}}'), bob.frames[-1])
        self.ctl("publish", "--room", "lobby", "--from", "shop", "--text", 'say "hi" ☕')
        heard = await bob.message()
        self.assertEqual((heard["data"], heard["from"]), ('say "hi" ☕', "shop"))
        warren.wait_for(lambda: self.both("user", "bob")[0], "bob is known")
        self.assertRegex(self.ctl("publish", "--user", "bob", "1")[0], r"^published \S+ to 1 sessions\n$")
        self.assertEqual((await bob.message())["channel"], "user:bob")
        first = json.loads(self.ctl("--json", "publish", "--all", "--key", "k", "2")[0])
        again = json.loads(self.ctl("publish", "--all", "--key", "k", "2", "--json")[0])
        self.assertEqual(first["message"], again["message"])
        self.assertEqual((await bob.message())["channel"], "all")
        self.ctl("publish", "--room", "lobby", '"end"')
        self.assertEqual([m for m in await bob.drain("end") if m["event"] == "message"], [], "a key publishes once")
        _, err = self.ctl("publish", "--room", "x" * 129, "1", code=2)
        self.assertIn("128", err)
        _, err = self.ctl("publish", "--room", "r", "--text", "x" * 70000, code=1)
        self.assertIn("limits.message_bytes", err)

    def test_config(self):
        rows, answer = self.both("config")
        values = {row["OPTION"]: row for row in rows}
        self.assertEqual(values["listen.public"]["VALUE"], self.nodes[0].id)
        self.assertEqual((values["amqp.queue"]["VALUE"], values["amqp.queue"]["FROM"]), ("durable", "--set"))
        self.assertEqual((values["session.heartbeat"]["VALUE"], values["session.heartbeat"]["FROM"]), ("25s", "default"))
        self.assertEqual({option["key"] for option in answer["options"]}, set(values))
        self.assertTrue(all(option["help"] for option in answer["options"]))

    def test_passwords_are_nowhere(self):
        password = re.match("amqp://[^:]+:([^@]+)@", self.broker.url)[1]
        self.assertGreater(len(password), 6)
        told = "".join(node.log() for node in self.nodes)
        for path in ("/v1/config", "/v1/doctor", "/v1/nodes", "/v1/bindings", "/v1/queues", "/metrics"):
            told += warren.fetch(self.nodes[0].api + path)[1].decode()
        for command in ("config", "doctor"):
            told += "".join(warren.run_tool("warrenctl", "--api", self.nodes[0].api, command)[1:])
        self.assertIn("***", told)
        self.assertNotIn(password, told)

    def test_passwords_that_are_wrong_are_nowhere(self):
        node = self.start_node(ready=False, settings={
            "amqp.url": re.sub(":[^:@]+@", f":{PASSWORD}@", self.broker.url), "redis.url": warren.REDIS_URL.replace("//", f"//u:{PASSWORD}@"),
            "amqp.management_url": re.sub(":[^:@]+@", f":{PASSWORD}@", self.broker.management), "log.level": "debug"})
        warren.wait_for(lambda: "ACCESS_REFUSED" in node.log() and "redis is away" in node.log(), "refused by both")
        told = node.log()
        for path in ("/v1/config", "/v1/doctor", "/v1/bindings", "/readyz"):
            told += warren.fetch(node.api + path)[1].decode()
        self.assertNotIn(PASSWORD, told)

    def test_doctor(self):
        code, out, _ = warren.run_tool("warrenctl", "--api", self.nodes[0].api, "doctor")
        self.assertEqual(code, 0, out)
        for check in ("node", "broker", "management", "redis", "redis eviction", "public port", "internal port", "tls", "descriptors", "clock"):
            self.assertRegex(out, rf"(?m)^(ok|warn) +{check} +\S")
        answer = json.loads(self.ctl("doctor", "--json")[0])
        self.assertEqual(answer["failed"], 0)
        self.assertTrue(all(check["result"] != "ok" or not check.get("mend") for check in answer["checks"]))

    def test_nobody_answers(self):
        api = f"http://127.0.0.1:{warren.free_port()}"
        for command in (["nodes"], ["bindings"], ["queues"], ["config"], ["user", "u"], ["rooms"], ["room", "r"], ["publish", "--all", "1"]):
            code, out, err = warren.run_tool("warrenctl", "--api", api, *command)
            self.assertEqual((code, out), (3, ""), err)
            self.assertIn(f"no node answers at {api}", err)
        code, out, err = warren.run_tool("warrenctl", "--api", api, "doctor")
        self.assertEqual((code, out), (3, ""))
        self.assertIn("warrend --doctor", err)
        code, _, err = warren.run_tool("warrenctl", "--api", self.nodes[0].http, "nodes")
        self.assertEqual(code, 1, "the public listener is not the API")
        self.assertTrue(err)

    def test_bindings_and_queues(self):
        rows, answer = self.both("bindings")
        self.assertEqual({(row["EXCHANGE"], row["NODE"], row["STATE"]) for row in rows},
                         {(exchange, node.id, "ok") for exchange in ("warren.fanout", "warren.node") for node in self.nodes})
        self.assertEqual({row["QUEUE"] for row in rows}, {f"warren.node.{node.id}" for node in self.nodes})
        self.assertEqual(answer["problems"], 0)

        def have_consumers():
            return {row["CONSUMERS"] for row in self.both("bindings")[0]} == {"1"}

        warren.wait_for(have_consumers, "the broker's statistics tell of the consumers")
        rows, answer = self.both("queues")
        self.assertEqual({(row["QUEUE"], row["DURABLE"], row["STATE"]) for row in rows},
                         {(name, "yes", "ok") for name in (*(f"warren.node.{node.id}" for node in self.nodes), "warren.ingress", "warren.ingress.dead")})

    def test_an_orphan_stands_out(self):
        with self.broker.channel() as channel:
            channel.queue_declare("warren.node.10.9.9.9:1")
            channel.queue_bind("warren.node.10.9.9.9:1", "warren.fanout")
            channel.queue_declare("somebody-else")
            channel.queue_bind("somebody-else", "warren.fanout")
            channel.basic_publish("warren.fanout", "", b'{"room":"r","data":1}')
            rows, answer = self.both("bindings", code=1)
            states = {row["QUEUE"]: row["STATE"] for row in rows}
            self.assertTrue(states["warren.node.10.9.9.9:1"].startswith("ORPHAN"), rows)
            self.assertEqual(states["somebody-else"], "foreign")
            self.assertEqual(states[f"warren.node.{self.nodes[0].id}"], "ok")
            orphan = next(row for row in rows if row["QUEUE"] == "warren.node.10.9.9.9:1")
            self.assertEqual((orphan["NODE"], orphan["ALIVE"], orphan["READY"]), ("10.9.9.9:1", "no", "1"))
            self.assertEqual(answer["problems"], 1)
            self.assertEqual(self.both("queues", code=1)[1]["problems"], 1)
            channel.queue_unbind("warren.node.10.9.9.9:1", "warren.fanout")
            self.assertIn("ORPHAN", self.ctl("bindings", code=1)[0], "also when it is bound to nothing")
            channel.queue_delete("warren.node.10.9.9.9:1")
        self.assertNotIn("ORPHAN", self.ctl("bindings")[0])

    def test_a_missing_binding_stands_out(self):
        node = self.nodes[1]
        with self.broker.channel() as channel:
            channel.queue_unbind(f"warren.node.{node.id}", "warren.node", node.id)
            rows, answer = self.both("bindings", code=1)
            missing = [row for row in rows if row["STATE"].startswith("MISSING")]
            self.assertEqual([(row["EXCHANGE"], row["NODE"], row["ALIVE"]) for row in missing], [("warren.node", node.id, "yes")])
            self.assertEqual(answer["problems"], 1)
            channel.queue_bind(f"warren.node.{node.id}", "warren.node", node.id)
        self.ctl("bindings")

    def test_no_management_api(self):
        node = self.start_node(settings={"amqp.management_url": f"http://u:p@127.0.0.1:{warren.free_port()}"})
        for command in ("bindings", "queues"):
            code, out, err = warren.run_tool("warrenctl", "--api", node.api, command)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("management API", err)
        code, out, err = warren.run_tool("warrenctl", "--api", node.api, "doctor")
        self.assertRegex(out, r"(?m)^warn +management +\S")
        self.assertIn("rabbitmq_management", out)

    def test_names_cannot_write_to_the_terminal(self):
        with self.broker.channel() as channel:
            for sequence in ("\x1b[31m", "\x9b31m", "\b\t", "\x7f"):  # a queue's name is anybody's who may declare one
                channel.queue_declare(f"warren.node.{sequence}red")
                channel.queue_bind(f"warren.node.{sequence}red", "warren.fanout")
        for command in ("bindings", "queues"):
            out, _ = self.ctl(command, code=1)
            self.assertEqual(out.count("ORPHAN") if command == "bindings" else out.count("orphan"), 4, out)
            self.assertFalse(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out), repr(out))


class Doctor(warren.WarrenTest):
    node_count = 0

    def doctor(self, *settings, code):
        values = {**self.node_settings(), "listen.public": f"127.0.0.1:{warren.free_port()}",
                  "listen.internal": f"127.0.0.1:{warren.free_port()}", **dict(setting.split("=", 1) for setting in settings)}
        arguments = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        have, out, err = warren.run_tool("warrend", "--doctor", *arguments)
        self.assertEqual((have, err), (code, ""), out)
        return out

    def failed(self, out):
        """{check: (what, how to mend it)} of what failed."""
        return {m[1]: (m[2], m[3]) for m in re.finditer(r"(?m)^FAIL +(\S+(?: \S+)*)  +(.*)\n +to mend: (.+)$", out)}

    def redis(self, *arguments):
        port = warren.free_port()
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", *arguments],
                                  stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

        def answers():
            try:
                with socket.create_connection(("127.0.0.1", port), 30) as s:
                    s.sendall(b"PING\r\n")
                    return s.recv(100)
            except OSError:
                return b""

        warren.wait_for(answers, "redis-server answers")
        return port

    def test_good(self):
        out = self.doctor(code=0)
        self.assertNotIn("FAIL", out)
        for check in ("node", "broker", "management", "redis", "redis eviction", "public port", "internal port", "tls"):
            self.assertRegex(out, rf"(?m)^ok +{check} +\S")
        self.assertEqual(self.broker.queues(), {}, "it declares nothing")

    def test_broker(self):
        port = warren.free_port()
        what, mend = self.failed(self.doctor(f"amqp.url=amqp://u:p@127.0.0.1:{port}/", code=1))["broker"]
        self.assertIn(f"127.0.0.1:{port}", what)
        self.assertIn("nothing listens", what)
        self.assertIn("amqp.url", mend)
        what, _ = self.failed(self.doctor("amqp.url=" + re.sub(":[^:@]+@", ":wrong@", self.broker.url), code=1))["broker"]
        self.assertIn("ACCESS_REFUSED", what)
        what, _ = self.failed(self.doctor("amqp.url=" + self.broker.url + "-none", code=1))["broker"]
        self.assertRegex(what, "vhost.*not found|NOT_ALLOWED")
        self.assertIn("broker", self.failed(self.doctor(f"amqp.url=amqp://u:p@{urllib.parse.urlsplit(warren.REDIS_URL).netloc}/", code=1)))
        out = self.doctor(f"amqp.url=amqp://u:p@127.0.0.1:{port}/,{self.broker.url}", code=1)
        self.assertRegex(out, rf"(?m)^ok +broker +.*{self.broker.vhost}: logged in")

    def test_management(self):
        out = self.doctor("amqp.management_url=" + re.sub(":[^:@]+@", ":wrong@", self.broker.management), code=0)
        self.assertRegex(out, r"(?m)^warn +management .*401\n +to mend: .*monitoring")

    def test_redis(self):
        port = warren.free_port()
        what, mend = self.failed(self.doctor(f"redis.url=redis://127.0.0.1:{port}/0", code=1))["redis"]
        self.assertIn("Connection refused", what)
        self.assertIn("redis.url", mend)
        broker = urllib.parse.urlsplit(self.broker.url)
        self.assertIn("redis", self.failed(self.doctor(f"redis.url=redis://{broker.hostname}:{broker.port}", code=1)))
        port = self.redis("--requirepass", "right")
        self.assertIn("NOAUTH", self.failed(self.doctor(f"redis.url=redis://127.0.0.1:{port}/0", code=1))["redis"][0])
        self.assertIn("WRONGPASS", self.failed(self.doctor(f"redis.url=redis://:wrong@127.0.0.1:{port}/0", code=1))["redis"][0])
        self.doctor(f"redis.url=redis://:right@127.0.0.1:{port}/0", code=0)

    def test_eviction(self):
        port = self.redis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
        what, mend = self.failed(self.doctor(f"redis.url=redis://127.0.0.1:{port}/0", code=1))["redis eviction"]
        self.assertIn("allkeys-lru", what)
        self.assertIn("noeviction", mend)

    def test_streams(self):
        for size, result in (("4096", "warn"), ("512", "ok")):
            port = self.redis("--maxmemory-policy", "noeviction", "--stream-node-max-bytes", size)
            out = self.doctor(f"redis.url=redis://127.0.0.1:{port}/0", code=0)
            self.assertRegex(out, rf"(?m)^{result} +redis streams +stream-node-max-bytes is {size}")
            self.assertEqual("CONFIG SET stream-node-max-bytes 512" in out, result == "warn")

    def test_ports_and_certificates(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for key, check in (("listen.public", "public port"), ("listen.internal", "internal port")):
                what, mend = self.failed(self.doctor(f"{key}={address}", code=1))[check]
                self.assertIn("in use", what)
                self.assertIn(key, mend)
        what, mend = self.failed(self.doctor("tls.certificate=/none.pem", "tls.key=/none.pem", code=1))["tls"]
        self.assertIn("/none.pem", what)
        what, mend = self.failed(self.doctor("amqp.url=amqp://u:p@no-such-host.invalid/", code=1))["node"]
        self.assertIn("node.address", what)


class StandaloneDoctor(warren.WarrenTest):
    node_count = 0
    standalone = True

    def test_it_asks_for_no_broker(self):
        code, out, _ = warren.run_tool("warrend", "--doctor", "--standalone", "--set", f"listen.public=127.0.0.1:{warren.free_port()}",
                                       "--set", f"listen.internal=127.0.0.1:{warren.free_port()}")
        self.assertEqual(code, 0, out)
        self.assertNotRegex(out, "(?m)^[a-zA-Z]+ +(broker|redis)")


if __name__ == "__main__":
    warren.main()
