"""How the sum of a roster's keys is recovered from what members of a committee answer: of their shares, the aggregator
learns the sums. A release is durable before it is given, and has no answer of a member that was found out."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

from quatrefoil.audit import Event, Log
from quatrefoil.contracts import PrivateAggregation, Recovered, TransportSecurity
from quatrefoil.errors import CiphertextRefused, MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read, sha256, shape_of
from quatrefoil.federation.authorities import least_keys
from quatrefoil.federation.committee_messages import CommitteeRelease, MemberAnswer, MemberRequest, TriedAnswers
from quatrefoil.federation.desk_members import Asked, AskedMembers, where
from quatrefoil.federation.desk_opening import Opening
from quatrefoil.federation.messages import RosterProposal, RoundContext
from quatrefoil.state import State


class Answers:
    """To the roster that is proposed for the attempt that is open."""

    def __init__(
        self,
        job: AgreedJob,
        members: AskedMembers,
        opening: Opening,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        state: State,
        log: Log,
    ) -> None:
        assert job.threshold is not None
        self._job = job
        self._threshold = job.threshold
        self._members = members
        self._opening = opening
        self._security = security
        self._aggregation = aggregation
        self._state = state
        self._log = log
        self.liars: dict[str, str] = {}
        """Members that were found out, with what they did."""

    def wants(self, name: str) -> bool:
        """Whether a member is to answer for the proposed roster: it has reported on all of it."""
        now, attempt = self._members.current(), self._members.gathering()
        if attempt.proposal is None or name not in self._members.usable or name in now.answers:
            return False
        have = now.accepted.get(name, set())
        return all(one in have or (one, name) in now.shown for one in attempt.proposal.contributions)

    def request(self, name: str, proposal: bytes) -> bytes:
        """The :class:`MemberRequest` of one member, for the signed proposal."""
        now, attempt = self._members.current(), self._members.gathering()
        shown = [now.shown[at] for one in attempt.roster().contributions if (at := (one, name)) in now.shown]
        return MemberRequest(proposal, tuple(shown)).encode()

    def take(self, name: str, message: bytes) -> None:
        """Signed :class:`MemberAnswer` and sum, joined. A second, different one is refused, and both are kept; one that
        comes late changes nothing."""
        now, attempt = self._members.current(), self._members.gathering()
        with self._members.refusing(name):
            signed, total = parts.split(message, 2)
            answer = read(self._security, signed, MemberAnswer, self._members.member(name), "silo")
            if answer.context != attempt.context.digest():
                return
            if attempt.proposal is None or answer.proposal != attempt.proposal.digest():
                raise MessageRefused(
                    f"{name} answers for another roster", hint="Answer for the one proposed", party=name
                )
            if (answer.member, answer.sum) != (self._members.number(name), sha256(total)):
                raise MessageRefused(f"what {name} answers is not what it signed", hint="Send it again", party=name)
            first = now.answers.setdefault(name, (signed, total, answer))
            if first[2] != answer:
                self._found_out(attempt.context, name, "signed two answers", {"first": first[0], "second": signed})
                raise MessageRefused(f"{name} answers twice, and differently", hint="The first stays", party=name)

    @property
    def answered(self) -> list[str]:
        """Members that have answered, sorted."""
        return sorted(self._members.current().answers)

    @property
    def can_try(self) -> bool:
        """Whether enough members have answered, and one more since the last :meth:`trial`. ``CiphertextRefused`` where
        every member that could has answered, and no ``recovery`` of them agree; ``RoundVoided`` where more of them are
        silent than is allowed for."""
        now = self._members.current()
        if len(now.answers) < self._members.recovery:
            return False
        if len(now.answers) == now.tried:
            self._more_needed(now)
            return False
        return True

    def trial(self) -> Callable[[], Recovered]:
        """Recovers the sum of the roster's keys from the answers that are here now. Free of state, for any thread: with
        liars among many members it takes thousands of trials. Then :meth:`conclude`."""
        now, attempt = self._members.current(), self._members.gathering()
        roster = attempt.roster()
        now.tried = len(now.answers)
        return functools.partial(
            self._aggregation.recover_key,
            {answer.member: total for _, total, answer in now.answers.values()},
            self._threshold,
            total=attempt.total(roster.contributors),
            shape=shape_of(attempt.context),
            count=len(roster.contributors),
        )

    def conclude(self, proposal: bytes, trial: Callable[[], Recovered]) -> bytes | None:
        """The release and the sum of the roster's keys, joined, from what the last :meth:`trial` gives; None while more
        answers may come, else what :attr:`can_try` raises.

        Members whose answers are not the sums of their shares are named, and logged with what they signed and all that
        was tried, so that anybody can repeat it. Of answers that came during the trial, nothing is said.
        """
        now, attempt = self._members.current(), self._members.gathering()
        try:
            found = trial()
        except CiphertextRefused as error:
            now.failed = error
            if len(now.answers) == now.tried:
                self._more_needed(now)
            return None
        used = [now.answers[name][:2] for name in itertools.islice(now.answers, now.tried)]
        tried = TriedAnswers(tuple(signed for signed, _ in used), tuple(total for _, total in used))
        for number in found.liars:
            name = self._members.named(number)
            why = "answered with another sum than that of its shares"
            self._found_out(attempt.context, name, why, {"answer": now.answers[name][0], "tried": tried.encode()})
        release = self._release(now, attempt.roster(), proposal, found.liars)
        return parts.join([release, found.combined_key])

    def recover(self, proposal: bytes) -> bytes | None:
        """A trial and its conclusion at once, where there is one to be made."""
        return self.conclude(proposal, self.trial()) if self.can_try else None

    # --------------------------------------------------------------------------------------------------------- details

    def _more_needed(self, now: Asked) -> None:
        """With an honest member's answer more, the true ones may be enough. Where more are silent than is allowed for,
        that member may be one of them: the next attempt has it again."""
        if now.failed is None or any(name not in now.answers for name in self._members.usable):
            return
        if len(self._members.usable) < least_keys(self._job):
            raise RoundVoided(
                f"{len(now.answers)} members answered, and {self._members.recovery} of them do not agree",
                hint="Try the next attempt",
            )
        raise now.failed

    def _release(self, now: Asked, roster: RosterProposal, proposal: bytes, liars: Sequence[int]) -> bytes:
        """The answers that were tried and count, durable before they are given: a silo is shown the same release after
        a restart."""
        counted = sorted(
            (answer.member, name, signed)
            for name, (signed, _, answer) in itertools.islice(now.answers.items(), now.tried)
            if answer.member not in liars
        )
        made = CommitteeRelease(proposal, tuple(signed for _, _, signed in counted)).encode()
        name = f"release/{roster.context.hex()}"
        if self._state.get(name) is None:
            body = {**where(self._opening.context()), "contributors": list(roster.contributors)}
            self._log.append_all(
                [Event("member-answer", {**body, "member": silo}, {"answer": one}) for _, silo, one in counted]
            )
        return self._state.put_once(name, made)

    def _found_out(self, context: RoundContext, name: str, why: str, evidence: Mapping[str, bytes]) -> None:
        if name not in self.liars:
            self._log.append("refusal", {**where(context), "silo": name, "reason": f"{name} {why}"}, evidence)
        self.liars[name] = why


__all__ = ["Answers"]
