"""Whether evidence that came with a request is accepted, and what of it may be revoked later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from quatrefoil import attested
from quatrefoil.appraisal import AppraisalPolicy, Verdict
from quatrefoil.attested import Presented
from quatrefoil.broker.ledger import Claimed
from quatrefoil.enclave.claims import Claims
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.transport import ChannelPolicy


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

    def accept(self, presented: Presented, policy: AppraisalPolicy, now: int) -> Accepted:
        """``EvidenceRejected`` unless the evidence is of code that holds the keyset and the channel's TLS key, was made
        for this very request and is accepted by ``policy`` at ``now``."""
        at = datetime.fromtimestamp(now, UTC)
        recipient = attested.recipient(presented.keyset, self.channels)
        verdict = attested.judge(presented, policy, self.collateral(), at)
        claims = tuple(claim for one in (verdict.claims, *verdict.devices) for claim in _revocable(one))
        return Accepted(verdict, recipient, claims)


def _revocable(claims: Claims) -> Iterator[Claimed]:
    for what, values in (("measurement", claims.measurements), ("platform", claims.platform)):
        for name, value in values.items():
            yield Claimed(what, claims.kind, name, value)


__all__ = ["Accepted", "Judge"]
