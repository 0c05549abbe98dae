"""What an aggregator publishes of a finished round: announced once, logged, and durable before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quatrefoil.audit import Event, Log
from quatrefoil.audit.receipts import ReceiptBatch
from quatrefoil.contracts import TransportSecurity
from quatrefoil.federation import parts
from quatrefoil.federation.accounts import account_of, refusals_of
from quatrefoil.federation.agreement import AgreedJob, sha256
from quatrefoil.federation.authorities import read_contributors
from quatrefoil.federation.directions import next_direction
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.messages import RoundContext, RoundOffer, RoundResult
from quatrefoil.federation.norms import next_norm
from quatrefoil.federation.progress import NAME, Progress
from quatrefoil.federation.receipt_office import ReceiptOffice, RoundReceipts, receipts_event
from quatrefoil.federation.vectors import decode_arrays, encode_arrays, model_digest, next_model
from quatrefoil.policy import Policy
from quatrefoil.state import State


@dataclass(frozen=True)
class FinishedRound:
    """What a silo needs to take a round's result, and what a person wants to know of it."""

    number: int
    offer: bytes
    release: bytes
    result: bytes
    contributors: tuple[str, ...]
    error_bound: float
    receipts: RoundReceipts


class Publishing:
    """The finished rounds of one aggregator, in its state and log."""

    def __init__(
        self,
        job: AgreedJob,
        *,
        security: TransportSecurity,
        policy: Policy,
        state: State,
        log: Log,
        receipts: ReceiptOffice,
    ) -> None:
        self._job = job
        self._security = security
        self._policy = policy
        self._state = state
        self._log = log
        self._receipts = receipts

    def publish(
        self, attempt: Gathering, contributors: tuple[str, ...], release: bytes, mean: bytes, error_bound: float
    ) -> FinishedRound:
        """Publish the ``mean`` (little-endian float64) of an attempt that the keeper answered with ``release``; nothing
        is returned before it is logged and durable, and after a crash the same bytes are published."""
        layout = self._job.job.layout
        context = attempt.context
        current = Progress.of(self._state)
        assert current is not None
        model = next_model(decode_arrays(current.model, layout), mean, layout)
        digest = model_digest(model, layout)
        values = np.frombuffer(mean, "<f8")
        norm = next_norm(self._policy.limits, context.update_norm, values)
        direction = next_direction(self._policy.limits, values)
        announced = RoundResult(context.digest(), sha256(release), sha256(mean), digest)
        signed, batch = self._announce(attempt, contributors, release, announced)
        result = parts.join([signed, mean])
        body = {
            "round": context.round,
            "attempt": context.attempt,
            "context": context.digest().hex(),
            "contributors": list(contributors),
            # Not who sent something else besides: a silo cannot make the account of a round contradict itself.
            "refused": {name: reason for name, reason in attempt.refused.items() if name not in contributors},
            **attempt.proofs(contributors),
            "error_bound": error_bound,
            "model": digest.hex(),
        }
        issued = receipts_event(context.round, context.attempt, context.digest(), batch)
        attached = {"release" if self._job.threshold is None else "answers": release, "result": signed}
        self._log.append_all([Event("round-finished", body, attached), issued])
        self._state.replace(
            {
                **self._receipts.changes(context.round, context.attempt, context.digest(), batch),
                _announcement(context): None,
                f"finished/{context.round:08d}": parts.join(
                    [attempt.offer, release, result, np.float64(error_bound).astype("<f8").tobytes()]
                ),
                NAME: Progress(context.round, encode_arrays(model, layout), norm, direction).encode(),
                **account_of(context, contributors, announced),
                **refusals_of(context, contributors, attempt.refused),
            }
        )
        receipts = self._receipts.of_round(context.round)
        return FinishedRound(context.round, attempt.offer, release, result, contributors, error_bound, receipts)

    def finished(self, number: int) -> FinishedRound | None:
        """A finished round, for silos that come late; None if it is not finished."""
        stored = self._state.get(f"finished/{number:08d}")
        if stored is None:
            return None
        offer, release, result, bound = parts.split(stored, 4)
        context = RoundOffer.decode(self._security.verify(offer).body).context.digest()
        contributors = read_contributors(self._job, self._security, release, context)
        error_bound = float(np.frombuffer(bound, "<f8")[0])
        return FinishedRound(number, offer, release, result, contributors, error_bound, self._receipts.of_round(number))

    def _announce(
        self, attempt: Gathering, contributors: Sequence[str], release: bytes, result: RoundResult
    ) -> tuple[bytes, ReceiptBatch]:
        """The signed result and the receipts that name it: durable, so that a restart publishes the same bytes."""
        context = attempt.context
        name = _announcement(context)
        if (stored := self._state.get(name)) is None:
            signed = self._security.sign(result.encode())
            included = {one: sha256(attempt.received[one].signed) for one in contributors}
            batch = self._receipts.finished(context, included, release=release, result=signed)
            stored = self._state.put_once(name, parts.join([signed, batch.encode()]))
        signed, encoded = parts.split(stored, 2)
        return signed, ReceiptBatch.decode(encoded)


def _announcement(context: RoundContext) -> str:
    return f"announced/{context.digest().hex()}"


__all__ = ["FinishedRound", "Publishing"]
