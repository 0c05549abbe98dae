"""The committed vectors: evidence of our own making, each with the checks that it fails."""

from __future__ import annotations

import base64
import json
from datetime import datetime

import pytest
from cryptography import x509

from attesting import FOLDER
from quatrefoil.appraisal import appraise, load
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp import verify
from quatrefoil.enclave.snp.roots import Root
from quatrefoil.errors import EvidenceRejected

CONTENT = json.loads((FOLDER / "sev-snp.json").read_text())
VECTORS = {vector["name"]: vector for vector in CONTENT["vectors"]}


@pytest.mark.parametrize("name", VECTORS)
def test_each_vector_has_its_verdict(name: str) -> None:
    vector = VECTORS[name]
    roots = {
        product: Root("the vectors' root", product, x509.load_der_x509_certificate(base64.b64decode(der)))
        for product, der in CONTENT["roots"].items()
    }
    certificates = tuple(base64.b64decode(CONTENT["certificates"][one]) for one in vector["certificates"])
    evidence = Evidence("sev-snp", base64.b64decode(vector["report"]), b"", certificates)
    at = datetime.fromisoformat(CONTENT["at"])
    try:
        findings = verify(evidence, Collateral(), at, roots=roots)
    except EvidenceRejected as refused:
        assert vector["failed"] == [refused.check]
        return
    verdict = appraise(findings, load(FOLDER / "policy.toml"), bytes.fromhex(CONTENT["report_data"]), at)
    assert [check.name for check in verdict.checks if not check.passed] == vector["failed"]
    assert verdict.accepted == (not vector["failed"])


def test_more_are_rejected_than_accepted() -> None:
    rejected = [vector for vector in VECTORS.values() if vector["failed"]]
    assert 2 * len(rejected) > len(VECTORS) > 20
