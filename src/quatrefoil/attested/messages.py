"""The two messages: a challenge, and the attestation that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from quatrefoil.enclave.binding import NONCE_BYTES, Keyset, check_purpose
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.wire import WireObject

LARGEST_CHALLENGE = 1 << 10
LARGEST_ATTESTATION = 16 << 20
"""Bytes: the largest set of evidence fits. One machine with an event log has some 100 KiB."""

_HINT = "Check that both sides run the same version of Quatrefoil"


@dataclass(frozen=True)
class Challenge(WireObject):
    """What a relying party asks: evidence for ``purpose`` with this nonce, which it takes once."""

    TYPE: ClassVar[str] = "urn:quatrefoil:attestation-challenge"

    nonce: bytes
    purpose: str

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES:
            raise MessageRefused(f"the nonce of a challenge has {len(self.nonce)} bytes", hint=_HINT)
        try:
            check_purpose(self.purpose)
        except CallerError as error:
            raise MessageRefused(error.problem, hint=_HINT) from None


@dataclass(frozen=True)
class Attestation(WireObject):
    """The answer: evidence whose report data commit to ``keyset``, the challenge and the channel; unverified."""

    TYPE: ClassVar[str] = "urn:quatrefoil:attestation"

    nonce: bytes
    """Of the challenge that this answers."""
    keyset: Keyset
    evidence: bytes
    """An encoded ``EvidenceSet``."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse bytes from outside, or raise ``EvidenceRejected`` saying what is wrong with them."""
        try:
            return super().decode(data)
        except MessageRefused as refusal:
            raise EvidenceRejected(refusal.problem, hint=_HINT, check="format") from None


__all__ = ["LARGEST_ATTESTATION", "LARGEST_CHALLENGE", "Attestation", "Challenge"]
