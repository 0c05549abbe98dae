"""What accepted evidence says is running, as one line of text that both ends of a receipt derive alike."""

from __future__ import annotations

import hashlib

from quatrefoil.appraisal.policy import AppraisalPolicy
from quatrefoil.appraisal.verdict import Verdict
from quatrefoil.enclave.claims import Claims

LONGEST = 2048
"""Characters. A longer text is named by its SHA-256: a receipt stays small enough for a field of HTTP."""


def measurement_of(verdict: Verdict, policy: AppraisalPolicy) -> str:
    """``KIND.NAME=HEX`` of each measurement that ``policy`` compares, separated by commas: the machine's by name, then
    those of its devices, each text once and sorted. ``verdict`` is one under ``policy``; ``EvidenceRejected`` where it
    accepts nothing.

    What the policy does not compare is left out: a register that grows while code runs would give two ends two texts.
    Over 2,048 characters it is ``sha256=`` and the digest of the text.
    """
    verdict.require()
    devices = {text for device in verdict.devices for text in _named(device, policy)}
    text = ",".join([*sorted(_named(verdict.claims, policy)), *sorted(devices)])
    return text if len(text) <= LONGEST else f"sha256={hashlib.sha256(text.encode()).hexdigest()}"


def _named(claims: Claims, policy: AppraisalPolicy) -> list[str]:
    rule = policy.rule(claims.kind)
    compared = [] if rule is None else [one.name for one in rule.measurements if one.name in claims.measurements]
    return [f"{claims.kind}.{name}={claims.measurements[name].hex()}" for name in compared]


__all__ = ["measurement_of"]
