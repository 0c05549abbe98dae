"""Transport off: recorded today, decrypted once a quantum computer exists.

The attacker of this story holds the recipient's X25519 private key, as Shor's algorithm would compute it from the
public one (no quantum computer is simulated). ML-KEM is not broken by that: its half of the hybrid key stays secret.
"""

from __future__ import annotations

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from quatrefoil.demo.attacks.outcome import Outcome

CLASSICAL = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
HYBRID = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def harvest_now_decrypt_later(secret: bytes) -> Outcome:
    """``secret`` (a silo's seed) sealed twice with RFC 9180 HPKE, to one X25519 key and to that key with ML-KEM-768."""
    broken = X25519PrivateKey.generate()  # what Shor's algorithm gives the attacker
    recipient = MLKEM768X25519PrivateKey(MLKEM768PrivateKey.generate(), broken)
    recorded_classical = CLASSICAL.encrypt(secret, broken.public_key())
    recorded_hybrid = HYBRID.encrypt(secret, recipient.public_key())
    return Outcome(
        name="transport",
        layer="hybrid key exchange X25519+ML-KEM-768",
        without=_readable(CLASSICAL.decrypt(recorded_classical, broken), secret),
        with_layer=_readable(_attack(recorded_hybrid, broken), secret),
        protected=True,
        verdict="Whoever recorded a classical envelope reads it once X25519 falls. "
        "The hybrid one stays closed as long as either half holds.",
    )


def _attack(recorded: bytes, broken: X25519PrivateKey) -> bytes | None:
    """The hybrid envelope opened with the broken half and a guessed ML-KEM key: there is nothing better to insert."""
    try:
        return HYBRID.decrypt(recorded, MLKEM768X25519PrivateKey(MLKEM768PrivateKey.generate(), broken))
    except InvalidTag:
        return None


def _readable(found: bytes | None, secret: bytes) -> dict[str, int | bool]:
    if found is None:
        return {"recovered": False, "bytes_recovered": 0}
    same = np.frombuffer(found, np.uint8) == np.frombuffer(secret, np.uint8)
    return {"recovered": found == secret, "bytes_recovered": int(same.sum())}
