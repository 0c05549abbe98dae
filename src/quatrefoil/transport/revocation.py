"""Certificate revocation lists (RFC 5280 section 5): what a root has taken back, read strictly.

A leaf is accepted while the list of its root is current and does not name it. A leaf that lives at most
:data:`SHORT_LIVED` and says so with id-ce-noRevAvail (RFC 9608) needs no list: it ends before a list would have
travelled. Every other leaf is refused where there is no current list, so that keeping a list from a party never makes
it believe more. docs/transport.md gives the profile and the rule.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from quatrefoil.errors import HostError, PeerError, StateCorrupt

SHORT_LIVED = timedelta(days=8)
"""The whole validity, from first to last second, of a leaf that needs no list."""

NO_REVOCATION = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00")
"""id-ce-noRevAvail (RFC 9608 section 2): NULL, never critical."""

LARGEST_FILE = 16 << 20
"""Bytes of a file of lists: some 400,000 revoked certificates."""

REASONS: Mapping[str, x509.ReasonFlags] = MappingProxyType(
    {
        "unspecified": x509.ReasonFlags.unspecified,
        "key-compromise": x509.ReasonFlags.key_compromise,
        "affiliation-changed": x509.ReasonFlags.affiliation_changed,
        "superseded": x509.ReasonFlags.superseded,
        "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
        "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
    }
)
"""What an authority may say (RFC 5280 section 5.3.1). A hold can be lifted, and a root's own end needs no list."""

SPARING = frozenset(
    {
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
    }
)
"""Reasons under which the key stayed with its owner, who was honest until then: older signatures keep their worth."""

_READ_EXTENSIONS = frozenset({ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER})
_PARTIAL = frozenset(
    {ExtensionOID.DELTA_CRL_INDICATOR, ExtensionOID.ISSUING_DISTRIBUTION_POINT, CRLEntryExtensionOID.CERTIFICATE_ISSUER}
)
"""A delta list, a list of some certificates only, and a list of another issuer's: none says what is not revoked."""

_READ_ENTRY_EXTENSIONS = frozenset({CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE})
_BLOCK = re.compile(rb"\s*(-----BEGIN X509 CRL-----\r?\n[A-Za-z0-9+/=\r\n]+-----END X509 CRL-----)\s*")
_RENEW = "Get the newest crl.pem from the authority, who renews it with `quatrefoil ca crl`, and put it beside root.pem"


@dataclass(frozen=True)
class Revoked:
    """One certificate taken back: its serial number, since when, and why."""

    serial: int
    since: datetime
    reason: x509.ReasonFlags

    def spares(self, claimed: datetime) -> bool:
        """Whether something signed at ``claimed``, as far as that time can be believed, keeps its worth."""
        return self.reason in SPARING and claimed < self.since


@dataclass(frozen=True)
class RevocationList:
    """A list that has been verified. ``root``: SHA-256 of its root's DER. Current from ``begins`` to ``ends``."""

    root: bytes
    number: int
    begins: datetime
    ends: datetime
    entries: Mapping[int, Revoked] = field(repr=False)

    @classmethod
    def verify(cls, crl: x509.CertificateRevocationList, root: x509.Certificate) -> RevocationList:
        """The list in ``crl``, if ``root`` has signed it and it is a whole list of the profile; else ``HostError``.

        Whether it is current is judged with each certificate, by the clock of that moment.
        """
        name = root.subject.rfc4514_string()

        def refuse(problem: str) -> HostError:
            return HostError(f"revocation list of {name} {problem}", hint=_RENEW)

        key = root.public_key()
        if crl.issuer != root.subject or not isinstance(key, mldsa.MLDSA87PublicKey):
            raise refuse(f"names another issuer, {crl.issuer.rfc4514_string()[:100]}")
        try:
            signed = crl.is_signature_valid(key)
            usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
            identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            extensions = crl.extensions
            begins, ends = crl.last_update_utc, crl.next_update_utc
        except Exception as error:  # the parser raises many kinds; every one means the same to us
            raise refuse(f"cannot be read ({type(error).__name__})") from None
        if not signed:
            raise refuse("is not signed by it")
        if not usage.crl_sign:
            raise refuse("is signed by a root that may not sign lists")
        _require_whole(extensions, _READ_EXTENSIONS, refuse)
        try:
            number = extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        except x509.ExtensionNotFound as error:
            raise refuse(f"lacks extension {error.oid._name}") from None
        if authority.key_identifier != identifier.digest:
            raise refuse("names another key of its issuer")
        if ends is None or not begins < ends:
            raise refuse("does not say how long it is current")
        entries = {one.serial: one for one in _entries(crl, refuse)}
        return cls(fingerprint(root), number, begins, ends, MappingProxyType(entries))


