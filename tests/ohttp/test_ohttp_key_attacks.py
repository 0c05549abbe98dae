"""Requests under other keys, identifiers and algorithms than they were sealed to: none of them opens."""

from __future__ import annotations

import pytest
from tests.ohttp.exchanges import gateway, opened, request_in_chunks
from tests.ohttp.other_suites import HYBRID_AES_128, hybrid_key

from quatrefoil.errors import CallerError, KeyUnknown, MessageRefused
from quatrefoil.ohttp import GatewayKeys, HybridKey, KeyConfiguration, open_request, seal_request


def test_the_key_identifier_cannot_be_swapped() -> None:
    """Not even between two identifiers of one key: the header is in HPKE's info."""
    halves = hybrid_key(bytes(32))
    keys = GatewayKeys({1: halves, 2: hybrid_key(bytes(32))})
    sealed, _ = seal_request(keys.configurations[0], b"request")
    assert open_request(sealed, keys).content == b"request"
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(b"\x02" + sealed[1:], keys)
    with pytest.raises(KeyUnknown, match="key 3 is not in force"):
        open_request(b"\x03" + sealed[1:], keys)


@pytest.mark.parametrize(
    "identifiers", ["002000010002", "004100010002", "005100020002", "647a00010001", "647a00020002"]
)
def test_other_algorithms_in_the_header_are_refused(identifiers: str) -> None:
    keys, configuration = gateway()
    sealed, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused, match="HPKE suite"):
        open_request(sealed[:1] + bytes.fromhex(identifiers) + sealed[7:], keys)


def test_what_was_sealed_under_a_weaker_suite_does_not_open() -> None:
    """The same key, relabelled: a downgrade on the way shows in the header, and in the key schedule."""
    key = hybrid_key(bytes(32))
    sealed, _ = seal_request(KeyConfiguration(1, key.public, HYBRID_AES_128), b"request")
    keys = GatewayKeys({1: key})
    with pytest.raises(MessageRefused, match="HPKE suite"):
        open_request(sealed, keys)
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(sealed[:5] + b"\x00\x02" + sealed[7:], keys)


def test_another_key_under_the_same_identifier_does_not_open() -> None:
    _, configuration = gateway()
    others, _ = gateway()
    sealed, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(sealed, others)


def test_a_retired_key_is_gone_and_the_next_one_answers() -> None:
    keys, configuration = gateway()
    old = next(iter(keys._keys.values()))
    following = keys.add(2, HybridKey.generate())
    sealed, _ = seal_request(configuration, b"before")
    assert open_request(sealed, keys).content == b"before"
    keys.retire(1)
    with pytest.raises(KeyUnknown):
        open_request(sealed, keys)
    with pytest.raises(CallerError, match="wiped"):
        old.decapsulate(bytes(1120))
    assert open_request(seal_request(following, b"after")[0], keys).content == b"after"
    with pytest.raises(CallerError, match="is in force"):
        keys.add(2, HybridKey.generate())


@pytest.mark.parametrize("share", [bytes(32), (1).to_bytes(32, "little"), ((1 << 255) - 20).to_bytes(32, "little")])
def test_shares_of_small_order_are_refused_at_both_ends(share: bytes) -> None:
    keys, configuration = gateway()
    with pytest.raises(MessageRefused, match="degenerate"):
        seal_request(KeyConfiguration(1, configuration.public[:-32] + share), b"request")
    sealed, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused, match="degenerate"):
        open_request(sealed[: 7 + 1088] + share + sealed[7 + 1120 :], keys)


def test_a_public_key_that_is_not_reduced_is_refused() -> None:
    _, configuration = gateway()
    with pytest.raises(MessageRefused):
        seal_request(KeyConfiguration(1, b"\xff\xff" + configuration.public[2:]), b"request")


def test_whole_and_chunked_requests_do_not_pass_for_each_other() -> None:
    keys, configuration = gateway()
    whole, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused):
        opened(keys, whole[: 7 + 1120] + b"\x00" + whole[7 + 1120 :])
    _, header, sent = request_in_chunks(configuration, [b"request"])
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(header + sent[0][1:], keys)


@pytest.mark.parametrize("size", [0, 1, 7, 1126, 1127, 1142])
def test_a_request_that_is_too_short_is_refused(size: int) -> None:
    keys, configuration = gateway()
    with pytest.raises(MessageRefused, match="cut off"):
        open_request(seal_request(configuration, b"")[0][:size], keys)
