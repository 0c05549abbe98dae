"""Quotes of real platforms, each with the verdict that is expected of it. Read where they are, never copied."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

import shared_vectors
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx import verify
from quatrefoil.errors import EvidenceRejected

AT = datetime(2025, 6, 25, tzinfo=UTC)
OUTDATED_AT = datetime(2026, 3, 1, tzinfo=UTC)
"""Within the dates of the outdated quote's collateral."""


def quote(name: str) -> bytes:
    return (shared_vectors.folder("tee/tdx-sgx") / name).read_bytes()


def collateral() -> Collateral:
    return Collateral.load(shared_vectors.folder("tee/tdx-sgx"))


def found(kind: str, name: str, at: datetime = AT) -> Findings:
    return verify(Evidence(kind, quote(name)), collateral(), at)


def test_the_td_is_established_as_of_its_collateral() -> None:
    findings = found("tdx", "tdx_quote")
    claims = findings.claims
    assert not findings.failed
    assert (claims.root, claims.status, claims.advisories) == ("Intel SGX Root CA", "UpToDate", ())
    assert (claims.isolation, claims.debug, claims.facts["migratable"]) == ("vm", False, False)
    assert claims.measurements["mrtd"].hex().startswith("91eb2b44d141d4ece09f0c75c2c53d24")
    assert claims.platform["ppid"].hex() == "811dca2a26b952e85bb6448b097ba4fd"
    assert claims.facts["fmspc"] == "B0C06F000000"


def test_the_enclave_is_established_with_a_weak_status() -> None:
    findings = found("sgx", "sgx_quote")
    claims = findings.claims
    assert not findings.failed
    assert claims.status == "ConfigurationAndSWHardeningNeeded"
    assert claims.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert (claims.isolation, claims.report_data.rstrip(b"\0")) == ("process", b"Hello, world!")


def test_the_outdated_td_is_refused() -> None:
    findings = found("tdx", "tdx_quote_outdated", OUTDATED_AT)
    assert [check.name for check in findings.failed] == ["platform"]
    assert "No matching TCB level" in findings.failed[0].detail
    assert findings.claims.root == "none"


def test_today_all_of_it_has_expired() -> None:
    later = datetime(2026, 11, 1, tzinfo=UTC)
    for kind, name in (("tdx", "tdx_quote"), ("sgx", "sgx_quote"), ("tdx", "tdx_quote_outdated")):
        findings = found(kind, name, later)
        assert [check.name for check in findings.failed] == ["collateral", "platform"]
    assert "expired on 2025-07-19T10:16:03Z" in found("tdx", "tdx_quote", later).failed[0].detail


def test_the_library_reads_the_same_claims() -> None:
    """Our parser and the library's, field for field."""
    dcap_qvl = pytest.importorskip("dcap_qvl")
    for name, body in (("tdx_quote", "TD10"), ("sgx_quote", "SgxEnclave")):
        document = (shared_vectors.folder("tee/tdx-sgx") / f"{name}_collateral.json").read_text()
        now = int(AT.timestamp())
        given = dcap_qvl.QuoteCollateralV3.from_json(document)
        policy = dcap_qvl.QuotePolicy.claims_only(now)
        said = json.loads(dcap_qvl.QuoteVerifier().verify_with_policy(quote(name), given, now, policy).to_json())
        report = {key.replace("_", ""): value for key, value in said["report"][body].items()}
        claims = found(name.removesuffix("_quote"), name).claims
        assert report["reportdata"] == claims.report_data.hex()
        same = [key for key in claims.measurements if isinstance(report.get(key), str)]
        assert len(same) >= 3
        assert all(report[key] == claims.measurements[key].hex() for key in same)


@pytest.mark.parametrize("name", ["tdx_quote", "sgx_quote"])
def test_no_byte_is_free(name: str) -> None:
    kind, data, given = name.removesuffix("_quote"), quote(name), collateral()
    written = len(data.rstrip(b"\0"))
    for at in range(0, written, 3):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        try:
            findings = verify(Evidence(kind, bytes(changed)), given, AT)
        except EvidenceRejected:
            continue
        assert findings.failed, f"byte {at}"
