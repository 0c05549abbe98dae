"""Intel TDX and SGX: DCAP quotes of virtual machines and of enclaves, verified offline up to Intel's pinned root."""

from quatrefoil.enclave.tdx.verify import CHECKS, KINDS, verify

__all__ = ["CHECKS", "KINDS", "verify"]
