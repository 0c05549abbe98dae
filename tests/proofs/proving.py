"""Instances to prove: an update, its encryption, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import BoundedUpdate, Encrypted, HiddenUpdate, SumShape
from quatrefoil.proofs import BoundedUpdateProofs

WIDE, NARROW = ParameterSet.named("sum-256-w16"), ParameterSet.named("sum-32-w12")
CONTEXT, BINDING = bytes(range(32)), bytes(range(100, 132))
WEIGHT = 0.5


@dataclass
class Instance:
    parameters: ParameterSet
    shape: SumShape
    encrypted: Encrypted
    hidden: HiddenUpdate
    statement: BoundedUpdate

    @property
    def backend(self) -> BoundedUpdateProofs:
        return BoundedUpdateProofs(self.parameters, random=lambda count: b"\x03" * count)

    def prove(self) -> bytes:
        return self.backend.prove(self.statement, self.hidden)

    def stated(self, **changed: object) -> BoundedUpdate:
        return replace(self.statement, **changed)


def instance(parameters: ParameterSet, length: int, kind: type = np.float64, seed: int = 5) -> Instance:
    values = (np.random.default_rng(seed).standard_normal(length) * 0.01).astype(kind)
    shape = SumShape(length, 1.0, CONTEXT)
    seeds = iter((b"\x01" * 32, b"\x02" * 32))
    aggregation = AdditiveAggregation(parameters, random=lambda _: next(seeds))
    encrypted, hidden = aggregation.encrypt_for_proof(values, weight=WEIGHT, shape=shape)
    norm = float(np.linalg.norm(values.astype(float)))
    bound = BoundedUpdateProofs(parameters).bound(norm, weight=WEIGHT, shape=shape)
    return Instance(parameters, shape, encrypted, hidden, BoundedUpdate(shape, encrypted.ciphertext, bound, BINDING))


def rounded(one: Instance) -> list[int]:
    """The rounded values, decrypted under the silo's own key."""
    aggregation = AdditiveAggregation(one.parameters)
    total = aggregation.accumulator(shape=one.shape)
    total.add(one.encrypted.ciphertext)
    key = aggregation.combine_keys([one.encrypted.key])
    values = aggregation.decrypt(total.total(), key, shape=one.shape, count=1).values
    return [round(value * one.parameters.largest_integer / one.shape.clip) for value in values]