def read_lists(content: bytes, what: str, roots: Sequence[x509.Certificate]) -> list[RevocationList]:
    """The lists in a PEM file, each verified under the one of ``roots`` that it names. ``what``: the file, for errors.

    ``StateCorrupt`` when the file holds something else, ``HostError`` for a list that is not to be believed.
    """
    if len(content) > LARGEST_FILE:
        raise HostError(f"{what} is over {LARGEST_FILE} bytes", hint="Check that this is the file you meant")
    found, position = [], 0
    while position < len(content):
        block = _BLOCK.match(content, position)
        if block is None:
            raise StateCorrupt(f"{what} is not a PEM revocation list", hint=_RENEW)
        position = block.end()
        try:
            crl = x509.load_pem_x509_crl(block[1])
            issuer = crl.issuer
        except Exception as error:  # the parser raises many kinds; every one means the same to us
            raise StateCorrupt(f"{what} cannot be read ({type(error).__name__})", hint=_RENEW) from None
        named = [root for root in roots if root.subject == issuer]
        if not named:
            raise HostError(
                f"{what} holds a list of {issuer.rfc4514_string()[:100]}, which is no trusted root",
                hint="Put the crl.pem of the same authority beside root.pem",
            )
        found.append(_of_one(crl, named))
    if not found:
        raise StateCorrupt(f"{what} is empty", hint=_RENEW)
    return found


def judge(
    leaf: x509.Certificate,
    held: RevocationList | None,
    *,
    at: datetime,
    claimed: datetime | None,
    refuse: Callable[[str, str], PeerError],
) -> None:
    """Return if ``leaf`` has not been taken back as far as anyone can know at ``at``; else raise what ``refuse`` makes.

    ``held``: the list of the leaf's root. ``claimed``: for a signature on something old, when it says it was made.
    """
    entry = held.entries.get(leaf.serial_number) if held is not None else None
    if entry is not None and not (claimed is not None and entry.spares(claimed)):
        raise refuse(
            f"was revoked at {entry.since:%Y-%m-%d %H:%M} UTC ({entry.reason.value})",
            "Have `quatrefoil ca` issue a new one, if it is still to be trusted",
        )
    if is_short_lived(leaf):
        return
    if held is None:
        raise refuse("is long-lived, and there is no revocation list of its root", _RENEW)
    if at < held.begins:
        raise refuse(
            f"cannot be judged: revocation list {held.number} begins only at {held.begins:%Y-%m-%d %H:%M} UTC",
            "Check this host's clock",
        )
    if at > held.ends:
        raise refuse(f"cannot be judged: revocation list {held.number} ended at {held.ends:%Y-%m-%d %H:%M} UTC", _RENEW)


def is_short_lived(leaf: x509.Certificate) -> bool:
    """Whether ``leaf`` ends so soon, and says so, that it needs no list."""
    if leaf.not_valid_after_utc - leaf.not_valid_before_utc > SHORT_LIVED:
        return False
    try:
        extension = leaf.extensions.get_extension_for_oid(NO_REVOCATION.oid)
    except x509.ExtensionNotFound:
        return False
    return not extension.critical and extension.value == NO_REVOCATION


def fingerprint(root: x509.Certificate) -> bytes:
    """SHA-256 of a certificate in DER."""
    return hashlib.sha256(root.public_bytes(Encoding.DER)).digest()


def _of_one(crl: x509.CertificateRevocationList, named: Sequence[x509.Certificate]) -> RevocationList:
    """The list under the root that signed it: two roots may have one name."""
    *others, last = named
    for root in others:
        try:
            return RevocationList.verify(crl, root)
        except HostError:
            continue
    return RevocationList.verify(crl, last)


def _entries(crl: x509.CertificateRevocationList, refuse: Callable[[str], HostError]) -> list[Revoked]:
    found = []
    for entry in crl:
        try:
            serial, since, extensions = entry.serial_number, entry.revocation_date_utc, entry.extensions
        except Exception as error:  # the parser raises many kinds; every one means the same to us
            raise refuse(f"has an entry that cannot be read ({type(error).__name__})") from None
        _require_whole(extensions, _READ_ENTRY_EXTENSIONS, refuse)
        try:
            reason = extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            reason = x509.ReasonFlags.unspecified
        if reason is x509.ReasonFlags.remove_from_crl:
            raise refuse("takes an entry back, as only a delta list may")
        found.append(Revoked(serial, since, reason))
    return found


def _require_whole(
    extensions: x509.Extensions, known: frozenset[x509.ObjectIdentifier], refuse: Callable[[str], HostError]
) -> None:
    for extension in extensions:
        if extension.oid in _PARTIAL:
            raise refuse(f"is a delta, partial or indirect list ({extension.oid._name})")
        if extension.critical and extension.oid not in known:
            raise refuse(f"has the unknown critical extension {extension.oid.dotted_string}")


__all__ = [
    "NO_REVOCATION",
    "REASONS",
    "SHORT_LIVED",
    "RevocationList",
    "Revoked",
    "fingerprint",
    "is_short_lived",
    "judge",
    "read_lists",
]
