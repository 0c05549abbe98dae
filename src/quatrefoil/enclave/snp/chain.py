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
    issuer = next((one for one in issuers if _issued(one, key.certificate) and _issued(root.certificate, one)), None)
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


def _issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    return (
        issued.issuer == issuer.subject
        and binds_every_byte(issued)
        and _may_issue(issuer)
        and signed_pss(issuer, issued.tbs_certificate_bytes, issued.signature)
    )


def _may_issue(certificate: x509.Certificate) -> bool:
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
    if not any(_issued(one, key.certificate) for one in issuers):
        return f"the {key.kind.upper()} is not signed by {named}"
    return f"{named} is not signed by {root.name} as an authority"


def _revocation(
    lists: Sequence[x509.CertificateRevocationList], issuer: x509.Certificate | None, root: Root, at: datetime
) -> Check:
    """The check of the lists that claim to be the root's: one is signed and current, and none names the issuer."""
    signed = [one for one in lists if signed_pss(root.certificate, one.tbs_certlist_bytes, one.signature)]
    if len(signed) < len(lists):
        return Check("revocation", False, f"a revocation list is not signed by {root.name}")
    if issuer is None:
        return Check("revocation", False, "there is no chain to hold to the revocation list")
    if any(one.get_revoked_certificate_by_serial_number(issuer.serial_number) is not None for one in signed):
        return Check("revocation", False, f"{common_name(issuer.subject)} has been revoked")
    until = max(one.next_update_utc or one.last_update_utc for one in signed)
    if until < at or all(one.last_update_utc > at for one in signed):
        return Check("revocation", False, f"the revocation list was to be replaced on {until:%Y-%m-%d %H:%M} UTC")
    return Check("revocation", True, f"not on the list that is good until {until:%Y-%m-%d}")


__all__ = ["Chain", "follow"]
