"""Envelopes and sealed files against the ``hpke`` crate: no ML-KEM, curve, hash or HPKE in it is OpenSSL's or ours.

One seals and the other opens, in both directions and for both suites. The exporter's bytes, which come out of the same
key schedule as key and nonce, are compared as they are; what must not open does not, on either side.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from peer_program import Peer, PeerSays
from tests.reference import hpke, sealed_file
from tests.sealed.sealing_room import seal

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import SealingKey, envelope, statement
from quatrefoil.transport.envelope import Binding, Envelope
from quatrefoil.transport.sealed.keys import RecipientKey
from quatrefoil.transport.statement import Signed
from quatrefoil.transport.suites import HYBRID_768, HYBRID_1024, Suite

LABELS = {HYBRID_768: hpke.XWING, HYBRID_1024: hpke.P384}
SEEDS = [bytes(32), bytes(range(32)), b"\xff" * 32]
INFO = b"what both sides agree this is for"
FILE_KEY = bytes(range(32))

both = pytest.mark.parametrize("suite", LABELS, ids=lambda suite: suite.name)


def key_of(suite: Suite, seed: bytes) -> RecipientKey:
    return RecipientKey(suite, *hpke.expand_seed(LABELS[suite], seed))


@both
@pytest.mark.parametrize("seed", SEEDS, ids=["zeros", "counting", "ones"])
def test_one_seed_gives_one_public_key(peer: Peer, suite: Suite, seed: bytes):
    assert key_of(suite, seed).recipient.public == peer.ask("hpke-public", suite.name, seed)


@both
@pytest.mark.parametrize("seed", SEEDS, ids=["zeros", "counting", "ones"])
@pytest.mark.parametrize("info", [b"", INFO, bytes(70_000)], ids=["no info", "info", "long info"])
def test_what_we_wrap_the_peer_opens(peer: Peer, suite: Suite, seed: bytes, info: bytes):
    sealed = suite.wrap(FILE_KEY, peer.ask("hpke-public", suite.name, seed), info)
    assert len(sealed) == suite.encapsulated_bytes + len(FILE_KEY) + 16
    assert peer.ask("hpke-open", suite.name, seed, sealed, info, b"") == FILE_KEY


@both
@pytest.mark.parametrize("seed", SEEDS, ids=["zeros", "counting", "ones"])
@pytest.mark.parametrize("info", [b"", INFO, bytes(70_000)], ids=["no info", "info", "long info"])
def test_what_the_peer_wraps_we_open(peer: Peer, suite: Suite, seed: bytes, info: bytes):
    key = key_of(suite, seed)
    sealed = peer.ask("hpke-seal", suite.name, key.recipient.public, info, b"", FILE_KEY)
    assert key.unwrap(sealed, info) == FILE_KEY


@both
@pytest.mark.parametrize("seed", SEEDS, ids=["zeros", "counting", "ones"])
def test_shared_secret_and_key_schedule_are_the_same_to_the_byte(peer: Peer, suite: Suite, seed: bytes):
    """What the peer exports from a message of ours is what follows from the secret that OpenSSL decapsulates."""
    halves = hpke.expand_seed(LABELS[suite], seed)
    sealed = suite.wrap(FILE_KEY, key_of(suite, seed).recipient.public, INFO)
    shared = hpke.decapsulate(*halves, sealed[: suite.encapsulated_bytes])
    keys = hpke.schedule(suite.identifiers, shared, INFO)
    assert keys.export(b"label", 64) == peer.ask("hpke-export", suite.name, seed, sealed, INFO, b"label")
    assert keys.open(sealed[suite.encapsulated_bytes :]) == FILE_KEY


# --------------------------------------------------------------------------------------------- what must not open


@both
def test_another_info_opens_on_neither_side(peer: Peer, suite: Suite):
    seed = SEEDS[1]
    key = key_of(suite, seed)
    sealed = suite.wrap(FILE_KEY, key.recipient.public, INFO)
    with pytest.raises(PeerSays, match="OpenError"):
        peer.ask("hpke-open", suite.name, seed, sealed, INFO + b".", b"")
    sealed = peer.ask("hpke-seal", suite.name, key.recipient.public, INFO, b"", FILE_KEY)
    with pytest.raises(MessageRefused, match="does not open"):
        key.unwrap(sealed, INFO + b".")


@both
def test_associated_data_is_never_taken(peer: Peer, suite: Suite):
    """We have none in either format: what a peer binds by it does not open as if it were not there."""
    key = key_of(suite, SEEDS[1])
    sealed = peer.ask("hpke-seal", suite.name, key.recipient.public, INFO, b"associated", FILE_KEY)
    assert peer.ask("hpke-open", suite.name, SEEDS[1], sealed, INFO, b"associated") == FILE_KEY
    with pytest.raises(MessageRefused, match="does not open"):
        key.unwrap(sealed, INFO)


@both
def test_another_key_opens_on_neither_side(peer: Peer, suite: Suite):
    sealed = suite.wrap(FILE_KEY, key_of(suite, SEEDS[1]).recipient.public, INFO)
    with pytest.raises(PeerSays, match="OpenError"):
        peer.ask("hpke-open", suite.name, SEEDS[2], sealed, INFO, b"")
    with pytest.raises(MessageRefused, match="does not open"):
        key_of(suite, SEEDS[2]).unwrap(sealed, INFO)


@both
@pytest.mark.parametrize("place", ["ML-KEM ciphertext", "curve share", "ciphertext", "tag"])
def test_a_flipped_bit_anywhere_opens_on_neither_side(peer: Peer, suite: Suite, place: str):
    ml_kem = suite.encapsulated_bytes - suite.curve_bytes
    at = {"ML-KEM ciphertext": 7, "curve share": ml_kem + 9, "ciphertext": suite.encapsulated_bytes, "tag": -1}[place]
    key = key_of(suite, SEEDS[1])
    sealed = bytearray(suite.wrap(FILE_KEY, key.recipient.public, INFO))
    sealed[at] ^= 1
    with pytest.raises(PeerSays):
        peer.ask("hpke-open", suite.name, SEEDS[1], bytes(sealed), INFO, b"")
    with pytest.raises(MessageRefused):
        key.unwrap(bytes(sealed), INFO)


def test_a_suite_does_not_open_what_the_other_has_wrapped(peer: Peer):
    sealed = HYBRID_768.wrap(FILE_KEY, key_of(HYBRID_768, SEEDS[1]).recipient.public, INFO)
    with pytest.raises(PeerSays):
        peer.ask("hpke-open", HYBRID_1024.name, SEEDS[1], sealed, INFO, b"")
    with pytest.raises(MessageRefused):
        key_of(HYBRID_1024, SEEDS[1]).unwrap(sealed, INFO)


@both
@pytest.mark.parametrize("fault", ["a coefficient that is not reduced", "a byte short"])
def test_a_malformed_public_key_is_refused_on_both_sides(peer: Peer, suite: Suite, fault: str):
    good = bytearray(key_of(suite, SEEDS[1]).recipient.public)
    if fault == "a byte short":
        good = good[:-1]
    else:
        good[:2] = b"\xff\xff"
    with pytest.raises(PeerSays):
        peer.ask("hpke-seal", suite.name, bytes(good), INFO, b"", FILE_KEY)
    with pytest.raises(MessageRefused):
        suite.wrap(FILE_KEY, bytes(good), INFO)


@pytest.mark.parametrize("fault", ["off the curve", "compressed", "infinity"])
def test_a_malformed_point_of_p384_is_refused_on_both_sides(peer: Peer, fault: str):
    good = key_of(HYBRID_1024, SEEDS[1]).recipient.public
    point = good[HYBRID_1024.ml_kem_bytes :]
    point = {
        "off the curve": point[:-1] + bytes([point[-1] ^ 1]),
        "compressed": bytes([2 + point[-1] % 2]) + point[1:49],
        "infinity": bytes(97),
    }[fault]
    with pytest.raises(PeerSays):
        peer.ask("hpke-seal", "hybrid-1024", good[: HYBRID_1024.ml_kem_bytes] + point, INFO, b"", FILE_KEY)
    with pytest.raises(MessageRefused):
        HYBRID_1024.wrap(FILE_KEY, good[: HYBRID_1024.ml_kem_bytes] + point, INFO)


def test_an_x25519_point_of_small_order_is_refused_by_us_alone(peer: Peer):
    """X-Wing asks for no check (its secret is ML-KEM's as well, then), and the peer makes none. RFC 7748 6.1 does."""
    good = key_of(HYBRID_768, SEEDS[1]).recipient.public[: HYBRID_768.ml_kem_bytes] + bytes(32)
    assert peer.ask("hpke-seal", "hybrid-768", good, INFO, b"", FILE_KEY)
    with pytest.raises(MessageRefused, match="degenerate"):
        HYBRID_768.wrap(FILE_KEY, good, INFO)


# ------------------------------------------------------------------------------------- the formats that hold them


def test_the_peer_opens_our_envelope(peer: Peer, consortium):
    silo = consortium.identity("cleveland", "silo")
    public = peer.ask("hpke-public", "hybrid-768", SEEDS[1])
    sent = envelope.seal(public, b"the seed of a silo", context=b"job 1, round 7", sender=silo)
    body = Envelope.decode(Signed.decode(sent).body)
    info = binding(public, b"job 1, round 7", silo)
    assert peer.ask("hpke-open", "hybrid-768", SEEDS[1], body.sealed, info, b"") == b"the seed of a silo"


def test_we_open_an_envelope_that_the_peer_has_sealed(peer: Peer, consortium):
    silo = consortium.identity("cleveland", "silo")
    key = SealingKey(consortium.trust, clock=consortium.clock)
    info = binding(key.public, b"job 1, round 7", silo)
    sealed = peer.ask("hpke-seal", "hybrid-768", key.public, info, b"", b"the seed of a silo")
    bound = Binding.decode(info)
    body = Envelope(suite=HYBRID_768.identifiers, recipient=bound.recipient, context=bound.context, sealed=sealed)
    opened = key.open(statement.sign(body.encode(), silo), context=b"job 1, round 7")
    assert opened.plaintext == b"the seed of a silo" and opened.sender.signer == "cleveland"


def binding(public: bytes, context: bytes, sender: Any) -> bytes:
    """HPKE's info as docs/transport.md gives it."""
    fields = [
        HYBRID_768.identifiers,
        hashlib.sha256(public).digest(),
        hashlib.sha256(context).digest(),
        sender.fingerprint,
    ]
    return sealed_file.encode("urn:quatrefoil:envelope-binding", fields)


@both
def test_the_peer_unwraps_the_key_of_our_sealed_file(peer: Peer, consortium, suite: Suite):
    north, key = consortium.identity("north", "silo"), key_of(suite, SEEDS[1])
    file = seal(b"an archive", north, [key])
    wrapping, _ = sealed_file.part(file[len(sealed_file.MAGIC) :])
    signed, _, _ = sealed_file.fields(wrapping, "urn:quatrefoil:signed")
    header, _, ((_, _, (identifiers, recipient, sealed)),) = sealed_file.fields(
        signed, "urn:quatrefoil:sealed-file-wrapping"
    )
    info = sealed_file.encode("urn:quatrefoil:sealed-file-binding", [identifiers, recipient, header, north.fingerprint])
    assert len(peer.ask("hpke-open", suite.name, SEEDS[1], sealed, info, b"")) == 32
