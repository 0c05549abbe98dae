"""Parties with an ML-DSA-65 or an ML-DSA-87 key do the same, with each other, and no other key does."""

from __future__ import annotations

from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from listening import dial, listening

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import Identity, PostQuantumTransport, leaf_keys, statement
from quatrefoil.transport.request import request
from quatrefoil.transport.statement import Signed

ALGORITHMS = tuple(leaf_keys.ALGORITHMS)


@pytest.fixture(scope="module")
def parties(consortium, tmp_path_factory):
    """(role, algorithm) -> identity."""
    folder = tmp_path_factory.mktemp("parties")
    return {
        (role, algorithm): consortium.authority.issue(
            f"{role}.{algorithm}", role, algorithm=algorithm, directory=folder / role / algorithm
        )
        for role, algorithm in product(("silo", "aggregator"), ALGORITHMS)
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_is_of_the_kind_that_was_asked_for(parties, algorithm):
    identity = parties["silo", algorithm]
    assert identity.algorithm == algorithm
    assert leaf_keys.algorithm_of(identity.certificate.public_key()).name == algorithm
    assert len(identity.sign(b"x", context=b"c")) == leaf_keys.named(algorithm).signature


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_statements_and_envelopes_of_both_kinds_are_read(consortium, parties, algorithm):
    security = PostQuantumTransport(parties["silo", algorithm], consortium.trust, clock=consortium.clock)
    assert security.verify(security.sign(b"x")).body == b"x"
    recipient = security.new_recipient()
    sealed = security.seal(recipient.public, b"secret", context=b"c")
    assert recipient.open(sealed, context=b"c").plaintext == b"secret"


@pytest.mark.parametrize(("client", "server"), list(product(ALGORITHMS, ALGORITHMS)))
def test_channels_join_both_kinds(consortium, parties, client, server):
    with (
        listening(consortium, identity=parties["aggregator", server]) as hub,
        dial(consortium, hub.port, identity=parties["silo", client]) as channel,
    ):
        channel.send(b"x")
        assert channel.receive(10) == b"x"
        assert leaf_keys.algorithm_of(channel.peer.public_key).name == server


def test_a_signature_of_the_other_kind_is_refused(consortium, parties):
    """The shorter signature under the certificate of the longer key, and the other way round."""
    for ours, theirs in (ALGORITHMS, ALGORITHMS[::-1]):
        own, other = (Signed.decode(statement.sign(b"x", parties["silo", one])) for one in (ours, theirs))
        mixed = Signed(body=own.body, certificate=own.certificate, signature=other.signature)
        with pytest.raises(MessageRefused, match="does not fit its statement"):
            statement.verify(mixed.encode(), consortium.trust, clock=consortium.clock)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_request_keeps_its_kind(consortium, tmp_path, algorithm):
    asked = request(tmp_path / "home", "hungary", "silo", algorithm=algorithm)
    certificate = consortium.authority.sign_request(asked, name="hungary", role="silo")
    assert leaf_keys.algorithm_of(certificate.public_key()).name == algorithm


@pytest.mark.parametrize("algorithm", ["", "ml-dsa-44", "ML-DSA-65", "rsa"])
def test_no_other_kind_is_made(consortium, tmp_path, algorithm):
    with pytest.raises(CallerError, match="no algorithm for a party"):
        consortium.authority.issue("x", "silo", algorithm=algorithm, directory=tmp_path / "x")
    with pytest.raises(CallerError, match="no algorithm for a party"):
        request(tmp_path / "x", "x", "silo", algorithm=algorithm)
    assert not (tmp_path / "x").exists()


def test_an_identity_of_another_kind_is_refused(consortium):
    weaker = mldsa.MLDSA44PrivateKey.generate()
    with pytest.raises(CallerError, match="ML-DSA-65 or ML-DSA-87"):
        Identity(weaker, consortium.identity("cleveland", "silo").certificate)
