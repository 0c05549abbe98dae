"""Who a party is (a private key with its certificate) and whom it believes (roots, and what they have taken back)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from quatrefoil.errors import CallerError, HostError, PeerError, StateCorrupt
from quatrefoil.transport import files, leaf_keys, profile, revocation
from quatrefoil.transport.leaf_keys import PrivateKey
from quatrefoil.transport.profile import Host, Party
from quatrefoil.transport.revocation import RevocationList, read_lists

KEY_FILE, CERTIFICATE_FILE, ROOT_FILE, LIST_FILE = "key.pem", "certificate.pem", "root.pem", "crl.pem"
RENEWED_FOLDER = "renewed"

MOST_REMEMBERED = 4096
"""Verified certificates that a trust anchor remembers: more than the parties of the largest job."""

Clock: TypeAlias = Callable[[], datetime]
"""The time, as an aware datetime."""


def system_clock() -> datetime:
    """The time by this host's clock."""
    return datetime.now(UTC)


class TrustAnchor:
    """The ML-DSA-87 roots that a party believes, and what each has taken back: an argument of everything that verifies,
    never a default. It does not change: a newer list makes another anchor."""

    def __init__(self, roots: Sequence[x509.Certificate], *, lists: Sequence[RevocationList] = ()) -> None:
        """``lists``: of several of one root the newest counts; of a root without any, only short-lived leaves do."""
        if not roots:
            raise CallerError(
                "no root certificate was given", hint="Pass at least one: nothing can be verified without"
            )
        self._roots = tuple(profile.read_root(root) for root in roots)
        self._lists: dict[bytes, RevocationList] = {}
        for one in sorted(lists, key=lambda one: one.number):
            if one.root not in self.fingerprints:
                raise CallerError(f"revocation list {one.number} is of no root given here", hint="Pass its root too")
            self._lists[one.root] = one
        self._verified: dict[tuple[bytes, Host | None], _Verified] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | str) -> TrustAnchor:
        """The roots in a PEM file, or in the ``root.pem`` of a directory, and the lists in ``crl.pem`` beside it."""
        file = Path(path)
        file = file / ROOT_FILE if file.is_dir() else file
        roots = read_roots(file)
        list_file = file.with_name(LIST_FILE)
        if not list_file.exists():  # then nothing long-lived is accepted, and each refusal says why
            return cls(roots)
        content = files.read(list_file, "revocation list")
        return cls(roots, lists=read_lists(content, f"revocation list {list_file}", roots))

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return self._roots

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """SHA-256 of each root in DER: what two people compare when they exchange roots."""
        return tuple(revocation.fingerprint(root) for root in self._roots)

    @property
    def lists(self) -> tuple[RevocationList, ...]:
        """The newest list of each root that has one."""
        return tuple(self._lists.values())

    def verify(
        self,
        certificate: bytes,
        *,
        at: datetime,
        refusal: type[PeerError],
        server: Host | None = None,
        claimed: datetime | None = None,
    ) -> Party:
        """The party that ``certificate`` (DER) names at the time ``at``, if its root has not taken it back.

        ``claimed``: for what was signed long ago, when it says it was. Validity is then judged there, while revocation
        is judged at ``at`` all the same; see :func:`profile.verify_leaf` and :func:`revocation.judge`.

        A chain that has been verified is remembered by the SHA-256 of its leaf and the host that it was verified for:
        neither what a signature covers nor what a certificate names changes with time, only whether the time lies in
        the validity of leaf and roots, and whether a list names the leaf, and both are looked at each time. Whatever is
        not plainly inside is verified from the beginning. (In a full handshake OpenSSL verifies the leaf's signature
        as well, each time.)
        """
        if at.tzinfo is None:
            raise CallerError("the clock gives a time without a zone", hint="Pass a clock like system_clock")
        found = self._chain(certificate, claimed or at, refusal, server)

        def refuse(problem: str, hint: str) -> PeerError:
            return refusal(f"certificate of {found.party.name!r} {problem}", hint=hint, party=found.party.name)

        held = self._lists.get(found.root)
        revocation.judge(found.party.certificate, held, at=at, claimed=claimed, refuse=refuse)
        return found.party

    def _chain(self, certificate: bytes, at: datetime, refusal: type[PeerError], server: Host | None) -> _Verified:
        question = hashlib.sha256(certificate).digest(), server
        known = self._verified.get(question)
        if known is not None and known.begins <= at <= known.ends:
            return known
        party, root = profile.verify_leaf(certificate, self._roots, at=at, refusal=refusal, server=server)
        found = _Verified(party, revocation.fingerprint(root), *self._validity(party.certificate))
        with self._lock:
            self._verified.pop(question, None)
            while len(self._verified) >= MOST_REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[question] = found
        return found

    def _validity(self, leaf: x509.Certificate) -> tuple[datetime, datetime]:
        """The time in which the leaf and every root are valid, whichever root signed it."""
        chain = (leaf, *self._roots)
        return max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain)

    def __repr__(self) -> str:
        return f"TrustAnchor({', '.join(root.subject.rfc4514_string() for root in self._roots)})"


