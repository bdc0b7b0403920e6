"""RFC 6455 sections 5.5.1 (close frames), 7.1 (who ends what), 7.4 (codes)."""
from suite import case
from wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame

for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
    case("RFC 6455 7.4", f"close {code} is answered by itself")(lambda c, n=code: c.send(frame(CLOSE, close_payload(n))).expect_close(n))
for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    case("RFC 6455 7.4", f"close {code} may nobody send")(lambda c, n=code: c.send(frame(CLOSE, close_payload(n))).expect_close(1002))


@case("RFC 6455 5.5.1", "close without a code")
def _(c):
    c.send(frame(CLOSE)).expect_close(None)


@case("RFC 6455 5.5.1", "close with half a code")
def _(c):
    c.send(frame(CLOSE, b"\x03")).expect_close(1002)


for reason in (b"", b"bye", "tschüß".encode(), b"r" * 123, "€".encode() * 41):
    case("RFC 6455 5.5.1", f"close with {len(reason)} bytes of reason")(
        lambda c, r=reason: c.send(frame(CLOSE, close_payload(1000, r))).expect_close(1000))


@case("RFC 6455 5.5.1", "close with 124 bytes of reason")
def _(c):
    c.send(frame(CLOSE, close_payload(1000, b"r" * 124))).expect_close(1002)


@case("RFC 6455 5.5.1", "close byte by byte")
def _(c):
    c.send_chopped(frame(CLOSE, close_payload(1000, b"reason")), 1).expect_close(1000)


@case("RFC 6455 5.5.1", "what was asked before the close is answered before it")
def _(c):
    c.send(frame(TEXT, b"last words"), frame(CLOSE, close_payload(1000))).expect(TEXT, b"last words").expect_close(1000)


for title, rest in (("a message", frame(TEXT, b"unheard")), ("a ping", frame(PING, b"unheard")), ("another close", frame(CLOSE, b"\x03\xe9")),
                    ("a broken frame", b"\xff\xff\xff"), ("half a frame", b"\x81\xfe\x10")):
    case("RFC 6455 5.5.1", f"nothing counts behind a close: {title}")(
        lambda c, rest=rest: c.send(frame(CLOSE, close_payload(1000)), rest).expect_close(1000))


@case("RFC 6455 5.4, 5.5.1", "a close within a fragmented message")
def _(c):
    c.send(frame(BINARY, b"never", fin=False), frame(CLOSE, close_payload(1001)), frame(CONTINUATION, b"whole")).expect_close(1001)
