"""What is sealed opens, to whoever it was sealed to and to nobody else, in every size that is a boundary."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealing_room import CHUNK, KEYS, OTHER, Parts, open_, seal

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import sealed, system_clock
from quatrefoil.transport.sealed import HYBRID_768, HYBRID_1024, layout
from quatrefoil.transport.sealed.chunks import read_up_to

BOTH = list(KEYS.values())


@pytest.mark.parametrize("key", BOTH, ids=list(KEYS))
@pytest.mark.parametrize(
    ("size", "chunks"), [(0, 1), (1, 1), (65_535, 1), (65_536, 1), (65_537, 2), (131_072, 2), (200_000, 4)]
)
def test_content_opens_with_its_sender(north, trust, key, size, chunks):
    content = bytes(number % 251 for number in range(size))
    file = seal(content, north, [key])
    assert len(Parts.of(file).chunks) == chunks and Parts.of(file).whole == file
    assert len(Parts.of(file).chunks[-1]) == size - (chunks - 1) * layout.CHUNK + layout.TAG
    back, found = open_(file, trust, key, sender="north")
    assert back == content and found.size == size
    assert (found.sender.name, found.sender.role) == ("north", "silo") == (found.wrapper.name, found.wrapper.role)
    assert found.recipients == (key.fingerprint,)
    assert abs((found.sealed_at - system_clock()).total_seconds()) < 60


def test_each_of_several_recipients_opens_it_and_nobody_else_does(north, trust):
    file = seal(b"for two", north, BOTH)
    for key in BOTH:
        assert open_(file, trust, key)[0] == b"for two"
    with pytest.raises(MessageRefused, match=r"not sealed to this key .* but to 2 other"):
        open_(file, trust, OTHER)


def test_the_content_and_the_file_key_are_not_in_the_file(north):
    file = seal(b"cleveland" * 20, north)
    assert b"cleveland" not in file
    assert Parts.of(file).file_key(KEYS["hybrid-768"], north) not in file


def test_no_two_files_share_a_key_a_salt_or_a_chunk(north):
    first, second = (Parts.of(seal(b"same", north)) for _ in range(2))
    assert first.parsed_header.salt != second.parsed_header.salt
    assert first.chunks != second.chunks
    assert first.file_key(KEYS["hybrid-768"], north) != second.file_key(KEYS["hybrid-768"], north)


def test_the_context_is_part_of_it(north, trust):
    file = seal(b"x", north, context=b"trial 7")
    assert open_(file, trust, context=b"trial 7")[0] == b"x"
    for other in (b"", b"trial 8"):
        with pytest.raises(MessageRefused, match="for another context"):
            open_(file, trust, context=other)


def test_a_pipe_that_gives_few_bytes_at_a_time_is_read_whole(north, trust):
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 1000))

    sink = io.BytesIO()
    content = bytes(150_000)
    options = {"sender": north, "context": b"", "minimum": HYBRID_768, "clock": system_clock}
    sealed.seal(Dripping(content), sink, recipients=[KEYS["hybrid-768"].recipient], **options)
    assert open_(sink.getvalue(), trust)[0] == content
    assert read_up_to(Dripping(sink.getvalue()), 10**6) == sink.getvalue()


@settings(max_examples=40, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.integers(-3, 3).map(lambda by: bytes(2 * 65_536 + by))))
def test_any_content_comes_back(north, trust, content):
    file = seal(content, north)
    assert open_(file, trust)[0] == content
    assert len(Parts.of(file).chunks) == max(1, -(-len(content) // (CHUNK - layout.TAG)))


@pytest.mark.parametrize(
    ("recipients", "minimum", "problem"),
    [
        ([], HYBRID_768, "0 recipients"),
        ([OTHER.recipient] * 2, HYBRID_768, "named twice"),
        ([OTHER.recipient] * 257, HYBRID_768, "257 recipients"),
        ([OTHER.recipient], HYBRID_1024, "at least hybrid-1024"),
    ],
)
def test_wrong_recipients_are_refused_before_anything_is_written(north, recipients, minimum, problem):
    sink = io.BytesIO()
    with pytest.raises(CallerError, match=problem):
        sealed.seal(
            io.BytesIO(b"x"),
            sink,
            recipients=recipients,
            sender=north,
            context=b"",
            minimum=minimum,
            clock=system_clock,
        )
    assert sink.getvalue() == b""


def test_256_recipients_fit_the_limits(north, trust):
    key = KEYS["hybrid-1024"]
    many = [sealed.RecipientKey.generate(HYBRID_768) for _ in range(255)]
    file = seal(b"x", north, [*many, key])
    assert len(Parts.of(file).wrapping) < layout.LARGEST_WRAPPING
    assert open_(file, trust, key)[0] == b"x"
