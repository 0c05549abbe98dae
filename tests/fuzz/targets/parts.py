"""Several byte strings in one frame, and the answers of the other side of a channel."""

from __future__ import annotations

from tests.fuzz.held import refused_or_same

from quatrefoil.errors import QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.services import rpc

MOST = 5


def seeds() -> list[bytes]:
    error = b'{"problem": "it is late", "hint": "wait", "party": "north"}'
    answers = [
        parts.join([b"ok", b"answer"]),
        parts.join([b"MessageRefused", error]),
        parts.join([b"Exception", error]),
    ]
    return [parts.join([]), parts.join([b"a", b"", b"ccc"]), *answers]


def one(data: bytes) -> None:
    refused_or_same(lambda: parts.split_list(data, MOST), parts.join, data)
    for count in range(5):
        refused_or_same(lambda count=count: parts.split(data, count), parts.join, data)
    try:
        rpc._answer(data)
    except QuatrefoilError as error:
        assert error.problem is not None
