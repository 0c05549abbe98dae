"""NVIDIA's roots, pinned: of device identities, and of reference integrity manifests (RIMs).

Source: NVIDIA publishes both in the repository NVIDIA/nvtrust
(``guest_tools/gpu_verifiers/local_gpu_verifier/src/verifier/certs``), from where they were taken on 2026-11-26 at
commit 028173093d43. The root of devices also ends the chain of the real report in that repository, and is in NVIDIA's
open kernel modules (``SPDM_L1_CERTIFICATE_PEM``). They have not been compared with a server of NVIDIA's. The
fingerprints are SHA-256 over the DER certificate.
"""

from __future__ import annotations

from quatrefoil.enclave import paths
from quatrefoil.enclave.paths import Root

_PACKAGE = "quatrefoil.enclave.nvidia"
_DEVICES = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
_MANIFESTS = "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"


def devices() -> Root:
    """The root of device identities; ``StateCorrupt`` where the installed file is not the one that was pinned."""
    return paths.pinned(_PACKAGE, "nvidia_device_identity_root.pem", "NVIDIA Device Identity CA", _DEVICES)


def manifests() -> Root:
    """The root of reference integrity manifests; ``StateCorrupt`` as above."""
    return paths.pinned(_PACKAGE, "nvidia_rim_root.pem", "NVIDIA CoRIM signing Root CA", _MANIFESTS)


__all__ = ["Root", "devices", "manifests"]
