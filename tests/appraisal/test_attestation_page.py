"""docs/attestation.md names every check and every key of a policy, and the example policy is one."""

from __future__ import annotations

import re
from pathlib import Path

import attesting
from attesting import AT, NOTHING, REPORT_DATA, roots
from quatrefoil.appraisal import appraise, load
from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.enclave import snp

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "attestation.md").read_text()
EXAMPLE = ROOT / "examples" / "appraisal" / "sev-snp.toml"


def first_cells(heading: str) -> list[str]:
    section = re.split(r"^## ", PAGE.partition(f"\n## {heading}\n")[2], flags=re.M)[0]
    return re.findall(r"^\| `([\w-]+)` \|", section, re.M)


def test_the_checks_of_the_verifier_are_listed_in_their_order() -> None:
    evidence = attesting.evidence()
    lists = attesting.Collateral(revocation_lists=(attesting.crl("Milan"),))
    made = [check.name for check in snp.verify(evidence, lists, AT, roots=roots()).checks]
    assert first_cells("Checks of the SEV-SNP verifier") == made


def test_the_keys_of_a_policy_are_listed() -> None:
    known = VOCABULARIES["sev-snp"]
    keys = {"measurements", "minimum_tcb", "highest_vmpl", *known.platforms, *known.listed}
    assert set(first_cells("Policy")) == keys | set(known.refusable) | set(known.requirable)
    for name in (*known.measurements, *{one for parts in known.components.values() for one in parts}):
        assert f"`{name}`" in PAGE


def test_the_checks_of_appraisal_are_listed() -> None:
    findings = snp.verify(attesting.evidence(), NOTHING, AT, roots=roots())
    verdict = appraise(findings, load(EXAMPLE), REPORT_DATA, AT)
    own = [check.name for check in verdict.checks if check not in findings.checks]
    assert [name for name in own if f"`{name}`" not in PAGE and name != "accepted-measurement"] == []


def test_the_example_refuses_what_the_page_warns_of() -> None:
    (rule,) = load(EXAMPLE).rules
    assert {"debug", "migration_agent"} <= set(rule.refused)
    assert "Milan" not in {least.model for least in rule.minimum_tcb}
