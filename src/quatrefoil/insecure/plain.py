"""A stand-in for encryption: sums in the clear. It shows what a round costs and computes without protection, and it
keeps the rest of ``PrivateAggregation``'s contract, so that the same silo and aggregator run on it.
"""

from __future__ import annotations

import math
import secrets
import struct
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts import (
    DecryptedSum,
    Encrypted,
    FloatVector,
    HiddenUpdate,
    SchemeIdentity,
    SumShape,
    WithoutCommittee,
)
from quatrefoil.errors import CiphertextRefused, ParametersRefused, PolicyInvalid, UpdateRefused

PLAIN_AGGREGATION = "plain-aggregation"

_HEADER = struct.Struct("<8sIQ32sd32s")
_MAGIC = b"INSECURE"
_KEY = struct.Struct("<32sI")
_KEY_BYTES = 32
_LARGEST_ROSTER = 1 << 16
_HINT = "Every party of a round must use the same scheme and round context"


class PlainAggregation(WithoutCommittee):
    """INSECURE stand-in for ``PrivateAggregation``: whoever adds the updates reads every one of them.

    A payload is ``weight * values`` in float64, behind a header. A key hides nothing: it is a random number that is
    also in the header, so that a key which does not belong to a sum is noticed, as the contract asks.
    """

    _keys = "sums in the clear"

    def __init__(self, *, accept_insecure: Literal["plain-aggregation"]) -> None:
        if accept_insecure != PLAIN_AGGREGATION:
            raise PolicyInvalid(
                "sums in the clear have to be accepted explicitly",
                hint=f'Pass accept_insecure="{PLAIN_AGGREGATION}", or list it under [insecure] accept in the policy',
            )

    @property
    def scheme(self) -> SchemeIdentity:
        digest = _MAGIC.ljust(32, b"\0")
        return SchemeIdentity("insecure-plain", digest, _LARGEST_ROSTER, key_bytes=_KEY_BYTES, insecure=True)

    def encrypt(self, values: FloatVector, *, weight: float, shape: SumShape) -> Encrypted:
        _check_shape(shape)
        _check_values(values, weight, shape)
        key = secrets.token_bytes(_KEY_BYTES)
        payload = np.asarray(values, dtype="<f8") * weight
        return Encrypted(_header(shape, 1, key) + payload.tobytes(), bytearray(key))

    def encrypt_for_proof(
        self, values: FloatVector, *, weight: float, shape: SumShape
    ) -> tuple[Encrypted, HiddenUpdate]:
        """Refused: nothing is hidden, and there is nothing to prove."""
        del values, weight, shape
        raise ParametersRefused(
            "sums in the clear cannot be proven to be bounded", hint="Use additive-rlwe with proofs, or no proofs"
        )

    def accumulator(self, *, shape: SumShape) -> PlainAccumulator:
        return PlainAccumulator(shape)

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        _check_roster(len(keys))
        for position, key in enumerate(keys):
            if len(key) != _KEY_BYTES:
                raise CiphertextRefused(f"key {position} has {len(key)} bytes, not {_KEY_BYTES}", hint=_HINT)
            if key in keys[:position]:
                raise CiphertextRefused(f"key {position} is the same as an earlier one", hint=_HINT)
        return _KEY.pack(_sum(keys), len(keys))

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """``error_bound``: one rounding a product and one an addition, each 2^-53 of a sum within count * clip."""
        _check_shape(shape)
        _check_roster(count)
        expected, values = _parse(total, shape, count=count, what="the sum")
        if len(combined_key) != _KEY.size:
            raise CiphertextRefused(f"the combined key has {len(combined_key)} bytes, not {_KEY.size}", hint=_HINT)
        key, summed = _KEY.unpack(combined_key)
        if summed != count:
            raise CiphertextRefused(f"the combined key sums {summed} keys, not {count}", hint=_HINT)
        if key != expected:
            raise CiphertextRefused("the key does not belong to this sum", hint=_HINT)
        return DecryptedSum(values.astype(np.float64), error_bound=2.0**-53 * (count + 1) * count * shape.clip)


