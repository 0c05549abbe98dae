"""What the tests of the additive backend share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape

SETS = [ParameterSet.named(name) for name in ("sum-256-w16", "sum-2048-w32", "sum-32-w12")]
CONTEXT = bytes(range(32))


def seeds(name: str) -> Iterator[bytes]:
    """Seeds that are the same in every run."""
    number = 0
    while True:
        yield hashlib.sha256(f"{name} {number}".encode()).digest()
        number += 1


def seeded(parameters: ParameterSet, name: str, *, threads: int = 1) -> AdditiveAggregation:
    """A backend whose seeds are :func:`seeds`: of each encryption first the key's, then the noise's."""
    source = seeds(name)
    return AdditiveAggregation(parameters, threads=threads, random=lambda count: next(source)[:count])


def shape(length: int, clip: float = 1.0, context: bytes = CONTEXT) -> SumShape:
    return SumShape(length, clip, context)


def updates(count: int, length: int, clip: float = 1.0, seed: int = 1) -> Sequence[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.uniform(-clip, clip, length).astype(np.float64) for _ in range(count)]


def added(backend: AdditiveAggregation, ciphertexts: Sequence[bytes], form: SumShape) -> bytes:
    """The ciphertext of the sum."""
    accumulator = backend.accumulator(shape=form)
    for ciphertext in ciphertexts:
        accumulator.add(ciphertext)
    return accumulator.total()
