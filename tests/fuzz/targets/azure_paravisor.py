"""What Azure's paravisor leaves in its TPM, and the JSON inside: a key of RSA, or a refusal."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import load_der_public_key
from tests.fuzz.held import refused_or

from azure_vms import AK, SNP, TDX, hcl_report, runtime_data, td_report
from quatrefoil.enclave.azure.hcl import HclReport
from quatrefoil.enclave.azure.runtime_data import RuntimeData


def seeds() -> list[bytes]:
    data = runtime_data(AK.public_key())
    return [hcl_report(SNP, bytes(1184), data), hcl_report(TDX, td_report(data), data), data]


def one(data: bytes) -> None:
    report = refused_or(lambda: HclReport.parse(data))
    assert report is None or (report.runtime_data in data and report.hardware in data)
    for candidate in (data, *([report.runtime_data] if report else [])):
        found = refused_or(lambda candidate=candidate: RuntimeData.parse(candidate))  # type: ignore[misc]
        if found is not None:
            load_der_public_key(found.attestation_key)
