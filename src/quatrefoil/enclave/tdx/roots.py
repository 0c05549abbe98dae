"""Intel's root for SGX and TDX, pinned: the one certificate that is believed for where it came from.

Source: Intel publishes it as ``Intel_SGX_Provisioning_Certification_RootCA.cer`` on
``certificates.trustedservices.intel.com``. The file here was taken on 2026-11-26 from a quote of a real TDX platform
(Phala-Network/dcap-qvl, ``sample/tdx_quote``), and is byte for byte the one that ``dcap-qvl`` 0.7.0 carries
(``src/TrustedRootCA.der``). It has not been compared with Intel's server. The fingerprint is SHA-256 over the DER form.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.errors import StateCorrupt

_FINGERPRINT = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"


@dataclass(frozen=True)
class Root:
    """A root that is trusted. ``name`` is what claims call it; ``der`` its certificate."""

    name: str
    der: bytes


@cache
def pinned() -> Root:
    """Intel's root; ``StateCorrupt`` where the installed file is not the one that was pinned."""
    file = resources.files("quatrefoil.enclave.tdx") / "roots" / "intel_sgx_root.pem"
    try:
        der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
    except (OSError, ValueError):
        der = b""
    if hashlib.sha256(der).hexdigest() != _FINGERPRINT:
        raise StateCorrupt("the installed root of Intel SGX was altered", hint="Install Quatrefoil again")
    return Root("Intel SGX Root CA", der)


__all__ = ["Root", "pinned"]
