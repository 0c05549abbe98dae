"""TPM 2.0: quotes verified, and collected where there is a TPM. Measured boot, no isolation."""

from quatrefoil.enclave.tpm.verify import CHECKS, verify

__all__ = ["CHECKS", "verify"]
