"""A peer that speaks bytes: HTTP/1.1 and WebSocket frames written by hand, so that what no library would send can be sent."""
import os
import select
import socket
import struct
import time

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
SAMPLE_KEY, SAMPLE_ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3
UPGRADE = {"Host": "test", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": SAMPLE_KEY,
           "Sec-WebSocket-Version": "13"}


def request(path, headers=None, method="GET", version="HTTP/1.1", body=b""):
    """A request's bytes. headers: a dict, whose values may be lists (several lines) or None (no line)."""
    lines = [f"{method} {path} {version}"]
    for name, values in (headers if headers is not None else {"Host": "test"}).items():
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def upgrade(path="/ws", **changes):
    """A good handshake but for the changes: Sec_WebSocket_Key=None leaves that line out."""
    return request(path, {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}})


def masked_by(key, payload):
    """As one long number: messages of megabytes are masked here too."""
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True, length_bytes=None):
    """One frame; length_bytes (0, 2 or 8) forces an encoding of the length."""
    if length_bytes is None:
        length_bytes = 0 if len(payload) < 126 else 2 if len(payload) < 65536 else 8
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = len(payload) if length_bytes == 0 else 126 if length_bytes == 2 else 127
    head = struct.pack("!BB", first, second | (0x80 if masked else 0))
    head += {0: b"", 2: struct.pack("!H", len(payload) & 0xffff), 8: struct.pack("!Q", len(payload))}[length_bytes]
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + masked_by(key, payload)


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class Response:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = lines[0].split(" ", 2)
        self.status = int(status)
        self.lines = [tuple(line.split(": ", 1)) for line in lines[1:]]
        self.body = body

    def __getitem__(self, name):
        values = [value for key, value in self.lines if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None


class Peer:
    """One TCP connection. Everything has a deadline; an end of the stream where more was expected is an error."""

    def __init__(self, port, tls=None, timeout=60):
        self.timeout = timeout
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the stream ended; unread: {self.buffer!r}")
        self.buffer += data

    def take(self, size):
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            parts.append(self.socket.recv(1 << 18))
            have += len(parts[-1])
            if not parts[-1]:
                raise EOFError(f"the stream ended; unread: {b''.join(parts)[:200]!r}")
        self.buffer = b"".join(parts)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def response(self, to_head=False):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        answer = Response(head, b"")
        if answer.status != 101 and not to_head:
            answer.body = self.take(int(answer["Content-Length"]))
        return answer

    def upgraded(self, path="/ws", **changes):
        """Shakes hands; the answer is in .handshake."""
        self.handshake = self.send(upgrade(path, **changes)).response()
        assert self.handshake.status == 101, (self.handshake.status, self.handshake.body)
        return self

    def frame(self):
        """(opcode, payload, first byte) of the next frame, which is unmasked and encodes its length in the fewest bytes."""
        first, second = self.take(2)
        assert second & 0x80 == 0, "a server's frame is masked"
        size = second
        if size == 126:
            size = struct.unpack("!H", self.take(2))[0]
            assert size >= 126
        elif size == 127:
            size = struct.unpack("!Q", self.take(8))[0]
            assert size >= 65536
        return first & 0x0f, self.take(size), first

    def until(self, opcode):
        """The payload of the next frame of that opcode."""
        while True:
            have, payload, _ = self.frame()
            if have == opcode:
                return payload

    def closed(self):
        """(code, reason) of the next close frame."""
        payload = self.until(CLOSE)
        return (struct.unpack("!H", payload[:2])[0], payload[2:].decode()) if payload else (None, "")

    def end(self):
        """What comes up to the end of the stream, which must be an orderly one."""
        data, self.buffer = self.buffer, b""
        while chunk := self.socket.recv(65536):
            data += chunk
        return data

    def is_cut_within(self, seconds, drip=b""):
        """Whether the peer ends the connection, also by a reset, within that time; drips a byte ten times a second meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                if select.select([self.socket], [], [], min(left, 0.1))[0] and not self.socket.recv(65536):
                    return True
                if drip:
                    self.socket.sendall(drip[:1])
                    drip = drip[1:]
            except ConnectionError:
                return True
        return False
