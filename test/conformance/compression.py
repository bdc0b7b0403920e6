"""RFC 7692: permessage-deflate with every set of parameters, over sizes and fragments, and what it must not be."""
import functools
import itertools
import os
import random
import zlib

from suite import TAIL, Deflate, Failure, case, fragments
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

NAME = "permessage-deflate"
HELLO = bytes.fromhex("f248cdc9c90700")
SIZES = (0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)
WORDS = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna ☕ 😀".split()


@functools.lru_cache(64)
def text(size, seed=1):
    source = random.Random(seed)
    data = " ".join(source.choice(WORDS) + str(source.randrange(1000)) for _ in range(size // 4)).encode()[:size]
    return data.decode("utf-8", "ignore").encode().ljust(size, b".")


def offers():
    for server_no, client_no, server_bits, client_bits in itertools.product((False, True), (False, True), (None, 8, 9, 12, 15),
                                                                            (None, "", 8, 9, 12, 15)):
        yield server_no, client_no, server_bits, client_bits


def offer_of(server_no, client_no, server_bits, client_bits):
    return (NAME + ("; server_no_context_takeover" if server_no else "") + ("; client_no_context_takeover" if client_no else "")
            + (f"; server_max_window_bits={server_bits}" if server_bits else "")
            + ("" if client_bits is None else "; client_max_window_bits" if client_bits == "" else f"; client_max_window_bits={client_bits}"))


def check_answer(response, server_no, server_bits, client_bits):
    """What a server may answer to that offer (section 7.1)."""
    deflate = Deflate(response)
    have = deflate.parameters
    if set(have) - {"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"}:
        raise Failure(f"unknown parameters: {response}")
    if server_no and "server_no_context_takeover" not in have:
        raise Failure(f"7.1.1.1: server_no_context_takeover was asked for: {response}")
    if server_bits and not 8 <= int(have.get("server_max_window_bits") or 99) <= server_bits:
        raise Failure(f"7.1.2.1: server_max_window_bits={server_bits} was asked for: {response}")
    if client_bits is None and "client_max_window_bits" in have:
        raise Failure(f"7.1.2.2: client_max_window_bits was not offered: {response}")
    if "client_max_window_bits" in have and not 8 <= int(have["client_max_window_bits"]) <= 15:
        raise Failure(f"7.1.2.2: bad client_max_window_bits: {response}")
    if client_bits:
        deflate.out_bits = min(deflate.out_bits, client_bits)
    return deflate


for setting in (None, "context"):
    for offer in offers():
        @case("RFC 7692 7.1, 7.2", f"{offer_of(*offer)}{' (client context)' if setting else ''}", offer_of(*offer), setting)
        def _(c, offer=offer):
            deflate = check_answer(c.extension, offer[0], offer[2], offer[3])
            for size in (0, 16, 300, 5000, 40000):
                deflate.echo(c, TEXT, text(size))
                deflate.echo(c, TEXT, text(size))  # the same again: all of it is in the window, if it is kept
                deflate.echo(c, BINARY, text(size, 2), fragment=max(1, size // 50))

    for fragment in (0, 1, 7, 128, 1024):
        for size in SIZES:
            @case("RFC 7692 7.2", f"{size} bytes in frames of {fragment or 'any size'}{' (client context)' if setting else ''}", NAME, setting)
            def _(c, size=size, fragment=fragment):
                deflate = Deflate(c.extension)
                for i in range(3):
                    if fragment != 1 or size <= 32768:
                        deflate.echo(c, TEXT, text(size, i), fragment)
                    deflate.echo(c, BINARY, (os.urandom(64) * (size // 64 + 1))[:size], fragment)

    @case("RFC 7692 7.2.1", f"every level, all kinds of blocks{' (client context)' if setting else ''}", NAME, setting)
    def _(c):
        deflate = Deflate(c.extension)
        for level in range(10):
            deflate.level, deflate.compressor = level, deflate.compressor if "client_no_context_takeover" not in deflate.parameters else None
            for size in (100, 70000):
                deflate.echo(c, TEXT, text(size, level))
                deflate.echo(c, BINARY, os.urandom(size))

for payload, title in ((HELLO, "7.2.3.1, a compressed block"), (bytes.fromhex("000500faff48656c6c6f00"), "7.2.3.3, a block as it is"),
                       (bytes.fromhex("f348cdc9c9070000"), "7.2.3.4, BFINAL set"),
                       (bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")), "7.2.3.5, two blocks")):
    for fragment in (0, 1, 3):
        @case("RFC 7692 " + title.split(",")[0], f"Hello as {title[9:]}, in frames of {fragment or 'any size'}", NAME)
        def _(c, payload=payload, fragment=fragment):
            c.echo(TEXT, b"Hello", fragments(TEXT, payload, fragment or 99, frame(PING, b""), rsv=4) if fragment == 0 else
                   fragments(TEXT, payload, fragment, rsv=4))


@case("RFC 7692 7.2.3.2", "Hello twice, the second one by the window of the first", NAME, "context")
def _(c):
    c.echo(TEXT, b"Hello", frame(TEXT, HELLO, rsv=4))
    c.echo(TEXT, b"Hello", frame(TEXT, bytes.fromhex("f200110000"), rsv=4))


@case("RFC 7692 7.2.3.2", "the window is not kept where client_no_context_takeover was answered", NAME + "; client_no_context_takeover")
def _(c):
    c.echo(TEXT, b"Hello", frame(TEXT, HELLO, rsv=4))
    c.send(frame(TEXT, bytes.fromhex("f200110000"), rsv=4)).expect_close(1007)


@case("RFC 7692 7.2.3.6", "an empty message", NAME)
def _(c):
    c.echo(TEXT, b"", frame(TEXT, b"\x00", rsv=4)).echo(BINARY, b"", frame(BINARY, b"\x02\x00", rsv=4))


@case("RFC 7692 6", "plain messages between compressed ones", NAME, "context")
def _(c):
    deflate = Deflate(c.extension)
    for i in range(5):
        deflate.echo(c, TEXT, text(500, i))
        c.send(frame(TEXT, b"plain %d" % i)).expect(TEXT, b"plain %d" % i)
        deflate.echo(c, TEXT, text(500, i))


@case("RFC 7692 6.1", "control frames between the fragments of a compressed message", NAME)
def _(c):
    payload = Deflate(c.extension).compress(text(60))
    c.send(frame(TEXT, payload[:5], fin=False, rsv=4), frame(PING, b"p")).expect(PONG, b"p")
    c.send(frame(PONG), frame(CONTINUATION, payload[5:])).expect(TEXT, text(60))


@case("RFC 7692 7.2", "16 MiB, compressed and in 65,536 frames", NAME)
def _(c):
    deflate = Deflate(c.extension, level=1)
    message = text(1 << 20) * 16
    deflate.echo(c, TEXT, message)
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    payload = (stored.compress(message[:65000]) + stored.flush(zlib.Z_SYNC_FLUSH))[:-4]
    c.send(fragments(BINARY, payload, 1, rsv=4))
    opcode, data, rsv = c.next()
    if (opcode, deflate.decompress(data) if rsv else data) != (BINARY, message[:65000]):
        raise Failure("the echo differs")


# ---- what may not be

for sent, title in (
        (frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(CONTINUATION, HELLO[3:], rsv=4), "RSV1 on a continuation"),
        (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, HELLO, rsv=4), "RSV1 on the continuation of a plain message"),
        (frame(PING, b"", rsv=4), "RSV1 on a ping"), (frame(PONG, b"x", rsv=4), "RSV1 on a pong"), (frame(CLOSE, b"", rsv=4), "RSV1 on a close"),
        (frame(TEXT, HELLO, rsv=2), "RSV2"), (frame(TEXT, HELLO, rsv=5), "RSV1 and RSV3")):
    case("RFC 7692 6, RFC 6455 5.2", title, NAME)(lambda c, sent=sent: c.send(sent).expect_close(1002))
case("RFC 6455 5.2", "RSV1 where nothing was negotiated")(lambda c: c.send(frame(TEXT, HELLO, rsv=4)).expect_close(1002))

for payload, title in ((b"\x06", "a block type that is none"), (bytes.fromhex("000500fafe48656c6c6f00"), "a length that contradicts itself"),
                       (bytes.fromhex("f200110000"), "a look before the beginning"), (HELLO[:5], "cut within a code"),
                       (bytes.fromhex("000500faff48"), "cut within a block as it is"), (os.urandom(1) + b"\xff" * 30, "noise")):
    case("RFC 7692 7.2.2", f"no message: {title}", NAME)(lambda c, p=payload: c.send(frame(BINARY, p, rsv=4)).expect_close(1007))


def sync(data):
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    return z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH)


@case("RFC 7692 7.2.2, 6455 8.1", "text that is not UTF-8, once inflated", NAME)
def _(c):
    c.send(frame(TEXT, sync("good €".encode() + b"\xff")[:-4], rsv=4)).expect_close(1007)


@case("RFC 7692 7.2.2, 6455 8.1", "text that is not UTF-8, refused before the message ends", NAME)
def _(c):
    c.send(frame(TEXT, sync("good €".encode() + b"\xed\xa0"), fin=False, rsv=4)).expect_close(1007)


@case("RFC 7692 7.2.2, 6455 8.1", "inflated text that ends within a character", NAME)
def _(c):
    c.send(frame(TEXT, sync("good €".encode()[:-1])[:-4], rsv=4)).expect_close(1007)


@case("RFC 7692 7.2.2, 6455 8.1", "a character over frames and blocks", NAME)
def _(c):
    c.send(frame(TEXT, sync(b"\xe2"), fin=False, rsv=4), frame(CONTINUATION, sync(b"\x82"), fin=False), frame(CONTINUATION, sync(b"\xac")[:-4]))
    c.expect(TEXT, "€".encode())


@case("RFC 7692 8", "a bomb is refused while it is on its way", NAME)
def _(c):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    c.send(frame(BINARY, z.compress(bytes(40 << 20)) + z.flush(zlib.Z_SYNC_FLUSH), fin=False, rsv=4)).expect_close(1009)


@case("RFC 7692 8", "to the byte: 16 MiB inflated", NAME)
def _(c):
    deflate = Deflate(c.extension)
    deflate.echo(c, BINARY, bytes(16 << 20))
    c.send(frame(BINARY, deflate.compress(bytes((16 << 20) + 1)), rsv=4)).expect_close(1009)


assert TAIL == sync(b"")[-4:]
