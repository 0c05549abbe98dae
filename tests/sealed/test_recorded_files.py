"""A recorder with a quantum computer: it has every byte, and the X25519 private key as Shor's algorithm gives it.

The same attacker is let loose on a classical envelope first, where it reads everything: so that what it does not read
afterwards is the doing of ML-KEM and not of a mistake in the attack. A test cannot show that ML-KEM is hard to break.
It shows that its secret is needed: with everything else in hand, nothing opens; with it, all of it does.
"""

from __future__ import annotations

import hashlib
import io

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from tests.reference import hpke as by_hand
from tests.reference import sealed_file

from quatrefoil.transport import sealed, system_clock
from quatrefoil.transport.sealed import HYBRID_768, layout
from quatrefoil.transport.sealed.layout import Wrapping
from quatrefoil.transport.statement import Signed

SECRET = b"the update of a silo, as it lay in the archive"


def test_of_a_classical_envelope_the_recorder_reads_everything() -> None:
    classical = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    key = x25519.X25519PrivateKey.generate()
    recorded = classical.encrypt(SECRET, key.public_key(), b"info")
    broken = x25519.X25519PrivateKey.from_private_bytes(key.private_bytes_raw())
    assert classical.decrypt(recorded, broken, b"info") == SECRET


@pytest.fixture(scope="module")
def archive(consortium):
    """A sealed file, the two private halves of its recipient, and where its wrapped key stands."""
    ml_kem, curve = HYBRID_768.generate()
    key = sealed.RecipientKey(HYBRID_768, ml_kem, curve)
    sink = io.BytesIO()
    sender = consortium.identity("north", "silo")
    options = {"sender": sender, "context": b"", "minimum": HYBRID_768, "clock": system_clock}
    sealed.seal(io.BytesIO(SECRET), sink, recipients=[key.recipient], **options)
    wrapping, rest = sealed_file.part(sink.getvalue()[len(layout.MAGIC) :])
    header = layout.Header.decode(sealed_file.part(rest)[0])
    (wrapped,) = Wrapping.decode(Signed.decode(wrapping).body).keys
    info = layout.Binding(
        suite=wrapped.suite, recipient=wrapped.recipient, header=header.digest(), wrapper=sender.fingerprint
    ).encode()
    return ml_kem, curve, wrapped, info, header


def file_key(archive, ml_kem_secret: bytes) -> bytes:
    """What the attacker computes: everything as the recipient does it, with a guess at the one secret it lacks."""
    _, curve, wrapped, info, _ = archive
    share, ciphertext = wrapped.sealed[1088:1120], wrapped.sealed[1120:]
    public = curve.public_key().public_bytes_raw()
    shared = by_hand.combine(ml_kem_secret, by_hand.exchange(curve, share), share, public)
    return by_hand.schedule(wrapped.suite, shared, info).open(ciphertext)


def test_of_a_sealed_file_the_recorder_reads_nothing_with_the_curve_broken(archive) -> None:
    _, curve, wrapped, _, _ = archive
    ciphertext = wrapped.sealed[:1088]
    known = by_hand.exchange(curve, wrapped.sealed[1088:1120])
    other = mlkem.MLKEM768PrivateKey.generate()
    for guess in (b"", bytes(32), known, hashlib.sha3_256(ciphertext).digest(), other.decapsulate(ciphertext)):
        with pytest.raises(InvalidTag):
            file_key(archive, guess)


def test_with_the_secret_of_ml_kem_as_well_it_would_open_the_file(archive) -> None:
    ml_kem, _, wrapped, _, header = archive
    opened = file_key(archive, ml_kem.decapsulate(wrapped.sealed[:1088]))
    assert layout.commitment(opened, header.salt) == header.commitment
