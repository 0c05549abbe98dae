"""Statements and signatures against RustCrypto's ML-DSA: each side verifies what the other has signed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa
from peer_program import Peer, PeerSays
from tests.reference import sealed_file
from tests.transport import forgery

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import Identity, statement
from quatrefoil.transport.statement import SIGNATURE_CONTEXT, Signed

SEEDS = [bytes(32), bytes(range(32)), b"\xff" * 32]
SETS: dict[str, Any] = {"65": mldsa.MLDSA65PrivateKey, "87": mldsa.MLDSA87PrivateKey}
CONTEXTS = [b"", SIGNATURE_CONTEXT, b"\x00" * 255]
MESSAGES = [b"", b"a statement", bytes(100_000)]

each_set = pytest.mark.parametrize("parameters", SETS)


@each_set
@pytest.mark.parametrize("seed", SEEDS, ids=["zeros", "counting", "ones"])
def test_one_seed_gives_one_public_key(peer: Peer, parameters: str, seed: bytes):
    key = SETS[parameters].from_seed_bytes(seed)
    assert key.public_key().public_bytes_raw() == peer.ask("mldsa-public", parameters, seed)


@each_set
@pytest.mark.parametrize("context", CONTEXTS, ids=["none", "ours", "255 bytes"])
@pytest.mark.parametrize("message", MESSAGES, ids=["empty", "short", "long"])
def test_each_side_verifies_the_other(peer: Peer, parameters: str, context: bytes, message: bytes):
    key = SETS[parameters].from_seed_bytes(SEEDS[1])
    public = key.public_key().public_bytes_raw()
    peer.ask("mldsa-verify", parameters, public, message, context, key.sign(message, context))
    key.public_key().verify(peer.ask("mldsa-sign", parameters, SEEDS[1], message, context), message, context)


@each_set
@pytest.mark.parametrize("altered", ["message", "context", "signature", "key"])
def test_neither_side_verifies_anything_else(peer: Peer, parameters: str, altered: str):
    key = SETS[parameters].from_seed_bytes(SEEDS[2 if altered == "key" else 1])
    public = key.public_key()
    message, context = b"a statement", SIGNATURE_CONTEXT
    ours = SETS[parameters].from_seed_bytes(SEEDS[1]).sign(message, context)
    theirs = peer.ask("mldsa-sign", parameters, SEEDS[1], message, context)
    message += b"." if altered == "message" else b""
    context += b"." if altered == "context" else b""
    for signature in (ours, theirs):
        flipped = bytearray(signature)
        flipped[100] ^= altered == "signature"
        with pytest.raises(PeerSays, match="does not verify"):
            peer.ask("mldsa-verify", parameters, public.public_bytes_raw(), message, context, bytes(flipped))
        with pytest.raises(InvalidSignature):
            public.verify(bytes(flipped), message, context)


@each_set
def test_a_context_of_256_bytes_is_taken_by_nobody(peer: Peer, parameters: str):
    with pytest.raises(PeerSays):
        peer.ask("mldsa-sign", parameters, SEEDS[1], b"a statement", bytes(256))
    with pytest.raises(ValueError):
        SETS[parameters].from_seed_bytes(SEEDS[1]).sign(b"a statement", bytes(256))


# ------------------------------------------------------------------------------------------------- our statements


def signed_bytes(certificate: bytes, body: bytes) -> bytes:
    """What a signature covers, as docs/transport.md gives it."""
    return sealed_file.encode("urn:quatrefoil:statement", [hashlib.sha256(certificate).digest(), body])


@pytest.fixture(scope="module")
def silo(consortium) -> Identity:
    """A party whose key the peer can have too."""
    recipe = forgery.replace(forgery.GOOD, key=mldsa.MLDSA65PrivateKey.from_seed_bytes(SEEDS[1]), names=("cleveland",))
    return Identity(*forgery.forge(recipe, consortium))


def test_the_peer_verifies_our_statement(peer: Peer, consortium, silo):
    said = Signed.decode(statement.sign(b"a body", silo))
    public = peer.ask("mldsa-public", "65", SEEDS[1])
    message = signed_bytes(said.certificate, said.body)
    peer.ask("mldsa-verify", "65", public, message, SIGNATURE_CONTEXT, said.signature)
    with pytest.raises(PeerSays, match="does not verify"):  # nor as a signature of TLS, which has no context string
        peer.ask("mldsa-verify", "65", public, message, b"", said.signature)


def test_we_verify_a_statement_that_the_peer_has_signed(peer: Peer, consortium, silo):
    message = signed_bytes(silo.certificate_der, b"a body")
    signature = peer.ask("mldsa-sign", "65", SEEDS[1], message, SIGNATURE_CONTEXT)
    sent = Signed(body=b"a body", certificate=silo.certificate_der, signature=signature)
    said = statement.verify(sent.encode(), consortium.trust, clock=consortium.clock)
    assert (said.signer, said.body) == ("cleveland", b"a body")


@pytest.mark.parametrize("context", [b"", b"quatrefoil statement v2", SIGNATURE_CONTEXT + b"\x00"])
def test_a_statement_that_the_peer_has_signed_for_another_purpose_is_refused(peer: Peer, consortium, silo, context):
    message = signed_bytes(silo.certificate_der, b"a body")
    signature = peer.ask("mldsa-sign", "65", SEEDS[1], message, context)
    sent = Signed(body=b"a body", certificate=silo.certificate_der, signature=signature)
    with pytest.raises(MessageRefused, match="does not fit its statement"):
        statement.verify(sent.encode(), consortium.trust, clock=consortium.clock)


def test_the_peer_verifies_the_signature_of_our_root_over_a_leaf(peer: Peer, consortium, silo):
    """A certificate is signed with no context string (RFC 9881)."""
    root = consortium.authority.root.public_key().public_bytes_raw()
    leaf = silo.certificate
    peer.ask("mldsa-verify", "87", root, leaf.tbs_certificate_bytes, b"", leaf.signature)
    with pytest.raises(PeerSays, match="does not verify"):
        peer.ask("mldsa-verify", "87", root, leaf.tbs_certificate_bytes + b".", b"", leaf.signature)
