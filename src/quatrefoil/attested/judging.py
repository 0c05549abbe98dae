"""What must hold of evidence that came with keys, whoever asked for it: one place, so that nobody leaves a part out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quatrefoil.appraisal import AppraisalPolicy, Verdict, appraise_set, verify_set
from quatrefoil.enclave.binding import Keyset, report_data
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import EvidenceRejected


@dataclass(frozen=True)
class Presented:
    """That ``evidence``, an encoded ``EvidenceSet``, is of code that holds ``keyset``, for one nonce and purpose.

    ``exporter``: from the channel that it came on (``channels.exported``), or ``b""`` where there is none.
    ``peer_key``: SHA-256 of the SubjectPublicKeyInfo that the channel's peer was verified with, or ``b""``.
    """

    keyset: Keyset
    evidence: bytes
    nonce: bytes
    purpose: str
    exporter: bytes
    peer_key: bytes


def judge(presented: Presented, policy: AppraisalPolicy, collateral: Collateral, at: datetime) -> Verdict:
    """The verdict on what was presented, if it holds at ``at``; ``EvidenceRejected`` naming the check that failed.

    That ``presented.nonce`` is fresh, and was not used before, is for the caller.
    """
    keyset = presented.keyset
    keyset.require_current(at)
    if presented.exporter and keyset.tls and keyset.tls != presented.peer_key:
        raise EvidenceRejected(
            "the keyset names another TLS key than the one that the peer showed on this channel",
            hint="Connect again: its key may have been replaced since; if it stays so, somebody is in between",
            check="tls-key",
        )
    evidence = EvidenceSet.decode(presented.evidence)
    _require_kinds(evidence, policy)
    expected = report_data(keyset, presented.nonce, presented.exporter, presented.purpose)
    verdict = appraise_set(verify_set(evidence, collateral, at), policy, expected, at)
    verdict.require()
    return verdict


def _require_kinds(evidence: EvidenceSet, policy: AppraisalPolicy) -> None:
    """A kind that the policy does not name is refused unread: no peer chooses which parsers see its bytes."""
    for one in (evidence.primary, *evidence.devices):
        if policy.rule(one.kind) is None:
            raise EvidenceRejected(
                f"{one.kind} evidence is not named by the policy {policy.name}",
                hint=f"Send evidence of {', '.join(rule.kind for rule in policy.rules)}",
                check="kind",
            )


__all__ = ["Presented", "judge"]
