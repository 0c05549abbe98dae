"""The CKKS backend of ``PrivateAggregation``: Microsoft SEAL's ciphertexts under a fresh key a silo and round.

The round is that of the additive backend: the sum of the ciphertexts decrypts under the sum of the keys and under
nothing else. docs/ckks-sums.md defines it, and says what it rests on; unaudited.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import ciphertext as form
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES, WRONG_KEY, Form
from quatrefoil.aggregation.ckks.parameters import ETA, CkksSumSet
from quatrefoil.aggregation.ckks.polynomials import OneKey, Words, fresh_secret, reference
from quatrefoil.aggregation.encryption import check_shape, check_values, check_weight, wipe
from quatrefoil.aggregation.he.context import Context, context
from quatrefoil.contracts import (
    DecryptedSum,
    Encrypted,
    FloatVector,
    HiddenUpdate,
    SchemeIdentity,
    SumShape,
    WithoutCommittee,
)
from quatrefoil.errors import CiphertextRefused, ParametersRefused, UpdateRefused


class CkksAggregation(WithoutCommittee):
    """``PrivateAggregation`` by CKKS with one-time keys. Randomness is SEAL's own (BLAKE2Xb over the system's), one
    thread is used, and ``DependencyMissing`` is raised where SEAL is not installed. Nothing can be proven of its
    ciphertexts."""

    _keys = "CKKS"

    def __init__(self, parameters: CkksSumSet) -> None:
        self._parameters = parameters
        self._context: Context = context(parameters.seal)

    @property
    def parameters(self) -> CkksSumSet:
        return self._parameters

    @property
    def scheme(self) -> SchemeIdentity:
        p = self._parameters
        return SchemeIdentity(
            f"ckks/{p.name}", p.digest(), largest_roster=p.max_silos, key_bytes=p.key_bytes, insecure=False
        )

    def encrypt(self, values: FloatVector, *, weight: float, shape: SumShape) -> Encrypted:
        """``weight * values`` under a fresh key.

        ``values``: contiguous float32 or float64 of shape (length,), each finite and within [-clip, clip] before it is
        weighted; 0 < weight <= 1. Anything else is ``UpdateRefused``, naming the index and the value.
        """
        check_shape(shape)
        check_values(values, shape)
        check_weight(weight)
        scaled = _scaled(values, weight, shape)
        secret = fresh_secret(self._context)
        key = OneKey(self._context, np.frombuffer(secret, dtype=np.int8), self._parameters.scale)
        try:
            ciphertext = bytearray(Form(self._parameters, shape).header(1))
            n = self._parameters.ring_degree
            for block in range(self._parameters.blocks(shape.length)):
                a = reference(self._parameters, shape.context, block)
                ciphertext += key.encrypt(scaled[block * n : (block + 1) * n], a).tobytes()
        except BaseException:
            wipe(secret)
            raise
        finally:
            key.wipe()
            scaled.fill(0)
        return Encrypted(bytes(ciphertext), secret)

    def encrypt_for_proof(
        self, values: FloatVector, *, weight: float, shape: SumShape
    ) -> tuple[Encrypted, HiddenUpdate]:
        """Refused: noise is SEAL's, and its encoder works in floating point."""
        del values, weight, shape
        raise ParametersRefused(
            "nothing can be proven of CKKS ciphertexts", hint="Use additive-rlwe with proofs, or no proofs"
        )

    def accumulator(self, *, shape: SumShape) -> CkksAccumulator:
        """An empty sum, for ciphertexts that arrive one after the other."""
        return CkksAccumulator(self._parameters, shape=shape)

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        """The sum of these secrets: it decrypts the sum of their ciphertexts."""
        p = self._parameters
        form.check_roster(p, len(keys))
        form.check_keys(keys, p.key_bytes)
        total = np.zeros(p.ring_degree, dtype="<i2")
        for position, key in enumerate(keys):
            secret = np.frombuffer(key, dtype=np.int8).astype("<i2")
            if ((secret > ETA) | (secret < -ETA)).any():
                raise CiphertextRefused(f"key {position} has a coefficient beyond {ETA}", hint=WRONG_KEY)
            total += secret
            secret.fill(0)
        return form.key_header(p, len(keys)) + total.tobytes()

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """The sum of ``count`` contributions, rounded to a step that is above what their noise can be.

        ``error_bound`` holds for every noise there can be, with no probability of failure.
        """
        check_shape(shape)
        p = self._parameters
        form.check_roster(p, count)
        Form(p, shape).check(total, count=count, what="the sum")
        words = _words(p, total, what="the sum")
        form.check_key(combined_key, p, count=count)
        secret = np.frombuffer(combined_key, dtype="<i2", offset=KEY_HEADER_BYTES)
        if (np.abs(secret.astype(np.int32)) > count * ETA).any():
            raise CiphertextRefused("the combined key has a coefficient beyond its secrets'", hint=WRONG_KEY)
        key = OneKey(self._context, secret, p.scale)
        try:
            values = [
                key.decrypt(block, reference(p, shape.context, number))
                for number, block in enumerate(words.reshape(-1, p.ring_degree))
            ]
        finally:
            key.wipe()
        return DecryptedSum(self._checked(np.concatenate(values), shape, count), self.error_bound(shape, count))

    def error_bound(self, shape: SumShape, count: int) -> float:
        """The largest difference of any entry of a decrypted sum of ``count`` contributions from the exact sum."""
        p = self._parameters
        return shape.clip * (p.error(count) + p.step(count) / 2 + count * 2.0**-50)

    def _checked(self, raw: NDArray[np.float64], shape: SumShape, count: int) -> NDArray[np.float64]:
        """The values rounded and scaled, or ``CiphertextRefused``: under another key they are all over the range."""
        error, step = self._parameters.error(count), self._parameters.step(count)
        values, rest = raw[: shape.length], raw[shape.length :]
        if not (np.abs(values) <= count + error).all() or not (np.abs(rest) <= error).all():
            raise CiphertextRefused(
                "the key does not belong to this sum: a value is beyond all contributions", hint=WRONG_KEY
            )
        return np.rint(values / step) * step * shape.clip


