"""What a relying party brings: its policy, and its own collateral (RFC 9334 section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quatrefoil.appraisal.policy import AppraisalPolicy
from quatrefoil.appraisal.verdict import Verdict, appraise, appraise_set
from quatrefoil.appraisal.verifiers import verify, verify_set
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence, EvidenceSet


@dataclass(frozen=True)
class Relied:
    """An appraisal policy, which parties may agree on by its digest, and collateral, which each has of its own."""

    policy: AppraisalPolicy
    collateral: Collateral

    def appraise(self, evidence: Evidence, report_data: bytes, at: datetime) -> Verdict:
        """The verdict on evidence that is to be bound to ``report_data``, as of ``at``."""
        return appraise(verify(evidence, self.collateral, at), self.policy, report_data, at)

    def appraise_set(self, evidence: EvidenceSet, report_data: bytes, at: datetime) -> Verdict:
        """The same of a machine's evidence with that of its devices."""
        return appraise_set(verify_set(evidence, self.collateral, at), self.policy, report_data, at)


__all__ = ["Relied"]
