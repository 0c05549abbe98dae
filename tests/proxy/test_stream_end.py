"""The event that ends a stream comes last, however the stream is cut into pieces; everything else comes at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from local_asking import ScriptedClient, ask, made

from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proxy.stream_end import LARGEST_END, HeldEnd

END = b"data: [DONE]\n\n"
STREAM = (
    b'data: {"a": 1}\n\n: fill\n\ndata: {"b": "[DONE]"}\n\ndata: data: [DONE]\n\nxdata: [DONE]\n\n'
    + END
    + b": fill\n\n"
)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[one:two] for one, two in pairwise(places)]


@given(st.lists(st.integers(0, 1000)), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
@example([], b"\n", True)
def test_the_end_and_nothing_before_it_is_held_back(cuts, newline, spaced):
    stream, end = (text.replace(b"\n", newline) for text in (STREAM, END))
    if not spaced:
        stream, end = stream.replace(newline + b"data: [D", newline + b"data:[D"), end.replace(b" ", b"")
    held = HeldEnd()
    passed = b"".join(held.passed(piece) for piece in pieces_of(stream, cuts))
    assert passed == stream[: stream.rindex(end)]
    assert passed + held.rest() == stream


@given(st.lists(st.sampled_from([b"data", b":", b" ", b"[DONE", b"]", b"\n", b"\r", b"x", b"data: [DONE]"])))
def test_nothing_is_lost_or_changed_and_no_whole_end_goes_on(pieces):
    held = HeldEnd()
    passed = b"".join(map(held.passed, pieces))
    lines = passed.replace(b"\r", b"\n").split(b"\n")
    assert not any(line.startswith((b"data: [DONE]", b"data:[DONE]")) for line in lines)
    assert passed + held.rest() == b"".join(pieces)


@given(st.lists(st.sampled_from([b'data: {"x": 1}\n\n', b": \n\n", b"data: []\n\n", b"\n", b"event: a\n"])))
def test_whole_events_are_never_held_back(events):
    held = HeldEnd()
    assert [held.passed(event) for event in events] == events


def test_the_end_reaches_nobody_where_the_receipt_does_not_hold():
    """The reader of the openai package stops at it, and would not see that the connection was cut."""
    client = ScriptedClient(
        pieces=[b"data: 1\n\n", b"data: [DO", b"NE]\n\n", EvidenceRejected("no receipt", hint="Do not believe it")]
    )
    answered = ask(made(client), path="/v1/completions", body=b'{"stream": true}')
    assert answered.content == b"data: 1\n\n" and not answered.complete


def test_a_stream_without_that_event_is_passed_on_as_well():
    answered = ask(made(ScriptedClient(pieces=[b"data: 1\n", b"data"])), body=b'{"stream": true}')
    assert answered.content == b"data: 1\ndata" and answered.complete


def test_what_follows_the_end_is_bounded():
    held = HeldEnd()
    held.passed(END)
    with pytest.raises(MessageRefused, match="after the event that ends it"):
        for _ in range(LARGEST_END // 1024 + 1):
            held.passed(bytes(1024))
