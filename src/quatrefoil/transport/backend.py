"""The post-quantum backend of ``contracts.TransportSecurity``: statements and envelopes under one identity."""

from __future__ import annotations

from datetime import datetime

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.transport import bare, envelope, statement
from quatrefoil.transport.envelope import SealingKey
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy


class PostQuantumTransport:
    """ML-DSA statements and envelopes of one party under one channel policy, checked against one set of roots."""

    def __init__(
        self, identity: Identity, trust: TrustAnchor, *, clock: Clock, policy: ChannelPolicy = HYBRID_768
    ) -> None:
        self._identity = identity
        self._trust = trust
        self._clock = clock
        self._policy = policy

    @property
    def name(self) -> str:
        return self._identity.name

    def sign(self, body: bytes) -> bytes:
        return statement.sign(body, self._identity)

    def verify(self, signed: bytes) -> VerifiedStatement:
        return statement.verify(signed, self._trust, clock=self._clock)

    @property
    def certificate(self) -> bytes:
        return self._identity.certificate_der

    def sign_bare(self, message: bytes) -> bytes:
        return bare.sign(message, self._identity)

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement:
        reader = bare.BareVerifier(self._trust, at=self._clock())
        return reader.verify_bare(message, signature, certificate=certificate, claimed=claimed)

    def seal(self, recipient: bytes, plaintext: bytes | bytearray, *, context: bytes) -> bytes:
        return envelope.seal(recipient, plaintext, context=context, sender=self._identity, policy=self._policy)

    def new_recipient(self) -> SealingKey:
        return SealingKey(self._trust, clock=self._clock, policy=self._policy)

    def __repr__(self) -> str:
        return f"PostQuantumTransport({self._identity!r})"
