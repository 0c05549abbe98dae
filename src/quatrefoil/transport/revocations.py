"""What an authority has taken back, in its folder, and the lists that it publishes about it.

``revoked/`` holds one file for each certificate and reason, written before any list says so; ``lists/`` every list ever
signed, by its number; ``crl.pem`` is the newest of them, and the one file that is replaced. Killed between two steps,
the authority has lost nothing: the next list names whatever ``revoked/`` holds.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.errors import CallerError, StateCorrupt
from quatrefoil.transport import files, revocation
from quatrefoil.transport.identity import LIST_FILE, Clock
from quatrefoil.transport.revocation import REASONS, SPARING, RevocationList, Revoked

REVOKED_FOLDER, LISTS_FOLDER = "revoked", "lists"

LIST_LIFETIME = timedelta(days=30)

_SKEW = timedelta(minutes=5)
"""How far behind another host's clock may be when a list is new."""


class Revocations:
    """The lists of one root. Prints without the key."""

    def __init__(self, directory: Path, key: mldsa.MLDSA87PrivateKey, root: x509.Certificate, *, clock: Clock) -> None:
        self._directory = directory
        self._key = key
        self._root = root
        self._clock = clock

    def newest(self) -> RevocationList | None:
        """The newest list that was signed; None before the first."""
        newest: RevocationList | None = None
        published, lists = self._directory / LIST_FILE, self._directory / LISTS_FOLDER
        for file in [*sorted(lists.glob("*.pem"))[-1:], *([published] if published.exists() else [])]:
            content = files.read(file, "revocation list")
            for one in revocation.read_lists(content, f"revocation list {file}", [self._root]):
                newest = one if newest is None or one.number > newest.number else newest
        return newest

    def record(self, certificate: x509.Certificate, reason: str) -> None:
        """Remember, durably, that ``certificate`` is taken back from now on. Twice for one reason is once."""
        if reason not in REASONS:
            raise CallerError(f"{reason[:40]!r} is no reason", hint=f"Use one of {', '.join(REASONS)}")
        serial = certificate.serial_number
        file = self._directory / REVOKED_FOLDER / f"{serial:040x}-{reason}.json"
        with files.locked(self._directory):
            if file.exists():
                return
            entry = {"serial": f"{serial:x}", "since": _now(self._clock).isoformat(), "reason": reason}
            files.write_new(file, json.dumps(entry).encode() + b"\n")

    def publish(self, *, lifetime: timedelta = LIST_LIFETIME) -> RevocationList:
        """Sign a list of everything recorded, numbered one above the last, and put it in the place of ``crl.pem``."""
        with files.locked(self._directory):
            last = self.newest()
            number = 1 if last is None else last.number + 1
            pem = sign_list(self._key, self._root, number, self.recorded(), now=_now(self._clock), lifetime=lifetime)
            (made,) = revocation.read_lists(pem, "the new revocation list", [self._root])
            files.write_new(self._directory / LISTS_FOLDER / f"{number:010}.pem", pem)
            files.replace(self._directory / LIST_FILE, pem)
            return made

    def recorded(self) -> list[Revoked]:
        """Everything taken back, by serial number: since the first time, and for the gravest reason."""
        found: dict[int, Revoked] = {}
        for file in sorted((self._directory / REVOKED_FOLDER).glob("*.json")):
            one = _read(file)
            found[one.serial] = _graver(found[one.serial], one) if one.serial in found else one
        return [found[serial] for serial in sorted(found)]

    def __repr__(self) -> str:
        return f"Revocations({self._root.subject.rfc4514_string()}, key=<secret>)"


def sign_list(
    key: mldsa.MLDSA87PrivateKey,
    root: x509.Certificate,
    number: int,
    entries: list[Revoked],
    *,
    now: datetime,
    lifetime: timedelta,
) -> bytes:
    """A list in PEM, current from five minutes before ``now`` for ``lifetime``."""
    if not timedelta(0) < lifetime:
        raise CallerError(f"a lifetime of {lifetime} is none", hint="Give a longer one")
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(now - _SKEW)
        .next_update(now + lifetime)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    for one in entries:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.since)
        if one.reason is not x509.ReasonFlags.unspecified:  # it is said by saying nothing (RFC 5280 section 5.3.1)
            entry = entry.add_extension(x509.CRLReason(one.reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, None).public_bytes(Encoding.PEM)


def _graver(one: Revoked, other: Revoked) -> Revoked:
    """One entry for two reasons: a certificate that was superseded, and whose key turned out to be stolen."""
    if one.reason in SPARING or other.reason is x509.ReasonFlags.key_compromise:
        one, other = other, one
    return Revoked(one.serial, min(one.since, other.since), one.reason)


def _read(file: Path) -> Revoked:
    content = files.read(file, "revocation")
    try:
        entry: Any = json.loads(content)
        serial, since, reason = int(entry["serial"], 16), datetime.fromisoformat(entry["since"]), entry["reason"]
        if file.name != f"{serial:040x}-{reason}.json" or since.tzinfo is None:
            raise ValueError("the entry is another than its name says")
        return Revoked(serial, since.astimezone(UTC), REASONS[reason])
    except (ValueError, KeyError, TypeError):
        raise StateCorrupt(
            f"revocation {file} does not read back", hint="Restore it from a copy: without it a list would be short"
        ) from None


def _now(clock: Clock) -> datetime:
    return clock().astimezone(UTC).replace(microsecond=0)


__all__ = ["LIST_LIFETIME", "Revocations", "sign_list"]
