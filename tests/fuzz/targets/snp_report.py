"""SEV-SNP reports under a chain that is trusted: only the signed one passes."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

import attesting
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp import verify


@cache
def signed() -> tuple[bytes, ...]:
    return tuple(attesting.evidence("Milan", version=version).report for version in (2, 3, 4, 5))


def seeds() -> list[bytes]:
    return [*signed(), attesting.evidence("Turin").report, bytes(attesting.unsigned("Genoa"))]


def one(data: bytes) -> None:
    certificates = (attesting.leaf("Milan"), attesting.ask("Milan"))

    def verified() -> bool:
        evidence = Evidence("sev-snp", data, b"", certificates)
        return not verify(evidence, attesting.NOTHING, attesting.AT, roots=attesting.roots()).failed

    assert not refused_or(verified) or data in signed()
