"""What a phase asks for besides protection, and whether a combination keeps to it: time, bytes, accuracy.

Accuracy is what protection costs of it: what is computed in an enclave is what would be computed in the clear. Figures
for CKKS and for sums are bounds, not what is met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import ceil

from quatrefoil.planner.estimate import Estimate
from quatrefoil.policy import Policy
from quatrefoil.workload import FEDERATED, Phase

CKKS_SUM = 2.0**-30
"""Bound of the error of a sum of updates in ckks-sum-4096, relative to that of the sum."""

FLOATING = 2.0**-41
"""The same of sums in floating point, of as many updates as there can be."""

SCORED = {"ckks-linear-4096": (6.9e-7, 24), "ckks-product-8192": (4.6e-9, 40)}
"""Parameter set of scores -> bound of the error of a fresh value of size 1, and bits to which weights are rounded. Of
values under the key of who encrypts: under a public key errors are larger (docs/homomorphic.md)."""

SLOTS = 4096
SUMMED = {"ckks-product-8192": 3.8e-5}
"""Parameter set of moments -> bound of the error of a sum over the slots of one ciphertext, of values of size 1."""


def broken(phase: Phase, backends: Mapping[str, str], parameter_set: str, cost: Estimate, policy: Policy) -> list[str]:
    """Each requirement that is not kept to, by its name and with both numbers. ``parameter_set``: what rows are
    computed on in, "" where they are not encrypted."""
    out = []
    latency = min(phase.latency_ms, policy.max_latency_ms)
    if cost.ms > latency:
        out.append(f"is predicted to take {cost.ms:.3g} ms, over the limit of {latency:.3g} ms")
    if (whole := cost.ms * phase.rounds) > phase.deadline_ms:
        out.append(
            f"is predicted to take {whole:.3g} ms for all its {phase.rounds} passes, over deadline_ms = "
            f"{phase.deadline_ms:.6g}"
        )
    if phase.largest_bytes and cost.bytes > phase.largest_bytes:
        out.append(f"is predicted to send {cost.bytes} bytes a pass, over largest_bytes = {phase.largest_bytes}")
    if phase.answers == "proven" and "proofs" not in backends:
        out.append('proves nothing, and answers = "proven"')
    if (error := largest_error(phase, backends, parameter_set, policy)) > phase.largest_error:
        where = f" in {parameter_set}" if parameter_set else ""
        known = f"can be wrong by {error:.2g} of its bound{where}" if error < math.inf else "states no error beforehand"
        out.append(f"{known}, and largest_error = {phase.largest_error:.2g}")
    return out


def largest_error(phase: Phase, backends: Mapping[str, str], parameter_set: str, policy: Policy) -> float:
    """Of a value of the answer, relative to the bound of such values; infinite where nothing is known beforehand."""
    backend = backends.get("aggregation", "")
    if phase.kind in FEDERATED:
        # Each silo rounds to a neighbour, and so many of them as added enlarge the bound as well.
        units = float(2 ** (policy.limits.value_bits - 1) - 1)
        return {"additive-rlwe": 1 / units + 2.0**-50, "ckks": CKKS_SUM, "plain": FLOATING}.get(backend, math.inf)
    if backend != "ckks":
        return 0.0
    if phase.kind == "score":
        fresh, weight_bits = SCORED[parameter_set]
        rounded = phase.parameters * 2.0 ** -(weight_bits + 1)
        # Scores are divided by a power of two, up to twice their bound. Rounding before release: docs/homomorphic.md.
        return 2 * 3 * (fresh + rounded)
    if phase.kind == "summarise" and phase.batch > 1:
        # Of a covariance, which is wrong by three sums and a little; a mean is less. Correlations carry their own.
        return 3.1 * 3 * SUMMED[parameter_set] * ceil(phase.batch / SLOTS) / (phase.batch - 1)
    return math.inf


__all__ = ["broken", "largest_error"]
