"""Evidence as it is sent, down to the verifier of its kind."""

from __future__ import annotations

from tests.fuzz.held import refused_or, refused_or_same

import attesting
import azure_vms
import dcap_quotes
import gpu_reports
import nitro_documents
import tpm_quotes
from quatrefoil.appraisal import verify
from quatrefoil.enclave.evidence import Evidence


def seeds() -> list[bytes]:
    """Of every kind, and of each product."""
    found = [attesting.evidence(product, kind) for product in attesting.CPUID for kind in ("vcek", "vlek")]
    found += [azure_vms.Vm().evidence(), azure_vms.Vm("azure-tdx").evidence(), dcap_quotes.SGX.evidence()]
    found += [tpm_quotes.Made().evidence(), gpu_reports.Made().evidence(), nitro_documents.Made().evidence()]
    return [one.encode() for one in found]


def one(data: bytes) -> None:
    evidence = refused_or_same(lambda: Evidence.decode(data), Evidence.encode, data)
    if evidence is not None:
        findings = refused_or(lambda: verify(evidence, attesting.NOTHING, attesting.AT))
        assert findings is None or findings.failed, "no vendor's roots vouch for what is made here"