@dataclass(frozen=True)
class _Verified:
    """A chain that holds: the party, the root that signed its leaf (SHA-256), and between which times."""

    party: Party
    root: bytes
    begins: datetime
    ends: datetime


class Identity:
    """A party's ML-DSA key and the certificate that names it. Prints as its name: the key never appears."""

    def __init__(self, key: PrivateKey, certificate: x509.Certificate) -> None:
        if not isinstance(key, PrivateKey):
            raise CallerError("an identity needs an ML-DSA-65 or ML-DSA-87 key", hint="Have `quatrefoil ca` make one")
        if certificate.public_key() != key.public_key():
            raise CallerError("certificate and key do not belong together", hint="Load both from one directory")
        self._key = key
        self._certificate = certificate
        self._der = _der(certificate)
        name, role = profile.named_in(certificate)
        self._name, self._role = name, role

    @classmethod
    def load(cls, directory: Path | str, *, fingerprint: bytes | None = None) -> Identity:
        """The newest identity in a directory that ``quatrefoil ca issue`` (or ``request`` and ``sign``) has filled.

        ``fingerprint``: the one with this certificate instead, however old; ``HostError`` if it is not there.
        """
        folder = Path(directory)
        if not folder.is_dir():
            raise HostError(f"identity {folder} is not a directory", hint="Name one that `quatrefoil ca issue` wrote")
        places = generations(folder)
        if fingerprint is None:
            return cls._read(places[-1])
        for place in reversed(places):
            found = cls._read(place)
            if found.fingerprint == fingerprint:
                return found
        raise HostError(
            f"{folder} does not hold the certificate {fingerprint.hex()[:16]}",
            hint="Put its key and certificate back, under renewed/ or in the folder itself",
        )

    @classmethod
    def _read(cls, folder: Path) -> Identity:
        key_file, certificate_file = folder / KEY_FILE, folder / CERTIFICATE_FILE
        key_pem = files.read_private(key_file, "key")
        certificate_pem = files.read(certificate_file, "certificate")
        hint = "Restore it from a copy, or issue a new identity"
        key = read_key(key_pem, f"key {key_file}", hint)
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise StateCorrupt(f"certificate {certificate_file} cannot be read", hint=hint) from None
        if not isinstance(key, PrivateKey) or certificate.public_key() != key.public_key():
            raise StateCorrupt(f"{folder} does not hold an ML-DSA key with its own certificate", hint=hint)
        return cls(key, certificate)

    @property
    def name(self) -> str:
        return self._name

    @property
    def role(self) -> str:
        return self._role

    @property
    def certificate(self) -> x509.Certificate:
        return self._certificate

    @property
    def certificate_der(self) -> bytes:
        return self._der

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate in DER."""
        return hashlib.sha256(self._der).digest()

    def sign(self, message: bytes, *, context: bytes) -> bytes:
        """An ML-DSA signature (FIPS 204 section 5.2, hedged) under a context string of at most 255 bytes."""
        return self._key.sign(message, context)

    @property
    def algorithm(self) -> str:
        """``ml-dsa-65`` or ``ml-dsa-87``."""
        return leaf_keys.algorithm_of(self._key).name

    def private_key(self) -> PrivateKey:
        """The key itself, for the TLS library. Nothing else should ask."""
        return self._key

    def __repr__(self) -> str:
        return f"Identity(name={self._name!r}, role={self._role!r}, key=<secret>)"


def generations(folder: Path) -> list[Path]:
    """Where the keys of one party lie, oldest first: ``folder`` itself, then every finished ``renewed/NNNN`` in it.

    A new key comes whole and beside the old ones, so that no reader ever sees one with another's certificate, and what
    the old key has begun can be ended. A key that waits for its certificate does not count yet.
    """
    return [folder, *(place for place in _numbered(folder) if (place / CERTIFICATE_FILE).exists())]


def next_generation(folder: Path) -> Path:
    """Where the next key of the party in ``folder`` is to be put: after all others, finished or not."""
    taken = _numbered(folder)
    return folder / RENEWED_FOLDER / f"{int(taken[-1].name) + 1 if taken else 1:04}"


def _numbered(folder: Path) -> list[Path]:
    places = [place for place in (folder / RENEWED_FOLDER).glob("*") if place.name.isdecimal()]
    return sorted(places, key=lambda place: int(place.name))


def identity_files(folder: Path) -> list[Path]:
    """What changes when the identity in ``folder`` does."""
    newest = generations(folder)[-1]
    return [newest, newest / KEY_FILE, newest / CERTIFICATE_FILE]


def read_roots(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file of roots."""
    content = files.read(file, "trust anchor")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise StateCorrupt(f"trust anchor {file} is not a PEM certificate", hint="Copy root.pem again") from None


def read_key(pem: bytes, what: str, hint: str) -> PrivateKeyTypes:
    """The private key in a PEM file, of whatever kind; ``StateCorrupt`` when it cannot be read as one."""
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise StateCorrupt(f"{what} is encrypted", hint="Decrypt it: keys are kept by file mode only") from None
    except (ValueError, UnsupportedAlgorithm):
        raise StateCorrupt(f"{what} cannot be read", hint=hint) from None


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


__all__ = ["Clock", "Identity", "TrustAnchor", "system_clock"]
