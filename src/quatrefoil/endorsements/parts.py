"""What a fetched file is, and until when each part of it holds: read from its bytes, whatever anybody says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from quatrefoil.enclave import certificates
from quatrefoil.enclave.certificates import common_name
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.nvidia.manifest import Manifest
from quatrefoil.enclave.tdx import endorsements
from quatrefoil.errors import EvidenceRejected, HostError


@dataclass(frozen=True)
class Part:
    """A dated part: ``until`` is ``None`` where it does not say, or never expires."""

    name: str
    since: datetime
    until: datetime | None

    @property
    def moves(self) -> bool:
        """Whether it is a statement or list, which is issued again and again, and not a certificate."""
        return not self.name.startswith(("certificate of ", "issuer of "))

    def problem(self, at: datetime) -> str:
        """Why it does not hold at ``at``, with the date; empty where it does."""
        return "; ".join(endorsements.outside(iter([(self.name, self.since, self.until)]), at))


@dataclass(frozen=True)
class Fetched:
    """One file as it is to be stored: its name in the folder, what it is, its bytes and where they came from."""

    name: str
    what: str
    data: bytes
    sources: tuple[str, ...]


def read(name: str, data: bytes) -> tuple[Part, ...]:
    """The dated parts of the file ``name``, in its order; ``HostError`` where verification could not read it either.

    Public keys, and documents that are neither Intel's collateral nor NVIDIA's manifests, have no dates.
    """
    found = Collateral.of_files({Path(name): data})
    parts = []
    for der in (*found.certificates, *found.tpm_roots):
        parts.append(_certificate(certificates.parse(der), name))
    for der in found.revocation_lists:
        parts.append(_revocation_list(certificates.parse_crl(der), name))
    for stem, document in found.documents.items():
        if (intel := endorsements.read(stem, document)) is not None:
            parts += [Part(*period) for period in intel.periods()]
        elif Manifest.is_in(document):
            parts += _signers(stem, document)
    return tuple(Part(part.name, _second(part.since), part.until and _second(part.until)) for part in parts)


def _signers(stem: str, document: bytes) -> list[Part]:
    """Of NVIDIA's manifest: who signed it. A manifest itself has no date."""
    try:
        signers = Manifest.read(document).signers
    except EvidenceRejected as refused:
        raise HostError(f"{stem}.json: {refused.problem}", hint=refused.hint) from None
    return [_certificate(one, stem) for one in signers]


def _certificate(one: x509.Certificate, file: str) -> Part:
    return Part(_named("certificate", lambda: one.subject, file), one.not_valid_before_utc, one.not_valid_after_utc)


def _second(moment: datetime) -> datetime:
    """In UTC and whole seconds, as it is written."""
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise HostError(f"{moment} is no date that anything holds until", hint="Fetch the file again") from None


def _revocation_list(crl: x509.CertificateRevocationList, file: str) -> Part:
    return Part(_named("revocation list", lambda: crl.issuer, file), crl.last_update_utc, crl.next_update_utc)


def _named(what: str, name: Callable[[], x509.Name], file: str) -> str:
    """Whose it is. Names are read only now: one that is none makes the file unreadable."""
    try:
        return f"{what} of {certificates.reading(what, lambda: common_name(name())) or 'nobody named'}"
    except EvidenceRejected as refused:
        raise HostError(f"{file}: {refused.problem}", hint=refused.hint) from None


__all__ = ["Fetched", "Part", "read"]
