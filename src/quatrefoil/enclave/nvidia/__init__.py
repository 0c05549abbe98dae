"""NVIDIA GPUs in confidential-computing mode: measurement reports over SPDM, verified. A device isolates no code."""

from quatrefoil.enclave.nvidia.verify import CHECKS, verify

__all__ = ["CHECKS", "verify"]
