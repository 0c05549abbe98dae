"""From a VCEK or VLEK to a pinned root: ARK -> ASK -> VCEK, or ARK -> ASVK -> VLEK, and what has been revoked.

Source: AMD publication 57230: RSASSA-PSS with SHA-384 under
RSA-4096, and one revocation list a product, signed by the ARK, which names intermediates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from quatrefoil.enclave.certificates import binds_every_byte, common_name, outside_validity, signed_pss
from quatrefoil.enclave.claims import Check
from quatrefoil.enclave.snp.keys import ISSUERS, SigningKey
from quatrefoil.enclave.snp.roots import Root


@dataclass(frozen=True)
class Chain:
    """The checks ``chain``, ``validity`` and, where there is a list, ``revocation``; ``root`` if all passed."""

    checks: tuple[Check, ...]
    root: Root | None
    revocation_checked: bool


def follow(
    key: SigningKey,
    candidates: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    at: datetime,
    roots: Mapping[str, Root],
) -> Chain:
    """The chain of ``key`` through one of ``candidates`` to the root of its product."""
    root = roots[key.product]
    named = ISSUERS[key.kind] + key.product
    issuers = [one for one in candidates if common_name(one.subject) == named]
    issuer = next((one for one in issuers if issued(one, key.certificate) and issued(root.certificate, one)), None)
    if issuer is None:
        checks = [Check("chain", False, _why_not(key, named, issuers, root))]
        checks.append(Check("validity", False, "there is no chain of which the dates could be looked at"))
    else:
        way = (key.certificate, issuer, root.certificate)
        checks = [Check("chain", True, f"{key.kind.upper()} <- {named} <- {root.name}")]
        outside = [why for why in (outside_validity(one, at) for one in way) if why]
        first = min(one.not_valid_after_utc for one in way)
        checks.append(
            Check("validity", not outside, "; ".join(outside) or f"all valid; the first expires {first:%Y-%m-%d}")
        )
    own = [one for one in lists if one.issuer == root.certificate.subject]
    if own:
        checks.append(_revocation(own, issuer, root, at))
    return Chain(tuple(checks), root if all(check.passed for check in checks) else None, bool(own))


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether ``issuer``, an authority, signed ``certificate`` as AMD does."""
    return (
        certificate.issuer == issuer.subject
        and binds_every_byte(certificate)
        and may_issue(issuer)
        and signed_pss(issuer, certificate.tbs_certificate_bytes, certificate.signature)
    )


def may_issue(certificate: x509.Certificate) -> bool:
    """Basic constraints and key usage of a certificate authority (RFC 5280 sections 4.2.1.9 and 4.2.1.3)."""

    def read() -> bool:
        extensions = certificate.extensions
        return (
            extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            and extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        )

    try:
        return read()
    except x509.ExtensionNotFound:
        return False


def _why_not(key: SigningKey, named: str, issuers: Sequence[x509.Certificate], root: Root) -> str:
    if not issuers:
        return f"no certificate of {named} came along or is in the collateral"
    if not any(issued(one, key.certificate) for one in issuers):
        return f"the {key.kind.upper()} is not signed by {named}"
    return f"{named} is not signed by {root.name} as an authority"


def _revocation(
    lists: Sequence[x509.CertificateRevocationList], issuer: x509.Certificate | None, root: Root, at: datetime
) -> Check:
    """The check of the lists that claim to be the root's: each is signed and none names the issuer; one is current."""
    if issuer is None:
        return Check("revocation", False, "there is no chain to hold to the revocation list")
    problem = next((why for one in lists if (why := list_problem(one, issuer, root))), "")
    if problem:
        return Check("revocation", False, problem)
    current = [one for one in lists if not outside_list(one, at)]
    if not current:
        newest = max(lists, key=lambda one: one.last_update_utc)
        return Check("revocation", False, outside_list(newest, at))
    until = max(one.next_update_utc for one in current if one.next_update_utc is not None)
    return Check("revocation", True, f"not on the list that is good until {until:%Y-%m-%d}")


def list_problem(found: x509.CertificateRevocationList, issuer: x509.Certificate, root: Root) -> str:
    """Why ``found`` is not the root's list or does not spare ``issuer``, whatever its dates; empty where it does."""
    if not signed_pss(root.certificate, found.tbs_certlist_bytes, found.signature):
        return f"a revocation list is not signed by {root.name}"
    if found.get_revoked_certificate_by_serial_number(issuer.serial_number) is not None:
        return f"{common_name(issuer.subject)} has been revoked"
    return ""


def outside_list(found: x509.CertificateRevocationList, at: datetime) -> str:
    """Why the revocation list is not current at ``at``, with the date; empty where it is."""
    since, until = found.last_update_utc, found.next_update_utc
    if at < since:
        return f"the revocation list holds from {since:%Y-%m-%d %H:%M} UTC on"
    if until is None:
        return "the revocation list does not say until when it holds"
    return f"the revocation list expired on {until:%Y-%m-%d %H:%M} UTC" if at > until else ""


__all__ = ["Chain", "follow", "issued", "list_problem", "may_issue", "outside_list"]
