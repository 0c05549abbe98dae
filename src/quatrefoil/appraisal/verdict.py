"""Findings under a policy: a verdict, which is acceptance only if every check passed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quatrefoil.appraisal.policy import AppraisalPolicy, Rule
from quatrefoil.appraisal.vocabulary import ANY, VOCABULARIES
from quatrefoil.contracts import Appraisal
from quatrefoil.enclave.claims import Check, Claims, Findings, FindingsSet
from quatrefoil.enclave.evidence import DEVICE_KINDS
from quatrefoil.errors import EvidenceRejected

CLOCK_SKEW_S = 60
"""How far the clock of who dates evidence may be ahead. Evidence from the future is no replay."""


@dataclass(frozen=True)
class Verdict:
    """Every check of the verifier and of the policy, and what they were made on. :meth:`require` is how code goes on
    with accepted evidence; ``accepted`` is for reports."""

    checks: tuple[Check, ...]
    claims: Claims
    policy_sha256: bytes
    devices: tuple[Claims, ...] = ()
    """Of a set: what each device says, in the set's order. Their checks are among ``checks`` as ``gpu0-NAME``."""

    @property
    def accepted(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    def require(self) -> Appraisal:
        """The appraisal of accepted evidence, or ``EvidenceRejected`` naming the checks that did not pass."""
        failed = [check for check in self.checks if not check.passed]
        if failed or not self.accepted:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise EvidenceRejected(
                f"the evidence is not accepted: {failed[0].name}{more}: {failed[0].detail}",
                hint="See every check with `quatrefoil attest verify`; change the platform, or the policy knowingly",
                check=failed[0].name,
            )
        return Appraisal(self.claims.kind, self.claims.isolation, insecure=False, policy=self.policy_sha256)

    def to_json(self) -> dict[str, Any]:
        devices = {"devices": [claims.to_json() for claims in self.devices]} if self.devices else {}
        return {
            "verdict": "accepted" if self.accepted else "rejected",
            "kind": self.claims.kind,
            "root": self.claims.root,
            "isolation": self.claims.isolation,
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "claims": self.claims.to_json(),
            "policy_sha256": self.policy_sha256.hex(),
            **devices,
        }


def appraise(findings: Findings, policy: AppraisalPolicy, report_data: bytes | None, at: datetime) -> Verdict:
    """Hold ``findings`` to ``policy`` at ``at``.

    ``report_data`` is what the code was to put into its evidence, of up to as many bytes as the kind has; shorter data
    stand for themselves followed by zeros. ``None`` passes only under a policy with ``report_data = "any"``. A machine
    that shows no device is refused under a policy that requires one, and so is a device without a machine under a
    policy that accepts machines: nobody who has a GPU alone has what such a policy asks for.
    """
    alone = _without_machine(policy) if findings.claims.kind in DEVICE_KINDS else _devices((), policy)
    return Verdict((*_appraised(findings, policy, report_data, at), *alone), findings.claims, policy.digest())


def appraise_set(findings: FindingsSet, policy: AppraisalPolicy, report_data: bytes | None, at: datetime) -> Verdict:
    """Hold a machine and its devices to ``policy`` at ``at``: a verdict on the machine, in which every check of device
    0 is called ``gpu0-NAME``. Every device that is shown must be accepted, also where the policy requires none.

    All of them are bound to the same ``report_data``, of 32 bytes; where it is left out and the policy allows that,
    the devices must still be bound to the data of the machine.
    """
    machine = findings.primary
    checks = [*_appraised(machine, policy, report_data, at)]
    bound = AppraisalPolicy(policy.name, "required", policy.rules)
    for number, device in enumerate(findings.devices):
        data = _unpadded(machine.claims, device.claims) if report_data is None else report_data
        for check in _appraised(device, bound, data, at):
            checks.append(dataclasses.replace(check, name=f"gpu{number}-{check.name}"))
    checks += _devices(tuple(device.claims for device in findings.devices), policy)
    return Verdict(tuple(checks), machine.claims, policy.digest(), tuple(one.claims for one in findings.devices))


def _appraised(
    findings: Findings, policy: AppraisalPolicy, report_data: bytes | None, at: datetime
) -> tuple[Check, ...]:
    claims = findings.claims
    rule = policy.rule(claims.kind)
    checks = [
        *findings.checks,
        Check("kind", rule is not None, f"{claims.kind} under the policy {policy.name}"),
        Check("root", claims.root != "none", f"vouched for by {claims.root}"),
        _report_data(claims, policy, report_data),
    ]
    if rule is not None:
        checks += [*_established(findings), *_checks(claims, rule, at)]
    return tuple(checks)


def _without_machine(policy: AppraisalPolicy) -> tuple[Check, ...]:
    machines = [rule.kind for rule in policy.rules if rule.kind not in DEVICE_KINDS]
    return (Check("machine", not machines, f"a device alone; machines are {', '.join(machines) or 'not asked for'}"),)


def _devices(devices: tuple[Claims, ...], policy: AppraisalPolicy) -> tuple[Check, ...]:
    """Enough devices, each another one: a report of one GPU, asked for twice, is not two GPUs."""
    least = sum(rule.gpus for rule in policy.rules)
    if not devices and not least:
        return ()
    different = len({tuple(sorted(claims.platform.items())) for claims in devices})
    count = f"{different} different GPUs in {len(devices)} reports, at least {least} asked for"
    return (Check("gpus", least <= different == len(devices), count),)


def _unpadded(machine: Claims, device: Claims) -> bytes:
    """The machine's report data without zeros at the end that the device's field has no room for."""
    size = len(device.report_data)
    return machine.report_data if any(machine.report_data[size:]) else machine.report_data[:size]


def _established(findings: Findings) -> Iterator[Check]:
    """A verifier that leaves a check out has a fault: nothing is accepted on its word."""
    made = {check.name for check in findings.checks}
    for name in VOCABULARIES[findings.claims.kind].established:
        if name not in made:
            yield Check(f"made-{name}", False, "the verifier did not make this check")


def _checks(claims: Claims, rule: Rule, at: datetime) -> Iterator[Check]:
    known = VOCABULARIES[rule.kind]
    for listed in rule.measurements:
        yield _among(f"accepted-{listed.name}", claims.measurements.get(listed.name), listed.values)
    for listed in rule.platforms:
        yield _among(f"accepted-{listed.name}", claims.platform.get(listed.name), listed.values)
    for listed in rule.listed:
        yield _among(f"accepted-{listed.name}", claims.facts.get(listed.name), listed.values)
    for name in sorted(known.refusable):
        value = claims.debug if name == "debug" else claims.facts.get(name)
        if name in rule.refused:
            # Anything but a plain "no" is refused: a claim that is missing says nothing.
            yield Check(f"refused-{name}", value is False, f"{name} is {_said(value)}")
    for name in rule.required:
        yield Check(f"required-{name}", claims.facts.get(name) is True, f"{name} is {_said(claims.facts.get(name))}")
    if known.components:
        yield _minimum(claims, rule)
    if known.statuses:
        yield Check("status", claims.status in rule.statuses, f"{claims.status or 'none'}; {', '.join(rule.statuses)}")
        hit = sorted(set(claims.advisories) & set(rule.rejected_advisories))
        yield Check("advisories", not hit, f"{', '.join(hit)} apply" if hit else "none that the policy rejects")
    if known.vmpl:
        low = claims.vmpl is not None and claims.vmpl <= rule.highest_vmpl
        yield Check("vmpl", low, f"asked for at VMPL {_said(claims.vmpl)}, accepted up to {rule.highest_vmpl}")
    if known.dated:
        yield _age(claims, rule, at)


def _among(name: str, value: object, accepted: tuple[str, ...]) -> Check:
    if accepted == (ANY,):
        return Check(name, True, f"{_said(value)}: the policy accepts any")
    return Check(name, _said(value) in accepted, f"{_said(value)}, {len(accepted)} accepted")


def _minimum(claims: Claims, rule: Rule) -> Check:
    """Every component of the evidence's own model at its least version or above, now and, where the evidence says it,
    when the guest was started; a model that is not listed fails."""
    least = {one.component: one.version for one in rule.minimum_tcb if one.model == claims.model}
    if not least:
        return Check("minimum-tcb", False, f"the policy accepts no {claims.model or 'unknown model'}")
    below = [
        f"{when}{name} {versions.get(name, 'missing')} < {version}"
        for when, versions in (("", claims.tcb), ("at launch ", claims.launch_tcb))
        for name, version in sorted(least.items())
        if (versions or not when) and versions.get(name, -1) < version
    ]
    return Check("minimum-tcb", not below, ", ".join(below) or f"{claims.model}: no component is below its minimum")


def _age(claims: Claims, rule: Rule, at: datetime) -> Check:
    if claims.signed_at is None:
        return Check("age", False, "the evidence does not say when it was made")
    age = (at - claims.signed_at).total_seconds()
    passed = -CLOCK_SKEW_S <= age <= rule.maximum_age_s
    return Check("age", passed, f"{age:.0f} s old, accepted up to {rule.maximum_age_s} s")


def _report_data(claims: Claims, policy: AppraisalPolicy, expected: bytes | None) -> Check:
    if expected is None:
        passed = policy.report_data == ANY
        return Check("report-data", passed, "not compared: none was given" + (", as the policy allows" * passed))
    size = len(claims.report_data)
    if not 0 < len(expected) <= size:
        return Check("report-data", False, f"{len(expected)} bytes were expected, and the evidence holds {size}")
    same = expected.ljust(size, b"\0") == claims.report_data
    return Check("report-data", same, "as expected" if same else "not what was expected: a replay, or other code")


def _said(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return "not said" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ["Verdict", "appraise", "appraise_set"]
