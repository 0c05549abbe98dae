"""docs/attestation-azure.md and docs/collecting.md name what there is, and the examples are policies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quatrefoil.appraisal import load
from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.enclave import azure
from quatrefoil.enclave.collectors import COLLECTORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "attestation-azure.md").read_text()
COLLECTING = (ROOT / "docs" / "collecting.md").read_text()


def first_cells(heading: str) -> list[str]:
    section = re.split(r"^## ", PAGE.partition(f"\n## {heading}\n")[2], flags=re.M)[0]
    return re.findall(r"^\| `([\w-]+)` \|", section, re.M)


def test_the_checks_are_listed_in_their_order() -> None:
    listed = [name for name in first_cells("Checks of the Azure verifier") if name != "vtpm-event-log"]
    assert listed == [azure.PARAVISOR, *azure.CHECKS]


@pytest.mark.parametrize(("kind", "hardware"), [("azure-snp", "sev-snp"), ("azure-tdx", "tdx")])
def test_the_keys_that_the_hardware_alone_has_not_are_listed(kind: str, hardware: str) -> None:
    def keys(name: str) -> set[str]:
        known = VOCABULARIES[name]
        return {*known.platforms, *known.listed, *known.refusable, *known.requirable}

    assert set(first_cells("Policy")) == {"measurements"} | (keys(kind) - keys(hardware))


@pytest.mark.parametrize("kind", ["azure-snp", "azure-tdx"])
def test_the_examples_are_policies(kind: str) -> None:
    (rule,) = load(ROOT / "examples" / "appraisal" / f"{kind}.toml").rules
    assert rule.kind == kind and "secure_boot" in rule.required


def test_every_collector_is_listed() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \| (?:`/|a TPM|the same)", COLLECTING, re.M)) == set(COLLECTORS)
