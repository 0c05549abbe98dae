"""Ciphertexts of sums in CKKS and combined keys, up to their decryption by SEAL."""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.aggregation import CkksAggregation, CkksSumSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES, Form
from quatrefoil.contracts import SumShape

SET = CkksSumSet.named("ckks-sum-4096")
SHAPE = SumShape(5, 0.5, bytes(range(32)))
FORM = Form(SET, SHAPE)
KEY_BYTES = KEY_HEADER_BYTES + SET.combined_bytes


@cache
def backend() -> CkksAggregation:
    return CkksAggregation(SET)


@cache
def seeds() -> list[bytes]:
    one = backend().encrypt(np.linspace(-0.5, 0.5, 5), weight=1.0, shape=SHAPE)
    key = backend().combine_keys([one.key])
    return [one.ciphertext + key, one.ciphertext + key[:KEY_HEADER_BYTES] + bytes(one.key), one.ciphertext]


def one(data: bytes) -> None:
    """``data``: a ciphertext, and after it a combined key; its end is also taken for one silo's key."""
    ciphertext, key = data[:-KEY_BYTES], data[-KEY_BYTES:]
    secret = data[-SET.key_bytes :]
    combined = refused_or(lambda: backend().combine_keys([secret]))
    if combined is not None:
        values = np.frombuffer(combined, "<i2", offset=KEY_HEADER_BYTES)
        np.testing.assert_array_equal(values, np.frombuffer(secret, np.int8))
    accumulator = backend().accumulator(shape=SHAPE)
    if refused_or(lambda: accumulator.add(ciphertext) or True) is None:
        assert accumulator.count == 0
        return
    total = accumulator.total()
    assert total == ciphertext
    assert FORM.header(1) == ciphertext[:HEADER_BYTES]
    found = refused_or(lambda: backend().decrypt(total, key, count=1, shape=SHAPE))
    if found is not None:
        assert found.values.shape == (SHAPE.length,) and np.abs(found.values).max() <= SHAPE.clip * 1.001
