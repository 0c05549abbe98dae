"""The keeper: holds the one key of a round with which the sum of the silos' keys can be learnt, and answers once.

Rules (docs/protocol.md, "The keeper"):

1. One sealing key for each attempt at a round, made here, held in memory only, wiped at the answer.
2. One answer for an attempt: a roster that the keeper derives itself from signed contributions, of at least
   ``minimum_silos`` silos. It is durable before it is given; asking again gives the same bytes.
3. An attempt that was opened and has no answer when the keeper starts is voided: its key is gone, so the void takes
   nothing from anybody. An ending, answer or void, is stored once and never changed.
4. Contributor sets of two answered rounds of a job are equal or differ in at least ``minimum_roster_difference``
   silos, because the difference of two sums over nearly equal rosters is an update.

The keeper sees keys and never ciphertexts. Together with the aggregator it reads everything: SECURITY.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.audit import Log
from quatrefoil.contracts import ComputeIsolation, PrivateAggregation, Recipient, TransportSecurity, VerifiedStatement
from quatrefoil.errors import MessageRefused, PolicyError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, agree, read, require_author, sha256
from quatrefoil.federation.messages import (
    Contribution,
    KeyRelease,
    KeyRequest,
    OpenRound,
    RoundContext,
    RoundOffer,
    RoundVoid,
    SealedContribution,
    VoidRequest,
)
from quatrefoil.federation.state import State
from quatrefoil.policy import Policy

ANSWER, VOID = b"answer", b"void"


@dataclass(frozen=True)
class _OpenAttempt:
    job: AgreedJob
    context: RoundContext
    recipient: Recipient


@dataclass(frozen=True)
class _Ending:
    """How an attempt ended, as stored. ``body`` repeats what is ``signed``, so that reading what this keeper itself
    wrote does not depend on a certificate that may have expired since."""

    kind: bytes
    body: bytes
    signed: bytes
    key: bytes

    def encode(self) -> bytes:
        return parts.join([self.kind, self.body, self.signed, self.key])

    @classmethod
    def decode(cls, stored: bytes) -> _Ending:
        return cls(*parts.split(stored, 4))

    def answer(self) -> bytes:
        if self.kind != ANSWER:
            raise self.voided()
        return parts.join([self.signed, self.key])

    def voided(self) -> RoundVoided:
        void = RoundVoid.decode(self.body)
        return RoundVoided(
            f"round {void.round} attempt {void.attempt} is void: {void.reason}",
            hint="Open the next attempt and give the silos the void",
        )


class Keeper:
    """Bytes in, bytes out; every method returns bytes for the aggregator or raises a ``QuatrefoilError``."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        isolation: ComputeIsolation,
        policy: Policy,
        state: State,
        log: Log,
    ) -> None:
        self._security = security
        self._aggregation = aggregation
        self._isolation = isolation
        self._policy = policy
        self._state = state
        self._log = log
        self._open: dict[bytes, _OpenAttempt] = {}
        self._void_lost_attempts()

    def open_round(self, enrolled_job: bytes, request: bytes) -> bytes:
        """A signed :class:`RoundOffer` for a signed :class:`OpenRound`. The same request gives the same offer."""
        job = agree(enrolled_job, security=self._security, policy=self._policy, aggregation=self._aggregation)
        wanted = read(self._security, request, OpenRound, job.job.aggregator, "aggregator")
        self._check_mine(job)
        if wanted.job != job.digest:
            raise MessageRefused("the request opens a round of another job", hint="Send it with its own job")
        name = _attempt_name(job.digest, wanted.round, wanted.attempt)
        if (stored := self._state.get(name + "/offer")) is not None:
            return self._offer_again(name, stored, wanted)
        self._check_may_open(job, wanted)
        return self._new_attempt(job, wanted, name)

    def answer(self, request: bytes) -> bytes:
        """Signed :class:`KeyRelease` and combined key, joined by ``parts``, for a signed :class:`KeyRequest`."""
        statement = self._security.verify(request)
        wanted = KeyRequest.decode(statement.body)
        attempt = self._open.get(wanted.context)
        if attempt is None:
            return self._answer_again(wanted)
        require_author(statement, attempt.job.job.aggregator, "aggregator")
        contributors, digests, keys = self._open_keys(attempt, wanted.contributions)
        try:
            self._check_roster(attempt, contributors)
            combined = self._aggregation.combine_keys(keys)
        finally:
            for key in keys:
                key[:] = bytes(len(key))
        return self._release(attempt, contributors, digests, combined)

    def void(self, request: bytes) -> bytes:
        """The signed :class:`RoundVoid` of an attempt for a signed :class:`VoidRequest`: ends it if it is open.

        Refused once the attempt has been answered.
        """
        statement = self._security.verify(request)
        wanted = VoidRequest.decode(statement.body)
        name = _attempt_name(wanted.job, wanted.round, wanted.attempt)
        ending = self._ending(name)
        if ending is None:
            ending = self._void_open_attempt(name, wanted, statement)
        if ending.kind != VOID:
            raise MessageRefused("the attempt has been answered and cannot be voided", hint="Use the answer")
        return ending.signed

    # ------------------------------------------------------------------------------------------------------ opening

    def _check_mine(self, job: AgreedJob) -> None:
        if job.job.keeper.name != self._security.name:
            raise MessageRefused(
                f"job {job.job.name} names {job.job.keeper.name} as its keeper", hint="Ask that keeper"
            )

    def _offer_again(self, name: str, stored: bytes, wanted: OpenRound) -> bytes:
        encoded, offer = parts.split(stored, 2)
        if RoundContext.decode(encoded).model != wanted.model:
            raise MessageRefused(
                f"round {wanted.round} attempt {wanted.attempt} is open for another model", hint="Void it first"
            )
        if (ending := self._ending(name)) is not None and ending.kind == VOID:
            raise ending.voided()
        return offer

    def _check_may_open(self, job: AgreedJob, wanted: OpenRound) -> None:
        if not 1 <= wanted.round <= job.job.rounds:
            raise PolicyError(f"round {wanted.round} is outside 1 to {job.job.rounds}", hint="Agree on a new job")
        for earlier in range(wanted.attempt):
            ending = self._ending(_attempt_name(job.digest, wanted.round, earlier))
            if ending is None or ending.kind != VOID:
                raise MessageRefused(
                    f"attempt {earlier} at round {wanted.round} has no void: attempt {wanted.attempt} cannot be opened",
                    hint="Finish or void the earlier attempt",
                )
        for name in self._state.names(f"round/{job.digest.hex()}/"):
            if name.endswith("/offer") and _round_of(name) > wanted.round:
                raise MessageRefused(
                    f"a later round than {wanted.round} has been opened already", hint="Rounds only go forward"
                )

    def _new_attempt(self, job: AgreedJob, wanted: OpenRound, name: str) -> bytes:
        recipient = self._security.new_recipient()
        context = RoundContext(
            job=job.digest,
            round=wanted.round,
            attempt=wanted.attempt,
            model=wanted.model,
            scheme_digest=job.job.scheme_digest,
            length=job.job.layout.length,
            clip=job.job.clip,
            sealing_key=recipient.public,
        )
        digest = context.digest()
        offer = self._security.sign(RoundOffer(context, self._isolation.collect(digest)).encode())
        self._log.append(
            "round-opened", {**_where(context), "context": digest.hex(), "isolation": self._isolation.kind}
        )
        self._state.replace(
            {name + "/offer": parts.join([context.encode(), offer]), f"context/{digest.hex()}": name.encode()}
        )
        self._open[digest] = _OpenAttempt(job, context, recipient)
        return offer

    # ---------------------------------------------------------------------------------------------------- answering

    def _open_keys(
        self, attempt: _OpenAttempt, contributions: Sequence[SealedContribution]
    ) -> tuple[tuple[str, ...], tuple[bytes, ...], list[bytearray]]:
        """Names, contribution digests and keys, by name. One that does not open refuses the request and names its silo:
        the aggregator asks again without it, and nothing has been answered yet."""
        opened: dict[str, tuple[bytes, bytearray]] = {}
        try:
            for sealed in contributions:
                name, key = self._open_key(attempt, sealed)
                if name in opened:
                    key[:] = bytes(len(key))
                    raise _refused(name, "contributes twice")
                opened[name] = (sha256(sealed.contribution), key)
        except BaseException:
            for _, key in opened.values():
                key[:] = bytes(len(key))
            raise
        names = tuple(sorted(opened))
        return names, tuple(opened[name][0] for name in names), [opened[name][1] for name in names]

    def _open_key(self, attempt: _OpenAttempt, sealed: SealedContribution) -> tuple[str, bytearray]:
        statement = self._security.verify(sealed.contribution)
        member = attempt.job.member(statement.signer)
        require_author(statement, member, "silo")
        contribution = Contribution.decode(statement.body)
        context = attempt.context.digest()
        if contribution.context != context:
            raise _refused(member.name, "contributes to another round or attempt")
        if contribution.sealed_key != sha256(sealed.sealed_key):
            raise _refused(member.name, "signed another sealed key than the one that came with its contribution")
        try:
            opened = attempt.recipient.open(sealed.sealed_key, context=context)
            require_author(opened.sender, member, "silo")
        except MessageRefused as error:
            raise _refused(member.name, f"sealed a key that cannot be used ({error.problem})") from None
        if len(opened.plaintext) != self._aggregation.scheme.key_bytes:
            raise _refused(member.name, f"sealed a key of {len(opened.plaintext)} bytes")
        return member.name, opened.plaintext

    def _check_roster(self, attempt: _OpenAttempt, contributors: tuple[str, ...]) -> None:
        limits = self._policy.limits
        if len(contributors) < limits.minimum_silos:
            raise PolicyError(
                f"{len(contributors)} silos contributed, the policy's minimum is {limits.minimum_silos}",
                hint="Wait for more silos, or void the round",
            )
        for number, earlier in self._answered_rosters(attempt.job.digest):
            difference = set(contributors) ^ set(earlier)
            if difference and len(difference) < limits.minimum_roster_difference:
                raise PolicyError(
                    f"the contributors differ from those of round {number} only in {', '.join(sorted(difference))}: "
                    f"{len(difference)}, the policy's minimum is {limits.minimum_roster_difference}",
                    hint="Wait for the missing silos, leave out more, or void the round",
                )

    def _release(
        self, attempt: _OpenAttempt, contributors: tuple[str, ...], digests: tuple[bytes, ...], combined: bytes
    ) -> bytes:
        context = attempt.context
        digest = context.digest()
        body = KeyRelease(digest, contributors, digests, sha256(combined))
        release = self._security.sign(body.encode())
        name = _attempt_name(context.job, context.round, context.attempt)
        # Logged before it is given: an answer that nobody can find in the log must not exist. A crash between the two
        # leaves an entry for an attempt that is then voided; the log shows both.
        self._log.append(
            "key-release",
            {
                **_where(context),
                "context": digest.hex(),
                "contributors": list(contributors),
                "isolation": self._isolation.kind,
            },
        )
        ending = self._end(name, _Ending(ANSWER, body.encode(), release, combined))
        self._forget(digest)
        return ending.answer()

    def _answer_again(self, wanted: KeyRequest) -> bytes:
        ending = self._ending_of(wanted.context)
        if ending.kind == VOID:
            raise ending.voided()
        answered = KeyRelease.decode(ending.body)
        if {sha256(sealed.contribution) for sealed in wanted.contributions} != set(answered.contributions):
            raise MessageRefused(
                f"the attempt was answered for {', '.join(answered.contributors)} and is answered only once",
                hint="Use that answer",
            )
        return ending.answer()

    # ------------------------------------------------------------------------------------------------------- endings

    def _void_lost_attempts(self) -> None:
        for name in self._state.names("round/"):
            attempt, _, last = name.rpartition("/")
            if last == "offer" and self._ending(attempt) is None:
                stored = self._state.get(name)
                assert stored is not None
                context = RoundContext.decode(parts.split(stored, 2)[0])
                self._end_with_void(attempt, context, "the keeper restarted and its sealing key is gone")

    def _void_open_attempt(self, name: str, wanted: VoidRequest, statement: VerifiedStatement) -> _Ending:
        for digest, attempt in self._open.items():
            context = attempt.context
            if (context.job, context.round, context.attempt) == (wanted.job, wanted.round, wanted.attempt):
                require_author(statement, attempt.job.job.aggregator, "aggregator")
                ending = self._end_with_void(name, context, f"asked for by {statement.signer}: {wanted.reason[:200]}")
                self._forget(digest)
                return ending
        raise MessageRefused("no such round has been opened here", hint="Open the round first")

    def _end_with_void(self, name: str, context: RoundContext, reason: str) -> _Ending:
        void = RoundVoid(context.job, context.round, context.attempt, context.digest(), reason)
        self._log.append("round-void", {**_where(context), "context": context.digest().hex(), "reason": reason})
        return self._end(name, _Ending(VOID, void.encode(), self._security.sign(void.encode()), b""))

    def _end(self, name: str, ending: _Ending) -> _Ending:
        return _Ending.decode(self._state.put_once(name + "/ending", ending.encode()))

    def _ending(self, name: str) -> _Ending | None:
        stored = self._state.get(name + "/ending")
        return None if stored is None else _Ending.decode(stored)

    def _ending_of(self, context: bytes) -> _Ending:
        name = self._state.get(f"context/{context.hex()}")
        ending = None if name is None else self._ending(name.decode())
        if ending is None:
            raise MessageRefused("no such round has been opened here", hint="Open the round first")
        return ending

    def _answered_rosters(self, job: bytes) -> list[tuple[int, tuple[str, ...]]]:
        rosters = []
        for name in self._state.names(f"round/{job.hex()}/"):
            attempt, _, last = name.rpartition("/")
            if last == "ending" and (ending := self._ending(attempt)) is not None and ending.kind == ANSWER:
                rosters.append((_round_of(name), KeyRelease.decode(ending.body).contributors))
        return rosters

    def _forget(self, context: bytes) -> None:
        self._open.pop(context).recipient.wipe()


def _attempt_name(job: bytes, number: int, attempt: int) -> str:
    return f"round/{job.hex()}/{number:08d}/{attempt:04d}"


def _round_of(name: str) -> int:
    return int(name.split("/")[2])


def _where(context: RoundContext) -> dict[str, object]:
    return {"job": context.job.hex(), "round": context.round, "attempt": context.attempt}


def _refused(name: str, what: str) -> MessageRefused:
    return MessageRefused(f"{name} {what}", hint="Leave it out and ask again", party=name)
