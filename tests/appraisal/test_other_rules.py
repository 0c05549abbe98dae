"""What SEV-SNP has not, of kinds that have it: statuses, advisories, and a date. Under a made-up vocabulary."""

from __future__ import annotations

from datetime import timedelta

import pytest

from attesting import AT
from quatrefoil.appraisal import AppraisalPolicy, appraise, parse
from quatrefoil.appraisal.vocabulary import VOCABULARIES, Vocabulary
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.errors import PolicyInvalid

TEXT = """\
name = "made"
report_data = "any"

[tpm]
statuses = ["Good", "Weak"]
rejected_advisories = ["SA-2"]
maximum_age_s = 60

[tpm.measurements]
pcr0 = ["ab"]
"""


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary(("signature",), {"pcr0": 1}, ("pcr0",), statuses=("Good", "Weak", "Bad"), dated=True)
    monkeypatch.setitem(VOCABULARIES, "tpm", vocabulary)  # type: ignore[arg-type]


def policy(old: str = "", new: str = "") -> AppraisalPolicy:
    return parse(TEXT.replace(old, new) if old else TEXT, source="policy.toml")


def failed(**claims: object) -> list[str]:
    said = {"status": "Good", "signed_at": AT, "measurements": {"pcr0": b"\xab"}} | claims
    findings = Findings(Claims("tpm", "a root", "none", b"", **said), (Check("signature", True, ""),))  # type: ignore[arg-type]
    return [check.name for check in appraise(findings, policy(), None, AT).checks if not check.passed]


def test_good_evidence_is_accepted() -> None:
    assert failed() == [] and failed(status="Weak", advisories=("SA-1",), signed_at=AT - timedelta(seconds=60)) == []


@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({"status": "Bad"}, "status"),
        ({"status": ""}, "status"),
        ({"advisories": ("SA-1", "SA-2")}, "advisories"),
        ({"signed_at": None}, "age"),
        ({"signed_at": AT - timedelta(seconds=61)}, "age"),
        ({"signed_at": AT + timedelta(seconds=61)}, "age"),
        ({"measurements": {}}, "accepted-pcr0"),
    ],
)
def test_each_field_refuses_alone(claims: dict[str, object], check: str) -> None:
    assert failed(**claims) == [check]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["Good", "Weak"]', "[]", "statuses: is empty"),
        ('["Good", "Weak"]', '["Great"]', "'Great' is unknown"),
        ("maximum_age_s = 60", "maximum_age_s = 0", "outside 1 to"),
        ("maximum_age_s = 60\n", "", "maximum_age_s: is missing"),
        ('rejected_advisories = ["SA-2"]\n', "", "rejected_advisories: is missing"),
        ("maximum_age_s = 60", "maximum_age_s = 60\nhighest_vmpl = 0", "is not a known key"),
    ],
)
def test_faults_are_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        policy(old, new)


def test_a_policy_may_accept_several_kinds() -> None:
    from appraisal_policies import TEXT as SNP

    both = parse(SNP + TEXT.partition("\n\n")[2], source="policy.toml")
    assert [rule.kind for rule in both.rules] == ["sev-snp", "tpm"]
    assert AppraisalPolicy.decode(both.encode()) == both
