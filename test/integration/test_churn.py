#!/usr/bin/python3
"""Clients that come and go: afterwards the node is as it was before, in its own numbers and in its memory.

WARREN_CHURN sets how many (20,000; the long run is 200,000).
"""
import os
import random
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import warren  # noqa: E402

COUNT = int(os.environ.get("WARREN_CHURN", "20000"))
AT_ONCE = 64
# After the warm-up the allocator still finds its shape; what leaks with each client would be far more than this.
GROWTH_KB = 2 * 1024 + (6 * 1024 if warren.is_sanitized() else 0)


class Visitor:
    """One client: comes, does one of several things, goes in one of several ways. Every step may be the last."""

    def __init__(self, node, number, rng):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", node.port))
        self.number = number
        self.rng = rng
        self.state = "connecting"
        self.buffer = b""
        self.way = rng.choice(["close", "close", "close", "reset", "vanish", "half-head", "no-head", "page", "ping", "relay"])

    def fileno(self):
        return self.socket.fileno()

    def events(self):
        return select.EPOLLOUT if self.state == "connecting" else select.EPOLLIN

    def head(self):
        if self.way == "page":
            return b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        path = f"/websocket/room-{self.number % 50}/user-{self.number}"
        return (f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n").encode()

    def send(self, opcode, payload):
        self.socket.send(bytes([0x80 | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)

    def step(self):
        """False when it is gone."""
        if self.state == "connecting":
            if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise AssertionError("the node does not listen")
            if self.way == "no-head":
                return self.leave()
            head = self.head()
            self.socket.send(head[:len(head) // 2] if self.way == "half-head" else head)
            self.state = "waiting"
            return self.leave() if self.way == "half-head" else True
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data = b""
        self.buffer += data
        if not data:
            if self.way in ("close", "page") or self.state == "waiting":
                assert b"HTTP/1.1 101" in self.buffer or b"HTTP/1.1 200" in self.buffer, self.buffer
            self.socket.close()
            return False
        if self.state == "waiting" and b'"event":"welcome"' in self.buffer:
            self.state = "in"
            if self.way == "ping":
                self.send(1, b'{"id":1,"op":"ping"}')
            elif self.way == "relay":
                self.send(2, b"octets")
                return self.leave()
            elif self.way == "close":
                self.send(8, struct.pack(">H", 1000))
            else:
                return self.leave()
        elif self.state == "in" and self.way == "ping" and b'"ok"' in self.buffer:
            return self.leave()
        return True

    def leave(self):
        if self.way == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        return False


class Churn(warren.WarrenTest):
    standalone = True
    node_count = 0
    # Nobody sends messages: what is kept of those is kept on purpose, for its time. That a user was there is kept as well, for
    # 30 days; here for a moment.
    settings = {"hub.online_interval": "200ms", "limits.close_timeout": "1s", "channel.inboxes.match": "user:*", "channel.inboxes.known_age": "100ms"}

    def churn(self, node, first, count, rng):
        epoll = select.epoll()
        visitors, begun = {}, 0
        while begun < count or visitors:
            while begun < count and len(visitors) < AT_ONCE:
                visitor = Visitor(node, first + begun, rng)
                visitors[visitor.fileno()] = visitor
                epoll.register(visitor.fileno(), visitor.events())
                begun += 1
            ready = epoll.poll(60)
            if not ready:
                raise AssertionError(f"{len(visitors)} clients wait for the node: {[v.way for v in visitors.values()][:5]}")
            for fd, _ in ready:
                visitor = visitors[fd]
                if visitor.step():
                    epoll.modify(fd, visitor.events())
                else:
                    del visitors[fd]  # a closed descriptor has left the epoll instance by itself
        epoll.close()

    def settle(self, node):
        for name in ("warren_gateway_connections", "warren_gateway_sessions", "warren_hub_sessions", "warren_hub_channels",
                     "warren_hub_rooms", "warren_gateway_queued_bytes"):
            warren.wait_for(lambda name=name: node.metric(name) == 0, f"{name} is 0 again, and not {node.metric(name)}", 60)

    def resident_kb(self, node):
        with open(f"/proc/{node.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])

    async def test_memory_is_where_it_was(self):
        # A sanitizer keeps what was freed for a while; a small quarantine keeps that out of the figure.
        node = self.start_node(environment={"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"})
        rng = random.Random(7)
        warm = min(COUNT // 2, 20000)
        self.churn(node, 0, warm, rng)
        self.settle(node)
        before = self.resident_kb(node)
        self.churn(node, warm, COUNT, rng)
        self.settle(node)
        after = self.resident_kb(node)
        print(f"resident: {before} KB after {warm} clients, {after} KB after {COUNT} more")
        self.assertLess(after - before, GROWTH_KB)
        self.assertEqual(node.metric("warren_gateway_accepted_total"), warm + COUNT)
        await self.room(node, "room-1", "still-here")


if __name__ == "__main__":
    warren.main()
