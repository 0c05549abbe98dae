"""What gathers evidence on the machine that it is about (RFC 9334 section 3: the attester's interface)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from quatrefoil.enclave.evidence import Evidence


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


__all__ = ["Collector"]
