"""A silo as a member of the committee: it holds a share of every contribution's key, and answers once.

Rules (docs/committee-rounds.md, "The member"):

1. One sealing key for each attempt, made here, held in memory only, wiped at the answer. A member that was started
   again has none for the attempt, and is silent in it. A round has no more than ``MOST_ATTEMPTS`` of them.
2. It takes a share only if it is the one that its silo's proof is about, and complains of every other by name.
3. One answer for an attempt, durable before it is given; asked again, the same bytes. Asked for another roster it
   refuses, and both requests are kept: the aggregator signed them.
4. For the updates of one round it answers for one set of silos, whatever attempts were void meanwhile.
5. It answers for at least ``minimum_silos`` silos, sets no group of fewer than ``minimum_roster_group`` apart, and only
   for the round after the last that it has taken; and of each silo for a contribution that this silo signed.
6. What it has signed as void it answers no more; and it says there whether it has answered. One that finds its own key
   in an offer, and knows of none, has an old disk: it signs no void.
"""

from __future__ import annotations

from quatrefoil.audit import Log
from quatrefoil.contracts import PrivateAggregation, TransportSecurity
from quatrefoil.errors import MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read, sha256
from quatrefoil.federation.authorities import opening_of, read_offer, sealing_keys
from quatrefoil.federation.committee_messages import (
    MemberAnswer,
    MemberKey,
    MemberRequest,
    ShareReport,
    ShareRequest,
)
from quatrefoil.federation.confirmations import Confirmations, check_proposal
from quatrefoil.federation.member_shares import MemberSeat, MemberShares, logged_complaints, require_few
from quatrefoil.federation.messages import (
    OpenRound,
    RosterProposal,
    RoundContext,
    RoundVoid,
    VoidRequest,
)
from quatrefoil.federation.outbox import Outbox
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.federation.rosters import check_rosters
from quatrefoil.policy import Policy
from quatrefoil.state import State


