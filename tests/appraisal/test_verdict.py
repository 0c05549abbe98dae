"""A verdict is acceptance only if every check passed; each field of a policy refuses alone, under valid signatures."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest
from appraisal_policies import TEXT, policy

import attesting
from attesting import AT, CHIP_ID, DEBUG, MIGRATE, NOTHING, POLICY, REPORT_DATA, SMT, roots
from quatrefoil.appraisal import AppraisalPolicy, Verdict, appraise, parse, verify, verify_set
from quatrefoil.appraisal.verifiers import VERIFIERS
from quatrefoil.enclave import snp
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import KINDS, Evidence, EvidenceSet
from quatrefoil.errors import CallerError, EvidenceRejected


def verdict(
    evidence: Evidence,
    under: AppraisalPolicy | None = None,
    *,
    report_data: bytes | None = REPORT_DATA,
    collateral: Collateral = NOTHING,
) -> Verdict:
    findings = snp.verify(evidence, collateral, AT, roots=roots())
    return appraise(findings, under or policy(), report_data, AT)


def failed(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


@pytest.mark.parametrize("product", sorted(CHIP_ID))
@pytest.mark.parametrize("kind", ["vcek", "vlek"])
def test_good_evidence_is_accepted(product: str, kind: str) -> None:
    found = verdict(attesting.evidence(product, kind))
    assert failed(found) == [] and found.accepted
    appraisal = found.require()
    assert (appraisal.kind, appraisal.isolation, appraisal.insecure) == ("sev-snp", "vm", False)


def test_the_verdict_as_json() -> None:
    said = verdict(attesting.evidence()).to_json()
    assert set(said) == {"verdict", "kind", "root", "isolation", "checks", "claims", "policy_sha256"}
    assert said["verdict"] == "accepted" and said["policy_sha256"] == policy().digest().hex()
    assert all(set(check) == {"name", "passed", "detail"} for check in said["checks"])
    json.dumps(said, allow_nan=False)


# ------------------------------------------------------------- each field of the policy violated alone, and only that


def changed(name: str, value: int | bytes) -> Evidence:
    return attesting.evidence(**{name: value})


LOWER = bytes([4, 0, 0, 0, 0, 0, 23, 219])


def lower_tcb() -> Evidence:
    """Certified for an older SNP firmware, and saying so."""
    versions = {f"{name}_tcb": LOWER for name in ("current", "reported", "committed", "launch")}
    certificates = (attesting.leaf("Milan", tcb=LOWER), attesting.ask("Milan"))
    return dataclasses.replace(attesting.evidence(**versions), certificates=certificates)


GENOA = TEXT[TEXT.index("[sev-snp.minimum_tcb.Genoa]") :]
VIOLATIONS: dict[str, tuple[Evidence, AppraisalPolicy, str]] = {
    "debug": (changed("policy", POLICY | DEBUG), policy(), "refused-debug"),
    "migration agent": (changed("policy", POLICY | MIGRATE), policy(), "refused-migration_agent"),
    "smt": (changed("policy", POLICY | SMT), policy('smt = "accept"', 'smt = "refuse"'), "refused-smt"),
    "provisional firmware": (
        changed("committed_tcb", bytes([3, 0, 0, 0, 0, 0, 24, 219])),
        policy(),
        "refused-provisional_firmware",
    ),
    "provisional build": (changed("committed_firmware", b"\x1c\x37\x01"), policy(), "refused-provisional_firmware"),
    "alias check": (changed("platform_info", 0b101), policy(), "required-alias_check"),
    "ciphertext hiding": (
        attesting.evidence(),
        policy('ciphertext_hiding = "any"', 'ciphertext_hiding = "require"'),
        "required-ciphertext_hiding",
    ),
    "revocation": (
        attesting.evidence(),
        policy('revocation_checked = "any"', 'revocation_checked = "require"'),
        "required-revocation_checked",
    ),
    "signing key": (
        attesting.evidence(kind="vlek"),
        policy('["vcek", "vlek"]', '["vcek"]'),
        "accepted-signing_key",
    ),
    "chip": (attesting.evidence(), policy('chip_id = ["any"]', f'chip_id = ["{"09" * 64}"]'), "accepted-chip_id"),
    "vmpl": (changed("vmpl", 1), policy(), "vmpl"),
    "measurement": (changed("measurement", b"\x01" * 48), policy(), "accepted-measurement"),
    "tcb at launch": (changed("launch_tcb", LOWER), policy(), "minimum-tcb"),
    "minimum tcb": (lower_tcb(), policy(), "minimum-tcb"),
    "model": (
        attesting.evidence("Milan"),
        parse(TEXT.partition("[sev-snp.minimum_tcb.Milan]")[0] + GENOA, source="policy.toml"),
        "minimum-tcb",
    ),
    "report data": (changed("report_data", b"\x01" * 64), policy(), "report-data"),
}
SIZES = {"host_data": 32, "family_id": 16, "image_id": 16, "id_key_digest": 48, "author_key_digest": 48}
for _name, _size in SIZES.items():
    _pinned = f'[sev-snp.measurements]\n{_name} = ["{"09" * _size}"]'
    VIOLATIONS[_name] = (attesting.evidence(), policy("[sev-snp.measurements]", _pinned), f"accepted-{_name}")


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_field_refuses_alone(name: str) -> None:
    evidence, under, check = VIOLATIONS[name]
    found = verdict(evidence, under)
    assert failed(found) == [check] and not found.accepted
    with pytest.raises(EvidenceRejected) as refused:
        found.require()
    assert refused.value.check == check and refused.value.hint


def test_every_field_of_a_rule_is_violated_above() -> None:
    checks = {check for _, _, check in VIOLATIONS.values()}
    made = {check.name for check in verdict(attesting.evidence()).checks}
    own = {name for name in made if name.startswith(("refused", "required", "accepted", "minimum", "vmpl"))}
    assert own <= checks


@pytest.mark.parametrize("component", ["bootloader", "tee", "snp", "microcode"])
def test_each_component_has_its_minimum(component: str) -> None:
    version = {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}[component]
    milan = TEXT.index("[sev-snp.minimum_tcb.Milan]")
    raised = TEXT[:milan] + TEXT[milan:].replace(f"{component} = {version}", f"{component} = {version + 1}", 1)
    assert failed(verdict(attesting.evidence(), parse(raised, source="policy.toml"))) == ["minimum-tcb"]


def test_higher_versions_are_accepted() -> None:
    higher = bytes([5, 1, 0, 0, 0, 0, 25, 220])
    versions = {f"{name}_tcb": higher for name in ("current", "reported", "committed", "launch")}
    certificates = (attesting.leaf("Milan", tcb=higher), attesting.ask("Milan"))
    assert verdict(dataclasses.replace(attesting.evidence(**versions), certificates=certificates)).accepted


@pytest.mark.parametrize("field", ["accept", "reject"])
def test_what_the_policy_lets_pass_passes(field: str) -> None:
    """The violations above are accepted where the policy says so: the evidence never decides."""
    under = policy('debug = "refuse"', 'debug = "accept"') if field == "accept" else policy()
    assert verdict(changed("policy", POLICY | DEBUG), under).accepted == (field == "accept")


def test_a_listed_chip_is_accepted() -> None:
    assert verdict(attesting.evidence(), policy('["any"]', f'["{CHIP_ID["Milan"].hex()}"]')).accepted
    turin = policy('["any"]', f'["{CHIP_ID["Turin"][:8].hex()}"]')
    assert verdict(attesting.evidence("Turin"), turin).accepted


def test_a_required_list_is_accepted_when_it_is_there() -> None:
    under = policy('revocation_checked = "any"', 'revocation_checked = "require"')
    assert verdict(
        attesting.evidence(), under, collateral=Collateral(revocation_lists=(attesting.crl("Milan"),))
    ).accepted


# ------------------------------------------------------------------------------------------------------ report data


@pytest.mark.parametrize("size", [32, 40, 64])
def test_report_data_may_leave_out_zeros_at_the_end(size: int) -> None:
    assert verdict(attesting.evidence(), report_data=REPORT_DATA[:size]).accepted


@pytest.mark.parametrize("expected", [b"", REPORT_DATA[:31], b"\1" + REPORT_DATA[1:], REPORT_DATA + b"\0", b"\0"])
def test_other_report_data_is_refused(expected: bytes) -> None:
    assert failed(verdict(attesting.evidence(), report_data=expected)) == ["report-data"]


def test_leaving_report_data_out_is_refused_unless_the_policy_allows_it() -> None:
    assert failed(verdict(attesting.evidence(), report_data=None)) == ["report-data"]
    allowed = policy('report_data = "required"', 'report_data = "any"')
    assert verdict(attesting.evidence(), allowed, report_data=None).accepted
    assert failed(verdict(attesting.evidence(), allowed, report_data=b"\1")) == ["report-data"]


# ------------------------------------------------------------------------------- what no policy makes acceptable


def test_a_failed_check_of_the_verifier_is_never_accepted() -> None:
    found = snp.verify(attesting.evidence(), NOTHING, AT + timedelta(days=9999), roots=roots())
    assert failed(appraise(found, policy(), REPORT_DATA, AT)) == ["validity", "root"]


def test_evidence_that_nobody_pinned_vouches_for_is_refused() -> None:
    found = appraise(verify(attesting.evidence(), NOTHING, AT), policy(), REPORT_DATA, AT)
    assert failed(found) == ["chain", "validity", "root"] and found.claims.root == "none"


def test_a_verifier_that_leaves_a_check_out_is_noticed() -> None:
    found = snp.verify(attesting.evidence(), NOTHING, AT, roots=roots())
    for name in ("chain", "signature", "validity", "certificate-tcb"):
        less = Findings(found.claims, tuple(check for check in found.checks if check.name != name))
        assert failed(appraise(less, policy(), REPORT_DATA, AT)) == [f"made-{name}"]


def test_a_kind_without_a_rule_is_refused() -> None:
    other = Findings(Claims("tpm", "a root", "none", REPORT_DATA), (Check("signature", True, ""),))
    assert failed(appraise(other, policy(), REPORT_DATA, AT)) == ["kind"]


def test_a_claim_that_is_missing_says_nothing() -> None:
    found = snp.verify(attesting.evidence(), NOTHING, AT, roots=roots())
    silent = dataclasses.replace(found.claims, debug=None, vmpl=None, facts={}, tcb={}, measurements={}, platform={})
    names = failed(appraise(dataclasses.replace(found, claims=silent), policy(), REPORT_DATA, AT))
    assert {"refused-debug", "refused-migration_agent", "vmpl", "minimum-tcb", "accepted-measurement"} <= set(names)


def test_every_kind_of_evidence_has_a_verifier_and_one_without_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(VERIFIERS) == set(KINDS)
    monkeypatch.delitem(VERIFIERS, "tpm")  # type: ignore[arg-type]
    with pytest.raises(EvidenceRejected, match="no verifier"):
        verify(Evidence("tpm", b"report"), NOTHING, AT)


def test_verdicts_name_the_policy_they_were_made_under() -> None:
    one, two = (verdict(attesting.evidence(), under) for under in (policy(), policy('"keeper"', '"other"')))
    assert one.policy_sha256 != two.policy_sha256


def test_a_time_without_a_zone_is_the_callers_fault() -> None:
    """Verifiers would read it differently: one as UTC, another as the machine's own time."""
    evidence = attesting.evidence()
    with pytest.raises(CallerError, match="names no time zone"):
        verify(evidence, NOTHING, AT.replace(tzinfo=None))
    with pytest.raises(CallerError, match="names no time zone"):
        verify_set(EvidenceSet(evidence), NOTHING, AT.replace(tzinfo=None))
