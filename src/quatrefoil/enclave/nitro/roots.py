"""AWS's root for Nitro Enclaves (G1), pinned: the one certificate that is believed for where it came from.

Source: AWS publishes it as ``https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip`` and prints its
SHA-256 in the user guide, "Verifying the root of trust". The file here was taken on 2026-11-26 from the chain of a
document of a real enclave (Dstack-TEE/dstack, ``dstack-attest/tests/nitro_attestation.bin``); its SHA-256 is the one
that AWS prints, as copies of that page say. It has not been compared with AWS's server. It is the root of the
commercial partition: AWS's other partitions have roots of their own, which are not accepted.
"""

from __future__ import annotations

from quatrefoil.enclave import paths
from quatrefoil.enclave.paths import Root

_FINGERPRINT = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"


def pinned() -> Root:
    """AWS's root; ``StateCorrupt`` where the installed file is not the one that was pinned."""
    name = "AWS Nitro Enclaves Root-G1"
    return paths.pinned("quatrefoil.enclave.nitro", "aws_nitro_root_g1.pem", name, _FINGERPRINT)


__all__ = ["Root", "pinned"]
