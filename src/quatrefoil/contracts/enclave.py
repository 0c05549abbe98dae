"""Layer 2: what code runs, and where; said where it runs, and believed or not by who relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Appraisal:
    """The accepted result of appraising evidence: never made for evidence that was refused.

    ``kind`` names the evidence ("software", "tpm", "tdx", "sev-snp", ...), ``isolation`` what separates the code
    from its host ("none", "process", "vm"), ``insecure`` whether the evidence is a stand-in. ``policy``: the digest of
    the appraisal policy that accepted it, 32 bytes; empty for a stand-in, which none accepts.
    """

    kind: str
    isolation: str
    insecure: bool
    policy: bytes


@runtime_checkable
class IsolationAttester(Protocol):
    """Layer 2 where the code runs (RFC 9334 section 3.1): gathers evidence of it, and is believed in nothing."""

    @property
    def kind(self) -> str:
        """The kind of its evidence, in the vocabulary of policies."""

    @property
    def isolation(self) -> str:
        """What this kind of evidence can show to separate the code from its host: "none", "process" or "vm"."""

    def collect(self, report_data: bytes) -> bytes:
        """Evidence about the calling code, bound to 32 bytes of ``report_data``; ``HostError`` where there is none."""


@runtime_checkable
class IsolationAppraiser(Protocol):
    """Layer 2 seen by who relies on it (RFC 9334 section 3.1): needs nothing of the machine that attests."""

    @property
    def accepts(self) -> str:
        """The one kind of evidence that it accepts."""

    def appraise(self, evidence: bytes, *, report_data: bytes) -> Appraisal:
        """The accepted appraisal of evidence bound to ``report_data``, or ``MessageRefused`` / ``EvidenceRejected``."""


__all__ = [
    "Appraisal",
    "IsolationAppraiser",
    "IsolationAttester",
]
