"""Silos whose software was changed, and that lie as well as they can: one class a lie.

Whatever they send is signed, sealed and framed as it should be; the lie is in what cannot be seen.
"""

from __future__ import annotations

import os
import struct

from quatrefoil.contracts import FloatVector
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.proving import Subject
from quatrefoil.federation.silo import Silo

HEADER = 96
"""Bytes before the blocks of a ciphertext."""

OWN_NORM = 32.0


class _Lying(Silo):
    """Sends ``ciphertext`` and ``proof`` with a signature on both, and the key that it says."""

    def _subject(self, context: RoundContext) -> Subject:
        return self._agreed().subject(context, self._security.name, self._current().direction)

    def _message(self, context: RoundContext, sealed: bytes, ciphertext: bytes, proven: object) -> bytes:
        claims, proof = proven.claims, proven.proof  # type: ignore[attr-defined]
        contribution = Contribution(context.digest(), sha256(ciphertext), sha256(sealed), claims)
        return parts.join([self._security.sign(contribution.encode()), sealed, ciphertext, proof])


class LongUpdate(_Lying):
    """Its update is longer than the norm of the round, and its proof says so truly: of a norm of its own."""

    def _held(self, update: FloatVector) -> FloatVector:
        return update

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._subject(context)
        # Longer than what it may be, and every value still within the clip bound.
        longer = update.copy()
        longer[:8] = 0.9
        own = Subject(subject.name, subject.fingerprint, subject.weight, subject.shape, OWN_NORM, subject.layers)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, longer, own)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        return self._message(
            context, sealed, encrypted.ciphertext, self._proofs.prove(own, encrypted.ciphertext, sealed, hidden)
        )


class OutOfRange(_Lying):
    """It adds to its ciphertext, after it was proven, what makes one value larger than any can be."""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._subject(context)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        proven = self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden)
        altered = bytearray(encrypted.ciphertext)
        (word,) = struct.unpack_from("<Q", altered, HEADER)
        modulus = (1 << 64) - (1 << 32) + 1
        struct.pack_into("<Q", altered, HEADER, (word + (1 << 37)) % modulus)
        return self._message(context, sealed, bytes(altered), proven)


class WrongKey(_Lying):
    """It seals another key than its ciphertext's: with that in the sum, nothing would decrypt."""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._subject(context)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        other = bytearray(os.urandom(len(encrypted.key)))
        sealed = self._security.seal(context.sealing_key, other, context=context.digest())
        proven = self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden)
        return self._message(context, sealed, encrypted.ciphertext, proven)


class OtherCiphertext(_Lying):
    """It sends a true proof, of another ciphertext than the one that it sends."""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._subject(context)
        encrypted, _ = self._proofs.encrypt(self._aggregation, -update, subject)
        other, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        proven = self._proofs.prove(subject, other.ciphertext, sealed, hidden)
        return self._message(context, sealed, encrypted.ciphertext, proven)


class Replaying(Silo):
    """It sends what it has ``heard``, the message of another silo; in later rounds its own of the round before."""

    heard: bytes = b""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        told, self.heard = self.heard, super()._encrypt(context, update)
        return told


LIES: dict[str, type[Silo]] = {
    "norm": LongUpdate,
    "range": OutOfRange,
    "key": WrongKey,
    "ciphertext": OtherCiphertext,
    "replay": Replaying,
}
KINDS = tuple(LIES)

EXPECTED = {
    "norm": "proof is rejected",
    "range": "proof is rejected",
    "key": "sealed a key that its proof is not about",
    "ciphertext": "proof is rejected",
    "replay": "not by silo|another round or attempt",
}
"""What every lie is refused for, as a pattern of the reason."""

__all__ = ["EXPECTED", "KINDS", "LIES"]
