"""Leases: what a broker signs when it releases the key of a resource to measured code, or prolongs that.

A lease is the receipt of a release: it says which key went to which attested keys, on evidence of what, under whose
policy, and until when. The signed statement is attached to the entry of its release; docs/broker.md is the
specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.errors import MessageRefused
from quatrefoil.wire import WireObject

_DIGEST = 32
_DIGESTS = ("id", "resource", "keyset", "nonce", "policy", "appraisal")
_LONGEST_TEXT = 256
_TEXTS = ("stage", "holder", "role", "kind", "root", "isolation")

_HINT = "Ask the broker's operator, and keep it as evidence"


@dataclass(frozen=True)
class Lease(WireObject):
    """The body of a broker's statement. Times: seconds since 1970 by its clock.

    ``id``: SHA-256 of the release request. ``number``: 0 at the release, then one more at each renewal. ``resource``:
    SHA-256 of the signed resource, ``keyset`` of the keyset that the key was sealed to, ``policy`` of the release
    policy, ``appraisal`` of the appraisal policy of ``stage`` that the evidence was held to. ``kind``, ``root`` and
    ``isolation``: of that evidence. ``holder`` and ``role``: who asked, as certified.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:lease"

    id: bytes
    number: int
    resource: bytes
    stage: str
    holder: str
    role: str
    keyset: bytes
    nonce: bytes
    policy: bytes
    appraisal: bytes
    kind: str
    root: str
    isolation: str
    granted: int
    expires: int
    renewable: bool

    def __post_init__(self) -> None:
        for name in _DIGESTS:
            if len(getattr(self, name)) != _DIGEST:
                raise _malformed(f"{len(getattr(self, name))} bytes for {name}, not {_DIGEST}")
        for name in _TEXTS:
            if len(getattr(self, name)) > _LONGEST_TEXT:
                raise _malformed(f"over {_LONGEST_TEXT} characters for {name}")
        if not self.granted < self.expires:
            raise _malformed("an end before its beginning")

    def entry(self) -> dict[str, object]:
        """What the entry of this lease in a log says of it."""
        return {
            "lease": self.id.hex(),
            "number": self.number,
            "resource": self.resource.hex(),
            "stage": self.stage,
            "holder": self.holder,
            "nonce": self.nonce.hex(),
            "keyset": self.keyset.hex(),
            "policy": self.policy.hex(),
            "appraisal": self.appraisal.hex(),
            "evidence": self.kind,
            "root": self.root,
            "isolation": self.isolation,
            "granted": self.granted,
            "expires": self.expires,
        }


@dataclass(frozen=True)
class LeaseEvidence(WireObject):
    """What lies beside a lease's entry: ``lease``, as the broker signed it, and the ``request`` that it answers, with
    the evidence that was accepted."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:lease-evidence"

    lease: bytes
    request: bytes


def _malformed(problem: str) -> MessageRefused:
    return MessageRefused(f"a lease has {problem}", hint=_HINT)


__all__ = ["Lease", "LeaseEvidence"]
