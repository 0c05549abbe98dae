"""The aggregator's side of a committee: what it asks of members and dealers in an attempt, and makes of their answers.

It learns of each contribution no share but those that its dealer shows after a complaint, and of the shares' sums what
gives the sum of the keys. What arrives is in memory, since members and dealers give the same bytes again; an offer and
a release are durable before they are given (docs/committee-rounds.md).
"""

from __future__ import annotations

from collections.abc import Callable

from quatrefoil.audit import Log
from quatrefoil.contracts import PrivateAggregation, TransportSecurity
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.desk_answers import Answers
from quatrefoil.federation.desk_members import AskedMembers
from quatrefoil.federation.desk_opening import Opening
from quatrefoil.federation.desk_shares import Shares
from quatrefoil.federation.desk_voids import Voids
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.proving import JobProofs
from quatrefoil.state import State


class Desk:
    """An attempt in its order: ``opening``, ``shares``, then ``answers`` or ``voids``; all of the same ``members``.
    ``attempt`` gives the contributions of the attempt that is open."""

    def __init__(
        self,
        job: AgreedJob,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: JobProofs,
        state: State,
        log: Log,
        attempt: Callable[[], Gathering],
    ) -> None:
        self.members = AskedMembers(job, log, attempt)
        self.opening = Opening(job, self.members, security=security, state=state)
        self.shares = Shares(job, self.members, security=security, proofs=proofs, log=log)
        self.answers = Answers(
            job, self.members, self.opening, security=security, aggregation=aggregation, state=state, log=log
        )
        self.voids = Voids(self.members, self.opening, security=security)


__all__ = ["Desk"]
