"""What whoever carries a request in chunks can do to it: cut, move, repeat, splice, frame anew. None of it opens."""

from __future__ import annotations

import itertools

import pytest
from tests.ohttp.exchanges import LIMIT, PARTS, as_final, as_not_final, gateway, opened, request_in_chunks

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import RequestOpener, RequestSealer, varint


def test_the_order_that_was_sealed_opens_and_no_other() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    assert opened(keys, header + b"".join(sent)) == PARTS
    for order in itertools.permutations(range(3)):
        if list(order) != [0, 1, 2]:
            with pytest.raises(MessageRefused, match="does not open"):
                opened(keys, header + b"".join(sent[one] for one in order) + sent[3])


@pytest.mark.parametrize("kept", range(4))
def test_a_beginning_is_never_taken_for_the_whole(kept: int) -> None:
    """Cut after any chunk, as it is, or with the last one that is left framed as the final one."""
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    with pytest.raises(MessageRefused, match="cut off"):
        opened(keys, header + b"".join(sent[:kept]))
    if kept:
        with pytest.raises(MessageRefused, match="does not open"):
            opened(keys, header + b"".join(sent[: kept - 1]) + as_final(sent[kept - 1]))


def test_it_is_cut_nowhere() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, [b"one", b"two"])
    stream = header + b"".join(sent)
    for end in range(len(header), len(stream)):
        with pytest.raises(MessageRefused):
            opened(keys, stream[:end])
    for end in (0, 1, 6, 7, len(header) - 1):
        with pytest.raises(MessageRefused, match="cut off"):
            opened(keys, stream[:end])


@pytest.mark.parametrize("number", range(3))
def test_a_chunk_is_neither_repeated_nor_left_out(number: int) -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    for chunks in (sent[: number + 1] + sent[number:], sent[:number] + sent[number + 1 :]):
        with pytest.raises(MessageRefused, match="does not open"):
            opened(keys, header + b"".join(chunks))


@pytest.mark.parametrize("added", [b"\x00", b"x", b"\x00" * 17, b"again"])
def test_nothing_follows_the_last_chunk(added: bytes) -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    with pytest.raises(MessageRefused):
        opened(keys, header + b"".join(sent) + added)
    with pytest.raises(MessageRefused):
        opened(keys, header + b"".join(sent) + sent[-1])


def test_the_last_chunk_is_not_framed_as_one_before_the_last() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    opener = RequestOpener(keys, limit=LIMIT)
    with pytest.raises(MessageRefused, match="does not open"):
        opener.feed(header + b"".join(sent[:-1]) + as_not_final(sent[-1]))


def test_chunks_of_two_requests_to_one_key_do_not_mix() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    _, other_header, others = request_in_chunks(configuration, PARTS)
    for spliced in (
        header + sent[0] + others[1] + sent[2] + sent[3],
        header + b"".join(sent[:3]) + others[3],
        other_header + b"".join(sent),
    ):
        with pytest.raises(MessageRefused, match="does not open"):
            opened(keys, spliced)


def test_every_bit_of_a_short_request_counts() -> None:
    """But for those of a length, which both formats leave unauthenticated, and which then name other bytes."""
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, [b"one", b"two"])
    stream = header + b"".join(sent)
    places = [*range(0, len(header), 37), 7 + 1088, len(header) - 1, *range(len(header), len(stream))]
    for at in places:
        altered = bytearray(stream)
        altered[at] ^= 1
        with pytest.raises(MessageRefused):
            opened(keys, bytes(altered))


def test_a_chunk_without_content_is_refused_though_it_is_authentic() -> None:
    keys, configuration = gateway()
    sealer = RequestSealer(configuration)
    empty = varint.prefixed(sealer._context.messages.seal(b""))
    stream = sealer.seal(b"") + empty + sealer.finish(b"x")
    with pytest.raises(MessageRefused, match="empty"):
        opened(keys, stream)


@pytest.mark.parametrize("length", [1, 15, 16, (1 << 14) + 17, 1 << 20, (1 << 62) - 1])
def test_a_length_out_of_bounds_is_refused_before_anything_is_held(length: int) -> None:
    keys, configuration = gateway()
    header = RequestSealer(configuration).seal(b"")
    opener = RequestOpener(keys, limit=LIMIT)
    with pytest.raises(MessageRefused, match="over the limit"):
        opener.feed(header + varint.encode(length))


def test_a_last_chunk_over_the_limit_is_refused_before_the_end() -> None:
    keys, configuration = gateway()
    opener = RequestOpener(keys, limit=1 << 30)
    opener.feed(RequestSealer(configuration).seal(b"") + b"\x00" + bytes((1 << 14) + 16))
    with pytest.raises(MessageRefused, match="something follows"):
        opener.feed(b"x")


@pytest.mark.parametrize("sizes", [[11], [6, 5], [10, 1], [4, 4, 4]])
def test_the_limit_of_the_whole_message_holds(sizes: list[int]) -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, [bytes(size) for size in sizes])
    opener = RequestOpener(keys, limit=10)
    with pytest.raises(MessageRefused, match="more than 10 bytes"):
        opener.feed(header + b"".join(sent))
        opener.finish()
    assert opened(keys, header + b"".join(sent)) == [bytes(size) for size in sizes]


def test_after_a_refusal_nothing_more_is_taken() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    opener = RequestOpener(keys, limit=LIMIT)
    opener.feed(header + sent[0])
    response = opener.response
    with pytest.raises(MessageRefused):
        opener.feed(sent[2])
    for again in (lambda: opener.feed(sent[1]), opener.finish, lambda: response.sequence(bytes(32))):
        with pytest.raises(CallerError):
            again()


def test_nothing_is_known_of_a_request_before_a_chunk_has_opened() -> None:
    """Anybody can write a header: only a chunk shows that somebody sealed under it."""
    keys, configuration = gateway()
    opener = RequestOpener(keys, limit=LIMIT)
    opener.feed(RequestSealer(configuration).seal(b""))
    for name in ("enc", "key_id", "response"):
        with pytest.raises(CallerError, match="no chunk"):
            getattr(opener, name)
