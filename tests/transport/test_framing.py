from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import MessageRefused
from quatrefoil.transport.framing import FrameReader, header


@given(frames=st.lists(st.binary(max_size=60), max_size=8), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(frames, cuts):
    stream = b"".join(header(len(frame)) + frame for frame in frames)
    reader, found, position = FrameReader(), [], 0
    while position < len(stream):
        size = cuts[position % len(cuts)]
        reader.add(stream[position : position + size])
        position += size
        while (frame := reader.take(60)) is not None:
            found.append(frame)
    assert found == frames and not reader.inside


@given(length=st.integers(0, 2**64 - 1), limit=st.integers(0, 2**64 - 1))
def test_the_announcement_alone_decides(length, limit):
    reader = FrameReader()
    reader.add(length.to_bytes(8, "big"))
    if length > limit:
        with pytest.raises(MessageRefused, match=f"{length} bytes is announced where at most {limit}"):
            reader.take(limit)
    else:
        assert reader.take(limit) == (b"" if length == 0 else None)


def test_an_incomplete_frame_is_known_as_such():
    reader = FrameReader()
    assert not reader.inside
    reader.add(b"\x00")
    assert reader.inside and reader.take(10) is None
    assert "after 1 bytes of an incomplete message" in reader.truncated("x").problem
