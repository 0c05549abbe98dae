"""Which verifier reads which kind of evidence. Each is a pure function of (evidence, collateral, time)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from quatrefoil.enclave import azure, nitro, nvidia, snp, tdx, tpm
from quatrefoil.enclave.claims import Findings, FindingsSet
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.errors import CallerError, EvidenceRejected

Verifier = Callable[[Evidence, Collateral, datetime], Findings]

VERIFIERS: Mapping[str, Verifier] = {
    "azure-snp": azure.verify,
    "azure-tdx": azure.verify,
    "nitro": nitro.verify,
    "nvidia-cc": nvidia.verify,
    "sev-snp": snp.verify,
    "sgx": tdx.verify,
    "tdx": tdx.verify,
    "tpm": tpm.verify,
}


def verify(evidence: Evidence, collateral: Collateral, at: datetime) -> Findings:
    """What ``evidence`` establishes at ``at``; ``EvidenceRejected`` where nothing here can read it.

    ``CallerError`` for a time without a zone: verifiers would each take it for another one.
    """
    if at.utcoffset() is None:
        raise CallerError("the time of verification names no time zone", hint="Give it with one, as datetime.now(UTC)")
    if evidence.kind not in VERIFIERS:
        raise EvidenceRejected(
            f"there is no verifier of {evidence.kind} evidence", hint=f"Send evidence of {', '.join(VERIFIERS)}"
        )
    return VERIFIERS[evidence.kind](evidence, collateral, at)


def verify_set(evidence: EvidenceSet, collateral: Collateral, at: datetime) -> FindingsSet:
    """What a machine's evidence and that of its devices establish at ``at``, each read as :func:`verify` reads it."""
    found = [verify(one, collateral, at) for one in (evidence.primary, *evidence.devices)]
    return FindingsSet(found[0], tuple(found[1:]))


__all__ = ["VERIFIERS", "verify", "verify_set"]
