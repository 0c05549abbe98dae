"""Azure's confidential VMs: a hardware report on the paravisor, and quotes of the TPM that the paravisor is."""

from quatrefoil.enclave.azure.verify import CHECKS, PARAVISOR, verify

__all__ = ["CHECKS", "PARAVISOR", "verify"]
