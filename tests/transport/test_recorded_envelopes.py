"""A recorder with a quantum computer has an envelope, and the X25519 private key that Shor's algorithm gives it.

Envelopes travel inside channels, so that two such recordings would have to be opened; here the first one is. The
attacker computes what the recipient does, with a guess at the one secret that it lacks.
"""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from tests.reference import hpke as by_hand
from tests.reference import sealed_file

from quatrefoil.transport import envelope
from quatrefoil.transport.envelope import Envelope
from quatrefoil.transport.statement import Signed
from quatrefoil.transport.suites import HYBRID_768

SECRET, CONTEXT = b"the seed of a silo", b"job 1, round 7"
ML_KEM, CURVE = by_hand.expand_seed(by_hand.XWING, b"recorded envelopes: test seed 32")
PUBLIC = ML_KEM.public_key().public_bytes_raw() + by_hand.curve_point(CURVE)


@pytest.fixture(scope="module")
def recorded(consortium) -> tuple[bytes, bytes, bytes]:
    """ML-KEM ciphertext, X25519 share and HPKE ciphertext of an envelope, with ``info`` from what is not secret."""
    sent = envelope.seal(PUBLIC, SECRET, context=CONTEXT, sender=consortium.identity("cleveland", "silo"))
    assert SECRET not in sent
    sealed = Envelope.decode(Signed.decode(sent).body).sealed
    return sealed[:1088], sealed[1088:1120], sealed[1120:]


def opened(consortium, recorded: tuple[bytes, bytes, bytes], ml_kem: bytes, curve: bytes) -> bytes:
    _, share, ciphertext = recorded
    fingerprint = consortium.identity("cleveland", "silo").fingerprint
    fields = [HYBRID_768.identifiers, hashlib.sha256(PUBLIC).digest(), hashlib.sha256(CONTEXT).digest(), fingerprint]
    info = sealed_file.encode("urn:quatrefoil:envelope-binding", fields)
    shared = by_hand.combine(ml_kem, curve, share, by_hand.curve_point(CURVE))
    return by_hand.schedule(HYBRID_768.identifiers, shared, info).open(ciphertext)


def test_with_the_curve_broken_it_reads_nothing(consortium, recorded) -> None:
    curve = by_hand.exchange(CURVE, recorded[1])
    guesses = [b"", bytes(32), curve, recorded[0][:32], hashlib.sha3_256(recorded[0]).digest()]
    guesses += [mlkem.MLKEM768PrivateKey.generate().decapsulate(recorded[0])]
    for guess in guesses:
        with pytest.raises(InvalidTag):
            opened(consortium, recorded, guess, curve)


def test_with_ml_kem_broken_alone_it_reads_nothing(consortium, recorded) -> None:
    ml_kem = ML_KEM.decapsulate(recorded[0])
    for guess in (b"", bytes(32), x25519.X25519PrivateKey.generate().private_bytes_raw()):
        with pytest.raises(InvalidTag):
            opened(consortium, recorded, ml_kem, guess)


def test_with_both_it_reads_everything(consortium, recorded) -> None:
    """The control: the attack is no mistake, it lacks a secret."""
    both = ML_KEM.decapsulate(recorded[0]), by_hand.exchange(CURVE, recorded[1])
    assert opened(consortium, recorded, *both) == SECRET
