"""A member's shares of the contributions of one attempt: each the one that its silo's proof is about, or complained of.

Rules 2 and 5 of ``member``. A share that its dealer showed after a complaint is held to what the dealer claimed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quatrefoil.contracts import Recipient, TransportSecurity
from quatrefoil.errors import MessageRefused, PeerError
from quatrefoil.federation.agreement import AgreedJob, read, require_author, sha256
from quatrefoil.federation.committee_messages import Complaint, Delivery, OpenedShare, SealedShares
from quatrefoil.federation.messages import Contribution, RosterProposal, RoundContext
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.refusals import LONGEST_REASON

MOST_OF_ONE = 4
"""Contributions of one silo to an attempt that a member looks at. An honest silo has one; one that sends others to an
aggregator that was started again may have a few."""

LOGGED_REASON = 80
"""Bytes of each complaint that a member's own log has: those of a whole roster fit into one entry."""


@dataclass
class MemberSeat:
    """An attempt whose key is here. ``shares``, by SHA-256 of the signed contribution; ``claims``: what was signed of
    those that were complained of, and by whom."""

    recipient: Recipient
    shares: dict[bytes, bytearray] = field(default_factory=dict)
    claims: dict[bytes, tuple[str, Contribution]] = field(default_factory=dict)
    complaints: dict[bytes, Complaint] = field(default_factory=dict)

    def wipe(self) -> None:
        self.recipient.wipe()
        for share in self.shares.values():
            share[:] = bytes(len(share))
        self.shares.clear()


class MemberShares:
    """Of member ``number`` in an attempt whose key is at ``seat``."""

    def __init__(self, security: TransportSecurity, proofs: JobProofs) -> None:
        self._security = security
        self._proofs = proofs

    def take(self, job: AgreedJob, context: RoundContext, seat: MemberSeat, number: int, delivery: Delivery) -> bytes:
        """Take one share, or complain of it; SHA-256 of the contribution."""
        digest = sha256(delivery.contribution)
        if digest in seat.shares:
            return digest
        statement = self._security.verify(delivery.contribution)
        member = job.member(statement.signer)
        require_author(statement, member, "silo")
        contribution = Contribution.decode(statement.body)
        sealed = SealedShares(delivery.digests)
        ours = len(delivery.digests) == len(job.job.members) and delivery.digests[number - 1] == sha256(delivery.share)
        if contribution.context != context.digest() or contribution.sealed_key != sealed.digest() or not ours:
            raise MessageRefused(
                f"aggregator {job.job.aggregator.name} brings another share than {member.name} signed",
                hint="Ask the aggregator's operator",
                party=job.job.aggregator.name,
            )
        if digest not in seat.claims:
            if sum(name == member.name for name, _ in seat.claims.values()) >= MOST_OF_ONE:
                raise MessageRefused(
                    f"aggregator {job.job.aggregator.name} brings more than {MOST_OF_ONE} contributions of "
                    f"{member.name} to one attempt",
                    hint=f"Ask the aggregator's operator, and {member.name} why it signed them",
                    party=job.job.aggregator.name,
                )
            seat.claims[digest] = (member.name, contribution)
        try:
            opened = seat.recipient.open(delivery.share, context=context.digest())
            try:
                require_author(opened.sender, member, "silo")
                self._proofs.check_share(job.subject(context, member.name), contribution, number, opened.plaintext)
            except BaseException:
                opened.plaintext[:] = bytes(len(opened.plaintext))
                raise
        except PeerError as error:
            reason = error.problem[:LONGEST_REASON]
            seat.complaints[digest] = Complaint(member.name, digest, reason)
            return digest
        seat.shares[digest] = opened.plaintext
        return digest

    def of_roster(
        self,
        job: AgreedJob,
        context: RoundContext,
        seat: MemberSeat,
        number: int,
        proposal: RosterProposal,
        opened: tuple[bytes, ...],
    ) -> list[bytes | bytearray]:
        """This member's share of each contribution of the roster, in its order."""
        shown: dict[bytes, bytes] = {}
        for signed in opened:
            said = self._opened(job, context, seat, number, signed)
            shown[said.contribution] = said.share
        shares: list[bytes | bytearray] = []
        for name, contribution in zip(proposal.contributors, proposal.contributions, strict=True):
            # By its author, or one silo's contributions could stand in for the others that are to hide the rest.
            dealer, _ = seat.claims.get(contribution, (name, None))
            if dealer != name:
                raise MessageRefused(
                    f"the proposed roster has a contribution of {dealer} in the place of {name}'s",
                    hint="Ask the aggregator's operator",
                    party=job.job.aggregator.name,
                )
            share = seat.shares.get(contribution) or shown.get(contribution)
            if share is None:
                raise MessageRefused(f"this member has no share of {name}", hint="Send it first", party=name)
            shares.append(share)
        return shares

    def _opened(
        self, job: AgreedJob, context: RoundContext, seat: MemberSeat, number: int, signed: bytes
    ) -> OpenedShare:
        """A share that its dealer showed after a complaint, held to what it claimed before."""
        name = self._security.verify(signed).signer
        said = read(self._security, signed, OpenedShare, job.member(name), "silo")
        dealer, contribution = seat.claims.get(said.contribution, ("", None))
        if (said.context, said.member, dealer) != (context.digest(), number, name) or contribution is None:
            raise MessageRefused(f"{name} shows a share that this member has not asked for", hint="Ask the aggregator")
        self._proofs.check_share(job.subject(context, name), contribution, number, said.share)
        return said


def logged_complaints(complaints: Sequence[Complaint]) -> dict[str, str]:
    """For a member's log: of whom it complains, and why. What is quoted of a silo must not make an entry too long."""
    return {one.silo: one.reason.encode("ascii", "replace")[:LOGGED_REASON].decode() for one in complaints}


def require_few(job: AgreedJob, brought: Sequence[object], what: str) -> None:
    """Refuse a request of the aggregator's that has more of something than the job has silos."""
    hub, most = job.job.aggregator.name, len(job.job.roster)
    if len(brought) > most:
        raise MessageRefused(
            f"aggregator {hub} brings {len(brought)} {what} for a job of {most} silos",
            hint="Ask the aggregator's operator",
            party=hub,
        )


__all__ = ["LOGGED_REASON", "MOST_OF_ONE", "MemberSeat", "MemberShares", "logged_complaints", "require_few"]
