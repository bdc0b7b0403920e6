"""RFC 6455 section 8.1 and RFC 3629: text is UTF-8, and what cannot become UTF-8 is refused at its first such byte."""
from suite import case, fragments
from wire import BINARY, CLOSE, CONTINUATION, TEXT, close_payload, frame

GOOD = ["", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0001fffe",
        "\U0010fffd", "\U0010ffff", "κόσμε", "Hällo ☕ 😀", "\ufeffmark", "a\u0300", "\x01\x1f"]
# (bytes, how many of them are enough to know)
BAD = [(b"\x80", 1), (b"\xbf", 1), (b"\x80\xbf", 1), (b"\xc0\x80", 1), (b"\xc0\xaf", 1), (b"\xc1\xbf", 1), (b"\xc2\x41", 2), (b"\xc3\xc3", 2),
       (b"\xe0\x80\xaf", 2), (b"\xe0\x9f\xbf", 2), (b"\xe2\x82\x41", 3), (b"\xe2\x41", 2), (b"\xed\xa0\x80", 2), (b"\xed\xad\xbf", 2),
       (b"\xed\xbf\xbf", 2), (b"\xed\xa0\xbd\xed\xb8\x80", 2), (b"\xf0\x80\x80\xaf", 2), (b"\xf0\x8f\xbf\xbf", 2), (b"\xf0\x9f\x98\x41", 4),
       (b"\xf0\x9f\x41", 3), (b"\xf4\x90\x80\x80", 2), (b"\xf5\x80\x80\x80", 1), (b"\xf8\x88\x80\x80\x80", 1), (b"\xfc\x84\x80\x80\x80\x80", 1),
       (b"\xfe", 1), (b"\xff", 1)]
CUT = [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98"]
PREFIX = "ok κόσμε ".encode()

for good in GOOD:
    data = good.encode("utf-8", "surrogatepass")

    @case("RFC 6455 8.1", f"good {data!r}")
    def _(c, data=data):
        c.echo(TEXT, data)
        c.echo(TEXT, PREFIX + data + b".", fragments(TEXT, PREFIX + data + b".", 1))
        c.send_chopped(frame(TEXT, data * 20), 1).expect(TEXT, data * 20)
        c.send(frame(CLOSE, close_payload(1000, data[:120]))).expect_close(1000)

for bad, enough in BAD:
    @case("RFC 6455 8.1", f"bad {bad!r}")
    def _(c, bad=bad):
        c.send(frame(TEXT, PREFIX + bad)).expect_close(1007)

    @case("RFC 6455 8.1", f"bad {bad!r} in frames of a byte")
    def _(c, bad=bad):
        c.send(fragments(TEXT, PREFIX + bad + b"x", 1)).expect_close(1007)

    @case("RFC 6455 8.1", f"bad {bad!r}, refused before its frame and its message end")
    def _(c, bad=bad, enough=enough):
        whole = frame(TEXT, PREFIX + bad[:enough] + b"x" * 5000, fin=False)
        c.send(whole[:8 + len(PREFIX) + enough]).expect_close(1007)

    @case("RFC 6455 8.1", f"bad {bad!r}, refused at the frame that has it")
    def _(c, bad=bad, enough=enough):
        c.send(fragments(TEXT, PREFIX + bad[:enough], 1)[:-7], frame(CONTINUATION, bad[enough - 1:enough], fin=False)).expect_close(1007)

    @case("RFC 6455 5.5.1, 8.1", f"bad {bad!r} as the reason of a close")
    def _(c, bad=bad):
        c.send(frame(CLOSE, close_payload(1000, PREFIX + bad))).expect_close(1007)

    case("RFC 6455 5.6", f"{bad!r} in binary is nobody's business")(lambda c, bad=bad: c.echo(BINARY, bad))

for cut in CUT:
    @case("RFC 6455 8.1", f"a message that ends within a character {cut!r}")
    def _(c, cut=cut):
        c.send(frame(TEXT, PREFIX + cut)).expect_close(1007)

    @case("RFC 6455 8.1", f"a fragmented message that ends within a character {cut!r}")
    def _(c, cut=cut):
        c.send(fragments(TEXT, PREFIX + cut, 1)).expect_close(1007)

    @case("RFC 6455 8.1", f"the next message does not finish a character {cut!r}")
    def _(c, cut=cut):
        c.send(frame(BINARY, cut), frame(TEXT, "€".encode()[1:])).expect(BINARY, cut).expect_close(1007)
