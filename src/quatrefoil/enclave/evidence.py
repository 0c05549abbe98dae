"""Evidence as it is sent and kept (RFC 9334 section 8.2): what hardware signed, and the certificates that came along.

Nothing in an ``Evidence`` is believed because it is in there. ``kind`` says which verifier is to read it; whether that
kind is accepted is for the relying party's policy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.wire import WireObject, type_of

KINDS: Mapping[str, str] = {
    "sev-snp": "AMD SEV-SNP attestation report",
    "tdx": "Intel TDX quote",
    "sgx": "Intel SGX quote",
    "tpm": "TPM 2.0 quote",
    "nitro": "AWS Nitro attestation document",
    "azure-snp": "AMD SEV-SNP report on Azure's paravisor, with a quote of its TPM",
    "azure-tdx": "Intel TDX quote on Azure's paravisor, with a quote of its TPM",
    "nvidia-cc": "NVIDIA GPU attestation report",
}
"""The closed vocabulary of ``kind``: one for each verifier."""

DEVICE_KINDS = ("nvidia-cc",)
"""Kinds of what is attached to a machine: they isolate nothing by themselves, and stand beside a machine's evidence."""

LARGEST_REPORT = 64 << 10
LARGEST_SIGNATURE = 16 << 10
LARGEST_CERTIFICATE = 16 << 10
MOST_CERTIFICATES = 16
MOST_DEVICES = 16
LARGEST_EVENT_LOG = 4 << 20
"""Bytes, certificates and devices. Reports have up to some 10 KiB; event logs of a boot up to some 100 KiB."""

_HINT = "Ask the sender for evidence that `quatrefoil attest` or the hardware's own interface wrote"


@dataclass(frozen=True)
class Evidence(WireObject):
    """Evidence of one kind, unverified. ``EvidenceRejected`` when a part is empty, too large or of no known kind."""

    TYPE: ClassVar[str] = "urn:quatrefoil:evidence"

    kind: str
    """From :data:`KINDS`."""
    report: bytes
    """What the hardware signed, byte for byte: an SNP report, quote, Nitro document or GPU report with its
    signature inside, a TPMS_ATTEST."""
    signature: bytes = b""
    """The signature, where it is not part of ``report``; otherwise empty. For a TPM a TPMT_SIGNATURE, and with it what
    it takes to check it: the key and the registers' values, as ``quatrefoil.enclave.tpm`` says."""
    certificates: tuple[bytes, ...] = ()
    """Certificates that the sender adds, in DER, in any order. Verifiers take them as candidates, never as trusted."""
    event_log: bytes = b""
    """What was measured, in the order of measuring, for whoever replays it; empty where there is none."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise _rejected(f"evidence is of the unknown kind {self.kind[:40]!r}, not {', '.join(KINDS)}")
        _sized("report", self.report, 1, LARGEST_REPORT)
        _sized("signature", self.signature, 0, LARGEST_SIGNATURE)
        if len(self.certificates) > MOST_CERTIFICATES:
            raise _rejected(f"evidence brings {len(self.certificates)} certificates, over {MOST_CERTIFICATES}")
        for certificate in self.certificates:
            _sized("certificate", certificate, 1, LARGEST_CERTIFICATE)
        _sized("event log", self.event_log, 0, LARGEST_EVENT_LOG)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse bytes from outside, or raise ``EvidenceRejected`` saying what is wrong with them."""
        try:
            return super().decode(data)
        except MessageRefused as refusal:
            raise EvidenceRejected(refusal.problem, hint=_HINT, check="format") from None


@dataclass(frozen=True)
class EvidenceSet(WireObject):
    """A machine's evidence and that of devices attached to it, all bound to the same report data; unverified.

    Nothing in a device's report says to which machine it is attached. That it is this one is the word of the code that
    the machine's evidence measures: take a set from nobody else, over a channel that ends in that code.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:evidence-set"

    primary: Evidence
    """Of the machine: any kind but those of devices."""
    devices: tuple[Evidence, ...] = ()
    """Of kinds in :data:`DEVICE_KINDS`, none twice."""

    def __post_init__(self) -> None:
        if self.primary.kind in DEVICE_KINDS:
            raise _rejected(f"the evidence of a {self.primary.kind} device stands where a machine's should")
        if len(self.devices) > MOST_DEVICES:
            raise _rejected(f"the set brings evidence of {len(self.devices)} devices, over {MOST_DEVICES}")
        for device in self.devices:
            if device.kind not in DEVICE_KINDS:
                raise _rejected(f"{device.kind} evidence stands where a device's should")
        if len({device.report for device in self.devices}) != len(self.devices):
            raise _rejected("the set brings the same evidence twice")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse bytes from outside, or raise ``EvidenceRejected`` saying what is wrong with them."""
        try:
            return super().decode(data)
        except MessageRefused as refusal:
            raise EvidenceRejected(refusal.problem, hint=_HINT, check="format") from None


def decode_any(data: bytes) -> Evidence | EvidenceSet:
    """Evidence, or a set of it, whichever ``data`` say they are; ``EvidenceRejected`` where they are neither."""
    try:
        if type_of(data) == EvidenceSet.TYPE:
            return EvidenceSet.decode(data)
    except MessageRefused:
        pass  # what is neither is refused as evidence
    return Evidence.decode(data)


def _sized(part: str, data: bytes, least: int, most: int) -> None:
    if not least <= len(data) <= most:
        raise _rejected(f"the evidence's {part} has {len(data)} bytes, not {least} to {most}")


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="format")


__all__ = ["DEVICE_KINDS", "KINDS", "Evidence", "EvidenceSet", "decode_any"]
