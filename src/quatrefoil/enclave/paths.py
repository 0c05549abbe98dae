"""Certificates of P-384 keys up to one pinned root, as AWS and NVIDIA issue them (RFC 5280 section 6.1).

Every signature is ECDSA on P-384 with SHA-384. Names chain, authorities say that they are some and how long a path may
be below them, and a critical extension that is not looked at here is refused (sections 4.2 and 6.1.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

from cryptography import x509

from quatrefoil.enclave import certificates, revocation
from quatrefoil.enclave.certificates import binds_every_byte, common_name, outside_validity, signed_p384
from quatrefoil.enclave.claims import Check
from quatrefoil.errors import StateCorrupt

LONGEST = 8
"""Certificates of a path, the root among them. The longest known has 5."""

_UNDERSTOOD = (x509.BasicConstraints.oid, x509.KeyUsage.oid)


@dataclass(frozen=True)
class Root:
    """A root that is trusted. ``name`` is what claims call it."""

    name: str
    certificate: x509.Certificate


@cache
def pinned(package: str, file: str, name: str, fingerprint: str) -> Root:
    """The root in ``roots/FILE`` of ``package``; ``StateCorrupt`` where it is not the one of this SHA-256."""
    try:
        der = certificates.der_of_pem((resources.files(package) / "roots" / file).read_bytes())
    except (OSError, ValueError, IndexError):
        der = b""
    if hashlib.sha256(der).hexdigest() != fingerprint:
        raise StateCorrupt(f"the installed certificate of {name} was altered", hint="Install Quatrefoil again")
    return Root(name, certificates.parse(der))


@dataclass(frozen=True)
class Path:
    """The checks ``chain`` and ``validity`` and, where there is a list of an authority on the way, ``revocation``."""

    certificates: tuple[x509.Certificate, ...]
    """Leaf first, the root last; empty where no path leads there."""
    checks: tuple[Check, ...]
    revocation_checked: bool = False

    @property
    def holds(self) -> bool:
        return bool(self.certificates) and all(check.passed for check in self.checks)


def follow(
    leaf: x509.Certificate,
    candidates: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    at: datetime,
    root: Root,
) -> Path:
    """The path of ``leaf`` through ``candidates`` to ``root``; ``EvidenceRejected`` where one is malformed."""
    return certificates.reading("certificate", lambda: _follow(leaf, candidates, lists, at, root))


def _follow(
    leaf: x509.Certificate,
    candidates: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    at: datetime,
    root: Root,
) -> Path:
    way, problem = _way(leaf, candidates, at, root)
    if problem:
        nothing = "there is no chain of which the dates could be looked at"
        return Path((), (Check("chain", False, problem), Check("validity", False, nothing)))
    names = " <- ".join(common_name(one.subject) or "no name" for one in way[:-1])
    outside = [why for why in (outside_validity(one, at) for one in way) if why]
    first = min(one.not_valid_after_utc for one in way)
    checks = [
        Check("chain", True, f"{names} <- {root.name}"),
        Check("validity", not outside, "; ".join(outside) or f"all valid; the first expires {first:%Y-%m-%d %H:%M}"),
    ]
    own, revoked = revocation.look_up(way, lists, at)
    if own:
        checks.append(Check("revocation", not revoked, revoked or "nothing of the chain is on the lists given"))
    return Path(tuple(way), tuple(checks), own)


def _way(
    leaf: x509.Certificate, candidates: Sequence[x509.Certificate], at: datetime, root: Root
) -> tuple[list[x509.Certificate], str]:
    """The way up, or why there is none. Of several certificates of one authority, a valid one is preferred."""
    if not _may_sign(leaf):
        return [], f"the certificate of {common_name(leaf.subject) or 'no name'} is not of a key that signs evidence"
    authorities = [root.certificate, *sorted(candidates, key=lambda one: bool(outside_validity(one, at)))]
    way = [leaf]
    while way[-1] != root.certificate:
        below = len(way) - 1
        issuer = next((one for one in authorities if _issued(one, way[-1], below)), None)
        if issuer is None:
            return [], f"no authority below {root.name} signed {common_name(way[-1].subject) or 'the certificate'}"
        if len(way) >= LONGEST:
            return [], f"the chain has over {LONGEST} certificates"
        way.append(issuer)
    return way, ""


def _issued(issuer: x509.Certificate, issued: x509.Certificate, below: int) -> bool:
    """Whether ``issuer`` may issue, with ``below`` authorities under it, and issued this."""
    return (
        issued.issuer == issuer.subject
        and issuer != issued
        and binds_every_byte(issued)
        and _may_issue(issuer, below)
        and signed_p384(issuer, issued.tbs_certificate_bytes, issued.signature)
    )


def _may_issue(certificate: x509.Certificate, below: int) -> bool:
    constraints, usage = _constraints(certificate), _usage(certificate)
    return (
        _understood(certificate)
        and constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= below)
        and usage is not None
        and usage.key_cert_sign
    )


def _may_sign(certificate: x509.Certificate) -> bool:
    constraints, usage = _constraints(certificate), _usage(certificate)
    return (
        _understood(certificate)
        and (constraints is None or not constraints.ca)
        and usage is not None
        and usage.digital_signature
    )


def _understood(certificate: x509.Certificate) -> bool:
    return all(not one.critical or one.oid in _UNDERSTOOD for one in certificate.extensions)


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


__all__ = ["Path", "Root", "follow", "pinned"]
