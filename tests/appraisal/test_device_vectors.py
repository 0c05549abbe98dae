"""The committed vectors of Nitro, GPU and set evidence: each fails the checks that it says, and no others."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from functools import cache

import pytest
from cryptography import x509

from attesting import FOLDER
from quatrefoil.appraisal import Verdict, appraise, appraise_set, load, verify, verify_set
from quatrefoil.appraisal import verifiers as known
from quatrefoil.enclave import nitro, nvidia
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import EvidenceSet, decode_any
from quatrefoil.enclave.nvidia.verify import Roots
from quatrefoil.enclave.paths import Root
from quatrefoil.errors import EvidenceRejected

CONTENT = json.loads((FOLDER / "devices.json").read_text())
VECTORS = {vector["name"]: vector for vector in CONTENT["vectors"]}
AT = datetime.fromisoformat(CONTENT["at"])


@cache
def root(name: str) -> Root:
    return Root(name, x509.load_der_x509_certificate(base64.b64decode(CONTENT["roots"][name])))


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors' roots in AWS's and NVIDIA's place."""
    roots = Roots(root("devices"), root("manifests"))
    own = {
        "nitro": lambda evidence, given, at: nitro.verify(evidence, given, at, root=root("nitro")),
        "nvidia-cc": lambda evidence, given, at: nvidia.verify(evidence, given, at, roots=roots),
    }
    monkeypatch.setattr(known, "VERIFIERS", own)


def verdict(vector: dict[str, str]) -> Verdict:
    evidence = decode_any(base64.b64decode(vector["evidence"]))
    documents = CONTENT["collateral"][vector.get("collateral", "none")]
    given = Collateral(documents={f"manifest{number}": one.encode() for number, one in enumerate(documents)})
    policy = load(FOLDER / f"{vector.get('policy', 'policy-devices')}.toml")
    expected = bytes.fromhex(CONTENT["report_data"])
    if isinstance(evidence, EvidenceSet):
        return appraise_set(verify_set(evidence, given, AT), policy, expected, AT)
    return appraise(verify(evidence, given, AT), policy, expected, AT)


@pytest.mark.parametrize("name", VECTORS)
def test_each_vector_has_its_verdict(name: str) -> None:
    vector = VECTORS[name]
    try:
        found = verdict(vector)
    except EvidenceRejected as refused:
        assert vector["failed"] == [refused.check]
        return
    assert [check.name for check in found.checks if not check.passed] == vector["failed"]
    assert found.accepted == (not vector["failed"])


def test_more_are_rejected_than_accepted() -> None:
    rejected = [vector for vector in VECTORS.values() if vector["failed"]]
    assert 2 * len(rejected) > len(VECTORS) > 35
