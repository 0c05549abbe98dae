"""What evidence needs from its vendor, read from the evidence: unverified, and good for asking only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.enclave import certificates
from quatrefoil.enclave.azure.verify import KINDS as AZURE_KINDS
from quatrefoil.enclave.certificates import common_name
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nvidia.report import Report as GpuReport
from quatrefoil.enclave.snp import tcb
from quatrefoil.enclave.snp.keys import SigningKey
from quatrefoil.enclave.snp.report import Report
from quatrefoil.enclave.tdx import platform, quote
from quatrefoil.errors import CallerError, EvidenceRejected

AUTHORITIES = ("platform", "processor")
"""Intel's two authorities for PCK certificates: of platforms with several processors that were registered, and of
others."""

NOTHING: Mapping[str, str] = {
    "tpm": "There are too many makers of TPMs to ask: put roots that you trust (tpm-root*.pem) and lists in a folder.",
    "nitro": "Nothing is fetched for Nitro: AWS's root is pinned in the package, and the chain is in the evidence.",
}
"""Kinds of evidence that are fetched nothing for, and why."""


@dataclass(frozen=True)
class IntelNeed:
    """TCB info, identity of the quoting enclave and revocation lists for one family of platforms."""

    tee: str
    """"TDX" or "SGX"."""
    fmspc: str
    """Six bytes in upper-case hexadecimal."""
    authority: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9A-F]{12}", self.fmspc):
            raise CallerError(f"{self.fmspc[:40]!r} is no FMSPC", hint="Write it as 12 digits of hexadecimal")
        if self.tee not in ("TDX", "SGX") or self.authority not in AUTHORITIES:
            raise CallerError("this names no platforms of Intel's", hint=f"Name tdx or sgx, and one of {AUTHORITIES}")


@dataclass(frozen=True)
class AmdNeed:
    """The authorities of a product and their revocation list, and the VCEK of a chip at a TCB version if named."""

    product: str
    key: str = "vcek"
    chip_id: bytes = b""
    """64 bytes, 8 on Turin; empty: no VCEK is asked for."""
    version: bytes = b""
    """TCB_VERSION, 8 bytes as in a report; beside a chip id only."""

    def __post_init__(self) -> None:
        if self.product not in tcb.LAYOUTS or self.key not in ("vcek", "vlek"):
            raise CallerError(f"there is no product {self.product[:40]!r}", hint=f"Name {', '.join(tcb.LAYOUTS)}")
        if bool(self.chip_id) != bool(self.version):
            raise CallerError("a VCEK is of a chip and a TCB version", hint="Name both, or neither")
        if self.chip_id and self.key == "vlek":
            raise CallerError("a VLEK is of no chip", hint="Leave out the chip; the provider gives out its certificate")
        if self.chip_id and (len(self.chip_id), len(self.version)) != (tcb.CHIP_ID_BYTES[self.product], 8):
            size = tcb.CHIP_ID_BYTES[self.product]
            raise CallerError(
                f"a chip of {self.product} has an id of {size} bytes, and a TCB version 8",
                hint="Take both from the report, in hexadecimal",
            )
        if self.version:
            tcb.decode(self.version, self.product)  # refuses reserved bytes


@dataclass(frozen=True)
class NvidiaNeed:
    """The manifests of a GPU's driver and VBIOS, as its report names them."""

    driver: str
    """As ``550.90.07``."""
    vbios: str
    """As ``96.00.9F.00.01``."""
    board: str
    """As ``1010_0200_882``."""

    def __post_init__(self) -> None:
        for word in (self.driver, self.vbios, self.board):
            if not re.fullmatch("[0-9A-Za-z][0-9A-Za-z._-]{0,39}", word):
                raise EvidenceRejected(f"{word[:40]!r} names no driver, VBIOS or board", hint="Ask for another report")


Need = IntelNeed | AmdNeed | NvidiaNeed


@dataclass(frozen=True)
class Needs:
    """What to fetch, and what the caller has to see to: lines for people."""

    needs: tuple[Need, ...]
    notes: tuple[str, ...] = ()


def of(evidence: Evidence, product: str | None = None) -> Needs:
    """What ``evidence`` needs. ``product``: of an SNP report of version 2 that comes alone, which does not say."""
    if evidence.kind in AZURE_KINDS:
        # The hardware's report on the paravisor. Its TPM's key is in that, and needs nothing.
        evidence = Evidence(AZURE_KINDS[evidence.kind], evidence.report, certificates=evidence.certificates)
    if evidence.kind in ("tdx", "sgx"):
        return Needs((_intel(evidence),))
    if evidence.kind == "sev-snp":
        return _amd(evidence, product)
    if evidence.kind == "nvidia-cc":
        return _nvidia(evidence)
    if evidence.kind in NOTHING:
        return Needs((), (NOTHING[evidence.kind],))
    raise EvidenceRejected(f"nothing is known of {evidence.kind} collateral", hint="Use a newer version of Quatrefoil")


def _intel(evidence: Evidence) -> IntelNeed:
    read = quote.parse(evidence.report)
    fmspc = platform.fmspc_of(read.pck_chain)
    issuer = common_name(read.certificates[0].issuer)
    for authority in AUTHORITIES:
        if issuer.lower().endswith(f"pck {authority} ca"):
            return IntelNeed(evidence.kind.upper(), fmspc, authority)
    raise EvidenceRejected(
        f"the platform's certificate is by {issuer[:80]!r}, which is no authority of Intel's for platforms",
        hint="Ask the sender for a quote with Intel's own chain of certificates",
    )


def _amd(evidence: Evidence, product: str | None) -> Needs:
    report = Report.parse(evidence.report)
    given = [certificates.parse(der) for der in evidence.certificates]
    keys = [SigningKey.read(one) for one in given if SigningKey.is_in(one)]
    said = tcb.product_of(*report.cpuid[:2]) if report.cpuid else next((key.product for key in keys), product)
    if said is None:
        unknown = "is of a processor that is not known here" if report.cpuid else "is of version 2 and names no product"
        raise EvidenceRejected(f"the report {unknown}", hint="Name the product with --product, as Milan")
    if report.signing_key == "vlek":
        there = any(key.kind == "vlek" for key in keys)
        note = "AMD gives out no VLEK certificates: ask the cloud provider, on the host, and put it in the folder."
        return Needs((AmdNeed(said, "vlek"),), () if there else (note,))
    if not any(report.chip_id):
        raise EvidenceRejected(
            "the host has masked the chip's identity in the report (MASK_CHIP_ID): its VCEK cannot be asked for",
            hint="Ask the sender for the certificate, or for a report of a host that does not mask",
        )
    size = tcb.CHIP_ID_BYTES[said]
    if any(report.chip_id[size:]):
        raise EvidenceRejected(f"the chip id is longer than one of {said}", hint="Ask for a report of one product")
    chip, version = report.chip_id[:size], report.reported_tcb
    if any((key.kind, key.chip_id, key.tcb) == ("vcek", chip, tcb.decode(version, said)) for key in keys):
        return Needs((AmdNeed(said),))  # the certificate came along
    return Needs((AmdNeed(said, "vcek", chip, version),))


def _nvidia(evidence: Evidence) -> Needs:
    report = GpuReport.parse(evidence.report)
    if not report.board:
        return Needs(
            (), ("The GPU's report does not say its board, by which NVIDIA files manifests: nothing to fetch.",)
        )
    return Needs((NvidiaNeed(report.driver_version, report.vbios_version, report.board),))


__all__ = ["AUTHORITIES", "NOTHING", "AmdNeed", "IntelNeed", "Need", "Needs", "NvidiaNeed", "of"]
