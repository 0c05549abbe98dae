"""The result of a round as a silo takes it: the keeper's release for it, the published mean, and what both lead to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read, sha256
from quatrefoil.federation.authorities import read_contributors
from quatrefoil.federation.directions import next_direction
from quatrefoil.federation.messages import RoundContext, RoundResult
from quatrefoil.federation.norms import next_norm
from quatrefoil.federation.vectors import Arrays, model_digest, next_model
from quatrefoil.policy import Policy


@dataclass(frozen=True)
class Taken:
    """A result after every check but that of receipts. ``signed``: the announcement as it was signed. ``model``,
    ``norm`` and ``direction``: of the next round."""

    contributors: tuple[str, ...]
    announced: RoundResult
    signed: bytes
    model: Arrays
    norm: float
    direction: bytes


def take_result(
    job: AgreedJob,
    context: RoundContext,
    model: Arrays,
    *,
    release: bytes,
    result: bytes,
    security: TransportSecurity,
    policy: Policy,
) -> Taken:
    """What a result leads to from ``model``: it plus exactly what was published. ``MessageRefused`` for one of another
    round, release or sum, and for one that says of the next model what its own mean does not lead to."""
    contributors = _contributors(job, context, release, security, policy.limits.minimum_silos)
    signed, mean = parts.split(result, 2)
    announced = read(security, signed, RoundResult, job.job.aggregator, "aggregator")
    if (announced.context, announced.mean, announced.release) != (
        context.digest(),
        sha256(mean),
        sha256(release),
    ):
        raise MessageRefused(
            "the result belongs to another round, release or sum",
            hint="Ask the aggregator for this round's result",
        )
    arrays = next_model(model, mean, job.job.layout)
    require_model(announced.model, model_digest(arrays, job.job.layout), "model after the round")
    values = np.frombuffer(mean, "<f8")
    norm = next_norm(policy.limits, context.update_norm, values)
    direction = next_direction(policy.limits, values)
    return Taken(contributors, announced, signed, arrays, norm, direction)


def require_model(found: bytes, expected: bytes, what: str) -> None:
    """Refuse the model called ``what`` in messages unless its digest is the ``expected`` one."""
    if found != expected:
        raise MessageRefused(
            f"the {what} is {found.hex()[:16]}, not {expected.hex()[:16]}", hint="Ask the aggregator's operator"
        )


def _contributors(
    job: AgreedJob, context: RoundContext, release: bytes, security: TransportSecurity, minimum: int
) -> tuple[str, ...]:
    """Whom the key authority answered for: silos of the job, each once, and not too few."""
    contributors = read_contributors(job, security, release, context.digest())
    if len(contributors) < minimum:
        raise MessageRefused(
            f"the key authority answered for {len(contributors)} silos, the policy's minimum is {minimum}",
            hint="Ask the operator of the key authority; nothing more should be sent to it",
        )
    return contributors


__all__ = ["Taken", "require_model", "take_result"]
