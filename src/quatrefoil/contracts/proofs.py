"""Layer 4: a claim about hidden values, checked without seeing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts.aggregation import HiddenUpdate, SumShape
from quatrefoil.contracts.committee import Threshold


@dataclass(frozen=True)
class PartNorm:
    """The squares of the integers ``first`` to ``end - 1`` of an update add up to at most ``bound``."""

    first: int
    end: int
    bound: int


@dataclass(frozen=True, eq=False)
class Direction:
    """A public direction that an update agrees with: the products of its integers with ``entries`` add up to at least
    minus the sum of their magnitudes, which is more than rounding takes. ``digest``: 32 bytes that name the entries.
    Whoever only checks keys has no more than those."""

    digest: bytes
    entries: NDArray[np.int16] | None = None


@dataclass(frozen=True, eq=False)
class FurtherClaims:
    """What a proof says of an update beyond its norm: ``parts`` in this order, and at most one ``direction``."""

    parts: tuple[PartNorm, ...] = ()
    direction: Direction | None = None


NOTHING_FURTHER = FurtherClaims()


@dataclass(frozen=True)
class Sharing:
    """That the key of a ciphertext is shared among a committee: each member's share fits its commitment, and all shares
    lie on polynomials that hold this key."""

    threshold: Threshold
    commitments: tuple[bytes, ...]


@dataclass(frozen=True)
class BoundedUpdate:
    """The public side of a proof about one silo's contribution: ``ciphertext`` encrypts ``shape.length`` values that
    round to integers of which the squares add up to at most ``bound``, and is well formed. ``binding``: 32 bytes of
    whatever else the proof must not be moved away from (the silo, its sealed key, its weight). ``sharing``: what is
    proven of the key's shares, where a committee is the key authority.
    """

    shape: SumShape
    ciphertext: bytes
    bound: int
    binding: bytes
    further: FurtherClaims = NOTHING_FURTHER
    sharing: Sharing | None = None


@dataclass(frozen=True)
class KeyClaim:
    """What a verified proof says of the key of its ciphertext, for whoever holds the key. ``content``: the digest of
    the ciphertext's blocks; ``root`` and ``value``: 32 and 16 bytes of the proof."""

    content: bytes
    root: bytes
    value: bytes


@dataclass(frozen=True)
class ShareClaim:
    """What a verified proof says of the shares of its ciphertext's key, for whoever holds one. ``content`` and ``root``
    as in :class:`KeyClaim`; ``values``: V, 16 bytes of the proof for each of ``threshold.recovery``."""

    threshold: Threshold
    commitments: tuple[bytes, ...]
    content: bytes
    root: bytes
    values: bytes


@dataclass(frozen=True)
class VerifiedProof:
    """A statement (by digest) that a proof has been verified for, the soundness it was verified with, and what the
    proof says of the key: checked by :meth:`IntegrityProof.check_key` only, by whoever holds the key; or of its shares,
    where the statement has them: by :meth:`IntegrityProof.check_share`, by each member."""

    statement: bytes
    soundness_bits: float
    key_claim: KeyClaim | ShareClaim


@runtime_checkable
class IntegrityProof(Protocol):
    """Layer 4: a claim about hidden values, checked without seeing them."""

    @property
    def scheme(self) -> str: ...

    def bound(self, norm: float, *, weight: float, shape: SumShape) -> int:
        """The bound that no update with a Euclidean norm up to ``norm`` misses, however it is rounded."""

    def direction(self, entries: NDArray[np.int16]) -> Direction:
        """The direction of these entries, one for each value."""

    def prove(self, statement: BoundedUpdate, hidden: HiddenUpdate) -> bytes:
        """A proof of the statement, or ``UpdateRefused`` where it is not true."""

    def verify(self, statement: BoundedUpdate, proof: bytes) -> VerifiedProof:
        """The verified statement, or ``ProofRejected`` with the reason."""

    def check_key(
        self,
        key: bytes | bytearray,
        claim: KeyClaim,
        *,
        shape: SumShape,
        bound: int,
        binding: bytes,
        further: FurtherClaims = NOTHING_FURTHER,
    ) -> None:
        """``ProofRejected`` unless ``key`` is the one of the ciphertext that ``claim`` is about. It says something only
        together with a verified proof of the same statement with the same claim."""

    def check_share(
        self,
        share: bytes | bytearray,
        member: int,
        claim: ShareClaim,
        *,
        shape: SumShape,
        bound: int,
        binding: bytes,
        further: FurtherClaims = NOTHING_FURTHER,
    ) -> None:
        """``ProofRejected`` unless ``share`` is the one of ``member``, 1 to n, of the key that ``claim`` is about. It
        says something only together with a verified proof of the same statement with the same claim; then any
        ``threshold.recovery`` shares that pass give this ciphertext's key."""


__all__ = [
    "NOTHING_FURTHER",
    "BoundedUpdate",
    "Direction",
    "FurtherClaims",
    "IntegrityProof",
    "KeyClaim",
    "PartNorm",
    "ShareClaim",
    "Sharing",
    "VerifiedProof",
]
