from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.errors import MessageRefused, PeerUnreachable
from quatrefoil.transport.framing import SLOWEST, FrameReader, Pace, header, too_slow


def frames_of(reader: FrameReader, stream: bytes, limit: int, cuts: Iterable[int] = (1 << 30,)) -> list[bytes]:
    """What comes out when ``stream`` comes off the network in pieces of these sizes, or smaller if it asks for less."""
    found, sizes = [], cycle(cuts)

    def read(space: memoryview) -> int:
        nonlocal stream
        count = min(len(space), len(stream), next(sizes))
        assert count > 0
        space[:count], stream = stream[:count], stream[count:]
        return count

    while stream:
        assert reader.fill(read)
        while (frame := reader.take(limit)) is not None:
            found.append(frame)
    return found


@given(frames=st.lists(st.binary(max_size=60), max_size=8), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(frames, cuts):
    reader = FrameReader()
    stream = b"".join(header(len(frame)) + frame for frame in frames)
    assert frames_of(reader, stream, 60, cuts) == frames and not reader.inside


@settings(deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 16_375, 16_376, 16_377, 16_384, 262_144, 262_145, 900_000]), max_size=5),
    cuts=st.lists(st.sampled_from([999, 5_000, 16_384, 65_536]), min_size=1),
)
def test_so_do_frames_around_every_size_at_which_they_are_kept_elsewhere(sizes, cuts):
    frames = [bytes([number]) * size for number, size in enumerate(sizes, 1)]
    stream = b"".join(header(len(frame)) + frame for frame in frames)
    reader = FrameReader()
    assert frames_of(reader, stream, 1 << 20, [*cuts, 1000]) == frames and not reader.inside


@given(length=st.integers(0, 2**64 - 1), limit=st.integers(0, 2**64 - 1))
def test_the_announcement_alone_decides(length, limit):
    reader = FrameReader()
    if length > limit:
        with pytest.raises(MessageRefused, match=f"{length} bytes is announced where at most {limit}"):
            frames_of(reader, header(length), limit)
    else:
        assert frames_of(reader, header(length), limit) == ([b""] if length == 0 else [])


def test_memory_grows_with_what_has_arrived_and_not_with_what_was_announced():
    reader = FrameReader()
    tracemalloc.start()
    try:
        assert frames_of(reader, header(1 << 40) + bytes(1000), 1 << 40) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        assert frames_of(reader, bytes(3 << 20), 1 << 40) == []
        assert tracemalloc.get_traced_memory()[0] < 9 << 20
    finally:
        tracemalloc.stop()
    assert reader.arrived == 1008 + (3 << 20)


def test_an_incomplete_frame_is_known_as_such():
    reader = FrameReader()
    assert not reader.inside
    assert frames_of(reader, b"\x00", 10) == []
    assert reader.inside
    assert "after 1 bytes of an incomplete message" in reader.truncated("x").problem


def test_a_message_has_its_time_to_begin_and_then_a_pace_to_keep():
    pace = Pace(wait=5, timeout=10, now=100)
    assert pace.left(0, 104) == 1
    assert pace.left(0, 106) < 0
    assert pace.left(1, 104) == pytest.approx(10, abs=0.01)
    assert pace.left(SLOWEST * 60, 170) == pytest.approx(4)
    assert pace.left(SLOWEST * 60, 175) < 0
    for moved in (0, 12):
        assert isinstance(too_slow("x", moved), PeerUnreachable)
