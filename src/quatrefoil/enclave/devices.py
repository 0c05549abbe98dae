"""Which enclave and attestation devices this machine shows. Finding a device proves nothing: evidence does, once there
is a backend that collects and appraises it.

Sources: Linux ``Documentation/ABI/testing/configfs-tsm-report``, ``Documentation/virt/coco/{tdx-guest,sev-guest}.rst``,
``arch/x86/sgx.rst``; the AWS Nitro Enclaves ``nsm`` driver; TPM 2.0 resource manager (``/dev/tpmrm0``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

KNOWN: tuple[tuple[str, str, str], ...] = (
    ("tdx", "dev/tdx_guest", "this is an Intel TDX guest"),
    ("sev-snp", "dev/sev-guest", "this is an AMD SEV-SNP guest"),
    ("tsm", "sys/kernel/config/tsm/report", "the kernel gives attestation reports of a confidential guest"),
    ("sgx", "dev/sgx_enclave", "Intel SGX enclaves can be made here"),
    ("nitro", "dev/nsm", "this is an AWS Nitro enclave"),
    ("tpm", "dev/tpmrm0", "a TPM 2.0; measured boot and quotes, no isolation"),
    (
        "nvidia-cc",
        "dev/nvidiactl",
        "an NVIDIA GPU; whether it is in confidential-computing mode is not visible in files",
    ),
)
"""Kind, path below the root, and what its presence means."""


@dataclass(frozen=True)
class Device:
    """``usable``: this user may open it for reading and writing."""

    kind: str
    path: str
    present: bool
    usable: bool
    meaning: str


def find(root: Path = Path("/")) -> tuple[Device, ...]:
    """Every known device, present or not, in the order of :data:`KNOWN`. Nothing is opened."""
    return tuple(_look(root, kind, path, meaning) for kind, path, meaning in KNOWN)


def _look(root: Path, kind: str, path: str, meaning: str) -> Device:
    file = root / path
    try:
        present = file.exists()
    except OSError:  # a folder on the way that this user may not search
        present = False
    usable = present and os.access(file, os.R_OK | os.W_OK)
    return Device(kind, f"/{path}", present, usable, meaning)


__all__ = ["KNOWN", "Device", "find"]
