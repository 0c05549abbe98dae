"""A stand-in for an enclave: evidence that anybody can write. It lets the rules of the keeper run where there is no
hardware to isolate it, and marks everything that it touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from quatrefoil.contracts import Appraisal
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.wire import WireObject

SOFTWARE_KEEPER = "software-keeper"


@dataclass(frozen=True)
class SoftwareEvidence(WireObject):
    """Says what it is bound to, and proves nothing."""

    TYPE: ClassVar[str] = "urn:quatrefoil:insecure:software-evidence"
    report_data: bytes


class SoftwareIsolation:
    """INSECURE stand-in for ``IsolationAttester`` and ``IsolationAppraiser``: whoever runs the host reads everything
    that runs on it."""

    kind = accepts = "software"
    isolation = "none"

    def __init__(self, *, accept_insecure: Literal["software-keeper"]) -> None:
        if accept_insecure != SOFTWARE_KEEPER:
            raise PolicyInvalid(
                "a keeper without an enclave has to be accepted explicitly",
                hint=f'Pass accept_insecure="{SOFTWARE_KEEPER}", or list it under [insecure] accept in the policy',
            )

    def collect(self, report_data: bytes) -> bytes:
        return SoftwareEvidence(report_data).encode()

    def appraise(self, evidence: bytes, *, report_data: bytes) -> Appraisal:
        if SoftwareEvidence.decode(evidence).report_data != report_data:
            raise MessageRefused("the evidence is bound to something else", hint="Ask the keeper's operator")
        return Appraisal(kind=self.kind, isolation=self.isolation, insecure=True, policy=b"")
