"""Certificates and revocation lists beside a good report: a chain that was altered vouches for nothing."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

import attesting
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp import verify


@cache
def report() -> bytes:
    return attesting.evidence("Milan").report


def seeds() -> list[bytes]:
    return [
        attesting.leaf("Milan"),
        attesting.leaf("Turin", "vlek"),
        attesting.ask("Milan"),
        attesting.ark("Milan"),
        attesting.crl("Milan", revoked=(7,)),
    ]


def one(data: bytes) -> None:
    leaf, ask = attesting.leaf("Milan"), attesting.ask("Milan")

    def verified(certificates: tuple[bytes, ...], lists: tuple[bytes, ...]) -> bool:
        given = Collateral(certificates=certificates, revocation_lists=lists)
        return not verify(Evidence("sev-snp", report()), given, attesting.AT, roots=attesting.roots()).failed

    if data:
        assert not refused_or(lambda: verified((data, ask), ())) or data == leaf
        assert not refused_or(lambda: verified((leaf, data), ())) or data == ask
    refused_or(lambda: verified((leaf, ask), (data,)))
