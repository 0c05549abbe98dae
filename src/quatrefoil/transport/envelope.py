"""Envelopes: bytes that one recipient can read, from one sender who signs them.

HPKE in base mode (RFC 9180) with X25519 + ML-KEM-768 (X-Wing), HKDF-SHA256 and AES-256-GCM. Recipient, context and
sender are bound twice: through HPKE's ``info``, so that the plaintext opens under no others, and by the sender's
signature over the envelope. Because ``info`` names the sender's certificate, nobody can strip the signature of an
envelope and pass its content off as their own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from quatrefoil.contracts import Opened
from quatrefoil.errors import CallerError, MessageRefused, RoundVoided
from quatrefoil.transport import statement
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.wire import LARGEST_MESSAGE, WireObject

SUITE = bytes.fromhex("647a 0001 0002".replace(" ", ""))
"""HPKE algorithm identifiers, two bytes each: KEM MLKEM768-X25519, KDF HKDF-SHA256, AEAD AES-256-GCM."""

PUBLIC_KEY_BYTES = 1184 + 32
"""An encapsulation key of ML-KEM-768 (FIPS 203), then an X25519 public key (RFC 7748)."""

OVERHEAD = 16 << 10
"""Bytes that sealing adds at most: encapsulated key, tag, certificate, signature and encoding."""

_HPKE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_ASK_AGAIN = "Ask the sender to seal it again, for this recipient and this context"


@dataclass(frozen=True)
class Binding(WireObject):
    """HPKE's ``info``. ``recipient``, ``context``: SHA-256 of each. ``sender``: SHA-256 of the certificate in DER."""

    TYPE: ClassVar[str] = "urn:quatrefoil:envelope-binding"

    suite: bytes
    recipient: bytes
    context: bytes
    sender: bytes


@dataclass(frozen=True)
class Envelope(WireObject):
    """The body that the sender signs. ``sealed``: HPKE's encapsulated key (1,120 bytes), then its ciphertext."""

    TYPE: ClassVar[str] = "urn:quatrefoil:envelope"

    suite: bytes
    recipient: bytes
    context: bytes
    sealed: bytes


def seal(recipient: bytes, plaintext: bytes | bytearray, *, context: bytes, sender: Identity) -> bytes:
    """``plaintext`` readable only by the holder of ``recipient``, under ``context``, signed by ``sender``.

    Raises ``MessageRefused`` when ``recipient`` is not a public key.
    """
    if len(plaintext) > LARGEST_MESSAGE - OVERHEAD:
        raise CallerError(
            f"{len(plaintext)} bytes do not fit in an envelope of {LARGEST_MESSAGE}",
            hint="Seal a key, and send what it encrypts beside the envelope",
        )
    key = _public_key(recipient)
    binding = _binding(recipient, context, sender.fingerprint)
    try:
        sealed = _HPKE.encrypt(plaintext, key, binding.encode())
    except ValueError:  # an X25519 point of small order
        raise MessageRefused("the recipient's public key is degenerate", hint="Ask for a new one") from None
    envelope = Envelope(suite=SUITE, recipient=binding.recipient, context=binding.context, sealed=sealed)
    return statement.sign(envelope.encode(), sender)


class SealingKey:
    """A fresh key pair to seal to, in this object's memory only (``contracts.Recipient``).

    Wiping drops the only references to the private keys; OpenSSL clears what it frees. Copies that the interpreter or
    the operating system has made (swap, core dumps) are beyond reach.
    """

    def __init__(self, trust: TrustAnchor, *, clock: Clock) -> None:
        self._trust = trust
        self._clock = clock
        ml_kem, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
        self._key: hpke.MLKEM768X25519PrivateKey | None = hpke.MLKEM768X25519PrivateKey(ml_kem, curve)
        self._public = ml_kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    @property
    def public(self) -> bytes:
        """1,216 bytes to be handed to whoever is to seal."""
        return self._public

    def open(self, sealed: bytes, *, context: bytes) -> Opened:
        """The plaintext sealed to this key under ``context``, and who sealed it, or ``MessageRefused``.

        The caller wipes the plaintext. ``RoundVoided`` after :meth:`wipe`.
        """
        if self._key is None:
            raise RoundVoided("the key that this was sealed to has been wiped", hint="Begin a new round")
        sender = statement.verify(sealed, self._trust, clock=self._clock)
        envelope = Envelope.decode(sender.body)
        binding = _binding(self._public, context, sender.fingerprint)
        who = f"the envelope of {sender.signer!r}"
        if envelope.suite != SUITE:
            raise MessageRefused(
                f"{who} uses suite {envelope.suite.hex()[:24]}, not {SUITE.hex()}", hint=_ASK_AGAIN, party=sender.signer
            )
        if envelope.recipient != binding.recipient:
            raise MessageRefused(f"{who} is sealed to another key", hint=_ASK_AGAIN, party=sender.signer)
        if envelope.context != binding.context:
            raise MessageRefused(f"{who} belongs to another context", hint=_ASK_AGAIN, party=sender.signer)
        try:
            plaintext = _HPKE.decrypt(envelope.sealed, self._key, binding.encode())
        except Exception as error:  # InvalidTag, or ValueError for a malformed encapsulation
            raise MessageRefused(
                f"{who} does not open ({type(error).__name__})", hint=_ASK_AGAIN, party=sender.signer
            ) from None
        return Opened(plaintext=bytearray(plaintext), sender=sender)

    def wipe(self) -> None:
        """Forget the private half."""
        self._key = None

    def __repr__(self) -> str:
        state = "wiped" if self._key is None else "secret"
        return f"SealingKey(public={hashlib.sha256(self._public).hexdigest()[:16]}, key=<{state}>)"


def _binding(recipient: bytes, context: bytes, sender: bytes) -> Binding:
    return Binding(
        suite=SUITE,
        recipient=hashlib.sha256(recipient).digest(),
        context=hashlib.sha256(context).digest(),
        sender=sender,
    )


def _public_key(recipient: bytes) -> hpke.MLKEM768X25519PublicKey:
    if len(recipient) != PUBLIC_KEY_BYTES:
        raise MessageRefused(
            f"the recipient's public key has {len(recipient)} bytes, not {PUBLIC_KEY_BYTES}", hint="Ask for it again"
        )
    try:
        ml_kem = mlkem.MLKEM768PublicKey.from_public_bytes(recipient[:1184])
        curve = x25519.X25519PublicKey.from_public_bytes(recipient[1184:])
    except ValueError:  # FIPS 203 section 7.2: a coefficient that is not reduced
        raise MessageRefused("the recipient's public key is not one of ML-KEM-768", hint="Ask for it again") from None
    return hpke.MLKEM768X25519PublicKey(ml_kem, curve)


__all__ = ["PUBLIC_KEY_BYTES", "SUITE", "Binding", "Envelope", "SealingKey", "seal"]
