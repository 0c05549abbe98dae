"""The committed vectors of TDX, SGX and TPM evidence: each fails the checks that it says, and no others."""

from __future__ import annotations

import base64
import json
from datetime import datetime

import pytest

from attesting import FOLDER
from quatrefoil.appraisal import appraise, load
from quatrefoil.enclave import tdx, tpm
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx.roots import Root
from quatrefoil.errors import EvidenceRejected

CONTENT = json.loads((FOLDER / "quotes.json").read_text())
VECTORS = {vector["name"]: vector for vector in CONTENT["vectors"]}
AT = datetime.fromisoformat(CONTENT["at"])


def verified(vector: dict[str, str]) -> Findings:
    evidence = Evidence.decode(base64.b64decode(vector["evidence"]))
    if evidence.kind == "tpm":
        return tpm.verify(evidence, Collateral(keys=tuple(map(base64.b64decode, vector["keys"]))), AT)
    given = Collateral(documents={"platform": CONTENT["collateral"][vector["collateral"]].encode()})
    return tdx.verify(evidence, given, AT, root=Root("the vectors' root", base64.b64decode(CONTENT["root"])))


@pytest.mark.parametrize("name", VECTORS)
def test_each_vector_has_its_verdict(name: str) -> None:
    vector = VECTORS[name]
    try:
        findings = verified(vector)
    except EvidenceRejected as refused:
        assert vector["failed"] == [refused.check]
        return
    policy = load(FOLDER / "policy-quotes.toml")
    verdict = appraise(findings, policy, bytes.fromhex(CONTENT["report_data"]), AT)
    assert [check.name for check in verdict.checks if not check.passed] == vector["failed"]
    assert verdict.accepted == (not vector["failed"])


def test_more_are_rejected_than_accepted() -> None:
    rejected = [vector for vector in VECTORS.values() if vector["failed"]]
    assert 2 * len(rejected) > len(VECTORS) > 50
