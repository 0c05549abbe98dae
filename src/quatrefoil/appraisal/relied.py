"""What a relying party brings: its policy, and its own collateral (RFC 9334 section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quatrefoil.appraisal.policy import AppraisalPolicy
from quatrefoil.appraisal.verdict import Verdict, appraise
from quatrefoil.appraisal.verifiers import verify
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence


@dataclass(frozen=True)
class Relied:
    """An appraisal policy, which parties may agree on by its digest, and collateral, which each has of its own."""

    policy: AppraisalPolicy
    collateral: Collateral

    def appraise(self, evidence: Evidence, report_data: bytes, at: datetime) -> Verdict:
        """The verdict on evidence that is to be bound to ``report_data``, as of ``at``."""
        return appraise(verify(evidence, self.collateral, at), self.policy, report_data, at)


__all__ = ["Relied"]
