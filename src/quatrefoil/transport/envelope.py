"""Envelopes: bytes that one recipient can read, from one sender who signs them.

HPKE in base mode (RFC 9180) with a suite that the channel policy names (``suites.py``). Recipient, context and
sender are bound twice: through HPKE's ``info``, so that the plaintext opens under no others, and by the sender's
signature over the envelope. Because ``info`` names the sender's certificate, nobody can strip the signature of an
envelope and pass its content off as their own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.contracts import Opened
from quatrefoil.errors import CallerError, MessageRefused, RoundVoided
from quatrefoil.transport import statement, suites
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy
from quatrefoil.transport.suites import PrivateKey, Suite
from quatrefoil.wire import LARGEST_MESSAGE, WireObject

OVERHEAD = 16 << 10
"""Bytes that sealing adds at most: encapsulated key, tag, certificate, signature and encoding."""

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
    """The body that the sender signs. ``sealed``: HPKE's encapsulated key, then its ciphertext."""

    TYPE: ClassVar[str] = "urn:quatrefoil:envelope"

    suite: bytes
    recipient: bytes
    context: bytes
    sealed: bytes


def seal(
    recipient: bytes,
    plaintext: bytes | bytearray,
    *,
    context: bytes,
    sender: Identity,
    policy: ChannelPolicy = HYBRID_768,
) -> bytes:
    """``plaintext`` readable only by the holder of ``recipient``, under ``context``, signed by ``sender``.

    Raises ``MessageRefused`` when ``recipient`` is not a public key that ``policy`` allows.
    """
    if len(plaintext) > LARGEST_MESSAGE - OVERHEAD:
        raise CallerError(
            f"{len(plaintext)} bytes do not fit in an envelope of {LARGEST_MESSAGE}",
            hint="Seal a key, and send what it encrypts beside the envelope",
        )
    suite = _suite_of(recipient, policy)
    binding = _binding(suite, recipient, context, sender.fingerprint)
    sealed = suite.wrap(plaintext, recipient, binding.encode())
    envelope = Envelope(suite=suite.identifiers, recipient=binding.recipient, context=binding.context, sealed=sealed)
    return statement.sign(envelope.encode(), sender)


class SealingKey:
    """A fresh key pair to seal to, in this object's memory only (``contracts.Recipient``).

    Wiping drops the only references to the private keys; OpenSSL clears what it frees. Copies that the interpreter or
    the operating system has made (swap, core dumps) are beyond reach.
    """

    def __init__(self, trust: TrustAnchor, *, clock: Clock, policy: ChannelPolicy = HYBRID_768) -> None:
        self._trust = trust
        self._clock = clock
        self._suite = suites.of_envelopes(policy.envelopes)[0]
        self._key: PrivateKey | None
        self._key, self._public = self._suite.new_key()

    @property
    def public(self) -> bytes:
        """What is to be handed to whoever is to seal: 1,216 bytes under ``hybrid-768``."""
        return self._public

    def open(self, sealed: bytes, *, context: bytes) -> Opened:
        """The plaintext sealed to this key under ``context``, and who sealed it, or ``MessageRefused``.

        The caller wipes the plaintext. ``RoundVoided`` after :meth:`wipe`.
        """
        if self._key is None:
            raise RoundVoided("the key that this was sealed to has been wiped", hint="Begin a new round")
        sender = statement.verify(sealed, self._trust, clock=self._clock)
        envelope = Envelope.decode(sender.body)
        binding = _binding(self._suite, self._public, context, sender.fingerprint)
        who = f"the envelope of {sender.signer!r}"
        if envelope.suite != binding.suite:
            raise MessageRefused(
                f"{who} uses suite {envelope.suite.hex()[:24]}, not {binding.suite.hex()}",
                hint=_ASK_AGAIN,
                party=sender.signer,
            )
        if envelope.recipient != binding.recipient:
            raise MessageRefused(f"{who} is sealed to another key", hint=_ASK_AGAIN, party=sender.signer)
        if envelope.context != binding.context:
            raise MessageRefused(f"{who} belongs to another context", hint=_ASK_AGAIN, party=sender.signer)
        try:
            plaintext = self._suite.unwrap(envelope.sealed, self._key, binding.encode())
        except MessageRefused:
            raise MessageRefused(f"{who} does not open", hint=_ASK_AGAIN, party=sender.signer) from None
        return Opened(plaintext=bytearray(plaintext), sender=sender)

    def wipe(self) -> None:
        """Forget the private half."""
        self._key = None

    def __repr__(self) -> str:
        state = "wiped" if self._key is None else "secret"
        return f"SealingKey(public={hashlib.sha256(self._public).hexdigest()[:16]}, key=<{state}>)"


def _binding(suite: Suite, recipient: bytes, context: bytes, sender: bytes) -> Binding:
    return Binding(
        suite=suite.identifiers,
        recipient=hashlib.sha256(recipient).digest(),
        context=hashlib.sha256(context).digest(),
        sender=sender,
    )


def _suite_of(recipient: bytes, policy: ChannelPolicy) -> Suite:
    """The suite of a public key: each has its length. One that the policy does not allow is refused as what it is."""
    for suite in suites.ENVELOPES:
        if len(recipient) == suite.public_bytes:
            if suite.name in policy.envelopes:
                return suite
            raise MessageRefused(
                f"the recipient's public key is of {suite.name}, which {policy.name} does not allow",
                hint="Agree on one channel policy for the job",
            )
    raise MessageRefused(
        f"the recipient's public key has {len(recipient)} bytes, as none of {', '.join(policy.envelopes)} has",
        hint="Ask for it again",
    )


__all__ = ["Binding", "Envelope", "SealingKey", "seal"]
