"""Whole nodes, seen from outside: starts them, talks to them with independent clients, and looks at what they leave behind.

Environment (scripts/test sets it): WARREN_BIN, the folder of the binaries; WARREN_TEST_AMQP_URL, WARREN_TEST_AMQP_MANAGEMENT_URL and
WARREN_TEST_REDIS_URL, a broker and a store to share. Each test case takes a virtual host and a key prefix of its own.

Nothing here sleeps to be sure: everything waits for a condition, with a deadline.
"""
import asyncio
import base64
import contextlib
import json
import os
import re
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import pika
import websockets

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.environ.get("WARREN_BIN", os.path.join(TOP, "build", "asan", "bin"))
AMQP_URL = os.environ.get("WARREN_TEST_AMQP_URL")
MANAGEMENT_URL = os.environ.get("WARREN_TEST_AMQP_MANAGEMENT_URL")
REDIS_URL = os.environ.get("WARREN_TEST_REDIS_URL")

# A sanitizer's report, or an assertion of our own, in a node's output fails the test whatever else it saw.
REPORTS = re.compile(r"(ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion `|fatal signal)")


def is_sanitized():
    """Whether the binaries carry a sanitizer, whose own memory is not the node's."""
    with open(os.path.join(BIN, "warrend"), "rb") as binary:
        data = binary.read()
    return b"__asan_init" in data or b"__tsan_init" in data


# How long something that comes by itself may take before it is said that it does not: on a machine that has other things to do, too.
PATIENCE = 60.0


