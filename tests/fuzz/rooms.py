"""What targets need to get past signatures: a consortium, made once a process, whose members send what they like."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from quatrefoil.transport import CertificateAuthority, Identity, TrustAnchor, system_clock

VECTORS = Path(__file__).parents[1] / "vectors"


def member(name: str = "north", role: str = "silo") -> Identity:
    """A certified party."""
    return _issued(name, role)


def trust() -> TrustAnchor:
    """The root that certified it. A new object: what one input verified is not remembered for the next."""
    return TrustAnchor(_authority().trust.roots, lists=_authority().trust.lists)


@cache
def _issued(name: str, role: str) -> Identity:
    return _authority().issue(name, role, directory=_folder() / name)


@cache
def _authority() -> CertificateAuthority:
    return CertificateAuthority.create(_folder() / "ca", "fuzz-root", clock=system_clock)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="quatrefoil-fuzz-"))
