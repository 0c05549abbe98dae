"""The silo's side: a keeper's evidence verified offline and held to the appraisal policy that the job's policy names.

It needs nothing of the machine that attests: no collector, no device, no network. What it brings is the policy, which
all parties of a job agree on by its digest, and its own collateral, which nobody agrees on with anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from quatrefoil.appraisal import Relied
from quatrefoil.contracts import Appraisal
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import EvidenceRejected, PolicyInvalid
from quatrefoil.policy import ISOLATING

_ASK = "Send nothing to this keeper, and ask its operator"


class PolicyAppraiser:
    """Accepts evidence of the one kind ``accepts`` that passes every check of the appraisal policy, as of ``clock``.

    ``isolated``: what shows no isolation from the host is refused, whatever the policy says. ``PolicyInvalid`` for a
    policy that says nothing of the kind, and for a kind that never isolates where isolation is asked for.
    """

    def __init__(
        self,
        accepts: str,
        relied: Relied,
        *,
        isolated: bool,
        clock: Callable[[], datetime],
    ) -> None:
        policy = relied.policy
        if policy.rule(accepts) is None:
            raise PolicyInvalid(
                f"appraisal policy {policy.name} has no section [{accepts}]",
                hint=f"Choose one of {', '.join(rule.kind for rule in policy.rules)}, or agree on another policy",
            )
        if isolated and accepts not in ISOLATING:
            raise PolicyInvalid(
                f"{accepts} shows no isolation, and the policy names a threat that only isolation answers",
                hint=f"Use a keeper behind one of {', '.join(ISOLATING)}, or take the threat out knowingly",
            )
        self._accepts = accepts
        self._relied = relied
        self._isolated = isolated
        self._clock = clock

    @property
    def accepts(self) -> str:
        return self._accepts

    def appraise(self, evidence: bytes, *, report_data: bytes) -> Appraisal:
        """The appraisal of evidence that passed every check, or ``EvidenceRejected`` naming the first that failed."""
        decoded = Evidence.decode(evidence)
        if decoded.kind != self._accepts:
            raise EvidenceRejected(
                f"the keeper sent {decoded.kind} evidence, and {self._accepts} is accepted", hint=_ASK, check="kind"
            )
        found = self._relied.appraise(decoded, report_data, self._clock()).require()
        if self._isolated and found.isolation not in ("process", "vm"):
            raise EvidenceRejected(
                f"{found.kind} evidence shows isolation {found.isolation!r}, and isolation from the host is asked for",
                hint=_ASK,
                check="isolation",
            )
        return found


__all__ = ["PolicyAppraiser"]
