"""Paths, media types and names of confidential inference over HTTP, and the key that requests are sealed to.

Outer requests are what everybody on the way sees: an attestation, a list of keys, an encapsulated request, health.
Inner ones are inside RFC 9458 messages, and name the model's own paths. docs/serving.md is the specification.
"""

from __future__ import annotations

import hashlib

from quatrefoil import ohttp
from quatrefoil.enclave.binding import SUITE_BYTES, Keyset
from quatrefoil.errors import EvidenceRejected
from quatrefoil.ohttp.hpke_context import HYBRID
from quatrefoil.ohttp.kem import HybridKey

PURPOSE = "quatrefoil serving"
"""What evidence of a server is for: docs/attested-channels.md."""

ATTESTATION_PATH = "/.well-known/quatrefoil/attestation"
"""POST of an encoded Challenge; the answer is an encoded Attestation, both ``ATTESTATION_TYPE``."""
ATTESTATION_TYPE = "application/cbor"

GATEWAY_PATH = "/.well-known/ohttp-gateway"
"""RFC 9540: GET gives the list of keys, POST takes an encapsulated request."""
KEYS_TYPE = "application/ohttp-keys"

LIVE_PATH, READY_PATH, METRICS_PATH = "/health/live", "/health/ready", "/metrics"

RECEIPT_FIELD = b"quatrefoil-receipt"
"""The signed receipt of an answer in base64 (RFC 4648 section 4): a header field of a whole answer, a trailer of one in
chunks. Inside the encryption."""

SERVER_ROLE = "workload"
"""The certified role of whoever serves a model."""


def sealing_key(key: HybridKey) -> bytes:
    """The public half of ``key`` as ``Keyset.sealing`` holds it."""
    return HYBRID.identifiers + key.public


def key_id(public: bytes) -> int:
    """The identifier of a key in encapsulated requests: the first byte of its SHA-256. A server keeps no two in force
    that share it."""
    return hashlib.sha256(public).digest()[0]


def configuration(keyset: Keyset) -> ohttp.KeyConfiguration:
    """The key of an attested keyset to seal requests to, or ``EvidenceRejected`` where it has none of our suite."""
    if keyset.sealing[:SUITE_BYTES] != HYBRID.identifiers:
        raise EvidenceRejected(
            "the keyset holds no key that requests can be sealed to",
            hint="Ask the server's operator which version of Quatrefoil it runs",
            check="keyset",
        )
    public = keyset.sealing_public
    if len(public) != HYBRID.kem.public_bytes:
        raise EvidenceRejected(
            f"the keyset's sealing key has {len(public)} bytes, not {HYBRID.kem.public_bytes}",
            hint="Ask the server's operator which version of Quatrefoil it runs",
            check="keyset",
        )
    return ohttp.KeyConfiguration(key_id(public), public, HYBRID)


__all__ = [
    "ATTESTATION_PATH",
    "ATTESTATION_TYPE",
    "GATEWAY_PATH",
    "KEYS_TYPE",
    "LIVE_PATH",
    "METRICS_PATH",
    "PURPOSE",
    "READY_PATH",
    "RECEIPT_FIELD",
    "SERVER_ROLE",
    "configuration",
    "key_id",
    "sealing_key",
]
