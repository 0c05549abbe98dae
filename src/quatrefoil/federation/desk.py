"""The aggregator's side of a committee: what it asks of members and dealers in an attempt, and makes of their answers.

It learns of each contribution no share but those that its dealer shows after a complaint, and of the shares' sums what
gives the sum of the keys. What arrives is in memory, since members and dealers give the same bytes again; an offer and
a release are durable before they are given (docs/committee-rounds.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from quatrefoil.audit import Event, Log
from quatrefoil.contracts import PrivateAggregation, TransportSecurity
from quatrefoil.errors import CallerError, CiphertextRefused, MessageRefused, PeerError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read, sha256, shape_of
from quatrefoil.federation.authorities import least_keys, sealing_keys
from quatrefoil.federation.committee_messages import (
    CommitteeRelease,
    CommitteeVoid,
    Complaint,
    Delivery,
    MemberAnswer,
    MemberKey,
    MemberKeys,
    MemberRequest,
    OpenedShare,
    ShareReport,
    ShareRequest,
    SignedKeys,
)
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.messages import (
    Contribution,
    Member,
    OpenRound,
    RosterProposal,
    RoundContext,
    RoundOffer,
    RoundVoid,
)
from quatrefoil.federation.proving import JobProofs, share_digests
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.state import State

MOST_SHOWN = 64
"""Shares of one contribution that are shown: at most one for each member."""


@dataclass
class _Asked:
    """What members have given in one attempt. ``reports``: by member, the contributions that it accepts, and its
    complaints by contribution, each with the report that has it."""

    opening: OpenRound
    offer: bytes | None = None
    keys: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, set[bytes]] = field(default_factory=dict)
    complaints: dict[tuple[bytes, str], tuple[Complaint, bytes]] = field(default_factory=dict)
    shown: dict[tuple[bytes, str], bytes] = field(default_factory=dict)
    answers: dict[str, tuple[bytes, bytes, MemberAnswer]] = field(default_factory=dict)
    tried: int = 0
    failed: CiphertextRefused | None = None
    void_request: bytes | None = None
    voids: dict[str, bytes] = field(default_factory=dict)
    unwilling: set[str] = field(default_factory=set)
    shows_nothing: set[str] = field(default_factory=set)


class Desk:
    """``attempt`` gives the contributions of the attempt that is open."""

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
        assert job.threshold is not None
        self._job = job
        self._threshold = job.threshold
        self._members = job.job.members
        self._security = security
        self._aggregation = aggregation
        self._proofs = proofs
        self._state = state
        self._log = log
        self._attempt = attempt
        self._now: _Asked | None = None
        self._request = b""
        self.liars: dict[str, str] = {}
        """Members that were found out, with what they did."""

    @property
    def members(self) -> tuple[str, ...]:
        return self._members

    @property
    def recovery(self) -> int:
        """How many members must answer, or void an attempt."""
        return self._threshold.recovery

    # --------------------------------------------------------------------------------------------------------- opening

    def begin(self, request: bytes) -> None:
        """Ask for the members' keys with this signed :class:`OpenRound`, unless that attempt was opened before a
        restart."""
        wanted = read(self._security, request, OpenRound, self._job.job.aggregator, "aggregator")
        if self._now is None or self._now.opening != wanted:
            self._now = _Asked(wanted)
        self._request = request
        stored = self._state.get(_offer_name(wanted))
        if stored is not None and self._now.offer is None:
            self._now.offer = stored
            context = RoundOffer.decode(self._security.verify(stored).body).context
            for name, key in zip(self._members, sealing_keys(context, self._members), strict=True):
                if key:
                    self._now.keys[name] = (key, b"")

    @property
    def opening(self) -> bytes:
        """What members are asked for their keys with."""
        return self._request

    def wants_key(self, name: str) -> bool:
        """Whether this member's key for the attempt is waited for."""
        now = self._now
        return now is not None and now.offer is None and name in self._members and name not in (now.keys | now.silent)

    def take_key(self, name: str, signed: bytes) -> None:
        """The key that the member called ``name`` gives; one that comes late changes nothing."""
        now = self._current()
        with self._refusing(name):
            key = read(self._security, signed, MemberKey, self._member(name), "silo")
            if now.offer is not None or key.opening != now.opening.digest():
                return
            if any(key.key == other for member, (other, _) in now.keys.items() if member != name):
                raise MessageRefused(f"{name} gives the key of another member", hint="Make one", party=name)
            # What nothing can be sealed to is this member's fault now, and would be nobody's at every silo.
            self._security.seal(key.key, b"", context=key.opening)
            now.keys.setdefault(name, (key.key, signed))

    @property
    def can_open(self) -> bool:
        """Whether the attempt can be offered: so many members have given keys as are sure to come, or as have to answer
        and all others have said that they are silent."""
        now = self._current()
        if now.offer is not None or len(now.keys) >= least_keys(self._job):
            return True
        return len(now.keys) >= self.recovery and len(now.keys) + len(now.silent) == len(self._members)

    def offer(self) -> bytes:
        """The signed :class:`RoundOffer`, durable before it is returned: the same bytes after a restart."""
        now = self._current()
        if now.offer is None:
            if not self.can_open:
                raise MessageRefused(
                    f"{len(now.keys)} members have given keys, {least_keys(self._job)} are waited for",
                    hint="Wait for more",
                )
            given = [now.keys.get(name, (b"", b"")) for name in self._members]
            job, opening = self._job.job, now.opening
            context = RoundContext(
                job=opening.job,
                round=opening.round,
                attempt=opening.attempt,
                model=opening.model,
                scheme_digest=job.scheme_digest,
                length=job.layout.length,
                clip=job.clip,
                update_norm=opening.update_norm,
                direction=opening.direction,
                sealing_key=MemberKeys(tuple(key for key, _ in given)).encode(),
            )
            evidence = SignedKeys(tuple(signed for _, signed in given)).encode()
            signed = self._security.sign(RoundOffer(context, evidence).encode())
            now.offer = self._state.put_once(_offer_name(opening), signed)
        return now.offer

    def is_silent(self, name: str, reason: str) -> None:
        """A member says, or shows, that nothing more of it comes in this attempt."""
        now = self._current()
        if name in self._members and name not in now.silent and name not in now.answers:
            now.silent[name] = reason
            self._log.append("refusal", {**_numbers(now.opening), "silo": name, "reason": f"is silent: {reason}"})

    def declines(self, name: str, what: str, reason: str) -> None:
        """A silo has nothing to say to what it was asked for: ``key``, ``shares``, ``show``, ``answer`` or ``void``."""
        now = self._current()
        if what == "show":
            now.shows_nothing.add(name)
        elif what == "void":
            now.unwilling.add(name)
        else:
            self.is_silent(name, reason)

    @property
    def usable(self) -> list[str]:
        """Members that have a key in the attempt and are not silent, sorted."""
        now = self._current()
        return sorted(name for name in now.keys if name not in now.silent)

    @property
    def is_hopeless(self) -> bool:
        """Whether too few members are left to answer: the attempt can only be voided."""
        return self._current().offer is not None and len(self.usable) < self.recovery

    # ---------------------------------------------------------------------------------------------------------- shares

    def wants_report(self, name: str) -> bool:
        """Whether a member is still to check shares of the contributions at hand."""
        return name in self.usable and bool(self._unreported(name))

    def share_request(self, name: str) -> bytes:
        """A signed :class:`ShareRequest`: the shares of one member that it has not reported on."""
        attempt = self._attempt()
        number = self._members.index(name)
        unreported = self._unreported(name)
        deliveries = []
        for silo in attempt.roster().contributors:
            received = attempt.received.get(silo)
            if received is not None and sha256(received.signed) in unreported:
                digests = share_digests(received.sealed_key, len(self._members))
                share = parts.split(received.sealed_key, len(self._members))[number]
                deliveries.append(Delivery(received.signed, digests, share))
        request = ShareRequest(attempt.context.digest(), number + 1, tuple(deliveries))
        return self._security.sign(request.encode())

    def take_report(self, name: str, signed: bytes) -> None:
        """A member's signed :class:`ShareReport`. Complaints are logged; one about what it was not given is refused."""
        now, attempt = self._current(), self._attempt()
        with self._refusing(name):
            report = read(self._security, signed, ShareReport, self._member(name), "silo")
            if report.context != attempt.context.digest():
                return
            if report.member != self._members.index(name) + 1:
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
        return silo not in self._current().shows_nothing and bool(self._unanswered_complaints(silo))

    def complaints(self, silo: str) -> bytes:
        """The signed reports in which members complain of this silo, and to which it has shown nothing, joined."""
        return parts.join([report for _, report in self._unanswered_complaints(silo)])

    def take_shown(self, silo: str, message: bytes) -> None:
        """Signed :class:`OpenedShare` of a silo that was complained of, joined; each is held to what the silo has
        signed and proven. What does not fit is refused, and leaves the complaint."""
        now, attempt = self._current(), self._attempt()
        with self._refusing(silo):
            dealer = self._job.member(silo)
            received = attempt.received.get(silo)
            if received is None:
                raise MessageRefused(f"{silo} shows shares, and has contributed nothing", hint="Contribute first")
            contribution = Contribution.decode(self._security.verify(received.signed).body)
            subject = self._job.subject(attempt.context, silo, attempt.direction)
            for signed in parts.split_list(message, MOST_SHOWN):
                shown = read(self._security, signed, OpenedShare, dealer, "silo")
                digest = sha256(received.signed)
                at = (digest, self._named(shown.member))
                if (shown.context, shown.contribution) != (attempt.context.digest(), digest) or (
                    at not in now.complaints
                ):
                    raise MessageRefused(f"{silo} shows a share that nobody complained of", hint="Show no others")
                self._proofs.check_share(subject, contribution, shown.member, shown.share)
                if now.shown.setdefault(at, signed) == signed:
                    body = {**_where(attempt.context), "silo": silo, "member": at[1]}
                    self._log.append("share-opened", body)

    def unresolved(self) -> dict[str, str]:
        """Silos of the roster that were complained of and have shown no share that fits, with the complaint."""
        found = {}
        for silo in self._attempt().received:
            if asked := self._unanswered_complaints(silo):
                member, complaint = asked[0][0]
                found[silo] = f"member {member} complains, and it showed no share that fits: {complaint.reason}"
        return found

    def lacking(self) -> dict[str, str]:
        """Silos of the roster of whose contributions fewer than ``recovery`` members have a share, and why they are to
        be left out: nobody could answer for them."""
        now, attempt = self._current(), self._attempt()
        found = {}
        for silo, received in attempt.received.items():
            digest = sha256(received.signed)
            having = [
                name for name in self.usable if digest in now.accepted.get(name, set()) or (digest, name) in now.shown
            ]
            if len(having) < self.recovery:
                found[silo] = f"{len(having)} members have a share of it in time, and {self.recovery} must"
        return found

    # --------------------------------------------------------------------------------------------------------- answers

    def wants_answer(self, name: str) -> bool:
        """Whether a member is to answer for the proposed roster: it has reported on all of it."""
        now, attempt = self._current(), self._attempt()
        if attempt.proposal is None or name not in self.usable or name in now.answers:
            return False
        have = now.accepted.get(name, set())
        return all(one in have or (one, name) in now.shown for one in attempt.proposal.contributions)

    def answer_request(self, name: str, proposal: bytes) -> bytes:
        """The :class:`MemberRequest` of one member, for the signed proposal."""
        now, attempt = self._current(), self._attempt()
        shown = [now.shown[at] for one in attempt.roster().contributions if (at := (one, name)) in now.shown]
        return MemberRequest(proposal, tuple(shown)).encode()

    def take_answer(self, name: str, message: bytes) -> None:
        """Signed :class:`MemberAnswer` and sum, joined. A second, different one is refused, and both are kept; one that
        comes late changes nothing."""
        now, attempt = self._current(), self._attempt()
        with self._refusing(name):
            signed, total = parts.split(message, 2)
            answer = read(self._security, signed, MemberAnswer, self._member(name), "silo")
            if answer.context != attempt.context.digest():
                return
            if attempt.proposal is None or answer.proposal != attempt.proposal.digest():
                raise MessageRefused(
                    f"{name} answers for another roster", hint="Answer for the one proposed", party=name
                )
            if (answer.member, answer.sum) != (self._members.index(name) + 1, sha256(total)):
                raise MessageRefused(f"what {name} answers is not what it signed", hint="Send it again", party=name)
            first = now.answers.setdefault(name, (signed, total, answer))
            if first[2] != answer:
                self._found_out(attempt.context, name, "signed two answers", {"first": first[0], "second": signed})
                raise MessageRefused(f"{name} answers twice, and differently", hint="The first stays", party=name)

    @property
    def answered(self) -> list[str]:
        """Members that have answered, sorted."""
        return sorted(self._current().answers)

    def recover(self, proposal: bytes) -> bytes | None:
        """The release and the sum of the roster's keys, joined, once enough answers agree; None while more may come.
        ``CiphertextRefused`` where every member that could has answered, and no ``recovery`` of them agree;
        ``RoundVoided`` where more of them are silent than is allowed for.

        Members whose answers are not the sums of their shares are named, and logged with what they signed.
        """
        now, attempt = self._current(), self._attempt()
        if len(now.answers) < self.recovery:
            return None
        if len(now.answers) == now.tried:
            self._more_needed(now)
            return None
        roster = attempt.roster()
        now.tried = len(now.answers)
        try:
            found = self._aggregation.recover_key(
                {answer.member: total for _, total, answer in now.answers.values()},
                self._threshold,
                total=attempt.total(roster.contributors),
                shape=shape_of(attempt.context),
                count=len(roster.contributors),
            )
        except CiphertextRefused as error:
            now.failed = error
            self._more_needed(now)
            return None
        for number in found.liars:
            name = self._named(number)
            why = "answered with another sum than that of its shares"
            self._found_out(attempt.context, name, why, {"answer": now.answers[name][0]})
        release = self._release(now, roster, proposal, found.liars)
        return parts.join([release, found.combined_key])

    # ----------------------------------------------------------------------------------------------------------- voids

    def begin_void(self, request: bytes) -> None:
        """Ask the members to void the attempt, with this signed :class:`VoidRequest`."""
        now = self._current()
        if now.offer is None:
            raise CallerError("the attempt was not offered: there is nothing to void", hint="Offer it first")
        now.void_request = now.void_request or request

    @property
    def void_request(self) -> bytes | None:
        """What members are asked to void the attempt with; None while it goes on."""
        return None if self._now is None else self._now.void_request

    def wants_void(self, name: str) -> bool:
        """Whether this member is to void the attempt."""
        now = self._now
        if now is None or now.void_request is None or name not in self._members:
            return False
        return name not in now.voids and name not in now.unwilling

    def take_void(self, name: str, signed: bytes) -> None:
        """A member's signed :class:`RoundVoid` of the attempt."""
        now = self._current()
        with self._refusing(name):
            void = read(self._security, signed, RoundVoid, self._member(name), "silo")
            opening = now.opening
            if (void.job, void.round, void.attempt) != (opening.job, opening.round, opening.attempt):
                return
            if void.context != self._context().digest():
                raise MessageRefused(f"{name} voids another context", hint="Take the current offer", party=name)
            now.voids.setdefault(name, signed)

    def void(self) -> bytes | None:
        """The :class:`CommitteeVoid`, once so many members have signed as must; None before."""
        now = self._current()
        if len(now.voids) < self.recovery:
            return None
        return CommitteeVoid(tuple(now.voids[name] for name in sorted(now.voids))).encode()

    # --------------------------------------------------------------------------------------------------------- details

    def _current(self) -> _Asked:
        if self._now is None:
            raise MessageRefused("no attempt is open", hint="Ask for the next offer")
        return self._now

    def _context(self) -> RoundContext:
        return RoundOffer.decode(self._security.verify(self.offer()).body).context

    def _member(self, name: str) -> Member:
        if name not in self._members:
            raise MessageRefused(f"{name} is no member of the committee", hint="Ask its members", party=name)
        return self._job.member(name)

    def _named(self, number: int) -> str:
        if not 1 <= number <= len(self._members):
            raise MessageRefused(f"there is no member {number}", hint="Count from 1 to the size of the committee")
        return self._members[number - 1]

    def _unreported(self, name: str) -> set[bytes]:
        now, attempt = self._current(), self._attempt()
        wanted = {
            sha256(attempt.received[silo].signed) for silo in attempt.roster().contributors if silo in attempt.received
        }
        complained = {contribution for contribution, member in now.complaints if member == name}
        return wanted - now.accepted.get(name, set()) - complained

    def _complained(self, now: _Asked, context: RoundContext, name: str, complaint: Complaint, signed: bytes) -> None:
        at = (complaint.contribution, name)
        if at not in now.complaints:
            now.complaints[at] = (complaint, signed)
            body = {**_where(context), "member": name, "silo": complaint.silo, "reason": complaint.reason}
            self._log.append("complaint", body, {"report": signed})

    def _unanswered_complaints(self, silo: str) -> list[tuple[tuple[str, Complaint], bytes]]:
        """Of the contribution at hand: who complains and of what, and the signed report."""
        now, attempt = self._current(), self._attempt()
        received = attempt.received.get(silo)
        if received is None:
            return []
        digest = sha256(received.signed)
        return [
            ((member, complaint), report)
            for (contribution, member), (complaint, report) in now.complaints.items()
            if contribution == digest and (contribution, member) not in now.shown
        ]

    def _more_needed(self, now: _Asked) -> None:
        """With an honest member's answer more, the true ones may be enough. Where more are silent than is allowed for,
        that member may be one of them: the next attempt has it again."""
        if now.failed is None or any(name not in now.answers for name in self.usable):
            return
        if len(self.usable) < least_keys(self._job):
            raise RoundVoided(
                f"{len(now.answers)} members answered, and {self.recovery} of them do not agree",
                hint="Try the next attempt",
            )
        raise now.failed

    def _release(self, now: _Asked, roster: RosterProposal, proposal: bytes, liars: Sequence[int]) -> bytes:
        """The answers that count, durable before they are given: a silo is shown the same release after a restart."""
        counted = sorted(
            (answer.member, name, signed)
            for name, (signed, _, answer) in now.answers.items()
            if answer.member not in liars
        )
        made = CommitteeRelease(proposal, tuple(signed for _, _, signed in counted)).encode()
        name = f"release/{roster.context.hex()}"
        if self._state.get(name) is None:
            where = {**_where(self._context()), "contributors": list(roster.contributors)}
            self._log.append_all(
                [Event("member-answer", {**where, "member": silo}, {"answer": one}) for _, silo, one in counted]
            )
        return self._state.put_once(name, made)

    def _found_out(self, context: RoundContext, name: str, why: str, evidence: Mapping[str, bytes]) -> None:
        if name not in self.liars:
            self._log.append("refusal", {**_where(context), "silo": name, "reason": f"{name} {why}"}, evidence)
        self.liars[name] = why

    def _refusing(self, name: str) -> _Refusing:
        return _Refusing(self._log, _numbers(self._current().opening), name)


class _Refusing:
    """Logs what is refused of a silo inside."""

    def __init__(self, log: Log, where: Mapping[str, object], name: str) -> None:
        self._log = log
        self._where = where
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PeerError):
            self._log.append("refusal", {**self._where, "silo": self._name, "reason": error.problem})


def _where(context: RoundContext) -> dict[str, object]:
    return {"round": context.round, "attempt": context.attempt, "context": context.digest().hex()}


def _numbers(opening: OpenRound) -> dict[str, object]:
    return {"round": opening.round, "attempt": opening.attempt}


def _offer_name(opening: OpenRound) -> str:
    return f"offer/{opening.round:08d}/{opening.attempt:04d}"


__all__ = ["Desk"]