class CkksAccumulator:
    """A sum of contributions that grows as they arrive. It holds the sum and none of the ciphertexts."""

    def __init__(self, parameters: CkksSumSet, *, shape: SumShape) -> None:
        check_shape(shape)
        self._form = Form(parameters, shape)
        self._parameters = parameters
        self._sum = np.zeros(parameters.block_bytes(shape.length) // 8, dtype=np.uint64)
        self._count = 0

    @property
    def count(self) -> int:
        """Contributions added so far."""
        return self._count

    def add(self, ciphertext: bytes) -> None:
        """Add one contribution; one that is refused leaves the sum as it was."""
        form.check_roster(self._parameters, self._count + 1)
        what = f"ciphertext {self._count}"
        self._form.check(ciphertext, count=1, what=what)
        words = _words(self._parameters, ciphertext, what=what)
        # Both are below 2^60: their sum wraps around no 64 bits.
        self._sum += words
        self._sum -= np.uint64(self._parameters.modulus) * (self._sum >= self._parameters.modulus)
        self._count += 1

    def total(self) -> bytes:
        """The ciphertext of the sum so far."""
        form.check_roster(self._parameters, self._count)
        return self._form.header(self._count) + self._sum.astype("<u8").tobytes()


def _scaled(values: FloatVector, weight: float, shape: SumShape) -> NDArray[np.float64]:
    """``weight * values / clip``, within [-1, 1]: division and product round no result beyond it."""
    wide = values.astype(np.float64)
    inside = np.abs(wide) <= shape.clip
    if not inside.all():
        index = int(np.argmin(inside))
        raise UpdateRefused(
            f"value {index} is {values[index]}, not finite and within the clip bound of {shape.clip}",
            hint="Clip the update before it is encrypted, and look for diverging training",
        )
    wide /= shape.clip
    wide *= weight
    return wide


def _words(parameters: CkksSumSet, data: bytes, *, what: str) -> Words:
    words = np.frombuffer(data, dtype="<u8", offset=HEADER_BYTES)
    beyond = words >= parameters.modulus
    if beyond.any():
        word = int(np.argmax(beyond))
        raise CiphertextRefused(
            f"{what} holds {words[word]} at word {word}, not below the modulus {parameters.modulus}",
            hint="Ask the sender again; the bytes were damaged or forged",
        )
    return words


__all__ = ["CkksAccumulator", "CkksAggregation"]
