"""Evidence of what runs: its form, its verifiers, and the devices that could give some. None is collected."""

from quatrefoil.enclave.devices import Device, find

__all__ = ["Device", "find"]
