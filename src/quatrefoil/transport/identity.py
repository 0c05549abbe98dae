"""Who a party is (a private key with its certificate) and whom it believes (the roots it was given beforehand)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from quatrefoil.errors import CallerError, HostError, PeerError, StateCorrupt
from quatrefoil.transport import files, profile
from quatrefoil.transport.profile import Host, Party

KEY_FILE, CERTIFICATE_FILE, ROOT_FILE = "key.pem", "certificate.pem", "root.pem"

MOST_REMEMBERED = 4096
"""Verified certificates that a trust anchor remembers: more than the parties of the largest job."""

Clock: TypeAlias = Callable[[], datetime]
"""The time, as an aware datetime."""


def system_clock() -> datetime:
    """The time by this host's clock."""
    return datetime.now(UTC)


class TrustAnchor:
    """The ML-DSA-87 roots that a party believes: an argument of everything that verifies, never a default."""

    def __init__(self, roots: Sequence[x509.Certificate]) -> None:
        if not roots:
            raise CallerError(
                "no root certificate was given", hint="Pass at least one: nothing can be verified without"
            )
        self._roots = tuple(profile.read_root(root) for root in roots)
        self._verified: dict[bytes, tuple[Party, datetime, datetime]] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | str) -> TrustAnchor:
        """The roots in a PEM file, or in the ``root.pem`` of a directory."""
        file = Path(path)
        file = file / ROOT_FILE if file.is_dir() else file
        content = files.read(file, "trust anchor")
        try:
            roots = x509.load_pem_x509_certificates(content)
        except ValueError:
            raise StateCorrupt(f"trust anchor {file} is not a PEM certificate", hint="Copy root.pem again") from None
        return cls(roots)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return self._roots

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """SHA-256 of each root in DER: what two people compare when they exchange roots."""
        return tuple(hashlib.sha256(_der(root)).digest() for root in self._roots)

    def verify(
        self, certificate: bytes, *, at: datetime, refusal: type[PeerError], server: Host | None = None
    ) -> Party:
        """The party that ``certificate`` (DER) names at the time ``at``; see :func:`profile.verify_leaf`.

        A chain that has been verified is remembered by the SHA-256 of its leaf: what a signature covers does not change
        with time, only whether ``at`` lies in the validity of leaf and roots, and that is looked at each time. Whatever
        is not plainly inside, or asked for a host, is verified from the beginning.
        """
        if at.tzinfo is None:
            raise CallerError("the clock gives a time without a zone", hint="Pass a clock like system_clock")
        if server is not None:
            return profile.verify_leaf(certificate, self._roots, at=at, refusal=refusal, server=server)
        fingerprint = hashlib.sha256(certificate).digest()
        if (known := self._verified.get(fingerprint)) is not None and known[1] <= at <= known[2]:
            return known[0]
        party = profile.verify_leaf(certificate, self._roots, at=at, refusal=refusal)
        with self._lock:
            while len(self._verified) >= MOST_REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[fingerprint] = (party, *self._validity(party.certificate))
        return party

    def _validity(self, leaf: x509.Certificate) -> tuple[datetime, datetime]:
        """The time in which the leaf and every root are valid, whichever root signed it."""
        chain = (leaf, *self._roots)
        return max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain)

    def __repr__(self) -> str:
        return f"TrustAnchor({', '.join(root.subject.rfc4514_string() for root in self._roots)})"


class Identity:
    """A party's ML-DSA-65 key and the certificate that names it. Prints as its name: the key never appears."""

    def __init__(self, key: mldsa.MLDSA65PrivateKey, certificate: x509.Certificate) -> None:
        if not isinstance(key, mldsa.MLDSA65PrivateKey):
            raise CallerError("an identity needs an ML-DSA-65 key", hint="Have `quatrefoil ca` make one")
        if certificate.public_key() != key.public_key():
            raise CallerError("certificate and key do not belong together", hint="Load both from one directory")
        self._key = key
        self._certificate = certificate
        self._der = _der(certificate)
        name, role = profile.named_in(certificate)
        self._name, self._role = name, role

    @classmethod
    def load(cls, directory: Path | str) -> Identity:
        """The identity in a directory that ``quatrefoil ca issue`` (or ``request`` and ``sign``) has filled."""
        folder = Path(directory)
        if not folder.is_dir():
            raise HostError(f"identity {folder} is not a directory", hint="Name one that `quatrefoil ca issue` wrote")
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
        if not isinstance(key, mldsa.MLDSA65PrivateKey) or certificate.public_key() != key.public_key():
            raise StateCorrupt(f"{folder} does not hold an ML-DSA-65 key with its own certificate", hint=hint)
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
        """An ML-DSA-65 signature (FIPS 204 section 5.2, hedged) under a context string of at most 255 bytes."""
        return self._key.sign(message, context)

    def private_key(self) -> mldsa.MLDSA65PrivateKey:
        """The key itself, for the TLS library. Nothing else should ask."""
        return self._key

    def __repr__(self) -> str:
        return f"Identity(name={self._name!r}, role={self._role!r}, key=<secret>)"


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
