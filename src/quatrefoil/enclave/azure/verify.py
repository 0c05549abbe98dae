"""The verifier of Azure's confidential VMs: a pure function of (evidence, collateral, time).

The guest cannot ask the hardware for a report. Above it, and below everything else, runs Azure's paravisor, in the same
VM. At boot it makes an attestation key for the TPM that it is, writes the key into its runtime data, and asks for one
report with their hash. Later, the TPM quotes under that key. Evidence is both: the hardware's report about the
paravisor, and the TPM's quote about what was started under it, which holds the report data that the caller chose.

Checks, in this order: those of the hardware's own verifier, by their names (``snp``, ``tdx``); then

``paravisor``          only SEV-SNP: the report was asked for at VMPL 0, where the guest cannot ask
``runtime-data``       the hardware's report data are the SHA-256 of the runtime data, followed by zeros
``vtpm-signature`` ``vtpm-key-attributes`` ``vtpm-registers`` ``vtpm-event-log``  as of a TPM (``tpm``)
``vtpm-key``           the key that signed the quote is the one in the runtime data

Evidence of the kind "azure-snp" has an SEV-SNP report as ``report`` and its certificates as ``certificates``; of the
kind "azure-tdx", a TDX quote. ``signature`` is an encoded :class:`VtpmQuote`, ``event_log`` the TPM's.

Sources: as for ``hcl``; Microsoft, "Guest attestation for confidential VMs". The paravisor is code of Azure's: it is
trusted as far as its measurement is, and a policy lists that measurement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Self

from quatrefoil.enclave import snp, tdx, tpm
from quatrefoil.enclave.azure.runtime_data import RuntimeData
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp.roots import Root as SnpRoot
from quatrefoil.enclave.tdx.roots import Root as TdxRoot
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.wire import WireObject

KINDS: Mapping[str, str] = {"azure-snp": "sev-snp", "azure-tdx": "tdx"}
"""Kind -> kind of the hardware's evidence inside."""

CHECKS = ("runtime-data", "vtpm-signature", "vtpm-key-attributes", "vtpm-registers", "vtpm-key")
"""Names of the checks beside the hardware's, in their order; ``paravisor`` comes first where there is SEV-SNP."""

PARAVISOR = "paravisor"

_CONFLICTING = frozenset({"revocation_checked", "signing_key"})
"""Facts that a TPM's quote has too: those of the hardware stand."""


@dataclass(frozen=True)
class VtpmQuote(WireObject):
    """What the paravisor's TPM adds: ``quote`` and ``companions`` as evidence of the kind "tpm" has them."""

    TYPE: ClassVar[str] = "urn:quatrefoil:azure-vtpm-quote"

    runtime_data: bytes
    quote: bytes
    companions: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        try:
            return super().decode(data)
        except MessageRefused as refusal:
            hint = "Ask the sender for evidence that `quatrefoil attest collect` wrote"
            raise EvidenceRejected(refusal.problem, hint=hint, check="format") from None


def verify(
    evidence: Evidence,
    collateral: Collateral,
    at: datetime,
    *,
    snp_roots: Mapping[str, SnpRoot] | None = None,
    tdx_root: TdxRoot | None = None,
) -> Findings:
    """What ``evidence`` establishes at ``at``; ``EvidenceRejected`` where it cannot be read.

    ``collateral`` is the hardware's. ``snp_roots``, ``tdx_root``: others than AMD's and Intel's, for who issues
    certificates for tests.
    """
    if evidence.kind not in KINDS:
        raise EvidenceRejected(
            "this is not evidence of an Azure confidential VM: another kind",
            hint=f"Send evidence of {' or '.join(KINDS)}",
            check="format",
        )
    beside = VtpmQuote.decode(evidence.signature)
    runtime = RuntimeData.parse(beside.runtime_data)
    inner = Evidence(KINDS[evidence.kind], evidence.report, certificates=evidence.certificates)
    if inner.kind == "sev-snp":
        hardware = snp.verify(inner, collateral, at, roots=snp_roots)
    else:
        hardware = tdx.verify(inner, collateral, at, root=tdx_root)
    quoted = Evidence("tpm", beside.quote, beside.companions, event_log=evidence.event_log)
    # The runtime data take the place of a relying party that pins the key.
    vtpm = tpm.verify(quoted, Collateral(keys=(runtime.attestation_key,)), at)
    checks = (*hardware.checks, *_bound(hardware.claims, beside, inner.kind), *_vtpm(vtpm))
    root = hardware.claims.root if all(check.passed for check in checks) else "none"
    return Findings(_claims(evidence.kind, root, hardware.claims, vtpm.claims, runtime), checks)


def _bound(claims: Claims, beside: VtpmQuote, hardware: str) -> tuple[Check, ...]:
    expected = hashlib.sha256(beside.runtime_data).digest().ljust(len(claims.report_data), b"\0")
    same = claims.report_data == expected
    bound = Check(
        "runtime-data",
        same,
        "hashed into the hardware's report" if same else "the hardware's report is about other data",
    )
    if hardware != "sev-snp":
        return (bound,)
    above = claims.vmpl == 0
    asked = f"the report was asked for at VMPL {claims.vmpl}" + ("" if above else ", where a guest can ask as well")
    return Check(PARAVISOR, above, asked), bound


def _vtpm(findings: Findings) -> tuple[Check, ...]:
    made = {check.name: check for check in findings.checks}
    signer = made.pop("signer")
    named = [replace(check, name=f"vtpm-{name}") for name, check in made.items()]
    said = "the key is the one in the runtime data" if signer.passed else "the runtime data name another key"
    return (*named, Check("vtpm-key", signer.passed, said))


def _claims(kind: str, root: str, hardware: Claims, vtpm: Claims, runtime: RuntimeData) -> Claims:
    added = {name: value for name, value in vtpm.facts.items() if name not in _CONFLICTING and name != "certified"}
    return replace(
        hardware,
        kind=kind,
        root=root,
        report_data=vtpm.report_data,
        measurements={**hardware.measurements, **vtpm.measurements},
        platform={**hardware.platform, **vtpm.platform},
        facts={**added, **runtime.facts, **hardware.facts},
    )


__all__ = ["CHECKS", "KINDS", "PARAVISOR", "VtpmQuote", "verify"]
