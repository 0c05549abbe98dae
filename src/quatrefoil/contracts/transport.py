"""Layer 1: who says what, and to whom it is readable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class VerifiedStatement:
    """A statement whose signature and certificate chain have been verified.

    ``signer`` is the subject name in the certificate, ``role`` what the certificate authority says it may act as
    ("silo", "aggregator", "keeper"), ``fingerprint`` the SHA-256 of the signer's certificate in DER.
    """

    body: bytes
    signer: str
    role: str
    fingerprint: bytes


@dataclass(frozen=True)
class Opened:
    """What an envelope held, and who sealed it: the sender's signature and chain have been verified.

    The holder wipes ``plaintext``. ``sender.body`` is the envelope, as the sender signed it.
    """

    plaintext: bytearray
    sender: VerifiedStatement

    def __repr__(self) -> str:
        return f"Opened(plaintext=<{len(self.plaintext)} secret bytes>, sender={self.sender.signer!r})"


class Recipient(Protocol):
    """A key pair to which others seal. The private half stays in this object's memory and is wiped on request."""

    @property
    def public(self) -> bytes: ...

    def open(self, sealed: bytes, *, context: bytes) -> Opened:
        """The plaintext sealed to this key under ``context`` and its verified sender, or ``MessageRefused``."""

    def wipe(self) -> None:
        """Forget the private half; every later :meth:`open` raises ``RoundVoided``."""


@runtime_checkable
class TransportSecurity(Protocol):
    """Layer 1, seen by one party: who says what, and to whom it is readable, against a quantum computer."""

    @property
    def name(self) -> str:
        """The subject name in this party's certificate."""

    def sign(self, body: bytes) -> bytes:
        """``body`` with this party's certificate and signature, as bytes that :meth:`verify` accepts."""

    def verify(self, signed: bytes) -> VerifiedStatement:
        """The statement inside, after its signature, chain, validity and usage; or ``MessageRefused``."""

    @property
    def certificate(self) -> bytes:
        """This party's certificate, in DER."""

    def sign_bare(self, message: bytes) -> bytes:
        """A signature alone, for evidence in a form that others specify and verify (COSE): ``message`` is what that
        form has signed. ``CallerError`` for any other message."""

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement:
        """``message`` as the statement of who holds ``certificate``, after the checks of :meth:`verify`, with validity
        judged at ``claimed``, when the evidence says that it was signed; or ``MessageRefused``."""

    def seal(self, recipient: bytes, plaintext: bytes | bytearray, *, context: bytes) -> bytes:
        """``plaintext`` readable only by the holder of ``recipient``, bound to ``context``, signed by this party."""

    def new_recipient(self) -> Recipient:
        """A fresh key pair to seal to, in memory only."""


__all__ = [
    "Opened",
    "Recipient",
    "TransportSecurity",
    "VerifiedStatement",
]
