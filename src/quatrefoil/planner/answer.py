"""One claim of a plan: which backend answers which threat, in the way and on the condition that people are shown.

``condition`` says what the claim rests on beyond the cryptography. Both texts hold placeholders, which are filled with
the policy's numbers and names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from quatrefoil.policy import Policy


@dataclass(frozen=True)
class Answer:
    """``backend`` of ``layer`` answers ``threat`` in phases of ``kind``, in the way and on the condition given.
    ``beside``: a layer that has to be used as well, "" for none."""

    layer: str
    backend: str
    kind: str
    threat: str
    how: str
    condition: str = ""
    beside: str = ""

    def under(self, policy: Policy) -> Answer:
        """The same with the policy's numbers and names filled in."""
        limits = policy.limits
        given = {
            "hybrid": _KEY_AGREEMENTS[policy.channels],
            "colluders": _colluders(policy),
            "minimum_silos": limits.minimum_silos,
            "rosters": _rosters(policy),
            "apart": _apart(policy),
            "answered": _answered(policy),
            "norm": f"{limits.update_norm:g}",
            "appraisal": policy.appraisal.hex()[:16] or "that it would have to name",
            "share": f"{100 * policy.proven_share:g} %",
            "drop": _drop(policy),
        }
        how, condition = self.how.format(**given), self.condition.format(**given)
        return replace(self, how=how, condition=condition)


def _drop(policy: Policy) -> str:
    if policy.largest_accuracy_drop == math.inf:
        return "of whose loss of right answers the policy sets no limit"
    return (
        f"which may give {100 * policy.largest_accuracy_drop:g} % fewer right answers than the model in floating point"
    )


def _apart(policy: Policy) -> str:
    if (threshold := policy.threshold) is None:
        return "the keeper and the aggregator are run by parties that do not pool what they know"
    return f"at most {threshold.privacy} of the committee's {threshold.members} members pool what they know"


def _answered(policy: Policy) -> str:
    if (threshold := policy.threshold) is None:
        return "the keeper answers once a round, and only when more than half of the job's silos have confirmed"
    return f"{threshold.recovery} of {threshold.members} members have to answer, each of them once a round"


def _colluders(policy: Policy) -> str:
    if policy.limits.colluding_silos:
        return f"at most {policy.limits.colluding_silos} of the silos collude"
    return "no silo colludes, nor takes its own update out of the published sum"


def _rosters(policy: Policy) -> str:
    group, safe = policy.limits.minimum_roster_group, policy.limits.colluding_silos + 2
    if group >= safe:
        return f"no combination of a job's sums sets fewer than {group} silos apart"
    return (
        f"a combination of a job's sums may set as few as {group} of the silos apart, which can come close to one "
        f"update (at least {safe} would prevent it)"
    )


_KEY_AGREEMENTS: Mapping[str, str] = {
    "hybrid-768": "X25519 and ML-KEM-768 together: what is recorded opens only to someone who breaks both",
    "hybrid-1024": "P-384 and ML-KEM-1024 together: what is recorded opens only to someone who breaks both",
    "cnsa-2.0": "ML-KEM-1024 alone, as CNSA 2.0 asks for: what is recorded opens only to someone who breaks it",
}
"""By the channel policy. A test holds it to the names that there are, and to what each negotiates first."""


def key_agreement(channels: str) -> str:
    """What channels and envelopes rest on under the channel policy of this name."""
    return _KEY_AGREEMENTS[channels]


HYBRID = "{hybrid}"
MUTUAL = "TLS 1.3 with ML-DSA certificates on both ends; chain, host name and role are checked"
AUTHORITY = "the authority certifies only the parties that it names, and nobody else holds its key"


__all__ = ["AUTHORITY", "HYBRID", "MUTUAL", "Answer", "key_agreement"]
