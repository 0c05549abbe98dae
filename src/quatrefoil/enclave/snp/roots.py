"""AMD's root keys (ARK), pinned: the only certificates that are believed for where they came from.

Source: AMD publishes them at ``https://kdsintf.amd.com/vcek/v1/{Milan,Genoa,Turin}/cert_chain``. The files here were
taken on 2026-11-26 from the repository virtee/sev (``src/certs/snp/builtin``) and are byte for byte those of
google/go-sev-guest (``verify/trust``); Milan's and Genoa's are also those of microsoft/TEE-Attestation-Verification.
They have not been compared with AMD's server. The fingerprints below are SHA-256 over the DER certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from cryptography.x509 import Certificate

from quatrefoil.enclave import certificates
from quatrefoil.errors import StateCorrupt

_FINGERPRINTS: Mapping[str, str] = {
    "Milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "Genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "Turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
}


@dataclass(frozen=True)
class Root:
    """A root that is trusted for one product. ``name`` is what claims call it."""

    name: str
    product: str
    certificate: Certificate


@cache
def pinned() -> Mapping[str, Root]:
    """AMD's roots by product; ``StateCorrupt`` where an installed file is not the one that was pinned."""
    folder = resources.files("quatrefoil.enclave.snp") / "roots"
    found = {}
    for product, fingerprint in _FINGERPRINTS.items():
        der = certificates.der_of_pem((folder / f"ark_{product.lower()}.pem").read_bytes())
        if hashlib.sha256(der).hexdigest() != fingerprint:
            raise StateCorrupt(f"the installed root of {product} was altered", hint="Install Quatrefoil again")
        found[product] = Root(f"AMD ARK-{product}", product, certificates.parse(der))
    return found


__all__ = ["Root", "pinned"]
