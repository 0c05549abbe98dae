"""Ciphertexts, their sums and combined keys, up to their decryption."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, Form
from quatrefoil.contracts import SumShape

SET = ParameterSet.named("sum-256-w16")
SHAPE = SumShape(5, 0.5, bytes(range(32)))
FORM = Form(SET, SHAPE)
BACKEND = AdditiveAggregation(SET)
KEY_BYTES = 48 + 8 * SET.ring_degree


def seeds() -> list[bytes]:
    source = iter([b"\1" * 32, b"\2" * 32])
    one = AdditiveAggregation(SET, random=lambda _: next(source)).encrypt(
        np.linspace(-0.5, 0.5, 5), weight=1.0, shape=SHAPE
    )
    key = BACKEND.combine_keys([one.key])
    return [one.ciphertext + key, one.ciphertext, one.ciphertext[:HEADER_BYTES]]


def one(data: bytes) -> None:
    """``data``: a ciphertext, and after it a key."""
    for count in (1, 2):
        if refused_or(lambda count=count: FORM.check_header(data[:HEADER_BYTES], count=count, what="it") or True):
            assert FORM.header(count) == data[:HEADER_BYTES]
    ciphertext, key = data[:-KEY_BYTES], data[-KEY_BYTES:]
    accumulator = BACKEND.accumulator(shape=SHAPE)
    if refused_or(lambda: accumulator.add(ciphertext) or True) is None:
        return
    total = accumulator.total()
    assert total == ciphertext
    found = refused_or(lambda: BACKEND.decrypt(total, key, count=1, shape=SHAPE))
    if found is not None:
        assert found.values.shape == (SHAPE.length,) and np.isfinite(found.values).all()
