"""Collateral of Intel platforms beside a good quote: what was altered vouches for nothing."""

from __future__ import annotations

import json
from functools import cache

from tests.fuzz.held import refused_or

from dcap_quotes import AT, SGX, Platform, root
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx import verify

SIGNED = ("tcb_info", "qe_identity", "root_ca_crl", "pck_crl")
"""The parts of which every byte counts; chains are candidates."""


@cache
def good(kind: str) -> tuple[Evidence, bytes]:
    platform = SGX if kind == "sgx" else Platform()
    return platform.evidence(), platform.document()


def seeds() -> list[bytes]:
    return [good("tdx")[1], good("sgx")[1]]


def one(data: bytes) -> None:
    for kind in ("tdx", "sgx"):
        evidence, document = good(kind)
        given = Collateral(documents={"altered": data})
        findings = refused_or(lambda given=given, evidence=evidence: verify(evidence, given, AT, root=root()))  # type: ignore[misc]
        if findings is not None and not findings.failed:
            read, written = json.loads(data), json.loads(document)
            assert [read[name].lower() for name in SIGNED] == [written[name].lower() for name in SIGNED]
