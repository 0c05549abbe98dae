"""What is under the seal of Flower's messages has one form, and is refused in any other."""

from __future__ import annotations

import pytest

from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.flower.contents import ForSilo, FromSilo
from quatrefoil.flower.replay import MOST_ANSWERS, Answered

NONE = parts.join([])


def test_what_is_said_arrives() -> None:
    heard = ForSilo([Answered(b"next", bytes(32), b"offer")], ["weights"], {"rate": 0.5}, 3)
    replied = FromSilo(b"question", [0, 2], {"loss": 0.25}, "it is late", "evaluate")
    assert ForSilo.decode(heard.encode()) == heard and FromSilo.decode(replied.encode()) == replied


def test_a_fault_that_is_no_text_does_not_keep_a_silo_from_saying_that_it_failed() -> None:
    said = FromSilo(b"", [], {}, "no such file: \udcff")
    assert FromSilo.decode(said.encode()).fault == "no such file: ?"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([NONE, NONE, b"\xa0", bytes(9)], "in 9 bytes, not 8"),
        ([NONE, NONE, b"\xa0", b""], "in 0 bytes, not 8"),
        ([NONE, parts.join([b"\xff"]), b"\xa0", bytes(8)], "not UTF-8"),
    ],
)
def test_what_no_aggregator_says_is_refused(data: list[bytes], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        ForSilo.decode(parts.join(data))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([b"", b"\x81\x20", b"\xa0", b"", b""], "no list of positions"),
        ([b"", b"\x81\x18\x40", b"\xa0", b"", b""], "no list of positions"),
        ([b"", b"\x98\x41" + bytes(MOST_ANSWERS + 1), b"\xa0", b"", b""], "no list of positions"),
        ([b"", b"\x81\x18\x00", b"\xa0", b"", b""], "not in deterministic form"),
        ([b"", b"\x80", b"\xa0", b"\xff", b""], "not UTF-8"),
        ([b"", b"\x80", b"\xa0", b"", b"served"], "app is said to b'served'"),
        ([b"", b"\x80", b"\xa0", b""], "ends inside its header"),
    ],
)
def test_what_no_silo_replies_is_refused(data: list[bytes], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        FromSilo.decode(parts.join(data))
