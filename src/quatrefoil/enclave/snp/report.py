"""The SEV-SNP attestation report, versions 2 to 5, as bytes (SEV-SNP ABI, AMD publication 56860, section 7.3, table
ATTESTATION_REPORT; guest policy section 4.3; PLATFORM_INFO and SIGNATURE in the tables after it).

Parsing is total: every bit is either a field or reserved, and reserved ones that are set are refused, because what they
would say is unknown here. Nothing is verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from quatrefoil.errors import EvidenceRejected

REPORT_BYTES = 0x4A0
SIGNED_BYTES = 0x2A0
VERSIONS = (2, 3, 4, 5)

_SIGNATURE_ALGORITHM = 1
"""ECDSA P-384 with SHA-384, the only one there is."""
_COMPONENT = 72
"""Bytes of R and of S, little-endian; P-384 needs 48 of them."""

_HINT = "Ask for the report of 1184 bytes that the firmware returned, without the ioctl header or certificate table"


@dataclass(frozen=True)
class GuestPolicy:
    """POLICY: what the owner of the guest lets the platform do; the firmware holds to it (section 4.3)."""

    abi: tuple[int, int]
    """Least major and minor version of the ABI."""
    smt: bool
    migration_agent: bool
    debug: bool
    single_socket: bool
    cxl: bool
    wide_memory_key: bool
    rapl_disabled: bool
    ciphertext_hiding: bool
    page_swap_disabled: bool

    @classmethod
    def parse(cls, value: int) -> Self:
        if not value >> 17 & 1:
            raise _rejected("the guest policy's bit 17 is reserved and must be one")
        if value >> 26:
            raise _rejected(f"the guest policy {value:#x} has reserved bits set")
        bits = (16, 18, 19, 20, 21, 22, 23, 24, 25)
        return cls((value >> 8 & 0xFF, value & 0xFF), *(bool(value >> bit & 1) for bit in bits))


@dataclass(frozen=True)
class PlatformInfo:
    """PLATFORM_INFO: how the host was configured when the report was made."""

    smt: bool
    tsme: bool
    ecc: bool
    rapl_disabled: bool
    ciphertext_hiding: bool
    alias_check: bool
    tio: bool

    @classmethod
    def parse(cls, value: int) -> Self:
        if value & ~0b1011_1111:
            raise _rejected(f"the platform information {value:#x} has reserved bits set")
        return cls(*(bool(value >> bit & 1) for bit in (0, 1, 2, 3, 4, 5, 7)))


@dataclass(frozen=True)
class Report:
    """One report, unverified. TCB versions stay bytes: their layout depends on the product."""

    version: int
    guest_svn: int
    policy: GuestPolicy
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: bytes
    platform: PlatformInfo
    author_key: bool
    chip_key_masked: bool
    """The signature is zeros because the host asked for that (MASK_CHIP_KEY)."""
    signing_key: str
    """"vcek", "vlek" or "none"."""
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: tuple[int, int, int] | None
    """Family, model and stepping; reports of version 2 do not say."""
    chip_id: bytes
    committed_tcb: bytes
    current_firmware: tuple[int, int, int]
    committed_firmware: tuple[int, int, int]
    """Major, minor, build."""
    launch_tcb: bytes
    launch_mitigations: int | None
    current_mitigations: int | None
    """Bit vectors of verified mitigations; reports before version 5 do not say."""
    signed: bytes
    r: int
    s: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The report in exactly 1184 bytes, or ``EvidenceRejected`` saying what is wrong with them."""
        if len(data) != REPORT_BYTES:
            raise _rejected(f"an SEV-SNP report has {REPORT_BYTES} bytes, not {len(data)}")
        version = _number(data, 0x00, 4)
        if version not in VERSIONS:
            raise _rejected(f"the report has version {version}, not {', '.join(map(str, VERSIONS))}")
        if (algorithm := _number(data, 0x34, 4)) != _SIGNATURE_ALGORITHM:
            raise _rejected(f"the signature algorithm {algorithm} is not 1, ECDSA P-384 with SHA-384")
        flags = _number(data, 0x48, 4)
        key = {0: "vcek", 1: "vlek", 7: "none"}.get(flags >> 2 & 7)
        if flags >> 5 or key is None:
            raise _rejected(f"the signing-key flags {flags:#x} are reserved ones")
        if (vmpl := _number(data, 0x30, 4)) > 3:
            raise _rejected(f"the VMPL {vmpl} is not 0 to 3: the host asked for this report, or it is none")
        _refuse_reserved(data, version)
        return cls(
            version=version,
            guest_svn=_number(data, 0x04, 4),
            policy=GuestPolicy.parse(_number(data, 0x08, 8)),
            family_id=data[0x10:0x20],
            image_id=data[0x20:0x30],
            vmpl=vmpl,
            current_tcb=data[0x38:0x40],
            platform=PlatformInfo.parse(_number(data, 0x40, 8)),
            author_key=bool(flags & 1),
            chip_key_masked=bool(flags & 2),
            signing_key=key,
            report_data=data[0x50:0x90],
            measurement=data[0x90:0xC0],
            host_data=data[0xC0:0xE0],
            id_key_digest=data[0xE0:0x110],
            author_key_digest=data[0x110:0x140],
            report_id=data[0x140:0x160],
            report_id_ma=data[0x160:0x180],
            reported_tcb=data[0x180:0x188],
            cpuid=(data[0x188], data[0x189], data[0x18A]) if version >= 3 else None,
            chip_id=data[0x1A0:0x1E0],
            committed_tcb=data[0x1E0:0x1E8],
            current_firmware=(data[0x1EA], data[0x1E9], data[0x1E8]),
            committed_firmware=(data[0x1EE], data[0x1ED], data[0x1EC]),
            launch_tcb=data[0x1F0:0x1F8],
            launch_mitigations=_number(data, 0x1F8, 8) if version >= 5 else None,
            current_mitigations=_number(data, 0x200, 8) if version >= 5 else None,
            signed=data[:SIGNED_BYTES],
            r=_number(data, SIGNED_BYTES, _COMPONENT),
            s=_number(data, SIGNED_BYTES + _COMPONENT, _COMPONENT),
        )


def _refuse_reserved(data: bytes, version: int) -> None:
    """Every reserved field must be zero (section 7.3): bytes without a meaning could carry anything."""
    for start, end in (
        (0x4C, 0x50),
        (0x188 if version < 3 else 0x18B, 0x1A0),
        (0x1EB, 0x1EC),
        (0x1EF, 0x1F0),
        (0x1F8 if version < 5 else 0x208, SIGNED_BYTES),
        (SIGNED_BYTES + 2 * _COMPONENT, REPORT_BYTES),
    ):
        if any(data[start:end]):
            raise _rejected(f"reserved bytes {start:#x} to {end:#x} of the version {version} report are not zero")


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "little")


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="format")


__all__ = ["REPORT_BYTES", "SIGNED_BYTES", "VERSIONS", "GuestPolicy", "PlatformInfo", "Report"]
