"""COSE and receipts against Google's coset with RustCrypto's ML-DSA and dalek: each side verifies the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import receipt_vectors
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from peer_program import Peer, PeerSays
from tests.audit.made_receipts import ATTEMPT, CLASSICAL, HUB, batch, checked, with_proof

from quatrefoil.audit import cose
from quatrefoil.audit.cose import Sign1
from quatrefoil.audit.receipts import MEDIA_TYPE, UNDERSTOOD, Receipt
from quatrefoil.errors import EvidenceRejected
from world import RECEIPT_KEY

SEED = bytes(range(32))
KEYS: dict[str, cose.PrivateKey] = {
    "44": mldsa.MLDSA44PrivateKey.from_seed_bytes(SEED),
    "65": mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED),
    "87": mldsa.MLDSA87PrivateKey.from_seed_bytes(SEED),
    "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(SEED),
}
PAYLOAD = b"what is signed"

each_algorithm = pytest.mark.parametrize("name", KEYS)


def hub_public() -> bytes:
    return HUB.certificate.public_key().public_bytes_raw()  # type: ignore[union-attr]


@each_algorithm
def test_the_peer_verifies_ours(peer: Peer, name: str) -> None:
    ours = cose.sign(PAYLOAD, KEYS[name], header={16: "text", 395: 1}, attached=False).encode()
    public = KEYS[name].public_key().public_bytes_raw()
    peer.ask("cose-verify", name, public, ours, PAYLOAD)
    with pytest.raises(PeerSays):
        peer.ask("cose-verify", name, public, ours, PAYLOAD + b".")
    with pytest.raises(PeerSays, match="another algorithm"):
        peer.ask("cose-verify", "65" if name != "65" else "87", public, ours, PAYLOAD)


@each_algorithm
def test_we_verify_the_peers(peer: Peer, name: str) -> None:
    theirs = peer.ask("cose-sign", name, SEED, PAYLOAD, b"text", b"", b"")
    message = Sign1.decode(theirs, understood=(1, 16))
    assert dict(message.header) == {1: message.algorithm.identifier, 16: "text"}
    assert message.encode() == theirs
    key = KEYS[name].public_key()
    assert cose.verify(message, key, detached=PAYLOAD) == PAYLOAD
    with pytest.raises(EvidenceRejected):
        cose.verify(message, key, detached=PAYLOAD + b".")
    with pytest.raises(EvidenceRejected):
        cose.verify(replace(message, protected=cose.encode({1: message.algorithm.identifier})), key, detached=PAYLOAD)


def test_the_peer_verifies_our_receipts(peer: Peer) -> None:
    """It follows the proof of inclusion from the payload to a root, and verifies both signatures over that root."""
    issued = batch(classical=RECEIPT_KEY)
    for index in range(len(ATTEMPT)):
        receipt = Receipt.decode(issued.receipt(index))
        keys = {"65": hub_public(), "ed25519": CLASSICAL.public_bytes_raw()}
        for (name, public), signature in zip(keys.items(), receipt.signatures, strict=True):
            root = peer.ask("cose-root", "sha256", signature, receipt.payload)
            assert root == issued.root
            peer.ask("cose-verify", name, public, signature, root)
            other = peer.ask("cose-root", "sha256", signature, receipt.payload + b"\x00")
            with pytest.raises(PeerSays):
                peer.ask("cose-verify", name, public, signature, other)


def test_the_peer_finds_no_root_where_we_find_none(peer: Peer) -> None:
    encoded = batch().receipt(1)
    for change in (lambda p: [p[0], p[1], p[2][:1]], lambda p: [p[0], p[1], [*p[2], bytes(32)]], lambda p: p[:2]):
        changed = with_proof(encoded, change)
        receipt = Receipt.decode(changed)
        with pytest.raises(PeerSays):
            peer.ask("cose-root", "sha256", receipt.signatures[0], receipt.payload)
        with pytest.raises(EvidenceRejected):
            checked(changed)


def test_we_verify_a_receipt_that_the_peer_has_signed(peer: Peer) -> None:
    """The aggregator's key in the peer's hands: coset writes the headers, RustCrypto signs the root."""
    issued = batch()
    ours = Receipt.decode(issued.receipt(1))
    proof = Sign1.decode(ours.signatures[0], understood=UNDERSTOOD).unprotected[396][-1][0]
    seed = HUB.private_key().private_bytes_raw()
    theirs = peer.ask("cose-sign", "65", seed, issued.root, MEDIA_TYPE.encode(), HUB.certificate_der, proof)
    found = checked(replace(ours, signatures=(theirs,)).encode())
    assert (found.payload, found.issuer.signer, found.root) == (ATTEMPT[1], "hub", issued.root)
    other = peer.ask("cose-sign", "65", seed, bytes(32), MEDIA_TYPE.encode(), HUB.certificate_der, proof)
    with pytest.raises(EvidenceRejected, match="does not fit"):
        checked(replace(ours, signatures=(other,)).encode())


def test_the_vectors_are_what_the_peer_makes(peer: Peer) -> None:
    """``tests/vectors/receipts`` comes from here, byte for byte."""
    for name, content in receipt_vectors.vectors(peer).items():
        assert (receipt_vectors.FOLDER / name).read_bytes() == content, name
