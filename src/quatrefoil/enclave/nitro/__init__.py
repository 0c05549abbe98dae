"""AWS Nitro Enclaves: attestation documents of the Nitro security module, verified."""

from quatrefoil.enclave.nitro.verify import CHECKS, verify

__all__ = ["CHECKS", "verify"]
