"""The keeper's side: evidence from a collector, as bytes that travel in an offer and lie in logs."""

from __future__ import annotations

from quatrefoil.enclave.collectors import Collector
from quatrefoil.errors import HostError
from quatrefoil.policy import ISOLATION


class CollectingAttester:
    """Evidence of the machine that it runs on, of the kind of its ``collector``. Nothing here is believed by anybody:
    ``isolation`` is what this kind can show at best, and an appraiser's word counts."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    @property
    def kind(self) -> str:
        return self._collector.kind

    @property
    def isolation(self) -> str:
        return ISOLATION[self.kind]

    def collect(self, report_data: bytes) -> bytes:
        """Evidence bound to ``report_data``; ``HostError`` where the device gives none, or one of another kind."""
        evidence = self._collector.collect(report_data)
        if evidence.kind != self.kind:
            raise HostError(
                f"the collector of {self.kind} evidence gave {evidence.kind}", hint="Name the device of this machine"
            )
        return evidence.encode()


__all__ = ["CollectingAttester"]
