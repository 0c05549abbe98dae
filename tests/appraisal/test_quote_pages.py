"""The pages of TDX, SGX and TPM evidence name every check and every key of a policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.enclave import tdx, tpm

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"tdx": "attestation-tdx.md", "sgx": "attestation-tdx.md", "tpm": "attestation-tpm.md"}


def page(kind: str) -> str:
    return (DOCS / PAGES[kind]).read_text()


def first_cells(text: str, heading: str) -> list[str]:
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.M)[0]
    return re.findall(r"^\| `([\w-]+)` \|", section, re.M)


def test_the_checks_of_the_verifiers_are_listed_in_their_order() -> None:
    assert first_cells(page("tdx"), "Checks of the TDX and SGX verifier") == list(tdx.CHECKS)
    assert first_cells(page("tpm"), "Checks of the TPM verifier") == list(tpm.CHECKS)


@pytest.mark.parametrize("kind", PAGES)
def test_the_keys_of_a_policy_are_listed(kind: str) -> None:
    known = VOCABULARIES[kind]
    keys = {"measurements", "minimum_tcb", *known.platforms, *known.listed}
    keys |= {"statuses", "rejected_advisories"} if known.statuses else set()
    assert set(first_cells(page(kind), "Policy")) == keys | set(known.refusable) | set(known.requirable)
    components = {one for parts in known.components.values() for one in parts}
    for name in components | ({*known.measurements, *known.platforms} if kind != "tpm" else {"pcr0", "pcr15", "pcr23"}):
        short = re.sub(r"^rtmr[12]$", "rtmr0", name)
        assert f"`{short}`" in page(kind)