def wait_for(condition, what, timeout=PATIENCE):
    """Calls condition() until it is true; returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)  # between two looks


_ports = {}  # the claims' descriptors, by port


def free_port():
    """A free port below the ephemeral range (no outgoing connection takes it meanwhile), given to no other test as long as this
    process lives: an abstract Unix socket of that name is its claim. Free also of connections that ended a moment ago, for those who
    bind without SO_REUSEADDR."""
    while True:
        port = 10000 + secrets.randbelow(9000)
        if port in _ports:
            continue
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0warren-test-port-{port}")
        except OSError:
            claim.close()
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        _ports[port] = claim.detach()
        return port


def fetch(url, method="GET", body=None, headers=None, timeout=PATIENCE):
    """(status, body as bytes, headers); user:password@ in the URL becomes basic authentication."""
    parts = urllib.parse.urlsplit(url)
    headers = dict(headers or {})
    if parts.username:
        token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        headers["Authorization"] = "Basic " + token
        url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[1]))
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


class Broker:
    """A virtual host of the shared RabbitMQ, with an independent client's hands on it."""

    def __init__(self, amqp_url=None, management_url=None):
        base = amqp_url or AMQP_URL
        self.management = management_url or MANAGEMENT_URL
        self.vhost = "t-" + secrets.token_hex(6)
        user = urllib.parse.urlsplit(base).username
        self.api("PUT", f"vhosts/{self.vhost}")
        self.api("PUT", f"permissions/{self.vhost}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
        self.url = base.rsplit("/", 1)[0] + "/" + self.vhost

    def api(self, method, path, body=None):
        status, answer, _ = fetch(f"{self.management}/api/{path}", method, body if body is not None else (b"" if method == "PUT" else None),
                                  {"Content-Type": "application/json"})
        if status >= 300:
            raise AssertionError(f"{method} {path}: {status} {answer[:300]}")
        return json.loads(answer) if answer else None

    def connect(self, **options):
        parameters = pika.URLParameters(self.url)
        for name, value in options.items():
            setattr(parameters, name, value)
        return pika.BlockingConnection(parameters)

    @contextlib.contextmanager
    def channel(self):
        connection = self.connect()
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            if connection.is_open:
                connection.close()

    def publish(self, body, content_type=None, exchange="warren.fanout", routing_key="", **properties):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        with self.channel() as channel:
            channel.basic_publish(exchange, routing_key, body,
                                  pika.BasicProperties(content_type=content_type, delivery_mode=2, **properties))

    def cut(self, *words):
        """Closes the connection in whose name all of these words are, by the management API; whether there was one. What the API tells of may
        have ended meanwhile."""
        for connection in self.api("GET", f"vhosts/{self.vhost}/connections"):
            name = connection.get("client_properties", {}).get("connection_name", "")
            if all(word in name for word in words):
                status, answer, _ = fetch(f"{self.management}/api/connections/{urllib.parse.quote(connection['name'], safe='')}", "DELETE")
                if status not in (204, 404):
                    raise AssertionError(f"{name}: {status} {answer[:300]}")
                if status == 204:
                    return True
        return False

    def queues(self):
        return {q["name"]: q for q in self.api("GET", f"queues/{self.vhost}?disable_stats=true&enable_queue_totals=true")}

    def close(self):
        self.api("DELETE", f"vhosts/{self.vhost}")


class Node:
    """One warrend process."""

    def __init__(self, settings=None, standalone=False, port=None, internal=None, environment=None, config=None, descriptors=None):
        self.port = port or free_port()
        self.internal_port = internal or free_port()
        self.id = f"127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.http = f"http://127.0.0.1:{self.port}"
        self.api = f"http://127.0.0.1:{self.internal_port}"
        self.settings = {
            "listen.public": self.id,
            "listen.internal": f"127.0.0.1:{self.internal_port}",
            "drain.period": "1s",
            "loop.workers": "2",
            **(settings or {}),
        }
        self.standalone = standalone
        self.environment = environment or {}
        self.config = config  # a file's path
        self.descriptors = descriptors  # the hard limit
        self.log_file = tempfile.NamedTemporaryFile(prefix="warrend-", suffix=".log", mode="w+b")
        self.process = None

    def start(self, ready=True):
        command = [os.path.join(BIN, "warrend")]
        if self.config:
            command += ["--config", self.config]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        if self.standalone:
            command.append("--standalone")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
        environment.update({"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1", **self.environment})
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors,) * 2)) if self.descriptors else None
        self.process = subprocess.Popen(command, stdout=self.log_file, stderr=self.log_file, env=environment, preexec_fn=limit)
        if ready:
            self.wait_ready()
        return self

    def readiness(self, url=None):
        try:
            status, body, _ = fetch((url or self.api) + "/readyz", timeout=15)
        except OSError:
            return 0, ""
        return status, body.decode().strip()

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the node ended with {self.process.returncode}:\n{self.log()}")
        return self.readiness()[0] == 200

    def wait_ready(self, timeout=PATIENCE):
        try:
            wait_for(self.is_ready, f"node {self.id} ready", timeout)
        except AssertionError:
            sys.stderr.write(self.log())
            raise

    def wait_listening(self, timeout=PATIENCE):
        wait_for(lambda: self.readiness()[0] != 0, f"node {self.id} listening", timeout)

    def log(self):
        with open(self.log_file.name, "rb") as file:
            return file.read().decode(errors="replace")

    def metric(self, name, **labels):
        """The sum over the lines of one name whose labels agree."""
        total, found = 0.0, False
        for line in fetch(self.api + "/metrics")[1].decode().splitlines():
            match = re.match(r"^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$", line)
            if not match or match[1] != name:
                continue
            have = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if all(have.get(k) == v for k, v in labels.items()):
                total, found = total + float(match[3]), True
        if not found:
            raise AssertionError(f"no metric {name} {labels}")
        return total

    def post(self, path, body=None, headers=None):
        status, answer, _ = fetch(self.api + path, "POST", body, headers)
        return status, json.loads(answer)

    def get(self, path):
        status, answer, _ = fetch(self.api + path)
        return status, json.loads(answer)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, timeout=PATIENCE):
        """SIGTERM and a clean end: exit code 0, and no report of any sanitizer."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGABRT)
                self.process.wait()
                raise AssertionError(f"node {self.id} did not end within {timeout} s of SIGTERM:\n{self.log()}") from None
        code = self.process.returncode
        if code not in (0, -signal.SIGKILL) or REPORTS.search(self.log()):
            raise AssertionError(f"node {self.id} ended with {code}:\n{self.log()}")


class Client:
    """A JSON client over the independent WebSocket library. Keeps every frame; nothing is filtered away. It reads all the time: what nobody
    asked for yet holds up neither the node nor the end of the connection. And it asks for no sign of life: a test that waits for something else
    for long would find that none came in time."""

    def __init__(self, socket_):
        self.socket = socket_
        self.frames = []  # every text frame, as text, in order
        self.waiting = []  # parsed, not yet asked for
        self.next_id = 0
        self.welcome = None

    @classmethod
    async def connect(cls, url, **options):
        client = cls(await websockets.connect(url, **{"open_timeout": PATIENCE, "ping_interval": None, "max_size": None, "max_queue": None, **options}))
        client.welcome = await client.expect(lambda m: m.get("event") == "welcome", "welcome")
        return client

    async def receive(self, timeout=PATIENCE):
        if self.waiting:
            return self.waiting.pop(0)
        return self.parse(await asyncio.wait_for(self.socket.recv(), timeout))

    async def receive_binary(self, timeout=PATIENCE):
        """The next binary frame; text frames stay in line."""
        return (await self.expect(lambda m: "binary" in m, "binary frame", timeout))["binary"]

    def parse(self, frame):
        self.frames.append(frame)
        return json.loads(frame) if isinstance(frame, str) else {"binary": frame}

    async def expect(self, wanted, what, timeout=PATIENCE):
        """The first frame that is wanted; others stay in line."""
        for index, message in enumerate(self.waiting):
            if wanted(message):
                return self.waiting.pop(index)
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {what} within {timeout} s; waiting: {self.waiting[-5:]}")
            try:
                message = self.parse(await asyncio.wait_for(self.socket.recv(), left))
            except asyncio.TimeoutError:
                continue
            if wanted(message):
                return message
            self.waiting.append(message)

    async def message(self, timeout=PATIENCE, **fields):
        """The next message event with these members."""
        return await self.expect(
            lambda m: m.get("event") == "message" and all(m.get(k) == v for k, v in fields.items()), f"message {fields}", timeout)

    async def request(self, timeout=PATIENCE, **op):
        """Sends an op with an id and returns its answer."""
        self.next_id += 1
        op["id"] = self.next_id
        await self.socket.send(json.dumps(op))
        return await self.expect(lambda m: m.get("id") == op["id"], f"answer to {op}", timeout)

    async def send(self, text):
        await self.socket.send(text if isinstance(text, (str, bytes)) else json.dumps(text))

    async def drain(self, marker):
        """Everything that arrives up to (and without) the message whose data is the marker."""
        seen = []
        while True:
            message = await self.receive()
            if message.get("event") == "message" and message.get("data") == marker:
                return seen
            seen.append(message)

    async def close(self):
        """Whatever still comes is taken meanwhile: behind 32 frames that nobody takes the library does not see the server's close, and
        waits for it for ten seconds, and more."""
        async def take():
            with contextlib.suppress(websockets.ConnectionClosed, RuntimeError):  # or somebody else takes it
                while True:
                    await self.socket.recv()

        taking = asyncio.create_task(take())
        try:
            await self.socket.close()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


class WarrenTest(unittest.IsolatedAsyncioTestCase):
    """A test case with a cluster of its own: what is opened through it is closed behind it, and every node must end cleanly."""

    node_count = 2
    standalone = False
    settings = {}

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # starting a node blocks the loop for a while, and that is no news

    def setUp(self):
        self.nodes = []
        self.broker = None
        self.prefix = "t-" + secrets.token_hex(6) + ":"
        if self.needs_services() and not (AMQP_URL and MANAGEMENT_URL and REDIS_URL):
            self.skipTest("no broker and store in the environment; run scripts/test")
        if self.needs_services():
            self.broker = self.new_broker()
            self.addCleanup(self.broker.close)
        for _ in range(self.node_count):
            self.start_node()

    def needs_services(self):
        return not self.standalone

    def new_broker(self):
        return Broker()

    def node_settings(self):
        settings = dict(self.settings)
        if self.broker:
            settings.update({
                "amqp.url": self.broker.url,
                "amqp.management_url": self.broker.management,
                "redis.url": REDIS_URL,
                "redis.prefix": self.prefix,
                "amqp.heartbeat": "5s",
            })
        return settings

    def start_node(self, ready=True, settings=None, **options):
        node = Node({**self.node_settings(), **(settings or {})}, standalone=self.standalone, **options)
        self.nodes.append(node)
        self.addCleanup(node.stop)
        return node.start(ready)

    async def client(self, url, **options):
        client = await Client.connect(url, **options)
        self.addAsyncCleanup(client.close)
        return client

    async def room(self, node, room, user, **options):
        return await self.client(f"{node.ws}/websocket/{urllib.parse.quote(room, safe='')}/{urllib.parse.quote(user, safe='')}", **options)


def run_tool(name, *arguments, timeout=3 * PATIENCE, environment=None):
    """A command of ours: (exit code, stdout, stderr)."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
    result = subprocess.run([os.path.join(BIN, name), *arguments], capture_output=True, timeout=timeout, text=True,
                            env={**clean, **(environment or {})}, check=False)
    if REPORTS.search(result.stderr):
        raise AssertionError(result.stderr)
    return result.returncode, result.stdout, result.stderr


def main():
    # The exit code 77 tells ctest that everything was skipped: aloud, not as a success.
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)
