"""The post-quantum backend of ``contracts.TransportSecurity``: statements and envelopes under one identity."""

from __future__ import annotations

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.transport import envelope, statement
from quatrefoil.transport.envelope import SealingKey
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor


class PostQuantumTransport:
    """ML-DSA-65 statements and X25519+ML-KEM-768 envelopes of one party, checked against one set of roots."""

    def __init__(self, identity: Identity, trust: TrustAnchor, *, clock: Clock) -> None:
        self._identity = identity
        self._trust = trust
        self._clock = clock

    @property
    def name(self) -> str:
        return self._identity.name

    def sign(self, body: bytes) -> bytes:
        return statement.sign(body, self._identity)

    def verify(self, signed: bytes) -> VerifiedStatement:
        return statement.verify(signed, self._trust, clock=self._clock)

    def seal(self, recipient: bytes, plaintext: bytes | bytearray, *, context: bytes) -> bytes:
        return envelope.seal(recipient, plaintext, context=context, sender=self._identity)

    def new_recipient(self) -> SealingKey:
        return SealingKey(self._trust, clock=self._clock)

    def __repr__(self) -> str:
        return f"PostQuantumTransport({self._identity!r})"
