"""Evidence of what runs: its form, its verifiers, its collectors, and the devices that could give some."""

from quatrefoil.enclave.devices import Device, find

__all__ = ["Device", "find"]
