"""The peer: TenSEAL's CKKS with the parameters that NVFlare's homomorphic aggregation uses.

N = 8192, moduli of 60, 40 and 40 bits, symmetric encryption, scale 2^40. Its silos share one secret key, which its
server does not have; nothing stops a silo from decrypting another one's update.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import DependencyMissing


def measure_tenseal(updates: list[NDArray[np.float32]], threads: int, expected: NDArray[np.float64]) -> dict[str, Any]:
    """Milliseconds of each step, bytes of one silo's message, and the largest error of the mean."""
    try:
        import tenseal as ts
    except ImportError:
        raise DependencyMissing(
            "tenseal is not installed", hint="Install the extra: pip install 'quatrefoil[bench]'"
        ) from None
    with quiet_standard_output():
        return _measure(ts, updates, threads, expected)


def _measure(
    ts: Any, updates: list[NDArray[np.float32]], threads: int, expected: NDArray[np.float64]
) -> dict[str, Any]:
    context = ts.context(
        ts.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=[60, 40, 40],
        encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=threads,
    )
    context.global_scale = 2**40
    encrypt_s = serialise_s = float("inf")
    messages = []
    for update in updates:
        values = update.astype(np.float64) / len(updates)
        start = time.perf_counter()
        vector = ts.ckks_vector(context, values)
        middle = time.perf_counter()
        messages.append(vector.serialize())
        end = time.perf_counter()
        encrypt_s, serialise_s = min(encrypt_s, middle - start), min(serialise_s, end - middle)
    deserialise_s = add_s = decrypt_s = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        vectors = [ts.ckks_vector_from(context, message) for message in messages]
        parsed = time.perf_counter()
        total = vectors[0]
        for vector in vectors[1:]:
            total += vector
        added = time.perf_counter()
        values = np.array(total.decrypt())
        end = time.perf_counter()
        deserialise_s, add_s = min(deserialise_s, parsed - start), min(add_s, added - parsed)
        decrypt_s = min(decrypt_s, end - added)
    return {
        "encrypt_ms": encrypt_s * 1e3,
        "serialise_ms": serialise_s * 1e3,
        "deserialise_all_ms": deserialise_s * 1e3,
        "add_ms": add_s * 1e3,
        "combine_keys_ms": 0.0,
        "decrypt_ms": decrypt_s * 1e3,
        "bytes_per_silo": len(messages[0]),
        "max_abs_error": float(np.abs(values - expected).max()),
        "error_bound": None,
    }


@contextmanager
def quiet_standard_output() -> Iterator[None]:
    """Drop what C++ code prints: TenSEAL warns about each vector, on standard output, where results go."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
