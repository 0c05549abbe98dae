"""AMD SEV-SNP: attestation reports of virtual machines, verified offline up to AMD's pinned roots."""

from quatrefoil.enclave.snp.verify import verify

__all__ = ["verify"]
