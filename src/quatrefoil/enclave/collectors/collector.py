"""What gathers evidence on the machine that it is about (RFC 9334 section 3: the attester's interface)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import CallerError

REPORT_DATA_BYTES = 64
"""What every kind of evidence has room for."""


@runtime_checkable
class Collector(Protocol):
    """Evidence of one kind from one device. Nothing that it gathers is believed by whoever verifies."""

    @property
    def kind(self) -> str:
        """The kind of the evidence, from ``evidence.KINDS``."""

    def collect(self, report_data: bytes) -> Evidence:
        """Fresh evidence that is bound to ``report_data``, 1 to 64 bytes; fields that are longer end in zeros.

        ``CallerError`` for other lengths. ``HostError`` where there is no such device, or it does not answer as it
        should; ``DependencyMissing`` (one of them) where programs are not installed. May take seconds; may be called
        from several threads at once.
        """


def checked(report_data: bytes) -> bytes:
    """``report_data``, or ``CallerError`` where it is empty or longer than :data:`REPORT_DATA_BYTES`."""
    if not 0 < len(report_data) <= REPORT_DATA_BYTES:
        hint = f"Give 1 to {REPORT_DATA_BYTES}: the digest of what the evidence is to be bound to"
        raise CallerError(f"report data of {len(report_data)} bytes", hint=hint)
    return bytes(report_data)


def padded(report_data: bytes) -> bytes:
    """``report_data`` followed by zeros, as a field of 64 bytes holds it."""
    return checked(report_data).ljust(REPORT_DATA_BYTES, b"\0")


__all__ = ["REPORT_DATA_BYTES", "Collector", "checked", "padded"]
