"""Receipts at a silo: each is held to what this silo knows by itself, and kept.

A silo takes a result only with its receipts: one for each attempt at the round, about the contribution that it signed,
the attempt that it knows, the release and the result that came with it. docs/receipts.md, "In the rounds".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.audit import Event, Log
from quatrefoil.audit.receipts import ABSENT, INCLUDED, RoundReceipt
from quatrefoil.audit.verified_receipts import VerifiedReceipt, verify_with
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import MOST_ATTEMPTS, AgreedJob
from quatrefoil.federation.messages import RoundContext
from quatrefoil.federation.receipt_office import contribution_in, issued_name
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.policy import Policy
from quatrefoil.state import State

_HINT = "Stop here, keep both logs, and ask the aggregator's operator: nothing of this round is taken"

Recorded = tuple[int, bytes, bytes]
"""A message that a silo has recorded: for which attempt, the digest of its context, and its bytes."""


class Sent(NamedTuple):
    """A contribution that a silo has recorded: for which attempt, its context, SHA-256 of the signed contribution, and
    whether the aggregator has acknowledged it."""

    attempt: int
    context: bytes
    contribution: bytes
    acknowledged: bool


@dataclass(frozen=True)
class Voided:
    """What a silo has of the void attempts at a round: SHA-256 of the keeper's void of each, oldest first."""

    round: int
    voids: tuple[bytes, ...]

    @property
    def attempts(self) -> int:
        return len(self.voids)


@dataclass(frozen=True)
class Published:
    """What a silo has of a finished round, apart from its receipts: digests of the release and the signed result."""

    context: RoundContext
    contributors: Collection[str]
    release: bytes
    result: bytes

    @property
    def round(self) -> int:
        return self.context.round

    @property
    def attempts(self) -> int:
        return self.context.attempt + 1


class ReceiptChecks:
    """The silo's side: every receipt against what this silo knows by itself."""

    def __init__(
        self, job: AgreedJob, *, security: TransportSecurity, policy: Policy, clock: Callable[[], datetime]
    ) -> None:
        self._job = job
        self._security = security
        self._policy = policy
        self._clock = clock
        key = job.job.receipt_key
        self._classical = Ed25519PublicKey.from_public_bytes(key) if key else None

    def check(
        self, ended: Voided | Published, receipts: bytes, sent: tuple[Sent, ...]
    ) -> dict[str, tuple[bytes, VerifiedReceipt]]:
        """The receipts of every attempt at a round that has ``ended``, by the name to keep each under.

        ``EvidenceRejected`` where one is missing or not true.
        """
        try:
            encoded = parts.split_list(receipts, MOST_ATTEMPTS)
        except MessageRefused as error:
            raise self._lie(f"cannot be read: {error.problem}") from None
        number, expected = ended.round, ended.attempts
        if len(encoded) != expected:
            raise self._lie(
                f"are {len(encoded)} for {expected} attempts at round {number}: one is missing, or too many"
            )
        kept = {}
        for attempt, one in enumerate(encoded):
            found = self.verified(one)
            self._check_subject(found, number, attempt)
            if isinstance(ended, Published) and attempt == ended.context.attempt:
                self._check_result(found.payload, ended)
                known = [entry for entry in sent if entry.context == ended.context.digest()]
            else:
                known = [entry for entry in sent if entry.attempt == attempt]
                self._check_void(found.payload, known)
                if isinstance(ended, Voided) and found.payload.ending != ended.voids[attempt]:
                    raise self._lie(f"name another void of attempt {attempt} than the keeper's")
            self._check_contribution(found.payload, known)
            kept[issued_name(number, attempt)] = (one, found)
        return kept

    def verified(self, encoded: bytes) -> VerifiedReceipt:
        """One receipt, signed by the aggregator of the job as its policy asks for; or ``EvidenceRejected``."""
        try:
            return verify_with(encoded, self._security, at=self._clock(), classical=self._classical)
        except EvidenceRejected as error:  # whoever it names: it is the aggregator that has given it
            party = self._job.job.aggregator.name
            raise EvidenceRejected(error.problem, hint=_HINT, check=error.check, party=party) from None

    def _check_subject(self, found: VerifiedReceipt, number: int, attempt: int) -> None:
        """Whom and what it is about, and who signed it."""
        job, receipt = self._job.job, found.payload
        own = self._job.member(self._security.name)
        if found.issuer.fingerprint != job.aggregator.fingerprint:
            raise self._lie(f"are signed by {found.issuer.signer} with another certificate than the job's")
        about = (receipt.silo, receipt.certificate, receipt.round, receipt.attempt)
        if about != (own.name, own.fingerprint, number, attempt):
            raise self._lie(
                f"have one of {receipt.silo} for round {receipt.round} attempt {receipt.attempt} in the place of that "
                f"of {own.name} for round {number} attempt {attempt}"
            )
        if (receipt.job, receipt.policy, receipt.plan) != (self._job.digest, self._policy.digest(), job.plan):
            raise self._lie("are of another job, policy or plan")
        if (found.size, found.index) != (len(job.roster), job.roster.index(own)):
            raise self._lie("are not of a batch with one for each silo of the job")

    def _check_result(self, receipt: RoundReceipt, published: Published) -> None:
        if receipt.context != published.context.digest():
            raise self._lie("are of another attempt than the one that was answered")
        if (receipt.ending, receipt.result) != (published.release, published.result):
            raise self._lie("name another release or result than the one that came")
        if (receipt.verdict == INCLUDED) != (receipt.silo in published.contributors):
            among = "" if receipt.silo in published.contributors else "not "
            raise self._lie(f"say {receipt.verdict}, and the keeper's release does {among}name this silo")

    def _check_void(self, receipt: RoundReceipt, known: list[Sent]) -> None:
        if receipt.verdict == INCLUDED or receipt.result:
            raise self._lie(f"name a result of attempt {receipt.attempt}, which was void")
        if known and receipt.context not in {entry.context for entry in known}:
            raise self._lie(f"are of another attempt {receipt.attempt} than the one that this silo sent to")

    def _check_contribution(self, receipt: RoundReceipt, known: list[Sent]) -> None:
        sent = next((entry for entry in known if entry.context == receipt.context), None)
        if receipt.verdict == ABSENT:
            if sent is not None and sent.acknowledged:
                raise self._lie("say that nothing arrived, and the aggregator has acknowledged the contribution")
        elif sent is None:
            raise self._lie(f"say {receipt.verdict} of a contribution, and this silo has sent none")
        elif sent.contribution != receipt.contribution:
            raise self._lie(f"say {receipt.verdict} of another contribution than the one that this silo has signed")

    def require_same(self, given: Mapping[str, bytes], held: Mapping[str, bytes | None]) -> None:
        """``EvidenceRejected`` where a receipt that came before comes again and is another one."""
        for name, one in given.items():
            if held[name] not in (None, one):
                raise self._lie(f"are others than came before for attempt {int(name[-4:])}")

    def _lie(self, problem: str) -> EvidenceRejected:
        name = self._job.job.aggregator.name
        return EvidenceRejected(f"the receipts of {name} {problem}", hint=_HINT, check="receipt", party=name)


