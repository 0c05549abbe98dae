"""What Azure's paravisor leaves in its TPM at boot: the hardware's report, and the data that the report is bound to.

NV index 0x01400001 holds it, filled up with zeros. Source: Microsoft's OpenHCL, ``openhcl_attestation_protocol``
(``IgvmAttestRequestBase``, versions 1 and 2 of its header), and the same layout in Azure's guest attestation. Numbers
are little-endian. Nobody signs the header; what follows from it is checked by whoever verifies the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from quatrefoil.enclave.reader import Reader
from quatrefoil.enclave.snp.report import REPORT_BYTES

LARGEST_REPORT = 4096
SNP, TDX = 2, 4
"""Types of hardware reports. Others (1 is software's own) isolate nothing."""
TD_REPORT_BYTES = 1024
"""Of a TDREPORT, which a quote is made from; the field for the hardware's report is as long as SNP's."""

_FIXED = 32 + REPORT_BYTES + 20
_HASHED = 1
"""The number of SHA-256."""


@dataclass(frozen=True)
class HclReport:
    """``hardware``: an SEV-SNP report, or the TDREPORT of a TD. ``runtime_data``: JSON, hashed into it."""

    type: int
    """:data:`SNP` or :data:`TDX`."""
    hardware: bytes
    runtime_data: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The report in ``data``, after which only zeros may follow, or ``EvidenceRejected``."""
        read = Reader(data[: LARGEST_REPORT + 1], "paravisor's report", "little")
        if len(data) > LARGEST_REPORT:
            raise read.refusal(f"has {len(data)} bytes, over {LARGEST_REPORT}")
        if read.take(4, "signature") != b"HCLA":
            raise read.refusal("does not begin with HCLA")
        if (version := read.number(4, "version")) not in (1, 2):
            raise read.refusal(f"has version {version}, not 1 or 2")
        size = read.number(4, "size")
        read.take(20, "type of request, status and reserved bytes")
        hardware = read.take(REPORT_BYTES, "hardware's report")
        inner, form, kind, hashed = (
            read.number(4, field) for field in ("size of data", "version of data", "type of report", "hash")
        )
        runtime = read.sized(4, LARGEST_REPORT, "runtime data", least=1)
        if (size, inner, form) != (_FIXED + len(runtime), 20 + len(runtime), 1):
            raise read.refusal("says other sizes, or another version, than its data have")
        if kind not in (SNP, TDX):
            raise read.refusal(f"holds a hardware report of type {kind}, not of SEV-SNP or TDX")
        if hashed != _HASHED:
            raise read.refusal(f"binds its data by hash {hashed}, not SHA-256")
        if any(read.rest()) or (kind == TDX and any(hardware[TD_REPORT_BYTES:])):
            raise read.refusal("has more than zeros after its end")
        return cls(kind, hardware if kind == SNP else hardware[:TD_REPORT_BYTES], runtime)


__all__ = ["LARGEST_REPORT", "SNP", "TDX", "HclReport"]
