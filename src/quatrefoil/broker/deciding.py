"""Whether evidence that came with a request is accepted, and what of it may be revoked later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from quatrefoil.appraisal import AppraisalPolicy, Verdict, appraise_set, verify_set
from quatrefoil.broker.ledger import Claimed
from quatrefoil.enclave.binding import Keyset, report_data
from quatrefoil.enclave.claims import Claims
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import EvidenceRejected
from quatrefoil.transport import suites


@dataclass(frozen=True)
class Bound:
    """What the evidence of a request must be bound to. ``exporter``: of the channel it came over, or ``b""``."""

    keyset: Keyset
    nonce: bytes
    exporter: bytes
    purpose: str


@dataclass(frozen=True)
class Accepted:
    """Evidence that was accepted. ``claims``: what its measurements and platforms are, devices' among them."""

    verdict: Verdict
    claims: tuple[Claimed, ...]

    @property
    def checks(self) -> list[str]:
        return [check.name for check in self.verdict.checks]


def accept(evidence: bytes, bound: Bound, policy: AppraisalPolicy, collateral: Collateral, now: int) -> Accepted:
    """``EvidenceRejected`` unless ``evidence`` is of code that holds the keyset, was made for this very request and is
    accepted by ``policy`` at ``now``."""
    at = datetime.fromtimestamp(now, UTC)
    bound.keyset.require_current(at)
    _require_sealing_key(bound.keyset)
    expected = report_data(bound.keyset, bound.nonce, bound.exporter, bound.purpose)
    verdict = appraise_set(verify_set(EvidenceSet.decode(evidence), collateral, at), policy, expected, at)
    verdict.require()
    return Accepted(verdict, tuple(claim for one in (verdict.claims, *verdict.devices) for claim in _revocable(one)))


def _require_sealing_key(keyset: Keyset) -> None:
    """The identifiers are those of the suite that will seal to the key: the keyset says nothing else than happens."""
    suite = next((one for one in suites.ENVELOPES if one.identifiers == keyset.sealing_suite), None)
    if suite is None or suite.public_bytes != len(keyset.sealing_public):
        raise EvidenceRejected(
            "the keyset's sealing key is of no suite of envelopes",
            hint=f"Use one of {', '.join(one.name for one in suites.ENVELOPES)}",
            check="keyset",
        )


def _revocable(claims: Claims) -> Iterator[Claimed]:
    for what, values in (("measurement", claims.measurements), ("platform", claims.platform)):
        for name, value in values.items():
            yield Claimed(what, claims.kind, name, value)


def sealing_identifiers(public: bytes) -> bytes:
    """HPKE's identifiers of a public key that ``contracts.Recipient.public`` gave."""
    return next(one.identifiers for one in suites.ENVELOPES if one.public_bytes == len(public))


__all__ = ["Accepted", "Bound", "accept", "sealing_identifiers"]