class PlainAccumulator:
    """A sum in the clear that grows as updates arrive."""

    def __init__(self, shape: SumShape) -> None:
        _check_shape(shape)
        self._shape = shape
        self._values = np.zeros(shape.length, dtype="<f8")
        self._key = bytes(_KEY_BYTES)
        self._count = 0

    def add(self, ciphertext: bytes) -> None:
        _check_roster(self._count + 1)
        key, values = _parse(ciphertext, self._shape, count=1, what=f"ciphertext {self._count}")
        self._values += values
        self._key = _sum([self._key, key])
        self._count += 1

    def total(self) -> bytes:
        _check_roster(self._count)
        return _header(self._shape, self._count, self._key) + self._values.tobytes()


def _header(shape: SumShape, count: int, key: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, count, shape.length, shape.context, shape.clip, key)


def _parse(ciphertext: bytes, shape: SumShape, *, count: int, what: str) -> tuple[bytes, NDArray[np.float64]]:
    """The key and the values inside, after every check of the form."""
    expected_bytes = _HEADER.size + 8 * shape.length
    if len(ciphertext) != expected_bytes:
        raise CiphertextRefused(f"{what} has {len(ciphertext)} bytes, not {expected_bytes}", hint=_HINT)
    magic, summed, length, context, clip, key = _HEADER.unpack_from(ciphertext)
    for field, found, wanted in (
        ("format", magic, _MAGIC),
        ("length", length, shape.length),
        ("round context", context, shape.context),
        ("clip bound", clip, shape.clip),
        ("number of contributions", summed, count),
    ):
        if found != wanted:
            raise CiphertextRefused(f"{what} has the {field} {_shown(found)}, not {_shown(wanted)}", hint=_HINT)
    values = np.frombuffer(ciphertext, dtype="<f8", offset=_HEADER.size)
    beyond = np.flatnonzero(~(np.abs(values) <= count * shape.clip * (1 + 2.0**-32)))
    if beyond.size:
        index = int(beyond[0])
        raise CiphertextRefused(f"{what} holds {values[index]} at {index}, beyond {count} clip bounds", hint=_HINT)
    return key, values


def _shown(value: object) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else repr(value)


def _sum(keys: Sequence[bytes | bytearray]) -> bytes:
    total = sum(int.from_bytes(key, "little") for key in keys)
    return (total % (1 << 256)).to_bytes(_KEY_BYTES, "little")


def _check_roster(count: int) -> None:
    if not 1 <= count <= _LARGEST_ROSTER:
        raise ParametersRefused(f"{count} contributions are not within 1 to {_LARGEST_ROSTER}", hint="Split the roster")


def _check_shape(shape: SumShape) -> None:
    hint = "All parties take the shape of the sum from the signed round context"
    if type(shape.length) is not int or shape.length < 1:
        raise ParametersRefused(f"a length of {shape.length} values is not at least 1", hint=hint)
    if not (math.isfinite(shape.clip) and shape.clip > 0):
        raise ParametersRefused(f"a clip bound of {shape.clip} is not finite and positive", hint=hint)
    if len(shape.context) != 32:
        raise ParametersRefused(f"a context digest of {len(shape.context)} bytes is not 32 bytes", hint=hint)


def _check_values(values: FloatVector, weight: float, shape: SumShape) -> None:
    hint = f"Pass a float32 or float64 vector of {shape.length} values, and a weight in (0, 1]"
    if not isinstance(values, np.ndarray) or values.dtype not in (np.float32, np.float64):
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise UpdateRefused(f"the update is {kind}, not an array of float32 or float64", hint=hint)
    if values.shape != (shape.length,):
        raise UpdateRefused(f"the update has the shape {values.shape}, not ({shape.length},)", hint=hint)
    if not (math.isfinite(weight) and 0 < weight <= 1):
        raise UpdateRefused(f"the weight {weight} is not within (0, 1]", hint=hint)
    beyond = np.flatnonzero(~(np.abs(values.astype(np.float64)) <= shape.clip))
    if beyond.size:
        index = int(beyond[0])
        raise UpdateRefused(
            f"value {index} is {values[index]}, not finite and within the clip bound of {shape.clip}",
            hint="Clip the update before it is encrypted, and look for diverging training",
        )


__all__ = ["PlainAggregation"]
