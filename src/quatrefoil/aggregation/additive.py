"""The additive RLWE backend of ``PrivateAggregation``: encryption under a fresh key, a sum, and its key.

Each silo encrypts one message a round under a key of its own, and hands that key's seed to the key authority. The sum
of the ciphertexts decrypts under the sum of the keys and under nothing else. docs/additive-encryption.md defines it;
unaudited.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.aggregation import ciphertext as form
from quatrefoil.aggregation import sharing
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES, WRONG_KEY, Form
from quatrefoil.aggregation.encryption import (
    LARGEST_LENGTH,
    OneEncryption,
    check_shape,
    check_values,
    check_weight,
    wipe,
)
from quatrefoil.aggregation.parameters import ParameterSet
from quatrefoil.aggregation.streams import (
    CHUNK_BLOCKS,
    Sink,
    Source,
    chunks_of_blocks,
    chunks_of_values,
    decrypted,
    write_all,
)
from quatrefoil.contracts import (
    DealtKey,
    DecryptedSum,
    Encrypted,
    FloatVector,
    HiddenUpdate,
    Recovered,
    SchemeIdentity,
    SumShape,
    Threshold,
)
from quatrefoil.errors import CiphertextRefused, ParametersRefused

RandomBytes = Callable[[int], bytes]
"""Gives this many bytes that nobody can predict, like ``os.urandom``."""

SEED_BYTES = 32
LARGEST_THREADS = 256


class WrongKey(CiphertextRefused):
    """A combined key under which a sum leaves what no sum leaves."""


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
        check_shape(shape)
        check_values(values, shape)
        with self._encryption(weight, shape) as encryption:
            ciphertext = encryption.blocks(Form(self._parameters, shape).header(1), values)
        return Encrypted(ciphertext, encryption.key)

    def encrypt_for_proof(
        self, values: FloatVector, *, weight: float, shape: SumShape
    ) -> tuple[Encrypted, HiddenUpdate]:
        """:meth:`encrypt`, and what a proof about the ciphertext is made from.

        The noise seed is in ``HiddenUpdate.noise``: whoever has it and the ciphertext has the key's polynomial and the
        values, so that the caller wipes it once the proof is made. Leave ``values`` as they are until then.
        """
        check_shape(shape)
        check_values(values, shape)
        check_weight(weight)
        encryption = OneEncryption(self._parameters, weight, shape, self._threads, key=self._seed(), noise=self._seed())
        try:
            ciphertext = encryption.blocks(Form(self._parameters, shape).header(1), values)
        except BaseException:
            wipe(encryption.key)
            wipe(encryption.noise)
            raise
        return Encrypted(ciphertext, encryption.key), HiddenUpdate(values, weight, encryption.key, encryption.noise)

    def encrypt_stream(self, values: FloatVector | Source, sink: Sink, *, weight: float, shape: SumShape) -> bytearray:
        """:meth:`encrypt` for what is too large to hold: the same bytes go to ``sink``, piece by piece, and the key is
        returned. ``values``: an array, mapped into memory perhaps, or a source of raw little-endian float32.

        When a value is refused, or reading or writing fails, the key is wiped: what was written is of no use.
        """
        check_shape(shape)
        if isinstance(values, np.ndarray):
            check_values(values, shape)
        size = CHUNK_BLOCKS * self._block_values
        with self._encryption(weight, shape) as encryption:
            write_all(sink, Form(self._parameters, shape).header(1))
            for index, some in enumerate(chunks_of_values(values, shape, size)):
                write_all(sink, encryption.blocks(b"", some, first_block=index * CHUNK_BLOCKS, start=index * size))
        return encryption.key

    def add_stream(self, ciphertexts: Sequence[Source], sink: Sink, *, shape: SumShape) -> None:
        """Write the ciphertext of the sum of these to ``sink``, holding a piece of each at a time. All must be there
        from the start; :meth:`accumulator` takes them as they arrive. When one is refused, what was written is of no
        use."""
        check_shape(shape)
        form.check_roster(self._parameters, len(ciphertexts))
        whole = Form(self._parameters, shape)
        names = [f"ciphertext {position}" for position in range(len(ciphertexts))]
        streams = [chunks_of_blocks(c, whole, count=1, what=n) for c, n in zip(ciphertexts, names, strict=True)]
        write_all(sink, whole.header(len(streams)))
        word = 0
        while pieces := [piece for piece in (next(stream, None) for stream in streams) if piece is not None]:
            total = _core.Accumulator(0, len(pieces[0]))
            for name, piece in zip(names, pieces, strict=True):
                try:
                    total.add(piece, 0)
                except _core.WordRefused as error:
                    raise _word_refused(name, error, first=word) from None
            word += len(pieces[0]) // 8
            write_all(sink, total.total(b""))

    def accumulator(self, *, shape: SumShape) -> Accumulator:
        """An empty sum, for ciphertexts that arrive one after the other."""
        return Accumulator(self._parameters, shape=shape)

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        """The sum of the secrets that these 32-byte seeds expand to: it decrypts the sum of their ciphertexts."""
        form.check_roster(self._parameters, len(keys))
        form.check_keys(keys, SEED_BYTES)
        return _core.combine_keys(self._parameters.layout, form.key_header(self._parameters, len(keys)), keys)

    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        """The secret that a key's seed expands to, in packed Shamir shares under 32 bytes of fresh randomness: fewer
        than ``threshold.privacy`` + 1 of them say nothing of it."""
        return sharing.deal(self._parameters, key, threshold, self._seed())

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        """A member's share of the sum of the secrets. Salts and shares of masks are left out: nothing is said of
        them."""
        return sharing.add(self._parameters, shares, threshold)

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        """What :meth:`combine_keys` gives for the seeds that the shares were dealt from, and who answered something
        else. A key counts when the first block of ``total`` decrypts under it, which one of 2^2400 wrong ones does."""
        check_shape(shape)
        form.check_roster(self._parameters, count)
        Form(self._parameters, shape).check(total, count=count, what="the sum")
        return sharing.recover(
            self._parameters,
            answers,
            threshold,
            count=count,
            decrypts=lambda key: self._begins_to_decrypt(total, key, shape, count),
        )

    def _begins_to_decrypt(self, total: bytes, combined_key: bytes, shape: SumShape, count: int) -> bool:
        first = total[HEADER_BYTES : HEADER_BYTES + self._parameters.block_bytes(1)]
        length = min(shape.length, self._block_values)
        try:
            self._decrypted(first, combined_key, shape, count, length=length)
        except WrongKey:
            return False
        return True

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """The sum of ``count`` contributions, exact up to their rounding.

        ``error_bound``: each silo rounds to a neighbouring integer, less than one unit of clip / (2^(w-1) - 1) away;
        scaling there and back in float64 adds less than 8 units in the last place of the clip bound for each silo.
        """
        check_shape(shape)
        form.check_roster(self._parameters, count)
        Form(self._parameters, shape).check(total, count=count, what="the sum")
        form.check_key(combined_key, self._parameters, count=count)
        values = self._decrypted(total, combined_key, shape, count, length=shape.length, offset=HEADER_BYTES)
        return DecryptedSum(values, error_bound=self.error_bound(shape, count))

    def decrypt_stream(
        self, total: Source, combined_key: bytes, *, shape: SumShape, count: int
    ) -> Iterator[NDArray[np.float64]]:
        """:meth:`decrypt` for what is too large to hold: the values in order, some at a time. Use none of them before
        the last has come: a piece that is refused later means that all of them are."""
        check_shape(shape)
        form.check_roster(self._parameters, count)
        form.check_key(combined_key, self._parameters, count=count)
        chunks = chunks_of_blocks(total, Form(self._parameters, shape), count=count, what="the sum")
        return decrypted(
            chunks,
            shape,
            self._block_values,
            lambda data, first, length: self._decrypted(
                data, combined_key, shape, count, length=length, first_block=first
            ),
        )

    def error_bound(self, shape: SumShape, count: int) -> float:
        """The largest difference of any entry of a decrypted sum of ``count`` contributions from the exact sum."""
        unit = shape.clip / self._parameters.largest_integer
        return count * (unit + 2.0**-50 * shape.clip)

    @property
    def _block_values(self) -> int:
        return self._parameters.ring_degree * self._parameters.slots

    def _decrypted(
        self,
        blocks: bytes,
        combined_key: bytes,
        shape: SumShape,
        count: int,
        *,
        length: int,
        offset: int = 0,
        first_block: int = 0,
    ) -> NDArray[np.float64]:
        try:
            return _core.decrypt(
                self._parameters.layout,
                blocks,
                combined_key,
                offset=offset,
                key_offset=KEY_HEADER_BYTES,
                length=length,
                count=count,
                unit=shape.clip / self._parameters.largest_integer,
                context=shape.context,
                threads=self._threads,
                first_block=first_block,
            )
        except _core.WordRefused as error:
            raise _word_refused("the sum", error) from None
        except _core.SumRefused as error:
            raise WrongKey(f"the key does not belong to this sum: {error.args[0]}", hint=WRONG_KEY) from None

    @contextmanager
    def _encryption(self, weight: float, shape: SumShape) -> Iterator[OneEncryption]:
        """One encryption under fresh seeds. The noise seed is wiped when it ends, the key when it fails."""
        check_weight(weight)
        encryption = OneEncryption(self._parameters, weight, shape, self._threads, key=self._seed(), noise=self._seed())
        try:
            yield encryption
        except BaseException:
            wipe(encryption.key)
            raise
        finally:
            wipe(encryption.noise)

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
        check_shape(shape)
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


def _word_refused(what: str, error: _core.WordRefused, *, first: int = 0) -> CiphertextRefused:
    word, value = error.args
    problem = f"{what} holds {value} at word {first + word}, not below the modulus {_core.MODULUS}"
    return CiphertextRefused(problem, hint="Ask the sender again; the bytes were damaged or forged")


__all__ = ["LARGEST_LENGTH", "Accumulator", "AdditiveAggregation", "RandomBytes"]
