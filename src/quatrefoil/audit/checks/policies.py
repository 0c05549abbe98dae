"""Which policy a job ran under, and which appraisal policy: check policy."""

from __future__ import annotations

from quatrefoil.appraisal.relied import Relied
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.evidence import Evidence
from quatrefoil.audit.verdict import Findings
from quatrefoil.errors import PolicyError
from quatrefoil.policy import Policy

_MOST_NAMED = 16
_FIELDS = {"policy": "digest", "plan": "policy", "job": "policy"}


class NamedPolicies:
    """Names by digest of the policies that logs name, the first of them."""

    def __init__(self) -> None:
        self.by_digest: dict[str, str] = {}

    def follow(self, entry: Entry) -> None:
        field = _FIELDS.get(entry.kind)
        if field is not None and len(self.by_digest) < _MOST_NAMED:
            digest = str(entry.body[field])[:64]
            name = str(entry.body["name"])[:64] if entry.kind == "policy" else ""
            self.by_digest[digest] = name or self.by_digest.get(digest, "")


def check_policy(
    named: NamedPolicies, evidence: Evidence, given: Policy | None, relied: Relied | None, findings: Findings
) -> None:
    """``given``: the auditor's; None: what came along, if any did. ``relied``: what evidence of enclaves is held to."""
    digests, names = set(named.by_digest), ", ".join(named.by_digest) or "none"
    try:
        wanted = evidence.policy_or(given)
    except PolicyError as error:
        findings.problem("policy", error.problem)
        return
    if wanted is None:
        findings.say("policy", f"the logs name {names}; no policy file was given or came along to compare with")
        return
    source = "given by the auditor" if given is not None else "that came along"
    digest = wanted.digest().hex()
    if not digests:
        findings.not_run("policy", "the logs name no policy")
    elif digests != {digest}:
        findings.problem("policy", f"the policy {source} is {digest}, and the logs name {names}")
    if relied is not None and relied.policy.digest() != wanted.appraisal:
        findings.problem(
            "policy",
            f"the policy {source} names the appraisal policy {wanted.appraisal.hex() or 'none'}, and given is "
            f"{relied.policy.digest().hex()}",
        )
    findings.say("policy", f"policy {wanted.name} {source}, digest {digest}")
