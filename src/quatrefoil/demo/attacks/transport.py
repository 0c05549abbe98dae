"""Transport off: recorded today, decrypted once a quantum computer exists.

The attacker of this story holds the recipient's X25519 private key, as Shor's algorithm would compute it from the
public one (no quantum computer is simulated). ML-KEM is not broken by that: its half of the hybrid key stays secret.

With the layer on, the envelope is the project's own (``TransportSecurity.seal``); the recipient's key pair is made here
from its two halves, because the attacker is to be given one of them, and :class:`transport.SealingKey` gives neither
away. With the layer off it is HPKE (RFC 9180) with X25519 alone, which the project does not offer.
"""

from __future__ import annotations

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from quatrefoil.contracts import PrivateAggregation, SumShape, TransportSecurity, VerifiedStatement
from quatrefoil.demo import inversion
from quatrefoil.demo.attacks.outcome import DECIBEL, Outcome, patient
from quatrefoil.demo.inversion import Records
from quatrefoil.demo.models import Arrays
from quatrefoil.transport.envelope import Binding, Envelope

CLASSICAL = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
HYBRID = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def harvest_now_decrypt_later(
    silo: TransportSecurity, aggregation: PrivateAggregation, update: Arrays, record: Records, *, shape: SumShape
) -> Outcome:
    """A one-patient ``update`` is encrypted, and its key sealed twice to the keeper: classically, and as ``silo`` does.

    The attacker has recorded all three. With the key it decrypts the update and reads ``record`` (d values).
    """
    encrypted = aggregation.encrypt(np.concatenate([array.ravel() for array in update]), weight=1.0, shape=shape)
    broken, unbroken = X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()
    public = unbroken.public_key().public_bytes_raw() + broken.public_key().public_bytes_raw()
    recorded_classical = CLASSICAL.encrypt(bytes(encrypted.key), broken.public_key())
    recorded = silo.verify(silo.seal(public, encrypted.key, context=shape.context))

    found = CLASSICAL.decrypt(recorded_classical, broken)
    combined = aggregation.combine_keys([found])
    opened = aggregation.decrypt(encrypted.ciphertext, combined, shape=shape, count=1).values  # a sum of one
    candidates = inversion.invert_update(inversion.shaped_like(opened, update))
    closest = candidates[np.argmin(((candidates - record) ** 2).mean(axis=1))]
    psnr = inversion.best_psnr(closest[None], record[None])
    meant = _open(recorded, MLKEM768X25519PrivateKey(unbroken, broken))
    stolen = _open(recorded, MLKEM768X25519PrivateKey(MLKEM768PrivateKey.generate(), broken))
    return Outcome(
        name="transport",
        layer="ML-KEM-768 beside X25519",
        turned_off="A silo's key is sealed to the keeper with X25519 alone. Envelope and ciphertext are recorded "
        "today; later a quantum computer finds the X25519 key from the public one (here it is handed over).",
        won=f"The silo's key, all {len(found)} bytes of it, and with it the update: {patient(closest)}. The truth: "
        f"{patient(record)}. Over all features {psnr:.0f} dB {DECIBEL}.",
        left="The project's own envelope opens with both halves of the keeper's key. With the X25519 half alone "
        + ("it opens too." if stolen is not None else "it does not: nothing is recovered, the ciphertext stays shut."),
        verdict="What is sealed classically is read once X25519 falls. The hybrid holds as long as either half does.",
        without={"recovered": found == bytes(encrypted.key), "bytes_recovered": len(found), "psnr_db": psnr},
        with_layer={
            "recovered": stolen is not None,
            "bytes_recovered": len(stolen or b""),
            "keeper_opens": meant == bytes(encrypted.key),
        },
        protected=stolen is None,
    )


def _open(recorded: VerifiedStatement, key: MLKEM768X25519PrivateKey) -> bytes | None:
    """The envelope's content under ``key``. All but the key is public: in the envelope, or its sender's name."""
    envelope = Envelope.decode(recorded.body)
    info = Binding(envelope.suite, envelope.recipient, envelope.context, recorded.fingerprint).encode()
    try:
        return HYBRID.decrypt(envelope.sealed, key, info)
    except InvalidTag:
        return None
