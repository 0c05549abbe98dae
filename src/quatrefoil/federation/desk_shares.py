"""How an aggregator finds out which contributions a committee can answer for: members check their shares of each, and
complain; dealers show the shares that were complained of. It learns no others."""

from __future__ import annotations

from quatrefoil.audit import Log
from quatrefoil.contracts import LARGEST_COMMITTEE, TransportSecurity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read, sha256
from quatrefoil.federation.committee_messages import Complaint, Delivery, OpenedShare, ShareReport, ShareRequest
from quatrefoil.federation.desk_members import Asked, AskedMembers, where
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.proving import JobProofs, share_digests
from quatrefoil.federation.refusals import LONGEST_REASON


class Shares:
    """Of the contributions to the attempt that is open."""

    def __init__(
        self, job: AgreedJob, members: AskedMembers, *, security: TransportSecurity, proofs: JobProofs, log: Log
    ) -> None:
        self._job = job
        self._members = members
        self._security = security
        self._proofs = proofs
        self._log = log

    def wants_report(self, name: str) -> bool:
        """Whether a member is still to check shares of the contributions at hand."""
        return name in self._members.usable and bool(self._unreported(name))

    def request(self, name: str) -> bytes:
        """A signed :class:`ShareRequest`: the shares of one member that it has not reported on."""
        attempt = self._members.gathering()
        number = self._members.number(name) - 1
        unreported = self._unreported(name)
        deliveries = []
        for silo in attempt.roster().contributors:
            received = attempt.received.get(silo)
            if received is not None and sha256(received.signed) in unreported:
                digests = share_digests(received.sealed_key, len(self._members.names))
                share = parts.split(received.sealed_key, len(self._members.names))[number]
                deliveries.append(Delivery(received.signed, digests, share))
        request = ShareRequest(attempt.context.digest(), number + 1, tuple(deliveries))
        return self._security.sign(request.encode())

    def take_report(self, name: str, signed: bytes) -> None:
        """A member's signed :class:`ShareReport`. Complaints are logged; one about what it was not given is refused."""
        now, attempt = self._members.current(), self._members.gathering()
        with self._members.refusing(name):
            report = read(self._security, signed, ShareReport, self._members.member(name), "silo")
            if report.context != attempt.context.digest():
                return
            if report.member != self._members.number(name):
                raise MessageRefused(f"{name} reports as another member", hint="Report for yourself", party=name)
            known = {sha256(one.signed): silo for silo, one in attempt.received.items()}
            for complaint in report.complaints:
                if len(complaint.reason) > LONGEST_REASON:
                    raise MessageRefused(
                        f"{name} complains with a reason of {len(complaint.reason)} characters",
                        hint=f"Say it in {LONGEST_REASON}",
                        party=name,
                    )
                if known.get(complaint.contribution, complaint.silo) != complaint.silo:
                    raise MessageRefused(
                        f"{name} complains of {complaint.silo} for another's contribution", hint="Send what is so"
                    )
            accepted = now.accepted.setdefault(name, set())
            accepted.update(set(report.accepted) & known.keys())
            for complaint in report.complaints:
                if complaint.contribution in known and complaint.contribution not in accepted:
                    self._complained(now, attempt.context, name, complaint, signed)

    def is_complained_of(self, silo: str) -> bool:
        """Whether this silo, as a dealer, is to show shares."""
        return silo not in self._members.current().shows_nothing and bool(self._unanswered_complaints(silo))

    def complaints(self, silo: str) -> bytes:
        """The signed reports in which members complain of this silo, and to which it has shown nothing, joined."""
        return parts.join([report for _, report in self._unanswered_complaints(silo)])

    def take_shown(self, silo: str, message: bytes) -> None:
        """Signed :class:`OpenedShare` of a silo that was complained of, joined; each is held to what the silo has
        signed and proven. What does not fit is refused, and leaves the complaint."""
        now, attempt = self._members.current(), self._members.gathering()
        with self._members.refusing(silo):
            dealer = self._job.member(silo)
            received = attempt.received.get(silo)
            if received is None:
                raise MessageRefused(f"{silo} shows shares, and has contributed nothing", hint="Contribute first")
            contribution = Contribution.decode(self._security.verify(received.signed).body)
            subject = self._job.subject(attempt.context, silo, attempt.direction)
            for signed in parts.split_list(message, LARGEST_COMMITTEE):
                shown = read(self._security, signed, OpenedShare, dealer, "silo")
                digest = sha256(received.signed)
                at = (digest, self._members.named(shown.member))
                if (shown.context, shown.contribution) != (attempt.context.digest(), digest) or (
                    at not in now.complaints
                ):
                    raise MessageRefused(f"{silo} shows a share that nobody complained of", hint="Show no others")
                self._proofs.check_share(subject, contribution, shown.member, shown.share)
                if now.shown.setdefault(at, signed) == signed:
                    body = {**where(attempt.context), "silo": silo, "member": at[1]}
                    self._log.append("share-opened", body)

    def unresolved(self) -> dict[str, str]:
        """Silos of the roster that were complained of and have shown no share that fits, with the complaint."""
        found = {}
        for silo in self._members.gathering().received:
            if asked := self._unanswered_complaints(silo):
                member, complaint = asked[0][0]
                found[silo] = f"member {member} complains, and it showed no share that fits: {complaint.reason}"
        return found

    def lacking(self) -> dict[str, str]:
        """Silos of the roster of whose contributions fewer than ``recovery`` members have a share, and why they are to
        be left out: nobody could answer for them."""
        now, attempt = self._members.current(), self._members.gathering()
        found = {}
        for silo, received in attempt.received.items():
            digest = sha256(received.signed)
            having = [
                name
                for name in self._members.usable
                if digest in now.accepted.get(name, set()) or (digest, name) in now.shown
            ]
            if len(having) < self._members.recovery:
                found[silo] = f"{len(having)} members have a share of it in time, and {self._members.recovery} must"
        return found

    # --------------------------------------------------------------------------------------------------------- details

    def _unreported(self, name: str) -> set[bytes]:
        now, attempt = self._members.current(), self._members.gathering()
        wanted = {
            sha256(attempt.received[silo].signed) for silo in attempt.roster().contributors if silo in attempt.received
        }
        complained = {contribution for contribution, member in now.complaints if member == name}
        return wanted - now.accepted.get(name, set()) - complained

    def _complained(self, now: Asked, context: RoundContext, name: str, complaint: Complaint, signed: bytes) -> None:
        at = (complaint.contribution, name)
        if at not in now.complaints:
            now.complaints[at] = (complaint, signed)
            body = {**where(context), "member": name, "silo": complaint.silo, "reason": complaint.reason}
            self._log.append("complaint", body, {"report": signed})

    def _unanswered_complaints(self, silo: str) -> list[tuple[tuple[str, Complaint], bytes]]:
        """Of the contribution at hand: who complains and of what, and the signed report."""
        now, attempt = self._members.current(), self._members.gathering()
        received = attempt.received.get(silo)
        if received is None:
            return []
        digest = sha256(received.signed)
        return [
            ((member, complaint), report)
            for (contribution, member), (complaint, report) in now.complaints.items()
            if contribution == digest and (contribution, member) not in now.shown
        ]


__all__ = ["Shares"]
