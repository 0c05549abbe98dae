"""Evidence as it is sent, down to the verifier of its kind."""

from __future__ import annotations

from tests.fuzz.held import refused_or, refused_or_same

import attesting
from quatrefoil.appraisal import verify
from quatrefoil.enclave.evidence import Evidence


def seeds() -> list[bytes]:
    return [attesting.evidence(product, kind).encode() for product in attesting.CPUID for kind in ("vcek", "vlek")]


def one(data: bytes) -> None:
    evidence = refused_or_same(lambda: Evidence.decode(data), Evidence.encode, data)
    if evidence is not None:
        findings = refused_or(lambda: verify(evidence, attesting.NOTHING, attesting.AT))
        assert findings is None or findings.failed, "AMD's roots vouch for nothing that is made here"
