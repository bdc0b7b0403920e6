#!/usr/bin/python3
"""What a message costs broker and nodes, sent to all nodes or to those that listen.

    WARREN_BIN=build/release/bin test/measure/routing.py 2 4 8

For each number of nodes: a broker and a Redis of its own, the nodes, and rooms with one listener on each of some nodes. Messages go to the first
node's API one by one, at an even pace, so that hardly two share a body: that is what a message costs where there is little traffic, and the
most that routing can save. With --burst they come many at a time. CPU seconds of each process are those of the run less those of an idle time
as long before it, per 100,000 messages.
"""
import argparse
import os
import random
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import services as private  # noqa: E402
import warren  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
DATA = "x" * 128
MARK = b'"event":"message"'


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Listener:
    """Takes every frame and counts the messages in it by a text that each has once."""

    def __init__(self, node, path):
        self.socket = socket.create_connection(("127.0.0.1", node.port))
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        self.rest, self.count = b"", 0
        greeting = b""
        while b'"welcome"' not in greeting:
            greeting += self.socket.recv(65536)

    def take(self):
        data = self.rest + self.socket.recv(1 << 20)
        self.count += data.count(MARK)
        self.rest = data[-len(MARK) + 1:]  # too short to be counted again


class Sender:
    """POSTs over several connections, each with one request at a time."""

    def __init__(self, node, connections=16):
        self.idle = [socket.create_connection(("127.0.0.1", node.internal_port)) for _ in range(connections)]
        self.busy = {}

    def post(self, path):
        body = f'{{"data":"{DATA}"}}'
        s = self.idle.pop()
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        self.busy[s] = b""

    def answer(self, s):
        self.busy[s] += s.recv(65536)
        if b"}" in self.busy[s]:
            if not self.busy.pop(s).startswith(b"HTTP/1.1 202"):
                raise AssertionError("not 202")
            self.idle.append(s)


def poll(sender, listeners, timeout):
    sockets = {l.socket: l for l in listeners}
    for s in select.select([*sockets, *sender.busy], [], [], max(timeout, 0))[0]:
        if s in sockets:
            sockets[s].take()
        else:
            sender.answer(s)


def stream(sender, rooms, count, rate, burst):
    """Sends to each room in turn, and waits until each listener has all."""
    listeners = [l for of_room in rooms.values() for l in of_room]
    paths = [f"/v1/rooms/{room}/messages" for room in rooms]
    count -= count % len(paths)
    before = [l.count for l in listeners]
    began = time.monotonic()
    for n in range(0, count, burst):
        due = began + n / rate
        while time.monotonic() < due:
            poll(sender, listeners, due - time.monotonic())
        for i in range(n, min(n + burst, count)):
            while not sender.idle:
                poll(sender, listeners, 1)
            sender.post(paths[i % len(paths)])
    each = count // len(paths)
    deadline = time.monotonic() + warren.PATIENCE
    while sender.busy or any(l.count < b + each for l, b in zip(listeners, before)):
        if time.monotonic() > deadline:
            raise AssertionError(f"missing: {[l.count - b for l, b in zip(listeners, before)]} of {each}")
        poll(sender, listeners, 0.2)
    return time.monotonic() - began


def measure(cluster, routing, where, arguments):
    """One row: CPU seconds per 100,000 messages of broker, accepting node, the listeners' nodes and the others, on average."""
    nodes = cluster.nodes
    listening = {"one": nodes[1:2] or nodes, "half": nodes[-(len(nodes) // 2):] or nodes, "all": nodes, "mixed": nodes}[where]
    rooms = {}
    for r in range(32 if where == "mixed" else 1):
        some = random.sample(nodes, (len(nodes) + 1) // 2) if where == "mixed" else listening
        rooms[f"{routing}-{where}-{r}"] = [Listener(node, f"/websocket/{routing}-{where}-{r}/l{i}") for i, node in enumerate(some)]
    listeners = [l for of_room in rooms.values() for l in of_room]
    sender = Sender(nodes[0], max(16, arguments.burst))
    count = int(arguments.rate * arguments.seconds)
    pids = {"broker": cluster.broker, "redis": cluster.redis, **{node: node.process.pid for node in nodes}}
    stream(sender, rooms, max(count // 10, arguments.burst), arguments.rate, arguments.burst)  # warm
    marks = [{key: cpu_s(pid) for key, pid in pids.items()}]
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        poll(sender, listeners, end - time.monotonic())
    marks.append({key: cpu_s(pid) for key, pid in pids.items()})
    took = stream(sender, rooms, count, arguments.rate, arguments.burst)
    marks.append({key: cpu_s(pid) for key, pid in pids.items()})
    for s in [l.socket for l in listeners] + sender.idle:
        s.close()

    def cost(keys):
        keys = list(keys)
        if not keys:
            return None
        used = sum(marks[2][k] - marks[1][k] - (marks[1][k] - marks[0][k]) * took / arguments.seconds for k in keys)
        return max(used, 0) / len(keys) * 100000 / count
    return {"broker": cost(["broker"]), "redis": cost(["redis"]), "accepting": cost(nodes[:1]),
            "listening": cost(n for n in listening if n is not nodes[0]),
            "other": cost(n for n in nodes[1:] if n not in listening), "rate": count / took}


class Cluster:
    def __init__(self, services, count):
        def pid(name):
            with open(os.path.join(services.folder, name + ".pid"), encoding="ascii") as file:
                return int(file.read())
        self.broker, self.redis = pid("rabbitmq"), pid("redis")
        warren.AMQP_URL, warren.MANAGEMENT_URL, warren.REDIS_URL = services.amqp_url, services.management_url, services.redis_url
        self.vhost = warren.Broker()
        settings = {"amqp.url": self.vhost.url, "redis.url": services.redis_url, "redis.prefix": f"n{count}:", "loop.workers": "1",
                    "log.level": "warning", "hub.canary": "600s"}
        for routing in ("fanout", "targeted"):
            settings |= {f"channel.{routing}.match": f"room:{routing}-*", f"channel.{routing}.routing": routing}
        self.nodes = [warren.Node(settings).start(ready=False) for _ in range(count)]
        for node in self.nodes:
            node.wait_ready()

    def close(self):
        for node in self.nodes:
            node.kill()
        self.vhost.close()


def text(value):
    return "-" if value is None else f"{value:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nodes", type=int, nargs="+")
    parser.add_argument("--rate", type=float, default=1000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--burst", type=int, default=1, help="messages at once")
    parser.add_argument("--where", default="one,half,all", help="of one, half, all: on which nodes the room has listeners; mixed: 32 rooms, each on another half of the nodes")
    arguments = parser.parse_args()
    random.seed(7)
    if not os.path.exists(private.RABBITMQ_SERVER):
        sys.exit(77)
    services = private.Services()
    try:
        print("| nodes | listeners on | routing | broker | Redis | accepting node | a listeners' node | another node |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for count in arguments.nodes:
            cluster = Cluster(services, count)
            try:
                for where in arguments.where.split(","):
                    for routing in ("fanout", "targeted"):
                        if count == 1 and routing == "targeted":
                            continue
                        row = measure(cluster, routing, where, arguments)
                        print(f"| {count} | {where} | {routing} | " +
                              " | ".join(text(row[k]) for k in ("broker", "redis", "accepting", "listening", "other")) + " |", flush=True)
            finally:
                cluster.close()
    finally:
        services.stop()


if __name__ == "__main__":
    main()
