#!/usr/bin/python3
"""docs/examples/warren.js, in Node and in a browser: what it says is published once, what it hears is all there, in order, whatever breaks."""
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services  # noqa: E402
import warren  # noqa: E402
import webdriver  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.path.join(warren.TOP, "docs", "examples", "warren.js")


def node_environment():
    """Debian's packages of libraries for Node lie where only Debian's own Node looks."""
    return {**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}


def node_lacks():
    """What the test in Node needs and is not there; empty if nothing."""
    if not shutil.which("node"):
        return "nodejs"
    has = "process.exit(typeof WebSocket === 'function' || require('ws') ? 0 : 1)"
    found = subprocess.run(["node", "-e", has], env=node_environment(), capture_output=True, check=False)
    return "" if found.returncode == 0 else "node-ws"


class InNode:
    def __init__(self, urls):
        self.process = subprocess.Popen(["node", os.path.join(HERE, "client_scenario.js"), json.dumps(urls)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=node_environment())

    def do(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


class Pages(http.server.SimpleHTTPRequestHandler):
    """What a site would serve: a page, and the scripts that it names."""

    def do_GET(self):
        path = {"/warren.js": CLIENT, "/scenario.js": os.path.join(HERE, "client_scenario.js")}.get(self.path)
        body = b"<!doctype html><title>warren.js</title><script src=/warren.js></script><script src=/scenario.js></script>"
        if path:
            with open(path, "rb") as file:
                body = file.read()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript; charset=utf-8" if path else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class InBrowser:
    def __init__(self, urls):
        self.site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=self.site.serve_forever, daemon=True).start()
        self.browser = webdriver.Browser()
        self.browser.open(f"http://127.0.0.1:{self.site.server_port}/")
        self.browser.run("window.scenario = begin(Warren, arguments[0], {})", urls)

    def do(self, order):
        return self.browser.run("if (arguments[0] !== 'report') scenario[arguments[0]](); return scenario.report", order)

    def end(self):
        self.browser.close()
        self.site.shutdown()
        self.site.server_close()


class Unit(unittest.TestCase):
    @unittest.skipUnless(shutil.which("node"), "not installed: nodejs")
    def test_by_a_clock_of_its_own(self):
        result = subprocess.run(["node", os.path.join(HERE, "test_client.js")], capture_output=True, text=True, timeout=240, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_it_is_short(self):
        with open(CLIENT, encoding="utf-8") as file:
            self.assertLess(len(file.readlines()), 300)


class Client(services.OwnServices, warren.WarrenTest):
    node_count = 0
    settings = {"drain.period": "1s", "drain.rate": "0", "session.heartbeat": "2s",
                "channel.rooms.match": "room:*", "channel.rooms.log_length": "50000", "channel.rooms.log_bytes": "64m"}  # longer than any absence

    def again(self, node):
        self.nodes[self.nodes.index(node)] = fresh = self.start_node(port=node.port, internal=node.internal_port)
        self.nodes.pop()
        return fresh

    def through_everything(self, runner):
        self.start_node()
        self.start_node()
        status, _ = self.nodes[0].post("/v1/rooms/numbers/messages", {"data": "first"})  # the room's epoch has begun
        self.assertEqual(status, 202)
        client = runner([f"{node.ws}/ws" for node in self.nodes])
        self.addCleanup(client.end)

        def moved_on(what, timeout=120):
            """Everything said up to now was answered and heard by both."""
            said = client.do("report")["said"]
            try:
                warren.wait_for(lambda: min(min(len(heard) for heard in client.do("report")["heard"].values()),
                                            client.do("report")["answered"]) >= said + 20, what, timeout)
            except AssertionError:
                print({k: v for k, v in client.do("report").items() if k != "heard"}, file=sys.stderr)
                raise

        def whose(name):
            return next(node for node in self.nodes if node.id == client.do("report")["nodes"][name])

        moved_on("it begins")
        victim = whose("talker")
        victim.kill()
        moved_on("the talker's node was killed")
        self.again(victim)
        victim = whose("talker")
        victim.signal(signal.SIGTERM)
        victim.process.wait(60)
        moved_on("the talker's node was drained")
        self.again(victim)
        self.services.kill("rabbitmq")
        moved_on("without the broker")
        self.services.start("rabbitmq")
        moved_on("with the broker again")
        victim = whose("listener")
        os.kill(victim.process.pid, signal.SIGSTOP)
        try:
            if victim is not whose("talker"):
                said = client.do("report")["said"]
                warren.wait_for(lambda: whose("listener") is not victim and len(client.do("report")["heard"]["listener"]) > said,
                                "a connection that is dead and does not say so is found out", 120)
            else:
                moved_on("the same, for both")
        finally:
            os.kill(victim.process.pid, signal.SIGCONT)
        client.do("stop")
        warren.wait_for(lambda: client.do("report")["answered"] == client.do("report")["said"], "all was answered")
        said = client.do("report")["said"]
        warren.wait_for(lambda: all(heard and heard[-1] == said for heard in client.do("report")["heard"].values()), "all was heard")
        report = client.do("close")
        for name, heard in report["heard"].items():
            self.assertEqual(heard, list(range(1, said + 1)), f"{name}: each once, in order")
        self.assertEqual((report["failed"], report["told"]), ([], []))
        states = [(code, reason) for name, state, code, reason, _ in report["states"] if name == "talker" and state == "waiting"]
        self.assertIn(4100, [code for code, _ in states])
        self.assertIn(1006, [code for code, _ in states])

    @unittest.skipIf(node_lacks(), f"not installed: {node_lacks()}")
    def test_in_node(self):
        self.through_everything(InNode)

    @unittest.skipIf(webdriver.missing(), f"not installed: {webdriver.missing()}")
    def test_in_a_browser(self):
        self.through_everything(InBrowser)


if __name__ == "__main__":
    warren.main()