class ReceiptShelf:
    """What a silo keeps of receipts: each that holds in its state and its log, and in its log what does not hold."""

    def __init__(self, checks: ReceiptChecks, state: State, log: Log) -> None:
        self._checks = checks
        self._state = state
        self._log = log

    def acknowledge(self, context: RoundContext) -> None:
        """The aggregator has taken the contribution to this attempt; durable."""
        self._state.put_once(_acknowledged(context.round, context.digest()), b"")

    def take_voids(self, voided: Voided, receipts: bytes, recorded: Iterable[Recorded]) -> None:
        """Check and keep the receipts of the attempts at a round that were voided so far."""
        if kept := self._checked(voided, receipts, recorded):
            self._state.replace(kept)

    def changes(self, published: Published, receipts: bytes, recorded: Iterable[Recorded]) -> dict[str, bytes | None]:
        """What the state is to hold once the result is taken, after every receipt of the round has been checked."""
        forgotten: dict[str, bytes | None] = dict.fromkeys(self._state.names(_acknowledged(published.round)))
        return {**forgotten, **self._checked(published, receipts, recorded)}

    def _checked(self, ended: Voided | Published, receipts: bytes, recorded: Iterable[Recorded]) -> dict[str, bytes]:
        number = ended.round
        acknowledged = set(self._state.names(_acknowledged(number)))
        sent = tuple(
            Sent(attempt, context, contribution_in(message), _acknowledged(number, context) in acknowledged)
            for attempt, context, message in recorded
        )
        try:
            found = self._checks.check(ended, receipts, sent)
            held = {name: self._state.get(name) for name in found}
            self._checks.require_same({name: one for name, (one, _) in found.items()}, held)
        except EvidenceRejected as error:
            body = {"asked": "receipts", "round": number, "silo": "", "reason": error.problem[:LONGEST_REASON]}
            self._log.append("refusal", body, {"receipts": receipts})
            raise
        new = [one for name, one in found.items() if held[name] is None]
        if new:
            self._log.append_all([Event("receipt", _entry(one), {"receipt": encoded}) for encoded, one in new])
        return {name: encoded for name, (encoded, _) in found.items()}


def _entry(verified: VerifiedReceipt) -> dict[str, object]:
    receipt = verified.payload
    return {
        "round": receipt.round,
        "attempt": receipt.attempt,
        "context": receipt.context.hex(),
        "verdict": receipt.verdict,
        "reason": receipt.reason,
        "root": verified.root.hex(),
    }


def _acknowledged(number: int, context: bytes = b"") -> str:
    return f"acknowledged/{number:08d}/{context.hex()}"
