"""Sizes: long messages whole, in many frames and in small writes, up to the limits that SETTINGS in run.py gives, and beyond."""
import time

from suite import Failure, case, fragments
from wire import BINARY, CONTINUATION, PING, PONG, TEXT, frame

MAX_BYTES = 16 << 20
MAX_FRAGMENTS = 65536
# The whole of a case, with sanitizers on a busy machine; anything quadratic takes minutes.
PATIENCE_S = 40


def timely(run):
    def timed(c):
        began = time.monotonic()
        run(c)
        if time.monotonic() - began > PATIENCE_S:
            raise Failure(f"took {time.monotonic() - began:.0f} s")
    return timed


def payload(opcode, size):
    return ("€uro 0123456789 ".encode() * (size // 18 + 1))[:size - size % 18] + b"." * (size % 18) if opcode == TEXT else bytes(
        range(256)) * (size // 256)


for size in (64 << 10, 1 << 20, 4 << 20, MAX_BYTES):
    for opcode in (TEXT, BINARY):
        case("RFC 6455 10.4", f"opcode {opcode}, {size >> 10} KiB in a frame")(timely(lambda c, n=size, o=opcode: c.echo(o, payload(o, n))))
for size, fragment in ((4 << 20, 64), (4 << 20, 256), (4 << 20, 4096), (MAX_BYTES, 256), (MAX_BYTES, 65536)):
    case("RFC 6455 5.4, 10.4", f"text, {size >> 10} KiB in frames of {fragment}")(
        timely(lambda c, n=size, f=fragment: c.echo(TEXT, payload(TEXT, n), fragments(TEXT, payload(TEXT, n), f))))


@case("RFC 6455 5.4, 10.4", "65,536 frames of a byte")
@timely
def _(c):
    c.echo(BINARY, b"x" * MAX_FRAGMENTS, fragments(BINARY, b"x" * MAX_FRAGMENTS, 1))


@case("RFC 6455 5.4, 10.4", "65,536 frames of a byte, and an empty one that ends the message")
@timely
def _(c):
    payload_sent = b"x" * MAX_FRAGMENTS
    c.echo(BINARY, payload_sent, fragments(BINARY, payload_sent, 1, ends=False) + frame(CONTINUATION, b""))


@case("RFC 6455 5.4, 10.4", "65,537 frames of a byte")
def _(c):
    try:
        c.send(fragments(BINARY, b"x" * (MAX_FRAGMENTS + 1), 1))
    except ConnectionError:
        pass
    c.expect_close(1009)


for chop in (64, 256, 2048):
    case("RFC 6455 5.2, 10.4", f"text, 1 MiB in a frame, in writes of {chop} bytes")(timely(
        lambda c, n=chop: c.send_chopped(frame(TEXT, payload(TEXT, 1 << 20)), n).expect(TEXT, payload(TEXT, 1 << 20))))


@case("RFC 6455 10.4", "a byte too many, told by a header: refused before it comes")
def _(c):
    c.send(frame(BINARY, bytes(MAX_BYTES + 1))[:14]).expect_close(1009)


@case("RFC 6455 10.4", "a byte too many, told by the header of the last fragment")
def _(c):
    c.send(frame(BINARY, bytes(MAX_BYTES), fin=False), frame(CONTINUATION, b"x")[:2]).expect_close(1009)


@case("RFC 6455 5.2", "1,000 messages of every small size")
@timely
def _(c):
    for n in (0, 16, 64, 256, 1024):
        c.send(frame(TEXT, b"m" * n) * 1000)
        for _ in range(1000):
            c.expect(TEXT, b"m" * n)


@case("RFC 6455 5.5", "a ping is answered while a long message is on its way")
def _(c):
    c.send(frame(BINARY, bytes(4 << 20), fin=False), frame(PING, b"now")).expect(PONG, b"now")
    c.send(frame(CONTINUATION, b"")).expect(BINARY, bytes(4 << 20))
