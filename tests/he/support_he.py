"""Keys made once a process: they take a second."""

from __future__ import annotations

from functools import cache

from quatrefoil.aggregation.he import EvaluationKeys, HeParameters, SecretKey


@cache
def key(name: str, number: int = 0) -> SecretKey:
    return SecretKey.generate(HeParameters.named(name))


@cache
def evaluation_keys(name: str) -> EvaluationKeys:
    return key(name).evaluation_keys()
