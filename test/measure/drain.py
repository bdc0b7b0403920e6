#!/usr/bin/python3
"""How even clients leave a node that drains, and how long one who is still there waits for an answer meanwhile.

    WARREN_BIN=build/release/bin test/measure/drain.py [CLIENTS [SECONDS]]     (3,000 clients over 10 s)

One process plays all clients, so what it is late with counts as the node's.  It answers no pings: the heartbeat is long.
"""
import os
import re
import select
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import warren  # noqa: E402
import wire  # noqa: E402

CLOSED = b"\x10\x04draining"  # a close frame's payload: 4100


class Client:
    def __init__(self, node, name):
        self.socket = socket.create_connection(("127.0.0.1", node.port))
        self.socket.sendall(wire.upgrade(f"/ws?user={name}"))
        self.bytes = b""
        while b"welcome" not in self.bytes:
            self.bytes += self.socket.recv(65536)
        self.bytes = b""
        self.told = self.told_at = self.closed_at = None

    def read(self, now):
        """Whether it is still there."""
        data = self.socket.recv(65536)
        self.bytes += data
        goodbye = re.search(rb'"retry_after_ms":(\d+)', self.bytes)
        if goodbye and self.told is None:
            self.told, self.told_at = int(goodbye[1]) / 1000, now
        if data and CLOSED not in self.bytes:
            return True
        self.closed_at = now
        if data:
            self.socket.sendall(wire.frame(wire.CLOSE, wire.close_payload(4100)))
            self.socket.shutdown(socket.SHUT_WR)
        return False


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main():
    count, seconds = (int(sys.argv[1]) if len(sys.argv) > 1 else 3000), (int(sys.argv[2]) if len(sys.argv) > 2 else 10)
    node = warren.Node({"drain.period": f"{seconds}s", "log.level": "warning", "session.heartbeat": "5m"}, standalone=True).start()
    everybody = [Client(node, f"u{i}") for i in range(count)]
    here = {client.socket.fileno(): client for client in everybody}
    poll = select.epoll()
    for descriptor in here:
        poll.register(descriptor, select.EPOLLIN)
    asker, asked_at, waits = everybody[-1], None, []  # who came last goes last
    began = time.monotonic()
    node.signal(signal.SIGTERM)
    while here:
        now = time.monotonic()
        if asked_at is None and asker.closed_at is None:
            asker.bytes, asked_at = b"", now
            asker.socket.sendall(wire.frame(wire.TEXT, b'{"id":1,"op":"ping"}'))
        for descriptor, _ in poll.poll(0.01):
            now = time.monotonic()
            if not here[descriptor].read(now):
                poll.unregister(descriptor)
                del here[descriptor]
            elif here[descriptor] is asker and b'"ok"' in asker.bytes:
                waits.append(now - asked_at)
                asked_at = None
    node.process.wait(30)
    ended = time.monotonic() - began
    node.stop()
    halves = [0] * (2 * seconds)
    for client in everybody:
        halves[min(2 * seconds - 1, int((client.closed_at - began) * 2))] += 1
    untold = [client for client in everybody if client.told is None]
    if untold:
        raise SystemExit(f"{len(untold)} clients were not told; the first was {everybody.index(untold[0])}, closed {untold[0].closed_at - began:.2f} s after the "
                         f"beginning with {untold[0].bytes[-200:]!r}")
    late = [client.closed_at - client.told_at - client.told for client in everybody]
    print(f"{count} clients over {seconds} s; the node ended after {ended:.2f} s")
    print(f"left in each half second: {min(halves)} to {max(halves)}; even would be {count / seconds / 2:.0f}")
    print(f"all were told within {1000 * max(c.told_at - began for c in everybody):.0f} ms")
    print(f"closed later than told: p50 {1000 * share(late, .5):.0f} ms, p99 {1000 * share(late, .99):.0f} ms")
    print(f"an answer meanwhile ({len(waits)}): p50 {1000 * share(waits, .5):.2f} ms, p99 {1000 * share(waits, .99):.1f} ms, longest {1000 * max(waits):.1f} ms")


if __name__ == "__main__":
    main()
