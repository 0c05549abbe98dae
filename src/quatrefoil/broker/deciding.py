"""Whether evidence that came with a request is accepted, and what of it may be revoked later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from quatrefoil import attested
from quatrefoil.appraisal import AppraisalPolicy, Verdict, appraise_set, verify_set
from quatrefoil.broker.ledger import Claimed
from quatrefoil.enclave.binding import Keyset, report_data
from quatrefoil.enclave.claims import Claims
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.transport import ChannelPolicy


@dataclass(frozen=True)
class Bound:
    """What the evidence of a request must be bound to. ``exporter``: of the channel it came over, or ``b""``."""

    keyset: Keyset
    nonce: bytes
    exporter: bytes
    purpose: str


@dataclass(frozen=True)
class Accepted:
    """Evidence that was accepted. ``recipient``: the keyset's key to seal to, as ``TransportSecurity.seal`` takes it.
    ``claims``: what its measurements and platforms are, devices' among them."""

    verdict: Verdict
    recipient: bytes
    claims: tuple[Claimed, ...]

    @property
    def checks(self) -> list[str]:
        return [check.name for check in self.verdict.checks]


@dataclass(frozen=True)
class Judge:
    """``collateral``: what evidence is verified with, asked anew each time. ``channels``: which keys are sealed to."""

    collateral: Callable[[], Collateral]
    channels: ChannelPolicy

    def accept(self, evidence: bytes, bound: Bound, policy: AppraisalPolicy, now: int) -> Accepted:
        """``EvidenceRejected`` unless ``evidence`` is of code that holds the keyset, was made for this very request and
        is accepted by ``policy`` at ``now``."""
        at = datetime.fromtimestamp(now, UTC)
        bound.keyset.require_current(at)
        recipient = attested.recipient(bound.keyset, self.channels)
        expected = report_data(bound.keyset, bound.nonce, bound.exporter, bound.purpose)
        findings = verify_set(EvidenceSet.decode(evidence), self.collateral(), at)
        verdict = appraise_set(findings, policy, expected, at)
        verdict.require()
        claims = tuple(claim for one in (verdict.claims, *verdict.devices) for claim in _revocable(one))
        return Accepted(verdict, recipient, claims)


def _revocable(claims: Claims) -> Iterator[Claimed]:
    for what, values in (("measurement", claims.measurements), ("platform", claims.platform)):
        for name, value in values.items():
            yield Claimed(what, claims.kind, name, value)


__all__ = ["Accepted", "Bound", "Judge"]
