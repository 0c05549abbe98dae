"""Layer 1, transport: who says what, and to whom it is readable, against a quantum computer. Unaudited.

Identities are ML-DSA certificates of a consortium's own authority. Statements are signed with ML-DSA, envelopes
sealed with HPKE over X25519 + ML-KEM-768, channels are TLS 1.3 with hybrid groups only. docs/transport.md is the
specification.
"""

from quatrefoil.transport.aio import AsyncChannel, open_channel
from quatrefoil.transport.authority import CertificateAuthority
from quatrefoil.transport.backend import PostQuantumTransport
from quatrefoil.transport.channel import Channel, connect
from quatrefoil.transport.credentials import (
    Credentials,
    FixedCredentials,
    FolderCredentials,
    RotatingCredentials,
    Standing,
)
from quatrefoil.transport.dialer import Dialer
from quatrefoil.transport.envelope import SealingKey
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor, system_clock
from quatrefoil.transport.policies import CNSA_2_0, HYBRID_768, HYBRID_1024, ChannelPolicy, policy_named
from quatrefoil.transport.profile import ROLES, Party
from quatrefoil.transport.server import Handler, OnRefused, Server, serve
from quatrefoil.transport.ssl_context import HandshakeRefused, HybridContext
from quatrefoil.transport.tls_context import require_support

__all__ = [
    "CNSA_2_0",
    "HYBRID_768",
    "HYBRID_1024",
    "ROLES",
    "AsyncChannel",
    "CertificateAuthority",
    "Channel",
    "ChannelPolicy",
    "Clock",
    "Credentials",
    "Dialer",
    "FixedCredentials",
    "FolderCredentials",
    "Handler",
    "HandshakeRefused",
    "HybridContext",
    "Identity",
    "OnRefused",
    "Party",
    "PostQuantumTransport",
    "RotatingCredentials",
    "SealingKey",
    "Server",
    "Standing",
    "TrustAnchor",
    "connect",
    "open_channel",
    "policy_named",
    "require_support",
    "serve",
    "system_clock",
]
