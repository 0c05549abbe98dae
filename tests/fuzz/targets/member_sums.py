"""Sums of shares that members of a committee answer with: whatever some of them send, who lied is told or nobody is."""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet, sharing
from quatrefoil.contracts import SumShape, Threshold

BACKEND = AdditiveAggregation(ParameterSet.named("sum-256-w16"))
SHAPE = SumShape(5, 0.5, bytes(range(32)))
THRESHOLD = Threshold.fitting(members=8, silent=2, liars=1, colluding=3)
HEADER = 60


@cache
def _sum() -> tuple[bytes, bytes, dict[int, bytes]]:
    """A sum, the key that decrypts it, and what its members answer."""
    encrypted = BACKEND.encrypt(np.linspace(-0.5, 0.5, 5), weight=1.0, shape=SHAPE)
    total = BACKEND.accumulator(shape=SHAPE)
    total.add(encrypted.ciphertext)
    dealt = BACKEND.deal_key(encrypted.key, THRESHOLD)
    answers = {member: BACKEND.add_shares([share], THRESHOLD) for member, share in enumerate(dealt.shares, 1)}
    return total.total(), BACKEND.combine_keys([encrypted.key]), answers


def seeds() -> list[bytes]:
    """The answers that are exchanged, one bit for each, and what stands in their place."""
    _, _, answers = _sum()
    other = answers[2][:HEADER] + bytes(len(answers[2]) - HEADER)
    whole = [bytes([mask]) + one for mask in (0b1, 0b11, 0xFF) for one in (answers[1], answers[2], other)]
    return [*whole, bytes([0xFF]) + answers[1][:HEADER], bytes([1]) + b"\xff" * len(other)]


def one(data: bytes) -> None:
    """Where no more lie than may, the key is found and they are named; and nobody else ever is."""
    total, key, honest = _sum()
    mask, content = data[0] if data else 0, data[1:]
    given = {member: content if mask >> (member - 1) & 1 else answer for member, answer in honest.items()}
    lie = {member for member in honest if given[member] != honest[member]}
    found = refused_or(lambda: BACKEND.recover_key(given, THRESHOLD, total=total, shape=SHAPE, count=1))
    if found is not None:
        assert (found.combined_key, set(found.liars)) == (key, lie)
    assert found is not None or len(lie) > 1
    named = refused_or(lambda: sharing.liars(given))
    if named is not None and len(lie) <= 1:
        assert set(named) == lie
