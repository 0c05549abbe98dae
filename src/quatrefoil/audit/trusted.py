"""Whom a verdict rests on: the consortium's root certificates, given by the auditor or found beside the evidence.

A root that came along proves nothing by itself: whoever made the evidence can make a root. Then the fingerprint has to
be compared with one that the auditor has from elsewhere, and every output says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.revocation import read_lists

_HINT = "Give the consortium's root certificate with --trust"


@dataclass(frozen=True)
class Trusted:
    """``pinned``: the auditor gave the roots. Revocation lists may come along all the same: the root has signed them,
    and of several the newest counts."""

    anchor: TrustAnchor
    pinned: bool
    remark: str = ""
    """What lies beside the evidence and cannot be used, if something does."""

    @classmethod
    def found(cls, roots: bytes | None, lists: bytes | None, given: Path | None) -> Trusted:
        """``roots`` and ``lists``: PEM that lies beside the evidence. ``given``: the auditor's root file, its crl.pem
        beside it; an error in that is the auditor's own, and in what lies beside is ``EvidenceRejected``."""
        if given is not None:
            return cls._with_lists(TrustAnchor.load(given), lists, pinned=True)
        if roots is None:
            raise _rejected("no root certificate lies beside the evidence, and none was given")
        try:
            return cls._with_lists(TrustAnchor(x509.load_pem_x509_certificates(roots)), lists, pinned=False)
        except (ValueError, QuatrefoilError) as error:
            reason = error.problem if isinstance(error, QuatrefoilError) else "it is not PEM"
            raise _rejected(f"the root certificate beside the evidence cannot be used ({reason})") from None

    @classmethod
    def _with_lists(cls, anchor: TrustAnchor, lists: bytes | None, *, pinned: bool) -> Trusted:
        if lists is None:
            return cls(anchor, pinned)
        try:
            found = read_lists(lists, "the revocation list beside the evidence", anchor.roots)
        except QuatrefoilError as error:
            # Of another root, or altered. Without one only short-lived certificates pass, and each refusal says so.
            return cls(anchor, pinned, error.problem)
        return cls(TrustAnchor(anchor.roots, lists=[*found, *anchor.lists]), pinned)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """SHA-256 of each root in DER, in hex."""
        return tuple(one.hex() for one in self.anchor.fingerprints)

    def describe(self) -> str:
        """For people, in one line."""
        names = ", ".join(
            f"{root.subject.rfc4514_string()} (SHA-256 {digest})"
            for root, digest in zip(self.anchor.roots, self.fingerprints, strict=True)
        )
        lists = ", ".join(f"number {one.number} until {one.ends:%Y-%m-%d %H:%M} UTC" for one in self.anchor.lists)
        source = (
            "given by the auditor"
            if self.pinned
            else "CAME ALONG with the evidence, so it shows nothing until its fingerprint is compared with one from "
            "elsewhere"
        )
        remark = f" ({self.remark})" if self.remark else ""
        return f"root {names}, {source}; revocation list: {lists or 'none'}{remark}"


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="trust")
