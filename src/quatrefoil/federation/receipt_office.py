"""Receipts at the aggregator: what it writes down as contributions arrive, and issues when an attempt ends.

Of every attempt that ended, every silo of the job has exactly one receipt: ``included`` in the release, ``refused``
with the reason, ``voided`` with the attempt, or ``absent`` where no contribution of it arrived. What arrived is durable
before the silo is answered, so that an aggregator that was started again still knows whom it owes what.
docs/receipts.md, "In the rounds".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil.audit import Event
from quatrefoil.audit.receipts import (
    ABSENT,
    INCLUDED,
    LONGEST_REASON,
    REFUSED,
    VOIDED,
    ReceiptBatch,
    RoundReceipt,
    issue_batch,
)
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, sha256
from quatrefoil.federation.messages import RoundContext, RoundVoid
from quatrefoil.policy import Policy
from quatrefoil.state import State

_FORGOTTEN = "the aggregator was started again, and the contribution did not come again"


@dataclass(frozen=True)
class RoundReceipts:
    """The batches of a round, one for each attempt that ended, for the silos of a job in the order of its roster."""

    silos: tuple[str, ...]
    batches: tuple[ReceiptBatch, ...]

    def of(self, silo: str) -> bytes:
        """The receipts of one silo, joined: always the same bytes."""
        index = self.silos.index(silo)
        return parts.join([batch.receipt(index) for batch in self.batches])


class ReceiptOffice:
    """The aggregator's side. ``classical``: its Ed25519 key, exactly where the policy asks for two signatures."""

    def __init__(
        self,
        job: AgreedJob,
        *,
        security: TransportSecurity,
        policy: Policy,
        state: State,
        clock: Callable[[], datetime],
        classical: Ed25519PrivateKey | None,
    ) -> None:
        public = b"" if classical is None else classical.public_key().public_bytes_raw()
        if public != job.job.receipt_key:
            raise CallerError(
                f"job {job.job.name} names another Ed25519 key for receipts than this aggregator has",
                hint="Start it with the keys that it had when the job was agreed",
            )
        self._job = job
        self._security = security
        self._policy = policy
        self._state = state
        self._clock = clock
        self._classical = classical

    def delivered(self, context: bytes, silo: str, contribution: bytes, *, refused: str = "") -> None:
        """Remember, durably, what arrived of a silo in an attempt (SHA-256), and why it was refused, if it was."""
        self._state.replace({_delivered(context, silo): parts.join([contribution, refused.encode()])})

    def finished(
        self, context: RoundContext, included: Mapping[str, bytes], *, release: bytes, result: bytes
    ) -> ReceiptBatch:
        """The receipts of an attempt that was answered. ``included``: SHA-256 of the contributions in the sum, by silo;
        ``release`` and ``result`` as they were signed."""
        attempt = _Attempt(context.round, context.attempt, context.digest(), sha256(release), sha256(result))
        return self._issue(attempt, included, void="")

    def voided(self, end: RoundVoid, signed: bytes) -> ReceiptBatch:
        """The receipts of an attempt that the keeper ended without an answer."""
        attempt = _Attempt(end.round, end.attempt, end.context, sha256(signed), b"")
        return self._issue(attempt, {}, void=end.reason or "the keeper gave no reason")

    def changes(self, number: int, attempt: int, context: bytes, batch: ReceiptBatch) -> dict[str, bytes | None]:
        """What the state is to hold when these receipts are published: for one ``replace`` with the attempt's end."""
        forgotten: dict[str, bytes | None] = dict.fromkeys(self._state.names(_deliveries(context)))
        return {**forgotten, issued_name(number, attempt): batch.encode()}

    def of_round(self, number: int) -> RoundReceipts:
        """What was issued for a round so far."""
        stored = [self._state.get(name) for name in self._state.names(f"receipts/{number:08d}/")]
        batches = tuple(ReceiptBatch.decode(one) for one in stored if one is not None)
        return RoundReceipts(tuple(member.name for member in self._job.job.roster), batches)

    def _issue(self, attempt: _Attempt, included: Mapping[str, bytes], *, void: str) -> ReceiptBatch:
        job, time = self._job.job, int(self._clock().timestamp())
        receipts = []
        for member in job.roster:
            contribution, verdict, reason = self._verdict(attempt.context, member.name, included, void)
            receipts.append(
                RoundReceipt(
                    issuer=self._security.name,
                    time=time,
                    policy=self._policy.digest(),
                    plan=job.plan,
                    job=self._job.digest,
                    round=attempt.number,
                    attempt=attempt.attempt,
                    context=attempt.context,
                    receipts=len(job.roster),
                    silo=member.name,
                    certificate=member.fingerprint,
                    contribution=contribution,
                    verdict=verdict,
                    reason=reason[:LONGEST_REASON],
                    ending=attempt.ending,
                    result=attempt.result,
                )
            )
        return issue_batch(receipts, self._security, classical=self._classical)

    def _verdict(self, context: bytes, silo: str, included: Mapping[str, bytes], void: str) -> tuple[bytes, str, str]:
        """SHA-256 of what arrived of a silo, what became of it, and why."""
        if silo in included:
            return included[silo], INCLUDED, ""
        if (stored := self._state.get(_delivered(context, silo))) is None:
            return b"", ABSENT, ""
        contribution, refused = parts.split(stored, 2)
        if refused:
            return contribution, REFUSED, refused.decode()
        return (contribution, VOIDED, void) if void else (contribution, REFUSED, _FORGOTTEN)


class _Attempt(NamedTuple):
    """An attempt that ended: its numbers, its context, and SHA-256 of the keeper's ending and the signed result."""

    number: int
    attempt: int
    context: bytes
    ending: bytes
    result: bytes


def contribution_in(message: bytes) -> bytes:
    """SHA-256 of the signed contribution in a silo's message; of the whole message where it cannot be taken apart."""
    try:
        return sha256(parts.split(message, 4)[0])
    except MessageRefused:
        return sha256(message)


def receipts_event(number: int, attempt: int, context: bytes, batch: ReceiptBatch) -> Event:
    """What the aggregator logs of the receipts of an attempt; the batch itself is attached."""
    body = {
        "round": number,
        "attempt": attempt,
        "context": context.hex(),
        "root": batch.root.hex(),
        "size": len(batch.payloads),
    }
    return Event("receipts", body, {"batch": batch.encode()})


def issued_name(number: int, attempt: int) -> str:
    """The name in a state: of an attempt's batch at the aggregator, of a silo's own receipt at the silo."""
    return f"receipts/{number:08d}/{attempt:04d}"


def _deliveries(context: bytes) -> str:
    return f"delivered/{context.hex()}/"


def _delivered(context: bytes, silo: str) -> str:
    return f"{_deliveries(context)}{silo}"
