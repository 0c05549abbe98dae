"""The additive RLWE backend of ``PrivateAggregation``: encryption under a fresh key, a sum, and its key.

Each silo encrypts one message a round under a key of its own, and hands that key's seed to the key authority. The sum
of the ciphertexts decrypts under the sum of the keys and under nothing else. docs/additive-encryption.md defines it;
unaudited.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence

import numpy as np

from quatrefoil import _core
from quatrefoil.aggregation import ciphertext as form
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES, Form
from quatrefoil.aggregation.parameters import ParameterSet
from quatrefoil.contracts import DecryptedSum, Encrypted, FloatVector, SchemeIdentity, SumShape
from quatrefoil.errors import CiphertextRefused, ParametersRefused, UpdateRefused

RandomBytes = Callable[[int], bytes]
"""Gives this many bytes that nobody can predict, like ``os.urandom``."""

SEED_BYTES = 32
LARGEST_LENGTH = 1 << 36
LARGEST_THREADS = 256
CLIP_RANGE = (2.0**-100, 2.0**100)
"""Within these bounds no product under- or overflows, so the error bound holds."""

_WRONG_KEY = "Combine the keys of exactly the silos whose ciphertexts were added, of this round"


class AdditiveAggregation:
    """``PrivateAggregation`` by additive RLWE encryption with one-time keys.

    ``threads``: how many the kernel may use, 1 to 256. ``random`` is asked twice per encryption for 32 bytes: the seed
    of the secret, which becomes ``Encrypted.key``, and the seed of noise and rounding, which is wiped before
    :meth:`encrypt` returns. (The ``bytes`` objects that ``random`` itself makes cannot be wiped from Python.)
    """

    def __init__(self, parameters: ParameterSet, *, threads: int = 1, random: RandomBytes = os.urandom) -> None:
        if not 1 <= threads <= LARGEST_THREADS:
            raise ParametersRefused(
                f"{threads} threads are not 1 to {LARGEST_THREADS}", hint="Use at most one per core"
            )
        self._parameters = parameters
        self._threads = threads
        self._random = random

    @property
    def parameters(self) -> ParameterSet:
        return self._parameters

    @property
    def scheme(self) -> SchemeIdentity:
        parameters = self._parameters
        name = f"additive-rlwe/{parameters.name}"
        return SchemeIdentity(
            name, parameters.digest(), largest_roster=parameters.max_silos, key_bytes=SEED_BYTES, insecure=False
        )

    def encrypt(self, values: FloatVector, *, weight: float, shape: SumShape) -> Encrypted:
        """``weight * values`` under a fresh key.

        ``values``: contiguous float32 or float64 of shape (length,), each finite and within [-clip, clip] before it is
        weighted; 0 < weight <= 1. Anything else is ``UpdateRefused``, naming the index and the value.
        """
        _check_shape(shape)
        _check_values(values, weight, shape)
        parameters = self._parameters
        key, noise = self._seed(), self._seed()
        try:
            ciphertext = _core.encrypt(
                parameters.layout,
                Form(parameters, shape).header(1),
                values,
                clip=shape.clip,
                factor=float(weight) * (parameters.largest_integer / shape.clip),
                context=shape.context,
                key_seed=key,
                noise_seed=noise,
                threads=self._threads,
            )
        except BaseException as error:
            _wipe(key)
            if isinstance(error, _core.ValueRefused):
                index = error.args[0]
                raise UpdateRefused(
                    f"value {index} is {values[index]}, not finite and within the clip bound of {shape.clip}",
                    hint="Clip the update before it is encrypted, and look for diverging training",
                ) from None
            raise
        finally:
            _wipe(noise)
        return Encrypted(ciphertext, key)

    def accumulator(self, *, shape: SumShape) -> Accumulator:
        """An empty sum, for ciphertexts that arrive one after the other."""
        return Accumulator(self._parameters, shape=shape)

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        """The sum of the secrets that these 32-byte seeds expand to: it decrypts the sum of their ciphertexts."""
        form.check_roster(self._parameters, len(keys))
        seen = set()
        for position, key in enumerate(keys):
            if len(key) != SEED_BYTES:
                raise CiphertextRefused(f"key {position} has {len(key)} bytes, not {SEED_BYTES}", hint=_WRONG_KEY)
            name = hashlib.sha256(key).digest()
            if name in seen:
                raise CiphertextRefused(
                    f"key {position} is the same as an earlier one",
                    hint="Void the round: a silo repeats another's key, or two share one source of randomness",
                )
            seen.add(name)
        return _core.combine_keys(self._parameters.layout, form.key_header(self._parameters, len(keys)), keys)

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """The sum of ``count`` contributions, exact up to their rounding.

        ``error_bound``: each silo rounds to a neighbouring integer, less than one unit of clip / (2^(w-1) - 1) away;
        scaling there and back in float64 adds less than 8 units in the last place of the clip bound for each silo.
        """
        _check_shape(shape)
        form.check_roster(self._parameters, count)
        Form(self._parameters, shape).check(total, count=count, what="the sum")
        form.check_key(combined_key, self._parameters, count=count)
        unit = shape.clip / self._parameters.largest_integer
        try:
            values = _core.decrypt(
                self._parameters.layout,
                total,
                combined_key,
                offset=HEADER_BYTES,
                key_offset=KEY_HEADER_BYTES,
                length=shape.length,
                count=count,
                unit=unit,
                context=shape.context,
                threads=self._threads,
            )
        except _core.WordRefused as error:
            raise _word_refused("the sum", error) from None
        except _core.SumRefused as error:
            raise CiphertextRefused(f"the key does not belong to this sum: {error.args[0]}", hint=_WRONG_KEY) from None
        return DecryptedSum(values, error_bound=count * (unit + 2.0**-50 * shape.clip))

    def _seed(self) -> bytearray:
        seed = bytearray(self._random(SEED_BYTES))
        if len(seed) != SEED_BYTES:
            raise ParametersRefused(
                f"the source of randomness gave {len(seed)} bytes, not {SEED_BYTES}", hint="Use os.urandom"
            )
        return seed


class Accumulator:
    """A sum of contributions that grows as they arrive. It holds the sum and none of the ciphertexts."""

    def __init__(self, parameters: ParameterSet, *, shape: SumShape) -> None:
        _check_shape(shape)
        self._form = Form(parameters, shape)
        self._sum = _core.Accumulator(HEADER_BYTES, self._form.block_bytes)
        self._count = 0

    @property
    def count(self) -> int:
        """Contributions added so far."""
        return self._count

    def add(self, ciphertext: bytes) -> None:
        """Add one contribution; one that is refused leaves the sum as it was."""
        form.check_roster(self._form.parameters, self._count + 1)
        what = f"ciphertext {self._count}"
        self._form.check(ciphertext, count=1, what=what)
        try:
            self._sum.add(ciphertext, HEADER_BYTES)
        except _core.WordRefused as error:
            raise _word_refused(what, error) from None
        self._count += 1

    def total(self) -> bytes:
        """The ciphertext of the sum so far."""
        form.check_roster(self._form.parameters, self._count)
        return self._sum.total(self._form.header(self._count))


def _check_shape(shape: SumShape) -> None:
    hint = "All parties take the shape of the sum from the signed round context"
    if type(shape.length) is not int or not 1 <= shape.length <= LARGEST_LENGTH:
        raise ParametersRefused(f"a length of {shape.length} values is not 1 to {LARGEST_LENGTH}", hint=hint)
    # A float32 would carry its precision into the scale, beyond the error bound.
    if not isinstance(shape.clip, float | int) or not CLIP_RANGE[0] <= shape.clip <= CLIP_RANGE[1]:
        raise ParametersRefused(
            f"a clip bound of {shape.clip} is not within {CLIP_RANGE[0]} to {CLIP_RANGE[1]}", hint=hint
        )
    if len(shape.context) != 32:
        raise ParametersRefused(f"a context digest of {len(shape.context)} bytes is not 32 bytes", hint=hint)


def _check_values(values: FloatVector, weight: float, shape: SumShape) -> None:
    hint = f"Pass a contiguous float32 or float64 vector of {shape.length} values, and a weight in (0, 1]"
    if not isinstance(values, np.ndarray) or values.dtype not in (np.float32, np.float64):
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise UpdateRefused(f"the update is {kind}, not an array of float32 or float64", hint=hint)
    if values.shape != (shape.length,):
        raise UpdateRefused(f"the update has the shape {values.shape}, not ({shape.length},)", hint=hint)
    if not (values.flags.c_contiguous and values.flags.aligned):
        raise UpdateRefused(f"the update is not contiguous (strides of {values.strides[0]} bytes)", hint=hint)
    if not (math.isfinite(weight) and 0 < weight <= 1):
        raise UpdateRefused(f"the weight {weight} is not within (0, 1]", hint=hint)


def _word_refused(what: str, error: _core.WordRefused) -> CiphertextRefused:
    word, value = error.args
    problem = f"{what} holds {value} at word {word}, not below the modulus {_core.MODULUS}"
    return CiphertextRefused(problem, hint="Ask the sender again; the bytes were damaged or forged")


def _wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))


__all__ = ["Accumulator", "AdditiveAggregation", "RandomBytes"]
