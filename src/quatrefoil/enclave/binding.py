"""What evidence is bound to: the keys of the code that asked for it, a verifier's nonce, a channel and a purpose.

Evidence alone says what runs somewhere. Report data that commit to all four make it evidence of who holds these keys,
asked for by this verifier, on this channel, for this purpose. The bytes are specified in docs/attested-channels.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.wire import WireObject

NONCE_BYTES = 32
EXPORTER_BYTES = 32
SUITE_BYTES = 6
LARGEST_KEY = 8 << 10
"""Bytes: sealing keys have 1,222 and more, SubjectPublicKeyInfo of ML-DSA-87 2,614."""
LONGEST_PURPOSE = 256
LAST_SECOND = 253402300799
"""The end of the year 9999: what a date can show."""

_HINT = "Ask the sender for a keyset that its own version of Quatrefoil made, and check that both run the same"


@dataclass(frozen=True)
class Keyset(WireObject):
    """The public keys that attested code answers for, and from when until when. At least one key is there.

    ``EvidenceRejected`` with the check "keyset" when a part has the wrong form.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:keyset"

    sealing: bytes
    """To seal to: HPKE's identifiers of KEM, KDF and AEAD (RFC 9180 section 7; two bytes each), then the public key as
    that suite of ``transport`` writes it. Empty where there is none."""
    tls: bytes
    """SHA-256 of the SubjectPublicKeyInfo (RFC 5280 section 4.1) of the key of its TLS certificate; or empty."""
    receipt: bytes
    """SubjectPublicKeyInfo of the key that signs its receipts; or empty."""
    not_before: int
    """Seconds since 1970; the keys are good from here on."""
    expires: int
    """Seconds since 1970; from here on they are not."""

    def __post_init__(self) -> None:
        _sized("sealing key", self.sealing, SUITE_BYTES + 1, LARGEST_KEY)
        _sized("TLS key's digest", self.tls, 32, 32)
        _sized("receipt key", self.receipt, 1, LARGEST_KEY)
        if not (self.sealing or self.tls or self.receipt):
            raise _rejected("a keyset holds no key")
        if not 0 <= self.not_before < self.expires <= LAST_SECOND:
            raise _rejected(f"a keyset is good from {self.not_before} until {self.expires}, which is no time")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse bytes from outside, or raise ``EvidenceRejected`` saying what is wrong with them."""
        try:
            return super().decode(data)
        except MessageRefused as refusal:
            raise EvidenceRejected(refusal.problem, hint=_HINT, check="keyset") from None

    @property
    def sealing_suite(self) -> bytes:
        """HPKE's identifiers of the sealing key; ``EvidenceRejected`` where there is no such key."""
        return self._sealing()[:SUITE_BYTES]

    @property
    def sealing_public(self) -> bytes:
        """The sealing key without its identifiers; ``EvidenceRejected`` where there is no such key."""
        return self._sealing()[SUITE_BYTES:]

    def _sealing(self) -> bytes:
        if not self.sealing:
            raise _rejected("a keyset holds no sealing key")
        return self.sealing

    def require_current(self, at: datetime) -> None:
        """``EvidenceRejected``, with the date, when the keys are not good at ``at``."""
        if not self.not_before <= (now := at.timestamp()) < self.expires:
            before = now < self.not_before
            date = datetime.fromtimestamp(self.not_before if before else self.expires, UTC)
            raise EvidenceRejected(
                f"the keyset {'is not good before' if before else 'expired on'} {date:%Y-%m-%d %H:%M:%S} UTC",
                hint="Ask for evidence of its current keys, and check both clocks",
                check="keyset-validity",
            )


@dataclass(frozen=True)
class Binding(WireObject):
    """What report data are the SHA-256 of. Built by :func:`report_data`, and never sent."""

    TYPE: ClassVar[str] = "urn:quatrefoil:binding"

    keyset: bytes
    """SHA-256 of the encoded :class:`Keyset`."""
    nonce: bytes
    exporter: bytes
    purpose: str


def report_data(keyset: Keyset, nonce: bytes, exporter: bytes, purpose: str) -> bytes:
    """The 32 bytes that evidence of ``keyset`` must hold; kinds with more room hold zeros after them.

    ``nonce``: the verifier's, 32 bytes. ``exporter``: 32 bytes of the channel's (RFC 8446 section 7.5), or ``b""``
    where there is no channel. ``purpose``: what the evidence is for, printable ASCII, 1 to 256 bytes.
    ``CallerError`` otherwise.
    """
    if len(nonce) != NONCE_BYTES:
        raise CallerError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}", hint="Draw 32 random bytes for each")
    if len(exporter) not in (0, EXPORTER_BYTES):
        raise CallerError(
            f"exported key material has {EXPORTER_BYTES} bytes, or none without a channel, not {len(exporter)}",
            hint="Export 32 bytes from the channel",
        )
    check_purpose(purpose)
    return Binding(keyset.digest(), bytes(nonce), bytes(exporter), purpose).digest()


def check_purpose(purpose: str) -> None:
    """``CallerError`` where ``purpose`` is not 1 to 256 printable characters of ASCII."""
    if not (1 <= len(purpose) <= LONGEST_PURPOSE and purpose.isascii() and purpose.isprintable()):
        raise CallerError(
            f"the purpose {purpose[:40]!r} is not 1 to {LONGEST_PURPOSE} printable characters of ASCII",
            hint="Name what the evidence is for, as 'broker release'",
        )


def _sized(part: str, data: bytes, least: int, most: int) -> None:
    if data and not least <= len(data) <= most:
        raise _rejected(f"a keyset's {part} has {len(data)} bytes, not {least} to {most}")


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="keyset")


__all__ = ["EXPORTER_BYTES", "NONCE_BYTES", "Binding", "Keyset", "check_purpose", "report_data"]
