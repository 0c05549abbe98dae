"""HPKE contexts: RFC 9180 mode base, HKDF-SHA256, with sequence numbers, associated data and the exporter.

A context is made by :func:`setup_sender` or :func:`setup_recipient` and is for one direction (sections 5.1.1 and 5.2).
What comes back goes under keys that are exported (section 5.3).

What is kept of secrets lies in ``bytearray`` and is overwritten by ``wipe``. The shared secret and the two KEM secrets
below it are ``bytes`` that the library returns; they are dropped at once, and Python cannot overwrite them. The
extracted secrets of HKDF stay inside OpenSSL.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from quatrefoil.errors import CallerError
from quatrefoil.ohttp.kem import MLKEM768X25519
from quatrefoil.ohttp.sequence import AES_256_GCM, NONCE_BYTES, Aead, Sequence

KDF_IDENTIFIER = 0x0001
SECRET_BYTES = 32
"""Nh of HKDF-SHA256."""


class Kem(Protocol):
    """What a suite needs of a KEM (RFC 9180 section 4)."""

    identifier: int
    public_bytes: int
    encapsulated_bytes: int

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Shared secret and ``enc``."""
        ...


class PrivateKey(Protocol):
    """The holder's side of a KEM."""

    @property
    def public(self) -> bytes: ...

    def decapsulate(self, encapsulated: bytes) -> bytes:
        """The shared secret."""
        ...

    def wipe(self) -> None: ...


@dataclass(frozen=True)
class Suite:
    """KEM and AEAD; the KDF is HKDF-SHA256 in each. Only ``HYBRID`` is spoken: others are for vectors and peers in
    tests."""

    kem: Kem
    aead: Aead

    @cached_property
    def identifiers(self) -> bytes:
        """KEM, KDF and AEAD, two bytes each."""
        return b"".join(one.to_bytes(2, "big") for one in (self.kem.identifier, KDF_IDENTIFIER, self.aead.identifier))

    def expand(self, secret: bytearray, label: bytes, context: bytes, length: int) -> bytearray:
        """LabeledExpand of section 4, of a secret that has been extracted."""
        out = bytearray(length)
        HKDFExpand(SHA256(), length, self._expand_info(label, context, length)).derive_into(secret, out)
        return out

    def extract_and_expand(self, shared: bytes, label: bytes, context: bytes, length: int) -> bytearray:
        """LabeledExpand of ``secret`` of section 5.1, which is LabeledExtract(shared, "secret", "")."""
        out = bytearray(length)
        derive = HKDF(SHA256(), length, salt=shared, info=self._expand_info(label, context, length))
        derive.derive_into(b"HPKE-v1HPKE" + self.identifiers + b"secret", out)
        return out

    def _expand_info(self, label: bytes, context: bytes, length: int) -> bytes:
        return length.to_bytes(2, "big") + b"HPKE-v1HPKE" + self.identifiers + label + context


HYBRID = Suite(MLKEM768X25519(), AES_256_GCM)
"""KEM 0x647a, KDF 0x0001, AEAD 0x0002."""


@lru_cache(maxsize=256)
def _context(identifiers: bytes, info: bytes) -> bytes:
    """``key_schedule_context`` of section 5.1 in mode base: public, and the same for every message to one key."""

    def hashed(label: bytes, content: bytes) -> bytes:
        """LabeledExtract without salt."""
        return HKDF.extract(SHA256(), None, b"HPKE-v1HPKE" + identifiers + label + content)

    return b"\x00" + hashed(b"psk_id_hash", b"") + hashed(b"info_hash", info)


class HpkeContext:
    """One direction of one encapsulation. ``messages`` seals at the sender, and opens at the recipient."""

    def __init__(self, suite: Suite, shared: bytes, info: bytes) -> None:
        """The key schedule of section 5.1, mode base: no pre-shared key."""
        context = _context(suite.identifiers, info)
        self._suite = suite
        self._exporter: bytearray | None = suite.extract_and_expand(shared, b"exp", context, SECRET_BYTES)
        self.messages = Sequence(
            suite.aead,
            suite.extract_and_expand(shared, b"key", context, suite.aead.key_bytes),
            suite.extract_and_expand(shared, b"base_nonce", context, NONCE_BYTES),
        )

    def export(self, label: bytes, length: int) -> bytearray:
        """``Context.Export`` of section 5.3: both ends get the same bytes. The caller wipes them."""
        if self._exporter is None:
            raise CallerError("this context has been wiped", hint="Begin a new message")
        if not 0 < length <= 255 * SECRET_BYTES:
            raise CallerError(f"{length} bytes cannot be exported", hint=f"Ask for 1 to {255 * SECRET_BYTES}")
        return self._suite.expand(self._exporter, b"sec", label, length)

    def wipe(self) -> None:
        """Overwrite every secret of this context."""
        self.messages.wipe()
        if self._exporter is not None:
            self._exporter[:] = bytes(SECRET_BYTES)
            self._exporter = None

    def __repr__(self) -> str:
        return f"HpkeContext({self._suite.identifiers.hex()}, {self.messages!r})"


def setup_sender(suite: Suite, public: bytes, info: bytes) -> tuple[bytes, HpkeContext]:
    """``SetupBaseS``: ``enc`` and the context that seals. ``MessageRefused`` where ``public`` is no key of the
    suite."""
    shared, encapsulated = suite.kem.encapsulate(public)
    return encapsulated, HpkeContext(suite, shared, info)


def setup_recipient(suite: Suite, encapsulated: bytes, key: PrivateKey, info: bytes) -> HpkeContext:
    """``SetupBaseR``: the context that opens. A wrong ``enc`` or ``info`` shows when the first message does not
    open."""
    return HpkeContext(suite, key.decapsulate(encapsulated), info)
