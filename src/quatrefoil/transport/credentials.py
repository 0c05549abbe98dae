"""What a party shows and whom it believes, at this moment. In a running service it changes: keys are replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quatrefoil.transport.identity import Identity, TrustAnchor


@dataclass(frozen=True)
class Standing:
    """An identity and the roots believed beside it. A new one is a new object: who holds one compares by ``is``."""

    identity: Identity
    trust: TrustAnchor


class Credentials(Protocol):
    """Where a service takes its standing from, at each handshake anew."""

    def current(self) -> Standing:
        """The same object as long as nothing has changed."""


class FixedCredentials:
    """A standing that does not change."""

    def __init__(self, identity: Identity, trust: TrustAnchor) -> None:
        self._standing = Standing(identity, trust)

    def current(self) -> Standing:
        return self._standing


__all__ = ["Credentials", "FixedCredentials", "Standing"]
