"""Pinning: believing one peer's key, and not whatever key a root may certify for its name.

A pin is SHA-256 over the key's SubjectPublicKeyInfo (as in RFC 7469 section 2.4, without its HTTP) or over the whole
certificate. It comes on top of every check of the root, and takes none of them away: what it adds is that whoever holds
the root key cannot put another in the peer's place. Several pins let the peer's next key come.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection
from datetime import datetime
from typing import Self

from quatrefoil.errors import CallerError, PeerError
from quatrefoil.transport.credentials import Credentials, Standing
from quatrefoil.transport.identity import TrustAnchor
from quatrefoil.transport.leaf_keys import key_digest
from quatrefoil.transport.profile import Host, Party

DIGEST_BYTES = 32


class Pins:
    """The keys or certificates that a peer may show: at least one. Who does not pin has no ``Pins``."""

    def __init__(self, digests: Collection[bytes]) -> None:
        """``digests``: SHA-256, 32 bytes each. ``CallerError`` for none, or for one of another length."""
        if not digests:
            raise CallerError("no pin was given, and none would ever fit", hint="Give at least one, or do not pin")
        for one in digests:
            if len(one) != DIGEST_BYTES:
                raise CallerError(f"a pin of {len(one)} bytes is no SHA-256", hint="Copy it from `quatrefoil ca show`")
        self._digests = frozenset(digests)

    @classmethod
    def parse(cls, texts: Collection[str]) -> Self:
        """Pins as people write them: 64 hexadecimal digits, or base64 as in RFC 7469."""
        return cls([parse_pin(text) for text in texts])

    def check(self, party: Party, refusal: type[PeerError]) -> Party:
        """``party`` if its key or its certificate is pinned; else ``refusal``, naming what was expected and seen."""
        seen = (key_digest(party.public_key), party.fingerprint)
        if not any(hmac.compare_digest(one, pin) for one in seen for pin in self._digests):
            expected = ", ".join(sorted(pin.hex() for pin in self._digests))
            raise refusal(
                f"{party.name!r} shows key {seen[0].hex()} in certificate {seen[1].hex()}, and pinned is {expected}",
                hint="Ask its operator, over another way, whether the key is new; then pin it beside the old one",
                party=party.name,
            )
        return party

    def __repr__(self) -> str:
        return f"Pins({', '.join(sorted(pin.hex()[:16] for pin in self._digests))})"


class PinnedTrust(TrustAnchor):
    """The roots and lists of ``trust``, and pins: given to ``connect`` or ``open_channel``, it pins their peer."""

    def __init__(self, trust: TrustAnchor, pins: Pins) -> None:
        super().__init__(trust.roots, lists=trust.lists)
        self._pins = pins

    def verify(
        self,
        certificate: bytes,
        *,
        at: datetime,
        refusal: type[PeerError],
        server: Host | None = None,
        claimed: datetime | None = None,
    ) -> Party:
        found = super().verify(certificate, at=at, refusal=refusal, server=server, claimed=claimed)
        return self._pins.check(found, refusal)


class PinnedCredentials:
    """Credentials whose peers are pinned as well: what a dialer or a server is given to pin them."""

    def __init__(self, credentials: Credentials, pins: Pins) -> None:
        self._credentials = credentials
        self._pins = pins
        standing = credentials.current()
        self._made = standing, self._pinned(standing)

    def current(self) -> Standing:
        standing = self._credentials.current()
        former, made = self._made
        if standing is not former:
            made = self._pinned(standing)
            self._made = standing, made
        return made

    def _pinned(self, standing: Standing) -> Standing:
        return Standing(standing.identity, PinnedTrust(standing.trust, self._pins))


def parse_pin(text: str) -> bytes:
    """One pin of 32 bytes; ``CallerError`` when it is none."""
    try:
        found = bytes.fromhex(text) if len(text) == 2 * DIGEST_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != DIGEST_BYTES:
        raise CallerError(
            f"{text[:80]!r} is no SHA-256", hint="Give the 64 digits that `quatrefoil ca show` prints, or their base64"
        )
    return found


__all__ = ["PinnedCredentials", "PinnedTrust", "Pins", "parse_pin"]
