"""What is under the seal of Flower's messages: what a silo is sent, and what it replies."""

from __future__ import annotations

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.federation import parts
from quatrefoil.flower.contents import ForSilo, FromSilo, decode_values, encode_values
from quatrefoil.flower.replay import MOST_ANSWERS, Answered, CarriedChannel

HEARD, REPLIED, VALUES = range(3)


def seeds() -> list[bytes]:
    values = {"loss": 0.5, "rows": 7, "name": "north", "raw": b"\0", "on": True, "many": [1, 2], "none": []}
    answers = [Answered(b"next", bytes(32), b"offer"), Answered(b"contribute", b"", b"ok")]
    request = parts.join([b"next", b""])
    heard = [ForSilo(answers, ["a", "b"], values, 3), ForSilo([Answered.to(request, b"offer")], [], {})]
    replied = [FromSilo(b"question", [0, 2], values, "it is late", "train"), FromSilo(b"", [], {})]
    long = FromSilo(b"", range(MOST_ANSWERS), {})
    return [
        *(bytes([HEARD]) + one.encode() for one in heard),
        *(bytes([REPLIED]) + one.encode() for one in (*replied, long)),
        bytes([REPLIED]) + parts.join([b"", b"\x81\x18\x00", b"\xa0", b"\xff", b"none"]),
        bytes([HEARD]) + parts.join([parts.join([]), parts.join([b"\xff"]), b"\xa0", bytes(9)]),
        bytes([VALUES]) + encode_values(values),
        bytes([VALUES]) + b"\xa2\x61a\x01\x61a\x02",
        bytes([VALUES]) + b"\xa1\x61a\xf9\x7e\x00",
    ]


def one(data: bytes) -> None:
    """By the first byte: what a silo is sent, what it replies, or a record alone."""
    how, content = data[:1], data[1:]
    if how == bytes([HEARD]):
        heard = refused_or_same(lambda: ForSilo.decode(content), lambda value: value.encode(), content)
        if heard is not None:
            _answered(heard)
    elif how == bytes([REPLIED]):
        replied = refused_or_same(lambda: FromSilo.decode(content), lambda value: value.encode(), content)
        assert replied is None or len(replied.done) <= MOST_ANSWERS
    else:
        refused_or_same(lambda: decode_values(content), encode_values, content)


def _answered(heard: ForSilo) -> None:
    """Each question that the message answers gets its answer, once."""
    channel = CarriedChannel(heard.answers, _Hub())
    for answer in heard.answers:
        channel.send(parts.join([answer.method, b""]))
        try:
            got = refused_or(lambda: channel.receive(1 << 10))
        except BaseException as waiting:
            if type(waiting).__name__ != "Unanswered":
                raise
            continue
        assert got is None or got in [one.response for one in heard.answers]
    assert sorted(set(channel.done)) == sorted(channel.done)
    assert all(at < len(heard.answers) for at in channel.done)


class _Hub:
    name = "hub"
