"""Secrets of an exchange: overwritten, not printed, and never two messages under one nonce."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.ohttp.exchanges import chunked_exchange, exchange, gateway

from quatrefoil.errors import CallerError
from quatrefoil.ohttp import RequestSealer, ResponseSealer, seal_response
from quatrefoil.ohttp.sequence import MOST_MESSAGES


def test_secrets_are_overwritten_and_not_printed() -> None:
    keys, configuration = gateway()
    sealer = RequestSealer(configuration)
    context, sequence, response = sealer._context, sealer._context.messages, sealer.response
    held = [context._exporter, sequence._key, sequence._base, response._secret]
    secrets = [bytes(one) for one in held]
    assert all(any(one) for one in secrets)
    shown = "".join(map(repr, (sealer, context, sequence, response, keys, keys.configurations)))
    assert not any(one.hex() in shown or str(one) in shown for one in secrets)
    sealer.finish(b"end")
    assert not any(map(any, held[:3])) and any(held[3])
    response.wipe()
    assert not any(held[3])
    gc.collect()


def test_a_context_that_was_wiped_does_nothing() -> None:
    _, configuration = gateway()
    sealer = RequestSealer(configuration)
    sealer.wipe()
    for use in (lambda: sealer.seal(b"x"), sealer.finish, lambda: sealer._context.export(b"x", 16)):
        with pytest.raises(CallerError):
            use()


def test_two_threads_never_seal_under_one_nonce() -> None:
    _, configuration = gateway()
    sequence = RequestSealer(configuration)._context.messages
    with ThreadPoolExecutor(4) as threads:
        sealed = list(threads.map(lambda _: sequence.seal(b"same"), range(500)))
    assert len(set(sealed)) == 500 and sequence.number == 500


@pytest.mark.parametrize("size", [0, 12, 31, 33])
def test_a_nonce_of_another_length_is_not_used(size: int) -> None:
    _, server = exchange()
    with pytest.raises(CallerError, match="another length"):
        seal_response(server, b"answer", random=lambda _: bytes(size))
    with pytest.raises(CallerError, match="another length"):
        ResponseSealer(server, random=lambda _: bytes(size))


def test_no_more_messages_go_under_one_key_than_its_limit() -> None:
    _, configuration = gateway()
    sealer = RequestSealer(configuration)
    sealer._context.messages._number = MOST_MESSAGES - 1
    sealer.seal(b"the last")
    with pytest.raises(CallerError, match="under one key"):
        sealer.finish()


def test_both_ends_have_one_salt_for_receipts_and_every_exchange_another() -> None:
    (client, server), (other, _) = exchange(), exchange()
    assert client.salt == server.salt != other.salt and len(client.salt) == 32
    client.wipe()
    assert client.salt == server.salt, "what was committed to can be shown after the exchange"
    client, server = chunked_exchange()
    assert client.salt == server.salt
