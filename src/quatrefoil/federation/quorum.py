"""The quorum of a job that has confirmed exactly the roster that is asked about: each silo signs at most one."""

from __future__ import annotations

from collections.abc import Sequence

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import PolicyError
from quatrefoil.federation.agreement import AgreedJob, require_author
from quatrefoil.federation.messages import Confirmation, RosterProposal
from quatrefoil.federation.sealed_keys import refused


def require_quorum(
    proposal: RosterProposal,
    confirmations: Sequence[bytes],
    *,
    job: AgreedJob,
    colluding_silos: int,
    security: TransportSecurity,
) -> None:
    """``PolicyError`` for fewer than a quorum; ``MessageRefused`` for what confirms another roster, naming its silo."""
    confirmed = set()
    for signed in confirmations:
        statement = security.verify(signed)
        require_author(statement, job.member(statement.signer), "silo")
        confirmation = Confirmation.decode(statement.body)
        if (confirmation.context, confirmation.proposal) != (proposal.context, proposal.digest()):
            raise refused(statement.signer, "confirmed another roster than the one asked for")
        confirmed.add(statement.signer)
    quorum = job.quorum(colluding_silos)
    if len(confirmed) < quorum:
        raise PolicyError(
            f"{len(confirmed)} of {len(job.job.roster)} silos confirmed the roster, {quorum} must",
            hint="Wait for more confirmations, or void the round",
        )


__all__ = ["require_quorum"]
