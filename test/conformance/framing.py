"""RFC 6455 sections 5.2 (base framing), 5.3 (masking), 5.4 (fragmentation), 5.5 (control frames), 5.6 (data frames)."""
import os

from suite import case, fragments
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 129, 255, 256, 65534, 65535, 65536, 65537, 1 << 20)


def text(size):
    return (b"0123456789 \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" * (size // 20 + 1))[:size - size % 20] + b"." * (size % 20)


for size in LENGTHS:
    case("RFC 6455 5.2, 5.6", f"text of {size} bytes")(lambda c, n=size: c.echo(TEXT, text(n)))
    case("RFC 6455 5.2, 5.6", f"binary of {size} bytes")(lambda c, n=size: c.echo(BINARY, os.urandom(n)))
for size in (0, 1, 125, 126, 200):
    @case("RFC 6455 5.2", f"text of {size} bytes, each byte on its own")
    def _(c, n=size):
        c.send_chopped(frame(TEXT, text(n)), 1).expect(TEXT, text(n))
for size, chop in ((65535, 997), (65536, 2048), (200000, 1460)):
    @case("RFC 6455 5.2", f"binary of {size} bytes in writes of {chop}")
    def _(c, n=size, chop=chop):
        c.send_chopped(frame(BINARY, bytes(n)), chop).expect(BINARY, bytes(n))


@case("RFC 6455 5.2", "many messages in one write")
def _(c):
    messages = [(TEXT if i % 2 else BINARY, text(i)) for i in range(300)]
    c.send(*[frame(*m) for m in messages])
    for message in messages:
        c.expect(*message)


def refused(section, title, bad, code=1002):
    """Alone; byte by byte; and behind a good message, which is still answered."""
    @case(section, title)
    def _(c):
        c.send(bad).expect_close(code)

    @case(section, title + ", byte by byte")
    def _(c):
        try:
            c.send_chopped(bad, 1)
        except ConnectionError:
            pass  # it need not hear the rest
        c.expect_close(code)

    @case(section, title + ", behind a message")
    def _(c):
        c.send(frame(TEXT, b"good"), bad, frame(PING, b"unheard"))
        c.expect(TEXT, b"good").expect_close(code)


for rsv in range(1, 8):
    for opcode, name in ((TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        refused("RFC 6455 5.2 RSV", f"{name} with RSV {rsv}", frame(opcode, b"" if opcode == CLOSE else b"x", rsv=rsv))
for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    refused("RFC 6455 5.2 opcode", f"opcode {opcode}, empty", frame(opcode))
    refused("RFC 6455 5.2 opcode", f"opcode {opcode} with payload", frame(opcode, b"payload"))
for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
    refused("RFC 6455 5.1, 5.3", f"opcode {opcode} not masked", frame(opcode, b"", masked=False))
for size, length_bytes in ((0, 2), (125, 2), (0, 8), (126, 8), (65535, 8)):
    refused("RFC 6455 5.2 length", f"length {size} in {length_bytes} bytes", frame(BINARY, bytes(size), length_bytes=length_bytes)[:14])
refused("RFC 6455 5.2 length", "64-bit length with its highest bit", b"\x82\xff\x80" + bytes(7))

for size in (0, 1, 124, 125):
    case("RFC 6455 5.5.2", f"ping of {size} bytes")(lambda c, n=size: c.send(frame(PING, b"\xfe" * n)).expect(PONG, b"\xfe" * n))


@case("RFC 6455 5.5.2", "ping byte by byte")
def _(c):
    c.send_chopped(frame(PING, b"p" * 125), 1).expect(PONG, b"p" * 125)


@case("RFC 6455 5.5.2", "many pings, answered in order")
def _(c):
    c.send(*[frame(PING, b"%d" % i) for i in range(100)])
    for i in range(100):
        c.expect(PONG, b"%d" % i)


@case("RFC 6455 5.5.3", "pongs that nobody asked for")
def _(c):
    c.send(frame(PONG), frame(PONG, b"x" * 125)).echo(TEXT, b"and on")


for opcode in (PING, PONG, CLOSE):
    refused("RFC 6455 5.5", f"control frame {opcode} of 126 bytes", frame(opcode, b"\x03\xe8" + b"x" * 124))
    refused("RFC 6455 5.5", f"control frame {opcode} with a 64-bit length", frame(opcode, b"\x03\xe8" + b"x" * 70000)[:14])
    refused("RFC 6455 5.4, 5.5", f"control frame {opcode} fragmented", frame(opcode, b"", fin=False))

# ---- fragmentation

for size in (1, 2, 7, 100, 4096):
    for opcode in (TEXT, BINARY):
        case("RFC 6455 5.4", f"opcode {opcode} in frames of {size} bytes")(
            lambda c, n=size, o=opcode: c.echo(o, text(n * 5 + 3), fragments(o, text(n * 5 + 3), n)))
        case("RFC 6455 5.4", f"opcode {opcode} in frames of {size} bytes, pings between")(lambda c, n=size, o=opcode: (
            c.send(fragments(o, text(n * 4), n, frame(PING, b"p"))),
            [c.expect(PONG, b"p") for _ in range(3)], c.expect(o, text(n * 4))))


@case("RFC 6455 5.4", "empty frames: first, within, last")
def _(c):
    c.echo(TEXT, b"", frame(TEXT, b"", fin=False) + frame(CONTINUATION))
    c.echo(TEXT, b"x", frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"x", fin=False) + frame(CONTINUATION, b"", fin=False)
           + frame(CONTINUATION))


@case("RFC 6455 5.4, 5.5", "a pong comes before the message whose fragments it stands between")
def _(c):
    c.send(frame(TEXT, b"a", fin=False), frame(PING, b"p")).expect(PONG, b"p")
    c.send(frame(PONG, b"q"), frame(CONTINUATION, b"b")).expect(TEXT, b"ab")


@case("RFC 6455 5.4", "fragmented messages byte by byte, one behind the other")
def _(c):
    both = fragments(TEXT, text(60), 20, frame(PING, b"!")) + fragments(BINARY, text(45), 15)
    c.send_chopped(both, 1)
    c.expect(PONG, b"!").expect(PONG, b"!").expect(TEXT, text(60)).expect(BINARY, text(45))


for fin in (True, False):
    refused("RFC 6455 5.4", f"a continuation of nothing, FIN {fin}", frame(CONTINUATION, b"x", fin=fin))
    for opcode in (TEXT, BINARY):
        refused("RFC 6455 5.4", f"a message ({opcode}) within another one, FIN {fin}",
                frame(TEXT, b"a", fin=False) + frame(opcode, b"b", fin=fin))


@case("RFC 6455 5.4", "a continuation behind the last fragment")
def _(c):
    c.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"), frame(CONTINUATION, b"c"))
    c.expect(TEXT, b"ab").expect_close(1002)
