"""Evidence of what runs. For now it only finds devices: no backend collects or appraises evidence yet."""

from quatrefoil.enclave.devices import Device, find

__all__ = ["Device", "find"]
