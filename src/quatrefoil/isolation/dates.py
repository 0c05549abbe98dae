"""Collateral looked at before it is needed: what has expired is said at the start of a job and not in its middle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from quatrefoil.enclave import certificates
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import HostError


def require_current(collateral: Collateral, at: datetime) -> None:
    """``HostError`` naming the first part of ``collateral`` that does not hold at ``at``, and its date.

    It says nothing of what holds: verification judges every part again, each time that it uses it.
    """
    for problem in (*_certificates(collateral, at), *_lists(collateral, at)):
        raise HostError(
            f"the collateral does not hold: {problem}",
            hint="Fetch it again, and take out of its folder what is not used",
        )


def _certificates(collateral: Collateral, at: datetime) -> Iterator[str]:
    for der in collateral.certificates:
        if problem := certificates.outside_validity(certificates.parse(der), at):
            yield problem


def _lists(collateral: Collateral, at: datetime) -> Iterator[str]:
    for der in collateral.revocation_lists:
        found = certificates.parse_crl(der)
        name = f"the revocation list of {_issuer(found)}"
        if at < found.last_update_utc:
            yield f"{name} is not valid before {found.last_update_utc:%Y-%m-%d %H:%M} UTC"
        elif found.next_update_utc is None:
            yield f"{name} does not say until when it holds"
        elif at > found.next_update_utc:
            yield f"{name} expired on {found.next_update_utc:%Y-%m-%d %H:%M} UTC"


def _issuer(found: x509.CertificateRevocationList) -> str:
    return certificates.common_name(certificates.reading("revocation list", lambda: found.issuer)) or "an authority"


__all__ = ["require_current"]
