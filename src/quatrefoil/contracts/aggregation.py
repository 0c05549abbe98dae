"""Layer 3: a sum of vectors, of which no single one is seen by whoever adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts.committee import DealtKey, Recovered, Threshold
from quatrefoil.errors import ParametersRefused

FloatVector = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class SchemeIdentity:
    """What every party of a round must agree on about its aggregation scheme. ``digest``: 32 bytes over the
    parameters. ``largest_roster``: how many ciphertexts may be added. ``key_bytes``: length of one contribution's key.
    ``insecure``: a stand-in that hides nothing.
    """

    name: str
    digest: bytes
    largest_roster: int
    key_bytes: int
    insecure: bool


@dataclass(frozen=True)
class SumShape:
    """What one round adds up: public, agreed before it starts. ``length``: values in an update. ``clip``: every
    value lies in [-clip, clip]. ``context``: the 32-byte digest of the round's context.
    """

    length: int
    clip: float
    context: bytes


@dataclass(frozen=True)
class Encrypted:
    """One silo's contribution to a round: public ``ciphertext``; secret ``key``, meant only for the key authority.
    The holder wipes ``key`` once it is sealed."""

    ciphertext: bytes
    key: bytearray

    def __repr__(self) -> str:
        return f"Encrypted(ciphertext=<{len(self.ciphertext)} bytes>, key=<secret>)"


@dataclass(frozen=True)
class HiddenUpdate:
    """What an encryption was made from: all of it secret, and none of it leaves the silo but ``key``, for the key
    authority. The holder wipes ``key`` and ``noise``. ``dealt``: the key's shares, where they are proven to be that."""

    values: FloatVector
    weight: float
    key: bytearray
    noise: bytearray
    dealt: DealtKey | None = None

    def __repr__(self) -> str:
        return f"HiddenUpdate(<{len(self.values)} secret values, a key and a noise seed>)"


@dataclass(frozen=True)
class DecryptedSum:
    """The sum of the contributions. ``error_bound``: the largest difference of any entry from the exact sum."""

    values: NDArray[np.float64]
    error_bound: float


class Accumulator(Protocol):
    """A sum of ciphertexts that grows as they arrive."""

    def add(self, ciphertext: bytes) -> None:
        """Add one contribution, or ``CiphertextRefused``; one that is refused leaves the sum as it was."""

    def total(self) -> bytes:
        """The ciphertext of the sum so far."""


@runtime_checkable
class PrivateAggregation(Protocol):
    """Layer 3: a sum of vectors, of which no single one is seen by whoever adds."""

    @property
    def scheme(self) -> SchemeIdentity: ...

    def encrypt(self, values: FloatVector, *, weight: float, shape: SumShape) -> Encrypted:
        """``weight * values`` under a fresh key; 0 < weight <= 1. ``UpdateRefused`` names what does not fit."""

    def encrypt_for_proof(
        self, values: FloatVector, *, weight: float, shape: SumShape
    ) -> tuple[Encrypted, HiddenUpdate]:
        """:meth:`encrypt`, and what a proof about the ciphertext is made from; both hold one and the same ``key``.
        ``ParametersRefused`` where nothing can be proven of this scheme's ciphertexts."""

    def accumulator(self, *, shape: SumShape) -> Accumulator:
        """An empty sum, for ciphertexts that arrive one after the other."""

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        """What decrypts the sum of exactly these keys' ciphertexts, and no single one of them."""

    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        """The key of one contribution, shared among a committee under fresh randomness. ``ParametersRefused`` where
        keys of this scheme cannot be shared."""

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        """A member's answer: the sum of its shares of exactly these contributions, and of no single one. The shares
        have been checked (:meth:`IntegrityProof.check_share`). ``CiphertextRefused`` for what is no share."""

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        """The key that decrypts the sum of ``count`` contributions, from members' answers by number, 1 to n; and whose
        answers were no sums of their shares. ``CiphertextRefused``, which names nobody, when no ``threshold.recovery``
        of them give a key that does."""

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """The sum of ``count`` contributions; ``CiphertextRefused`` when key and ciphertext do not belong together."""


class WithoutCommittee:
    """The part of :class:`PrivateAggregation` for a backend with whose keys no committee can be trusted: members check
    shares against proofs, and there are none about its keys. ``ParametersRefused`` for all of it."""

    _keys: ClassVar[str]
    """Whose keys these are, for the refusal."""

    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        del key, threshold
        raise self._refused()

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        del shares, threshold
        raise self._refused()

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        del answers, threshold, total, shape, count
        raise self._refused()

    def _refused(self) -> ParametersRefused:
        return ParametersRefused(
            f"keys of {self._keys} cannot be shared among a committee: nothing can be proven of their shares",
            hint="Use additive-rlwe with proofs, or a keeper as the key authority",
        )


__all__ = [
    "Accumulator",
    "DecryptedSum",
    "Encrypted",
    "FloatVector",
    "HiddenUpdate",
    "PrivateAggregation",
    "SchemeIdentity",
    "SumShape",
    "WithoutCommittee",
]
