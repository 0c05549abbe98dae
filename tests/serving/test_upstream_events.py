"""Events of an upstream: whole ones come out however they are cut, and what is no such event breaks the stream."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import EngineFailed
from quatrefoil.ohttp import Padme, pad_events
from quatrefoil.serving.upstream_events import LARGEST_EVENT, EventReader, document

MARKER = "MARKER-of-a-patient"
ONE, TWO, DONE = b'data: {"a": 1}\n\n', b'data: {"b": "\\n\\u00e9"}\n\n', b"data: [DONE]\n\n"


def read(*pieces: bytes) -> tuple[list[bytes], bool]:
    reader = EventReader()
    return [reader.feed(piece) for piece in pieces], reader.ended


def test_whole_events_go_on_and_the_end_is_seen() -> None:
    assert read(ONE, TWO + DONE) == ([ONE, TWO + DONE], True)
    assert read(ONE, TWO) == ([ONE, TWO], False)


def test_half_an_event_waits_for_its_rest() -> None:
    assert read(ONE + TWO[:9], TWO[9:]) == ([ONE, TWO], False)
    assert read(DONE[:-1]) == ([b""], False)


@given(st.lists(st.integers(0, 60), max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_where_the_bytes_are_cut_makes_no_difference(cuts: list[int], end: bytes) -> None:
    sent = (b": hello\n\n" + ONE + b"data:" + TWO[6:] + b"\n: a comment\n" + ONE + DONE).replace(b"\n", end)
    at = sorted({0, len(sent), *(cut % len(sent) for cut in cuts)})
    pieces, ended = read(*(sent[one:two] for one, two in pairwise(at)))
    assert b"".join(pieces) == ONE + TWO + ONE + DONE
    assert ended
    for piece in pieces:  # whole events each, or the padding would refuse them
        pad_events(piece, Padme(64))


@pytest.mark.parametrize(
    "sent",
    [
        b"data: MARKER-of-a-patient\n\n",
        b"<html>\n\n",
        b"{}\n\n",
        b"data: {}\ndata: {}\n\n",
        b"data: {}\ndata: [DONE]\n\n",
        b"data: [DONE]\ndata: {}\n\n",
        b"id: 1\ndata: {}\n\n",
        b"data: {}\nid: 1\n\n",
        b"event: error\ndata: {}\n\n",
        b"data: {}\nevent: message\n\n",
        b"retry: 100\n\n",
        b"data\n\n",
        b" data: {}\n\n",
        b"Data: {}\n\n",
        b"\xef\xbb\xbfdata: {}\n\n",
        b"data: {}\rdata: {}\n\n",
        b"data: {}\r\r",
        b'data: {"a": 1, "a": 2}\n\n',
        b'data: {"a": NaN}\n\n',
        b'data: {"a": "\xff"}\n\n',
        b"data: []\n\n",
        b"data: 1\n\n",
        b"data: [done]\n\n",
        b"data: [DONE] x\n\n",
        b"data: \n\n",
        b'data: {"error": {"message": "MARKER-of-a-patient"}}\n\n',
        b'data: {"choices": [], "error": "MARKER-of-a-patient"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: " + b"9" * 5000 + b"\n\n",
    ],
)
def test_what_is_no_event_is_refused_without_its_text(sent: bytes) -> None:
    reader = EventReader()
    reader.feed(ONE)
    with pytest.raises(EngineFailed) as refused:
        reader.feed(sent + ONE)
    assert MARKER not in str(refused.value) and refused.value.__context__ is None
    assert not reader.ended


@pytest.mark.parametrize("more", [ONE, DONE, b"x", b": comment", b"data: {}", b"\n\n" + ONE])
def test_nothing_follows_the_end(more: bytes) -> None:
    for pieces in ((DONE + more,), (DONE, more), (DONE[:-1], b"\n" + more)):
        with pytest.raises(EngineFailed, match="follows the end"):
            read(*pieces)


def test_empty_lines_after_the_end_are_nothing() -> None:
    assert read(DONE + b"\n", b"\n\n") == ([DONE, b""], True)


def test_an_event_over_the_limit_is_refused_before_it_ends() -> None:
    reader = EventReader()
    with pytest.raises(EngineFailed, match="over the limit"):
        for _ in range(LARGEST_EVENT // 65536 + 2):
            reader.feed(b"x" * 65536)


def test_an_event_over_the_limit_is_refused_whole_too() -> None:
    with pytest.raises(EngineFailed, match="over the limit"):
        read(b'data: {"a": "' + b"x" * LARGEST_EVENT + b'"}\n\n')


@pytest.mark.parametrize("end", ["\u0085", "\u2028", "\u2029"])
def test_what_some_readers_take_for_the_end_of_a_line_is_escaped(end: str) -> None:
    """A text that the model says must not be the end of the stream to them."""
    sent = {"a" + end: f"x{end}data: [DONE]{end}{end}"}
    (found,), _ = read(b"data: " + json.dumps(sent, ensure_ascii=False).encode() + b"\n\n")
    assert len(found.decode().splitlines()) == 2 and json.loads(found[6:]) == sent


def test_an_error_that_is_null_is_none() -> None:
    assert document(b'{"error": null, "id": "a"}', limit=100)["id"] == "a"


@given(st.dictionaries(st.text(max_size=5).filter(lambda name: name != "error"), st.text(max_size=20), max_size=4))
def test_every_object_passes_as_it_is_written(value: dict[str, str]) -> None:
    sent = b"data: " + json.dumps(value).encode() + b"\n\n"
    assert read(sent) == ([sent], False)


@pytest.mark.parametrize("answer", [b"", b"MARKER", b"[]", b'{"a": 1} x', b'{"a": "x"}' + b" " * 100])
def test_a_whole_answer_is_one_object_within_its_limit(answer: bytes) -> None:
    with pytest.raises(EngineFailed) as refused:
        document(answer, limit=100)
    assert "MARKER" not in str(refused.value) and refused.value.__context__ is None


def test_a_line_end_may_be_cut_in_two_and_half_of_it_is_none() -> None:
    assert read(b"data: {}\r", b"\n\r", b"\n") == ([b"", b"", b"data: {}\n\n"], False)
    assert read(DONE + b"\r", b"\n") == ([DONE, b""], True)
    for piece in (b"data: {}\n\n", b"\n\n", b"\r\n\n"):
        with pytest.raises(EngineFailed):
            read(b"data: {}\r", b"x" + piece)
    with pytest.raises(EngineFailed):
        read(b"data: {}\r", b"\r\n\n")