class Member:
    """What a silo does as a member of the committee of its job; ``expected`` in its methods: what the round that is
    next for the silo is opened with, but for the attempt."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: JobProofs,
        policy: Policy,
        state: State,
        log: Log,
    ) -> None:
        self._security = security
        self._aggregation = aggregation
        self._shares = MemberShares(security, proofs)
        self._limits = policy.limits
        self._state = state
        self._log = log
        self._outbox = Outbox(state)
        self._confirmations = Confirmations(state)
        self._open: tuple[bytes, MemberSeat] | None = None

    def key(self, job: AgreedJob, expected: OpenRound, request: bytes) -> bytes:
        """A signed :class:`MemberKey` for a signed :class:`OpenRound`; the same bytes as long as the key is here."""
        number = self._number(job)
        wanted = read(self._security, request, OpenRound, job.job.aggregator, "aggregator")
        job.require_attempt(wanted.round, wanted.attempt)
        _require_next(wanted, expected)
        opening, name = wanted.digest(), _name(wanted.round, wanted.attempt, "key")
        stored = self._state.get(name)
        if stored is None:
            if self._state.get(_name(wanted.round, wanted.attempt, "void")) is not None or self._is_past(wanted):
                raise RoundVoided(f"attempt {wanted.attempt} is over for this member", hint="Open the next attempt")
            recipient = self._security.new_recipient()
            signed = self._security.sign(MemberKey(opening, recipient.public).encode())
            where = {"round": wanted.round, "attempt": wanted.attempt}
            self._log.append("member-key", {**where, "member": number, "key": sha256(recipient.public).hex()})
            stored = self._state.put_once(name, parts.join([opening, signed]))
            self.wipe()
            self._open = (opening, MemberSeat(recipient))
        known, signed = parts.split(stored, 2)
        if known != opening:
            raise MessageRefused(
                f"attempt {wanted.attempt} at round {wanted.round} was opened here for something else",
                hint="Open the next attempt",
                party=job.job.aggregator.name,
            )
        if self._open is None or self._open[0] != opening:
            raise _gone(wanted.round, wanted.attempt)
        return signed

    def check_shares(self, job: AgreedJob, expected: OpenRound, offer: bytes, request: bytes) -> bytes:
        """A signed :class:`ShareReport` for a signed :class:`ShareRequest`: what can be added, and complaints."""
        number, context = self._offered(job, expected, offer)
        wanted = read(self._security, request, ShareRequest, job.job.aggregator, "aggregator")
        if (wanted.context, wanted.member) != (context.digest(), number):
            raise MessageRefused("the shares are of another attempt or member", hint="Take the current offer")
        require_few(job, wanted.deliveries, "deliveries")
        if (answered := self._answered(context)) is not None:  # its shares are wiped: it needs none any more
            accepted, complaints = answered[0].contributions, []
        else:
            seat = self._seat(job, context, number)
            taken = [self._shares.take(job, context, seat, number, delivery) for delivery in wanted.deliveries]
            accepted = tuple(one for one in taken if one in seat.shares)
            complaints = [seat.complaints[one] for one in taken if one in seat.complaints]
        report = ShareReport(wanted.context, number, tuple(sorted(set(accepted))), tuple(complaints))
        body = {"accepted": len(report.accepted), "complaints": logged_complaints(complaints)}
        self._log.append("shares-checked", {**_where(context), **body})
        return self._security.sign(report.encode())

    def answer(self, job: AgreedJob, expected: OpenRound, offer: bytes, request: bytes) -> bytes:
        """Signed :class:`MemberAnswer` and the sum of this member's shares, joined, for a :class:`MemberRequest`."""
        number, context = self._offered(job, expected, offer)
        wanted = MemberRequest.decode(request)
        require_few(job, wanted.opened, "shown shares")
        proposal = read(self._security, wanted.proposal, RosterProposal, job.job.aggregator, "aggregator")
        if proposal.context != context.digest():
            raise MessageRefused("the proposed roster is of another attempt", hint="Take the current offer")
        if self._state.get(_name(context.round, context.attempt, "void")) is not None:
            raise RoundVoided(f"attempt {context.attempt} is void", hint="Open the next attempt")
        if (answered := self._answered(context)) is not None:
            self._require_same(job, context, answered, proposal, wanted.proposal)
            return parts.join([answered[2], answered[3]])
        seat = self._seat(job, context, number)
        self._check_roster(job, context, proposal)
        shares = self._shares.of_roster(job, context, seat, number, proposal, wanted.opened)
        assert job.threshold is not None
        total = self._aggregation.add_shares(shares, job.threshold)
        signed = self._security.sign(MemberAnswer(proposal.context, proposal.digest(), number, sha256(total)).encode())
        # Logged before it is given, as a keeper's release is: an answer that nobody can find in the log must not exist.
        body = {**_where(context), "contributors": list(proposal.contributors)}
        self._log.append("member-answer", body, {"answer": signed, "proposal": wanted.proposal})
        content = parts.join([proposal.encode(), wanted.proposal, signed, total])
        stored = self._state.put_once(_name(context.round, context.attempt, "answer"), content)
        self.wipe()
        return parts.join(parts.split(stored, 4)[2:])

    def void(self, job: AgreedJob, expected: OpenRound, offer: bytes, request: bytes) -> bytes:
        """A signed :class:`RoundVoid` for a signed :class:`VoidRequest`: this member answers the attempt no more."""
        number, context = self._offered(job, expected, offer)
        wanted = read(self._security, request, VoidRequest, job.job.aggregator, "aggregator")
        if (wanted.job, wanted.round, wanted.attempt) != (context.job, context.round, context.attempt):
            raise MessageRefused("the void is of another attempt than the offer", hint="Take the current offer")
        name = _name(context.round, context.attempt, "void")
        if (stored := self._state.get(name)) is not None:
            return stored
        has_key = bool(sealing_keys(context, job.job.members)[number - 1])
        if has_key and self._state.get(_name(context.round, context.attempt, "key")) is None:
            raise MessageRefused(
                f"{self._security.name} has signed a key for this attempt and knows nothing of it: its state is an old "
                "copy, and it may have answered",
                hint="Let the other members void the attempt",
            )
        unanswered = self._answered(context) is None
        void = RoundVoid(
            context.job, context.round, context.attempt, context.digest(), unanswered, wanted.reason[:LONGEST_REASON]
        )
        body = {**_where(context), "unanswered": unanswered, "reason": void.reason}
        signed = self._security.sign(void.encode())
        self._log.append("member-void", body, {"void": signed})
        stored = self._state.put_once(name, signed)
        self.wipe()
        return stored

    def after_round(self, number: int) -> dict[str, bytes | None]:
        """The changes of state when a round's result is accepted: nothing of it will be asked for again."""
        return dict.fromkeys(self._state.names(f"member/{number:08d}/"))

    def wipe(self) -> None:
        """Overwrite the key and the shares of the attempt that is open."""
        if self._open is not None:
            self._open[1].wipe()
            self._open = None

    # --------------------------------------------------------------------------------------------------------- details

    def _number(self, job: AgreedJob) -> int:
        if self._security.name not in job.job.members:
            raise MessageRefused(f"{self._security.name} is no member of the committee", hint="Ask its members")
        return job.job.members.index(self._security.name) + 1

    def _offered(self, job: AgreedJob, expected: OpenRound, offer: bytes) -> tuple[int, RoundContext]:
        number = self._number(job)
        context = read_offer(job, self._security, offer).context
        job.context_matches(context)
        _require_next(opening_of(context), expected)
        return number, context

    def _seat(self, job: AgreedJob, context: RoundContext, number: int) -> MemberSeat:
        """The attempt of this context, while its key is here."""
        if self._state.get(_name(context.round, context.attempt, "void")) is not None:
            raise RoundVoided(f"attempt {context.attempt} is void", hint="Open the next attempt")
        public = sealing_keys(context, job.job.members)[number - 1]
        if self._open is None or self._open[0] != opening_of(context).digest():
            raise _gone(context.round, context.attempt)
        if self._open[1].recipient.public != public:
            raise _gone(context.round, context.attempt)
        return self._open[1]

    def _is_past(self, wanted: OpenRound) -> bool:
        attempts = [int(name.split("/")[2]) for name in self._state.names(f"member/{wanted.round:08d}/")]
        return any(attempt > wanted.attempt for attempt in attempts)

    def _answered(self, context: RoundContext) -> tuple[RosterProposal, bytes, bytes, bytes] | None:
        """The roster that this attempt was answered for, as it was signed, and the answer."""
        stored = self._state.get(_name(context.round, context.attempt, "answer"))
        if stored is None:
            return None
        proposal, request, signed, total = parts.split(stored, 4)
        return RosterProposal.decode(proposal), request, signed, total

    def _require_same(
        self,
        job: AgreedJob,
        context: RoundContext,
        answered: tuple[RosterProposal, bytes, bytes, bytes],
        proposal: RosterProposal,
        request: bytes,
    ) -> None:
        if answered[0] == proposal:
            return
        hub = job.job.aggregator.name
        reason = f"aggregator {hub} asks for a second roster of one attempt, which was answered"
        evidence = {"first": answered[1], "second": request}
        self._log.append("refusal", {**_where(context), "party": hub, "reason": reason}, evidence)
        raise MessageRefused(reason, hint="Both requests are in this member's log, as they were signed", party=hub)

    def _check_roster(self, job: AgreedJob, context: RoundContext, proposal: RosterProposal) -> None:
        recorded = self._outbox.recorded(context)
        sent = None if recorded is None else sha256(parts.split(recorded, 4)[0])
        check_proposal(proposal, context, job.job, self._security.name, sent, self._limits.minimum_silos)
        for name in self._state.names(f"member/{context.round:08d}/"):
            if name.endswith("/answer"):
                stored = self._state.get(name)
                assert stored is not None
                earlier = RosterProposal.decode(parts.split(stored, 4)[0])
                if earlier.contributors != proposal.contributors:
                    raise MessageRefused(
                        f"the updates of round {context.round} were answered for with "
                        f"{', '.join(earlier.contributors)} in another attempt; another roster of them is refused",
                        hint="Wait for exactly these silos",
                    )
        check_rosters(self._confirmations.rosters(), proposal.contributors, self._limits.minimum_roster_group)


def _require_next(wanted: OpenRound, expected: OpenRound) -> None:
    """Refuse to open, or to take part in, anything but the round that is next for this silo, from its own model."""
    if wanted.round != expected.round:
        raise MessageRefused(
            f"round {wanted.round} is asked for, {expected.round} is next", hint="Send the results in between"
        )
    if (wanted.job, wanted.model) != (expected.job, expected.model):
        raise MessageRefused("the round is of another job, or from another model", hint="Ask the aggregator's operator")
    if (wanted.update_norm, wanted.direction) != (expected.update_norm, expected.direction):
        raise MessageRefused(
            "the round is for another norm or direction than the published means lead to",
            hint="Ask the aggregator's operator",
        )


def _gone(number: int, attempt: int) -> RoundVoided:
    return RoundVoided(
        f"this member's key of round {number} attempt {attempt} is gone", hint="Count it as silent in this attempt"
    )


def _where(context: RoundContext) -> dict[str, object]:
    return {"round": context.round, "attempt": context.attempt, "context": context.digest().hex()}


def _name(number: int, attempt: int, what: str) -> str:
    return f"member/{number:08d}/{attempt:04d}/{what}"


__all__ = ["Member"]
