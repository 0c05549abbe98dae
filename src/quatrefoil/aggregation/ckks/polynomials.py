"""Polynomials in and out of SEAL: the round's reference, fresh secrets, and what one key does to one block.

SEAL draws secrets and noise and does every product with them; here coefficients are centred and added. What
"decrypting" means in CKKS is c0 + c1 s and nothing more, which is how its noise, and a product with a secret, come out
of it.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.ckks.parameters import CkksSumSet
from quatrefoil.aggregation.he.context import Context, context
from quatrefoil.aggregation.he.serialised import (
    ciphertext_head,
    plain_head,
    read_secret_key,
    save,
    secret_head,
    through_memory,
)
from quatrefoil.errors import HostError

Words = NDArray[np.uint64]
"""Values of a polynomial, or its coefficients, below the modulus: shape (ring_degree,)."""

_LABEL = b"quatrefoil/ckks-sum/v1/a"
_SPARE = 64
"""Words beyond those needed that are drawn at first: of 2^60, less than 2^14 are refused."""


def reference(parameters: CkksSumSet, context: bytes, block: int) -> Words:
    """The public polynomial of a block, uniform, as its values: words of SHAKE-128 (FIPS 202) cut to the width of the
    modulus, those that are not below it left out."""
    n, q = parameters.ring_degree, parameters.modulus
    stream = hashlib.shake_128(_LABEL + parameters.digest() + context + struct.pack("<Q", block))
    mask, drawn = np.uint64((1 << q.bit_length()) - 1), n + _SPARE
    while True:
        words = np.frombuffer(stream.digest(8 * drawn), dtype="<u8") & mask
        kept = words[words < q]
        if len(kept) >= n:
            return kept[:n]
        drawn *= 2


def fresh_secret(context: Context) -> bytearray:
    """A secret, a signed byte a coefficient: the sum of two of SEAL's error polynomials."""
    n, q = context.parameters.ring_degree, context.parameters.modulus
    with _Scratch(context, ciphertext_head(context, 1.0), 2) as pair:
        for words in pair.polynomials:
            _put_error(context, words)
        loaded = context.seal.Ciphertext()
        through_memory(pair.stream, lambda path: loaded.load(context.handle, path))
    stream = save(context.evaluator.transform_from_ntt(loaded).save)
    first, second = np.frombuffer(stream, dtype="<u8", offset=len(stream) - 16 * n).reshape(2, n)
    above = np.empty(n, dtype=np.uint64)
    for words in (first, second):
        # Arithmetic and no masks: nothing branches on a secret.
        np.greater(words, q // 2, out=above)
        above *= np.uint64(q)
        words -= above
    first += second
    secret = bytearray(n)
    np.copyto(np.frombuffer(secret, dtype=np.int8), first.view(np.int64), casting="unsafe")
    above.fill(0)
    stream[:] = bytes(len(stream))
    return secret


class OneKey:
    """SEAL's key made from coefficients of a secret, or of a sum of them. :meth:`wipe` frees it."""

    def __init__(self, context: Context, coefficients: NDArray[np.int16] | NDArray[np.int8], scale: float) -> None:
        self._context = context
        self._scale = scale
        self._handle = _secret_key(context, coefficients.astype(np.int64))
        self._encryptor = context.seal.Encryptor(context.handle, self._handle)
        self._decryptor = context.seal.Decryptor(context.handle, self._handle)
        self._zero = context.encoder.encode(np.zeros(1), scale)

    def wipe(self) -> None:
        """Free the key: SEAL overwrites the memory of secrets. Nothing works afterwards."""
        self._handle = self._encryptor = self._decryptor = None

    def encrypt(self, values: NDArray[np.float64], a: Words) -> Words:
        """m + e + a s of at most ``ring_degree`` values within [-1, 1], as values: two fresh encryptions, of the
        message and of zero, and (0, a), added and decrypted."""
        add = self._context.evaluator.add
        plain = self._context.encoder.encode_complex(_paired(values, self._context.parameters.ring_degree), self._scale)
        message = self._encryptor.encrypt_symmetric(plain)
        noise = self._encryptor.encrypt_symmetric(self._zero)
        return self._opened(add(add(message, noise), self._ciphertext(np.zeros_like(a), a)))

    def decrypt(self, b: Words, a: Words) -> NDArray[np.float64]:
        """The ``ring_degree`` values in b - a s, with their error."""
        q = np.uint64(self._context.parameters.modulus)
        return _decoded(self._context, self._decryptor.decrypt(self._ciphertext(b, (q - a) % q)))

    def _ciphertext(self, first: Words, second: Words) -> Any:
        found = self._context.seal.Ciphertext()
        head = ciphertext_head(self._context, self._scale)
        found.load_bytes(self._context.handle, head + first.astype("<u8").tobytes() + second.astype("<u8").tobytes())
        return found

    def _opened(self, ciphertext: Any) -> Words:
        stream = self._decryptor.decrypt(ciphertext).to_bytes()
        return np.frombuffer(_polynomial(self._context, stream, self._scale), dtype="<u8")


def decoded(parameters: CkksSumSet, polynomial: Words) -> NDArray[np.float64]:
    """The ``ring_degree`` values in a polynomial that is encoded and not encrypted."""
    found = context(parameters.seal)
    plain = found.seal.Plaintext()
    plain.load_bytes(found.handle, plain_head(found, parameters.scale) + polynomial.astype("<u8").tobytes())
    return _decoded(found, plain)


def _decoded(context: Context, plain: Any) -> NDArray[np.float64]:
    slots = np.asarray(context.encoder.decode_complex(plain))
    return np.concatenate([slots.real, slots.imag])


class _Scratch:
    """One of SEAL's streams for secrets: ``head``, and room for ``count`` polynomials. Overwritten in the end; it never
    grows, so that no copy stays behind in memory that was given back."""

    def __init__(self, context: Context, head: bytes, count: int) -> None:
        n = context.parameters.ring_degree
        self.stream = bytearray(len(head) + 8 * n * count)
        self.stream[: len(head)] = head
        self.polynomials = np.frombuffer(self.stream, dtype="<u8", offset=len(head)).reshape(count, n)

    def __enter__(self) -> _Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        np.frombuffer(self.stream, dtype=np.uint8).fill(0)


def _put_error(context: Context, words: Words) -> None:
    """The values of one of SEAL's error polynomials: an encryption of zero, decrypted by its key, which goes."""
    key = context.seal.KeyGenerator(context.handle).secret_key()
    zero = context.encoder.encode(np.zeros(1), 1.0)
    ciphertext = context.seal.Encryptor(context.handle, key).encrypt_symmetric(zero)
    stream = save(context.seal.Decryptor(context.handle, key).decrypt(ciphertext).save)
    words[:] = np.frombuffer(_polynomial(context, stream, 1.0), dtype="<u8")
    np.frombuffer(stream, dtype=np.uint8).fill(0)


def _polynomial(context: Context, stream: bytes | bytearray, scale: float) -> memoryview:
    """The words in SEAL's stream of a plaintext. ``HostError`` where another build of SEAL writes another."""
    head = plain_head(context, scale)
    if bytes(stream[: len(head)]) != head or len(stream) != len(head) + 8 * context.parameters.ring_degree:
        raise HostError("SEAL writes plaintexts in another form than 4.4 does", hint="Install seal-python 4.4")
    return memoryview(stream)[len(head) :]


def _secret_key(context: Context, coefficients: NDArray[np.int64]) -> Any:
    """The key with these coefficients, which are overwritten."""
    n, q = len(coefficients), context.parameters.modulus
    below = np.empty(n, dtype=np.int64)
    np.less(coefficients, 0, out=below)
    below *= q
    coefficients += below
    below.fill(0)
    with _Scratch(context, ciphertext_head(context, 1.0, in_ntt=False), 2) as pair:
        pair.polynomials[0] = coefficients.view(np.uint64)
        pair.polynomials[1, 0] = 1  # SEAL takes no second polynomial of zeros
        coefficients.fill(0)
        loaded = context.seal.Ciphertext()
        through_memory(pair.stream, lambda path: loaded.load(context.handle, path))
    stream = save(context.evaluator.transform_to_ntt(loaded).save)
    with _Scratch(context, secret_head(context), 1) as key:
        key.polynomials[0] = np.frombuffer(stream, dtype="<u8", count=n, offset=len(stream) - 16 * n)
        np.frombuffer(stream, dtype=np.uint8).fill(0)
        return read_secret_key(context, key.stream)


def _paired(values: NDArray[np.float64], n: int) -> NDArray[np.complex128]:
    filled = np.zeros(n)
    filled[: len(values)] = values
    slots: NDArray[np.complex128] = filled[: n // 2] + 1j * filled[n // 2 :]
    return slots
