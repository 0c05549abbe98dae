"""SEAL's streams held to the one form that they can have, before SEAL reads them.

SEAL is C++ and parses what it is given. Here every byte that is not a coefficient must be what SEAL itself writes for
this parameter set, and every coefficient must be below its prime: what gets past differs from a stream of our own in
nothing but polynomials. Streams are uncompressed. docs/homomorphic.md has the bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from quatrefoil.aggregation.he.context import Context
from quatrefoil.errors import CiphertextRefused

Bytes = bytes | bytearray | memoryview

_MAGIC, _HEADER_BYTES, _MAJOR, _MINOR, _UNCOMPRESSED = 0xA15E, 16, 4, 4, 0
_HINT = "Check that both sides use the same parameter set, and that nothing on the way alters files"


def read_ciphertext(context: Context, data: Bytes, scale: float, dropped: int = 0) -> Any:
    """A ciphertext of two polynomials under this scale (1.0 in BGV) after as many rescalings, or
    ``CiphertextRefused``."""
    primes = context.parameters.left(dropped)
    head = _ciphertext_head(context, context.data_id(dropped), primes, scale)
    left = _after_ciphertext(context, memoryview(data), head, primes, scale, what="a ciphertext")
    _require_end(left, "a ciphertext")
    found = context.seal.Ciphertext()
    _guarded("a ciphertext", lambda: found.load_bytes(context.handle, bytes(data)))
    return found


def read_secret_key(context: Context, data: Bytes) -> Any:
    """A secret key, or ``CiphertextRefused``. No copy of it reaches a disk."""
    view = memoryview(data)
    head = secret_head(context)
    if bytes(view[: len(head)]) != head:
        raise CiphertextRefused(f"no secret key of {context.parameters.name}", hint=_HINT)
    _require_end(_after_polynomials(context.parameters.key_primes, view[len(head) :], context, 1, "a key"), "a key")
    found = context.seal.SecretKey()
    _guarded("a key", lambda: through_memory(view, lambda path: found.load(context.handle, path)))
    return found


def read_public_key(context: Context, data: Bytes) -> Any:
    """A public key: an encryption of zero in all primes, the special one included; or ``CiphertextRefused``."""
    what = "a public key"
    primes = context.parameters.key_primes
    head = _ciphertext_head(context, context.key_id, primes, 1.0)
    _require_end(_after_ciphertext(context, memoryview(data), head, primes, 1.0, what=what), what)
    found = context.seal.PublicKey()
    whole = memoryview(data)
    _guarded(what, lambda: through_memory(whole, lambda path: found.load(context.handle, path)))
    return found


def read_relin_keys(context: Context, data: Bytes) -> Any:
    return _read_switching(context, data, context.seal.RelinKeys(), {0}, 1)


def read_galois_keys(context: Context, data: Bytes) -> Any:
    elements = {(element - 1) // 2 for element in galois_elements(context)}
    return _read_switching(context, data, context.seal.GaloisKeys(), elements, context.parameters.ring_degree)


def galois_elements(context: Context) -> list[int]:
    """Exponents of the automorphisms that add up all slots: rotations by powers of two; in BGV also of the two rows."""
    n = context.parameters.ring_degree
    rotations = [pow(3, step, 2 * n) for step in rotation_steps(context)]
    return rotations + ([2 * n - 1] if context.parameters.scheme == "bgv" else [])


def rotation_steps(context: Context) -> list[int]:
    return [1 << i for i in range((context.parameters.ring_degree // 2).bit_length() - 1)]


def save(save_to: Callable[[str], Any]) -> bytearray:
    """What SEAL writes by ``save_to(path)``, into memory that its caller can wipe."""
    descriptor = os.memfd_create("quatrefoil")
    try:
        save_to(f"/proc/self/fd/{descriptor}")
        size = os.fstat(descriptor).st_size
        data = bytearray(size)
        os.preadv(descriptor, [data], 0)
        os.pwrite(descriptor, bytes(size), 0)
        return data
    finally:
        os.close(descriptor)


def through_memory(data: memoryview | bytearray, load: Callable[[str], Any]) -> None:
    """Have SEAL read ``data`` by ``load(path)``, of which nothing stays behind."""
    descriptor = os.memfd_create("quatrefoil")
    try:
        os.write(descriptor, data)
        load(f"/proc/self/fd/{descriptor}")
        os.pwrite(descriptor, bytes(len(data)), 0)
        # The library's stream reads its first 8 KiB through a buffer that it frees as it is: zeros go the same way.
        with suppress(RuntimeError, ValueError):
            load(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _read_switching(context: Context, data: Bytes, found: Any, filled: set[int], places: int) -> Any:
    what = "a switching key"
    view = memoryview(data)
    head = _switching_head(context, len(view), places)
    if bytes(view[: len(head)]) != head:
        raise CiphertextRefused(f"no switching keys of {context.parameters.name}", hint=_HINT)
    view = view[len(head) :]
    of_keys = _ciphertext_head(context, context.key_id, context.parameters.key_primes, 1.0)
    for place, run in _runs(filled, places):
        digits = len(context.parameters.primes) if place in filled else 0
        counts = struct.pack("<Q", digits) * run
        if bytes(view[: len(counts)]) != counts:
            raise CiphertextRefused(f"{what} stands where none belongs, or is missing", hint=_HINT)
        view = view[len(counts) :]
        for _ in range(digits):
            primes = context.parameters.key_primes
            view = _after_ciphertext(context, view, of_keys, primes, 1.0, what=what)
    _require_end(view, what)
    whole = memoryview(data)
    _guarded(what, lambda: through_memory(whole, lambda path: found.load(context.handle, path)))
    return found


def _runs(filled: set[int], places: int) -> Iterator[tuple[int, int]]:
    """Each filled place, with 1, and each run of empty ones between, with its length."""
    start = 0
    for place in [*sorted(filled), places]:
        if place > start:
            yield start, place - start
        if place < places:
            yield place, 1
        start = place + 1


def _after_ciphertext(
    context: Context, view: memoryview, head: bytes, primes: tuple[int, ...], scale: float, *, what: str
) -> memoryview:
    if bytes(view[: len(head)]) != head:
        raise CiphertextRefused(
            f"{what} is not of {context.parameters.name} at scale {scale:g} with two polynomials", hint=_HINT
        )
    return _after_polynomials(primes, view[len(head) :], context, 2, what)


def _after_polynomials(
    primes: tuple[int, ...], view: memoryview, context: Context, count: int, what: str
) -> memoryview:
    n = context.parameters.ring_degree
    size = 8 * n * len(primes) * count
    if len(view) < size:
        raise CiphertextRefused(f"{what} ends after {len(view)} of {size} bytes of coefficients", hint=_HINT)
    words = np.frombuffer(view[:size], dtype="<u8").reshape(count, len(primes), n)
    if (words >= np.array(primes, dtype=np.uint64)[None, :, None]).any():
        raise CiphertextRefused(f"{what} has a coefficient beyond its prime", hint=_HINT)
    if not words[-1].any():
        raise CiphertextRefused(f"{what} is transparent: it hides nothing", hint="Ask for it again")
    return view[size:]


def ciphertext_head(context: Context, scale: float, *, in_ntt: bool = True) -> bytes:
    """What is before the coefficients of a fresh ciphertext."""
    return _ciphertext_head(context, context.data_id(0), context.parameters.primes, scale, in_ntt=in_ntt)


def _ciphertext_head(
    context: Context, name: bytes, primes: tuple[int, ...], scale: float, *, in_ntt: bool = True
) -> bytes:
    """``in_ntt``: as all ciphertexts of both schemes are that travel, and keys."""
    p = context.parameters
    body = name + struct.pack("<BQQQdQ", in_ntt, 2, p.ring_degree, len(primes), scale, 1)
    words = 2 * p.ring_degree * len(primes)
    return _seal_header(len(body) + _array_bytes(words)) + body + _array_head(words)


def plain_head(context: Context, scale: float) -> bytes:
    """Of an encoded or decrypted message of CKKS."""
    words = context.parameters.ring_degree * len(context.parameters.primes)
    body = context.data_id(0) + struct.pack("<Qd", words, scale)
    return _seal_header(len(body) + _array_bytes(words)) + body + _array_head(words)


def secret_head(context: Context) -> bytes:
    words = context.parameters.ring_degree * len(context.parameters.key_primes)
    body = context.key_id + struct.pack("<Qd", words, 1.0)
    return _seal_header(len(body) + _array_bytes(words)) + body + _array_head(words)


def _switching_head(context: Context, size: int, places: int) -> bytes:
    return _seal_header(size - _HEADER_BYTES) + context.key_id + struct.pack("<Q", places)


def _array_bytes(words: int) -> int:
    return _HEADER_BYTES + 8 + 8 * words


def _array_head(words: int) -> bytes:
    return _seal_header(8 + 8 * words) + struct.pack("<Q", words)


def _seal_header(content: int) -> bytes:
    """SEAL's own: magic, length of the header, version, compression, nothing, length of all."""
    size = max(content, 0) + _HEADER_BYTES
    return struct.pack("<HBBBBHQ", _MAGIC, _HEADER_BYTES, _MAJOR, _MINOR, _UNCOMPRESSED, 0, size)


def _require_end(view: memoryview, what: str) -> None:
    if len(view):
        raise CiphertextRefused(f"{what} has {len(view)} bytes after its end", hint=_HINT)


def _guarded(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        raise CiphertextRefused(f"SEAL does not read {what} ({type(error).__name__})", hint=_HINT) from None
