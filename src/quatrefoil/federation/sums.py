"""The sum of an attempt, opened with the answer of the job's key authority: over exactly the silos that it is for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts import PrivateAggregation, TransportSecurity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read, sha256, shape_of
from quatrefoil.federation.authorities import read_contributors
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.messages import KeyRelease


@dataclass(frozen=True)
class OpenedSum:
    """The decrypted sum of an attempt. ``contributors`` and the signed ``release`` are the keeper's answer;
    ``samples``: the contributors' counts together."""

    contributors: tuple[str, ...]
    release: bytes
    values: NDArray[np.float64]
    error_bound: float
    samples: int


def open_sum(
    job: AgreedJob, attempt: Gathering, answer: bytes, *, security: TransportSecurity, aggregation: PrivateAggregation
) -> OpenedSum:
    """The sum of the contributions that the keeper answered for, decrypted with its answer."""
    signed, key = parts.split(answer, 2)
    contributors = _answered(job, security, signed, key, attempt.context.digest())
    missing = [name for name in contributors if name not in attempt.received]
    if missing:
        raise MessageRefused(
            f"the keeper answered for {', '.join(missing)}, whose contribution is not here",
            hint="Receive it again first",
        )
    shape = shape_of(attempt.context)
    total = attempt.total(contributors)
    decrypted = aggregation.decrypt(total, key, shape=shape, count=len(contributors))
    samples = sum(job.member(name).samples for name in contributors)
    return OpenedSum(contributors, signed, decrypted.values, decrypted.error_bound, samples)


def _answered(
    job: AgreedJob, security: TransportSecurity, release: bytes, key: bytes, context: bytes
) -> tuple[str, ...]:
    """Whom the key authority answered for with this key."""
    if job.threshold is not None:  # a committee's key is shown by decrypting with it
        return read_contributors(job, security, release, context)
    said = read(security, release, KeyRelease, job.job.keeper, "keeper")
    if said.context != context or said.key != sha256(key):
        raise MessageRefused(
            "the keeper's answer belongs to another round, or its key was changed", hint="Ask the keeper again"
        )
    return said.contributors


__all__ = ["OpenedSum", "open_sum"]
