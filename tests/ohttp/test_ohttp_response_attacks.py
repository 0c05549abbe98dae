"""What whoever carries an answer can do to it, whole and in chunks: none of it opens, nor under another request."""

from __future__ import annotations

import pytest
from tests.ohttp.exchanges import LIMIT, PARTS, as_final, chunked_exchange, exchange

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import ResponseKeys, ResponseOpener, ResponseSealer, open_response, seal_response


def test_a_response_opens_once_and_under_its_own_request_only() -> None:
    client, server = exchange()
    other, _ = exchange()
    answer = seal_response(server, b"answer")
    with pytest.raises(MessageRefused, match="does not open"):
        open_response(other, answer)
    assert open_response(client, answer) == b"answer"
    with pytest.raises(CallerError, match="wiped"):
        open_response(client, answer)


def test_two_responses_to_one_request_have_keys_of_their_own() -> None:
    _, server = exchange()
    first, second = seal_response(server, b"answer"), seal_response(server, b"answer")
    assert first[:32] != second[:32] and first[32:] != second[32:]


def test_a_response_with_the_nonce_of_another_does_not_open() -> None:
    client, server = exchange()
    first, second = seal_response(server, b"answer"), seal_response(server, b"answer")
    with pytest.raises(MessageRefused, match="does not open"):
        open_response(client, first[:32] + second[32:])


@pytest.mark.parametrize("size", [0, 31, 32, 47])
def test_a_response_that_is_too_short_is_refused(size: int) -> None:
    client, server = exchange()
    with pytest.raises(MessageRefused, match="cut off"):
        open_response(client, seal_response(server, b"")[:size])


def response_in_chunks(server: ResponseKeys) -> tuple[bytes, list[bytes]]:
    sealer = ResponseSealer(server)
    nonce = sealer.seal(b"")
    return nonce, [*(sealer.seal(part) for part in PARTS[:-1]), sealer.finish(PARTS[-1])]


@pytest.mark.parametrize(
    "attack", ["cut", "cut and framed as the end", "swapped", "repeated", "left out", "spliced", "nonce", "appended"]
)
def test_an_altered_stream_of_answers_is_refused(attack: str) -> None:
    client, server = chunked_exchange()
    nonce, sent = response_in_chunks(server)
    other_nonce, others = response_in_chunks(server)
    streams = {
        "cut": nonce + b"".join(sent[:3]),
        "cut and framed as the end": nonce + sent[0] + as_final(sent[1]),
        "swapped": nonce + sent[1] + sent[0] + sent[2] + sent[3],
        "repeated": nonce + sent[0] + b"".join(sent),
        "left out": nonce + sent[0] + sent[2] + sent[3],
        "spliced": nonce + sent[0] + others[1] + sent[2] + sent[3],
        "nonce": other_nonce + b"".join(sent),
        "appended": nonce + b"".join(sent) + sent[-1],
    }
    opener = ResponseOpener(client, limit=LIMIT)
    with pytest.raises(MessageRefused):
        opener.feed(streams[attack])
        opener.finish()
    with pytest.raises(CallerError, match="wiped"):
        ResponseOpener(client, limit=LIMIT).feed(streams["cut"])


def test_an_answer_to_a_whole_request_is_none_to_a_chunked_one() -> None:
    client, server = chunked_exchange()
    with pytest.raises(MessageRefused):
        opener = ResponseOpener(client, limit=LIMIT)
        opener.feed(seal_response(server, b"answer")[:32] + b"\x00" + seal_response(server, b"answer")[32:])
        opener.finish()
