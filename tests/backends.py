"""The backends of sums and proofs that jobs in tests run with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from quatrefoil.aggregation import AdditiveAggregation, CkksAggregation, CkksSumSet, ParameterSet
from quatrefoil.contracts import IntegrityProof, PrivateAggregation
from quatrefoil.insecure import PlainAggregation
from quatrefoil.proofs import BoundedUpdateProofs


def additive() -> PrivateAggregation:
    return AdditiveAggregation(ParameterSet.named("sum-256-w16"))


def ckks() -> PrivateAggregation:
    return CkksAggregation(CkksSumSet.named("ckks-sum-4096"))


def plain() -> PrivateAggregation:
    return PlainAggregation(accept_insecure="plain-aggregation")


@cache
def bounded_updates() -> IntegrityProof:
    return BoundedUpdateProofs(ParameterSet.named("sum-256-w16"))


BACKENDS: dict[str, Callable[[], PrivateAggregation]] = {"additive-rlwe": additive, "ckks": ckks, "plain": plain}
