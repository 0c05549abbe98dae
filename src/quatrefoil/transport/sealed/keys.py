"""Long-lived keys to seal files to: a pair at rest, and the statement by which a party says that it is its own.

At rest a pair is two PKCS #8 keys in PEM, ML-KEM first (RFC 9935), then X25519 (RFC 8410) or P-384 (RFC 5915), in
``sealing.key`` with mode 0600. The public half travels as a statement signed with the party's ML-DSA identity: it is
good for as long as the certificate inside is valid, and is signed anew, for the same key, with each new certificate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from quatrefoil.errors import CallerError, MessageRefused, StateCorrupt
from quatrefoil.transport import files, statement, suites
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor, read_key
from quatrefoil.transport.sealed.layout import fingerprint
from quatrefoil.transport.suites import CurvePrivateKey, MLKEMPrivateKey, Suite
from quatrefoil.wire import WireObject

KEY_FILE, CERTIFICATE_FILE = "sealing.key", "sealing.certificate"

_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\s*", re.S)


@dataclass(frozen=True)
class SealingPublicKey(WireObject):
    """The body of a sealing certificate: "files that are for me, seal to this key"."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealing-public-key"

    suite: bytes
    public: bytes


@dataclass(frozen=True)
class Recipient:
    """A public key to seal to, and whose it is: (name, role) as certified, or ``("own key", "")``."""

    suite: Suite
    public: bytes
    name: str
    role: str

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the public key."""
        return fingerprint(self.public)


class RecipientKey:
    """A private key that sealed files open with. Prints as its fingerprint: the key never appears."""

    def __init__(self, suite: Suite, ml_kem: MLKEMPrivateKey, curve: CurvePrivateKey) -> None:
        self._suite = suite
        self._halves = (ml_kem, curve)
        self._key, self._public = suite.join(ml_kem, curve)

    @classmethod
    def generate(cls, suite: Suite) -> RecipientKey:
        return cls(suite, *suite.generate())

    @classmethod
    def load(cls, folder: Path | str) -> RecipientKey:
        """The key that :meth:`save` wrote; refused when others may read it, or when it is no pair of a suite."""
        file = Path(folder) / KEY_FILE
        return cls.decode(files.read_private(file, "sealing key"), f"sealing key {file}")

    @classmethod
    def decode(cls, content: bytes | bytearray, name: str) -> RecipientKey:
        """The key that :meth:`encoded` gave, which errors call ``name``; ``StateCorrupt`` when it is none."""
        hint = "Restore it from a copy: nothing else opens what was sealed to it"
        blocks = _PEM.findall(content)
        if len(blocks) != 2 or b"".join(blocks) != content:
            raise StateCorrupt(f"{name} is not two private keys in PEM", hint=hint)
        halves = [read_key(block, name, hint) for block in blocks]
        for suite in suites.SUITES:
            try:
                return cls(suite, *halves)  # type: ignore[arg-type]  # join() checks both
            except CallerError:
                continue
        raise StateCorrupt(f"{name} is a pair of no suite", hint=hint)

    def encoded(self) -> bytearray:
        """Both private keys in PEM, for the caller to wipe."""
        return bytearray().join(
            half.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for half in self._halves
        )

    def save(self, folder: Path | str, certificate: bytes) -> None:
        """Write the key and a sealing certificate for it to a new ``folder``."""
        files.write_new_directory(
            Path(folder),
            {KEY_FILE: (bytes(self.encoded()), files.PRIVATE), CERTIFICATE_FILE: (certificate, files.PUBLIC)},
        )

    @property
    def suite(self) -> Suite:
        return self._suite

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the public key."""
        return fingerprint(self._public)

    @property
    def recipient(self) -> Recipient:
        """This key as one to seal to: its holder needs no certificate to trust it."""
        return Recipient(suite=self._suite, public=self._public, name="own key", role="")

    def unwrap(self, sealed: bytes, info: bytes) -> bytes:
        """The file key in a wrapped key, or ``MessageRefused``."""
        return self._suite.unwrap(sealed, self._key, info)

    def __repr__(self) -> str:
        return f"RecipientKey({self._suite.name}, {self.fingerprint.hex()[:16]}, key=<secret>)"


def certify(key: RecipientKey, identity: Identity) -> bytes:
    """The sealing certificate of ``key``: ``identity`` states that files for it are to be sealed to this key."""
    body = SealingPublicKey(suite=key.suite.identifiers, public=key.recipient.public)
    return statement.sign(body.encode(), identity)


def verify_recipient(certificate: bytes, trust: TrustAnchor, *, clock: Clock) -> Recipient:
    """Whom a sealing certificate names, after chain, validity, signature, suite and key have been checked.

    Raises ``MessageRefused``. That the signer holds the private half is not shown: see docs/sealed-files.md.
    """
    said = statement.verify(certificate, trust, clock=clock)
    body = SealingPublicKey.decode(said.body)
    try:
        suite = suites.identified(body.suite)
        suite.read_public(body.public)
    except MessageRefused as refused:
        raise MessageRefused(
            f"the sealing certificate of {said.signer!r}: {refused.problem}", hint=refused.hint, party=said.signer
        ) from None
    return Recipient(suite=suite, public=body.public, name=said.signer, role=said.role)


__all__ = [
    "CERTIFICATE_FILE",
    "KEY_FILE",
    "Recipient",
    "RecipientKey",
    "SealingPublicKey",
    "certify",
    "verify_recipient",
]
