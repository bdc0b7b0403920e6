"""The frame of the suite: cases by section, a connection that speaks bytes, and what may be expected of the other side.

A case is a function of a Connection. It passes if it returns; everything else, a byte too many included, is a failure. Unless it
says otherwise, the connection must still be good when it returns: it is then closed in order (RFC 6455 section 7.1).
"""
import os
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import wire  # noqa: E402
from wire import CLOSE, CONTINUATION, PING, PONG, close_payload, frame  # noqa: E402

TAIL = b"\x00\x00\xff\xff"
CASES = []


class Failure(Exception):
    pass


class Case:
    def __init__(self, section, title, run, offer=None, setting=None):
        self.section, self.title, self.run, self.offer, self.setting = section, title, run, offer, setting


def case(section, title, offer=None, setting=None):
    """Registers a case. offer: of Sec-WebSocket-Extensions. setting: a name of SETTINGS in run.py that it needs."""
    def register(run):
        CASES.append(Case(section, title, run, offer, setting))
        return run
    return register


def short(data):
    return repr(data) if len(data) <= 48 else f"{data[:48]!r}… ({len(data)} bytes)"


class Connection:
    """A client of the echo service."""

    def __init__(self, host_port, offer=None, timeout=60):
        self.peer = wire.Peer(host_port, timeout=timeout)
        self.ended = False
        self.peer.upgraded("/echo", Sec_WebSocket_Extensions=offer)
        self.extension = self.peer.handshake["Sec-WebSocket-Extensions"]

    # ---- out

    def send(self, *pieces):
        self.peer.send(b"".join(pieces))
        return self

    def send_chopped(self, data, size):
        """In writes of so many bytes; each leaves on its own."""
        for at in range(0, len(data), size):
            self.peer.send(data[at:at + size])
        return self

    # ---- in

    def next(self):
        try:
            opcode, payload, first = self.peer.frame()
        except (EOFError, ConnectionError) as error:
            raise Failure(f"the connection ended without a close frame: {error}") from None
        if first & 0x80 == 0:
            raise Failure("the echo is fragmented")
        return opcode, payload, first & 0x70

    def expect(self, opcode, payload):
        have = self.next()
        if have != (opcode, payload, 0):
            raise Failure(f"expected {opcode} {short(payload)}, got {have[0]} {short(have[1])} rsv {have[2]:#x}")
        return self

    def expect_close(self, *codes):
        """A close frame with one of these codes (None: without), and the end of the stream behind it."""
        opcode, payload, rsv = self.next()
        if (opcode, rsv) != (CLOSE, 0):
            raise Failure(f"expected a close frame, got {opcode} {short(payload)}")
        code = int.from_bytes(payload[:2], "big") if payload else None
        payload[2:].decode("utf-8")
        if code not in codes:
            raise Failure(f"expected close code {codes}, got {code} {short(payload[2:])}")
        self.expect_end()
        return self

    def expect_end(self):
        try:
            rest = self.peer.end()
        except ConnectionError as error:
            raise Failure(f"the stream did not end in order: {error}") from None
        if rest:
            raise Failure(f"bytes behind the close frame: {short(rest)}")
        self.ended = True

    def echo(self, opcode, payload, sent=None):
        """The message comes back in one frame; sent: the bytes that carry it, else one frame."""
        return self.send(sent if sent is not None else frame(opcode, payload)).expect(opcode, payload)

    def finish(self):
        if not self.ended:
            self.send(frame(CLOSE, close_payload(1000))).expect_close(1000)

    def close(self):
        self.peer.socket.close()


def fragments(opcode, payload, size, between=b"", rsv=0, ends=True):
    """The message in frames of so many bytes, with these bytes between them; whole, or one that goes on."""
    pieces = [payload[at:at + size] for at in range(0, len(payload), size)] or [b""]
    out = []
    for i, piece in enumerate(pieces):
        out.append(frame(CONTINUATION if i else opcode, piece, fin=ends and i == len(pieces) - 1, rsv=0 if i else rsv))
        if i < len(pieces) - 1:
            out.append(between)
    return b"".join(out)


# ---- permessage-deflate, as a client that knows nothing but RFC 7692

class Deflate:
    """Both directions with the parameters of a response."""

    def __init__(self, response, level=6):
        name, *parameters = [part.strip() for part in (response or "").split(";")]
        if name != "permessage-deflate":
            raise Failure(f"not negotiated: {response!r}")
        self.parameters = {}
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key in self.parameters:
                raise Failure(f"repeated: {response!r}")
            self.parameters[key] = value
        self.level = level
        self.out_bits = int(self.parameters.get("client_max_window_bits", 15))
        self.in_bits = int(self.parameters.get("server_max_window_bits", 15))
        self.compressor = self.decompressor = None

    def compress(self, message, level=None):
        if self.compressor is None or "client_no_context_takeover" in self.parameters:
            self.compressor = zlib.compressobj(self.level if level is None else level, zlib.DEFLATED, -max(self.out_bits, 9))
        data = self.compressor.compress(message) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        return data[:-4]

    def decompress(self, payload):
        if self.decompressor is None or "server_no_context_takeover" in self.parameters:
            self.decompressor = zlib.decompressobj(-self.in_bits)
        try:
            return self.decompressor.decompress(payload + TAIL)
        except zlib.error as error:
            raise Failure(f"the echo is no DEFLATE data for a window of {self.in_bits} bits: {error}") from None

    def echo(self, connection, opcode, message, fragment=0, between=b""):
        payload = self.compress(message)
        if fragment:
            connection.send(fragments(opcode, payload, fragment, between, rsv=4))
        else:
            connection.send(frame(opcode, payload, rsv=4))
        while True:
            have, data, rsv = connection.next()
            if have not in (PING, PONG):
                break
        if rsv not in (0, 0x40):
            raise Failure(f"reserved bits {rsv:#x}")
        text = self.decompress(data) if rsv else data
        if (have, text) != (opcode, message):
            raise Failure(f"expected {opcode} {short(message)}, got {have} {short(text)}")


def run(cases, port_of, out=sys.stdout):
    """Runs the cases; port_of(setting) is where the echo service is. The number of failures."""
    failures = 0
    began = time.monotonic()
    for one in cases:
        connection, fault = None, None
        at = time.monotonic()
        try:
            connection = Connection(port_of(one.setting), one.offer)
            one.run(connection)
            connection.finish()
        except Exception as error:  # whatever it is, the case failed
            fault = f"{type(error).__name__}: {error}" if not isinstance(error, Failure) else str(error)
        finally:
            if connection:
                connection.close()
        took = time.monotonic() - at
        failures += fault is not None
        print(f"{'FAILED' if fault else 'ok':6} {one.section:24} {one.title}{f' ({took:.1f} s)' if took > 0.5 else ''}", file=out)
        if fault:
            print(f"       {fault}", file=out, flush=True)
    print(f"{len(cases)} cases, {failures} failed, {time.monotonic() - began:.1f} s", file=out, flush=True)
    return failures
