"""The objects of a sealed file, and what binds them. docs/sealed-files.md gives the bytes.

    magic | wrapping (signed by whoever chose the recipients) | header | chunk ... chunk | signature of the sender

The wrapping alone names recipients, so that it can be replaced without touching what follows. Header, chunks and
signature are the payload: made once, by the sender.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quatrefoil.errors import MessageRefused
from quatrefoil.transport.identity import Clock
from quatrefoil.wire import WireObject

MAGIC = b"quatrefoil sealed file 1\n"

CIPHER = "AES-256-GCM STREAM 65536"
"""The one way in which content is encrypted: see ``chunks``."""

CHUNK = 65_536
"""Bytes of plaintext in every chunk but the last."""

TAG = 16


MOST_RECIPIENTS = 256

LARGEST_WRAPPING = 1 << 20
LARGEST_HEADER = 1 << 16

FILE_KEY = 32
SKEW = timedelta(minutes=5)
"""How far behind another host's clock may be."""


class Judged(enum.Enum):
    """When certificates must be valid. A claimed time is signed, but nobody has witnessed it."""

    NOW = "now"
    AT_CLAIMED_TIME = "at the time that the signer claims"


@dataclass(frozen=True)
class Header(WireObject):
    """The beginning of the payload.

    ``salt``: 32 random bytes. ``commitment``: 32 bytes that fit one file key only. ``context``: SHA-256 of what both
    sides agree the file is for. ``sealed_at``: seconds since 1970 by the sender's clock. ``sender``: certificate, DER.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-file"

    cipher: str
    salt: bytes
    commitment: bytes
    context: bytes
    sealed_at: int
    sender: bytes


@dataclass(frozen=True)
class Payload(WireObject):
    """The statement that the sender signs at the end. ``header``: its digest. ``size``: bytes of plaintext.
    ``ciphertext``: SHA-384 over all chunks as they stand in the file."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-file-payload"

    header: bytes
    size: int
    ciphertext: bytes


@dataclass(frozen=True)
class WrappedKey(WireObject):
    """The file key for one recipient. ``recipient``: SHA-256 of the public key. ``sealed``: HPKE's ``enc``, ``ct``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-file-key"

    suite: bytes
    recipient: bytes
    sealed: bytes


@dataclass(frozen=True)
class Wrapping(WireObject):
    """Who can read the payload whose header has the digest ``header``. A statement of whoever wrapped it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-file-wrapping"

    header: bytes
    wrapped_at: int
    keys: tuple[WrappedKey, ...]


@dataclass(frozen=True)
class Binding(WireObject):
    """HPKE's ``info``. ``wrapper``: SHA-256 of the certificate, in DER, of whoever wraps."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-file-binding"

    suite: bytes
    recipient: bytes
    header: bytes
    wrapper: bytes


def commitment(file_key: bytes, salt: bytes) -> bytes:
    """32 bytes that no second file key gives: AES-GCM alone would open under several (HKDF, RFC 5869)."""
    return _derive(file_key, salt, b"quatrefoil sealed file 1 commitment")


def payload_key(file_key: bytes, header: Header) -> bytes:
    """The AES-256 key of the chunks. It depends on the whole header: on sender, context and time."""
    return _derive(file_key, header.salt, b"quatrefoil sealed file 1 payload" + header.digest())


def _derive(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA384(), length=32, salt=salt, info=info).derive(file_key)


def fingerprint(public: bytes) -> bytes:
    """What names a recipient's key in a wrapping."""
    return hashlib.sha256(public).digest()


def moment(seconds: int, what: str) -> datetime:
    """The time in a message; ``MessageRefused`` beyond the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise MessageRefused(f"{what} at no time that there is", hint="Ask for the file again") from None


def judged_at(judged: Judged, claimed: int, clock: Clock, what: str) -> datetime | None:
    """The claimed time, if a certificate's validity is to be judged at it, and None if it is to be judged now.

    A claimed time that is still to come is refused either way. Whether a certificate was revoked is judged now.
    """
    at = moment(claimed, what)
    if at > clock() + SKEW:
        raise MessageRefused(
            f"{what} at {at:%Y-%m-%d %H:%M} UTC, which is still to come", hint="Check the clocks of both sides"
        )
    return None if judged is Judged.NOW else at


__all__ = ["CHUNK", "CIPHER", "MAGIC", "Binding", "Header", "Judged", "Payload", "WrappedKey", "Wrapping"]
