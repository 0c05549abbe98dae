"""Reports of real processors, up to AMD's own roots, each with the verdict that it is published with."""

from __future__ import annotations

import dataclasses
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import shared_vectors
from quatrefoil.appraisal import AppraisalPolicy, appraise, verify
from quatrefoil.appraisal.policy import Least, Listed, Rule
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp.roots import pinned
from quatrefoil.errors import EvidenceRejected

AT = datetime(2026, 6, 1, tzinfo=UTC)
REPORTS = {
    "milan": ("milan_attestation_report.bin", ("milan_vcek.pem", "milan_ask.pem")),
    "genoa": ("genoa_attestation_report.bin", ("genoa_vcek.pem", "genoa_ask.pem", "genoa_ark.pem")),
    "milan debug": ("milan_debug_report.bin", ("milan_debug_vcek.der", "milan_ask.pem")),
}


@pytest.fixture
def real() -> Path:
    return shared_vectors.folder("tee/snp")


def collateral(real: Path, files: tuple[str, ...], tmp_path: Path) -> Collateral:
    for name in files:
        (tmp_path / name).write_bytes((real / name).read_bytes())
    return Collateral.load(tmp_path)


def found(real: Path, name: str, tmp_path: Path, at: datetime = AT) -> Findings:
    report, files = REPORTS[name]
    with warnings.catch_warnings():  # AMD's serial number 0, which the verifier keeps to itself
        warnings.simplefilter("error")
        return verify(Evidence("sev-snp", (real / report).read_bytes()), collateral(real, files, tmp_path), at)


def accepting(findings: Findings) -> AppraisalPolicy:
    """A policy that asks for exactly what ``findings`` say, and refuses what a sane one does."""
    claims = findings.claims
    rule = Rule(
        kind="sev-snp",
        measurements=(Listed("measurement", (claims.measurements["measurement"].hex(),)),),
        platforms=(Listed("chip_id", (claims.platform["chip_id"].hex(),)),),
        refused=("debug", "migration_agent", "provisional_firmware"),
        required=(),
        listed=(Listed("signing_key", ("vcek",)),),
        minimum_tcb=tuple(Least(claims.model, name, version) for name, version in sorted(claims.tcb.items())),
    )
    return AppraisalPolicy("real", "required", (rule,))


@pytest.mark.parametrize(
    ("name", "product", "tcb"),
    [
        ("milan", "Milan", {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}),
        ("genoa", "Genoa", {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84}),
    ],
)
def test_real_reports_are_accepted(real: Path, tmp_path: Path, name: str, product: str, tcb: dict[str, int]) -> None:
    findings = found(real, name, tmp_path)
    assert findings.failed == () and findings.claims.root == f"AMD ARK-{product}" and findings.claims.tcb == tcb
    assert appraise(findings, accepting(findings), bytes(64), AT).require().isolation == "vm"


def test_a_debug_guest_is_signed_well_and_rejected(real: Path, tmp_path: Path) -> None:
    findings = found(real, "milan debug", tmp_path)
    assert findings.failed == () and findings.claims.debug is True
    verdict = appraise(findings, accepting(findings), findings.claims.report_data, AT)
    assert [check.name for check in verdict.checks if not check.passed] == ["refused-debug"]


def test_the_published_roots_are_the_pinned_ones(real: Path, tmp_path: Path) -> None:
    given = collateral(real, ("milan_ark.pem", "genoa_ark.pem"), tmp_path)
    known = {product: root.certificate.public_bytes(Encoding.DER) for product, root in pinned().items()}
    assert set(given.certificates) == {known["Milan"], known["Genoa"]}


@pytest.mark.parametrize("name", REPORTS)
def test_after_its_certificate_a_report_is_rejected(real: Path, tmp_path: Path, name: str) -> None:
    findings = found(real, name, tmp_path, datetime(2034, 1, 1, tzinfo=UTC))
    assert [check.name for check in findings.failed] == ["validity"] and "expired on 20" in findings.failed[0].detail


def test_the_certificate_of_another_chip_does_not_do(real: Path, tmp_path: Path) -> None:
    files = ("milan_debug_vcek.der", "milan_ask.pem")
    report = (real / "milan_attestation_report.bin").read_bytes()
    findings = verify(Evidence("sev-snp", report), collateral(real, files, tmp_path), AT)
    assert {check.name for check in findings.failed} == {"signature", "chip-id", "certificate-tcb"}


def test_the_certificate_of_another_product_does_not_do(real: Path, tmp_path: Path) -> None:
    report = (real / "milan_attestation_report.bin").read_bytes()
    findings = verify(Evidence("sev-snp", report), collateral(real, REPORTS["genoa"][1], tmp_path), AT)
    assert {"product", "signature", "chip-id"} <= {check.name for check in findings.failed}


@pytest.mark.parametrize("name", REPORTS)
def test_no_byte_of_a_real_report_is_free(real: Path, tmp_path: Path, name: str) -> None:
    report, files = REPORTS[name]
    given = collateral(real, files, tmp_path)
    good = Evidence("sev-snp", (real / report).read_bytes())
    for byte in range(0, len(good.report), 7):
        flipped = bytearray(good.report)
        flipped[byte] ^= 1 << byte % 8
        try:
            findings = verify(dataclasses.replace(good, report=bytes(flipped)), given, AT)
        except EvidenceRejected:
            continue
        assert "signature" in {check.name for check in findings.failed}, hex(byte)
