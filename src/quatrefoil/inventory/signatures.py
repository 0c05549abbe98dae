"""Signatures today. Ed25519 stands here only as the second of two."""

from __future__ import annotations

from quatrefoil.inventory.model import NIST, Algorithm

_SIGN = ("keygen", "sign", "verify")

SIGNATURES = (
    Algorithm(
        "ml-dsa-65",
        "ML-DSA-65",
        "signature",
        _SIGN,
        3,
        ("audit", "transport"),
        "statements, certificates' keys, handshakes (FIPS 204, RFC 9881); receipts (RFC 9964)",
        parameters="65",
        oid=f"{NIST}.3.18",
    ),
    Algorithm(
        "ml-dsa-87",
        "ML-DSA-87",
        "signature",
        _SIGN,
        5,
        ("audit", "transport"),
        "the root signs certificates and revocation lists; keys of parties that ask for it (FIPS 204, RFC 9881)",
        parameters="87",
        oid=f"{NIST}.3.19",
    ),
    Algorithm(
        "ml-dsa-44",
        "ML-DSA-44",
        "signature",
        _SIGN,
        2,
        ("audit", "serving", "stack", "tlog"),
        "checkpoints of logs and their witnesses (C2SP tlog-cosignature, FIPS 204); inference receipts (RFC 9964)",
        parameters="44",
        oid=f"{NIST}.3.17",
    ),
    Algorithm(
        "ed25519",
        "Ed25519",
        "signature",
        _SIGN,
        0,
        ("audit", "cli", "federation", "parties", "resources", "tlog"),
        "the classical half of two signatures, never alone (RFC 8032, RFC 9864)",
        curve="Edwards25519",
        oid="1.3.101.112",
    ),
    Algorithm(
        "checkpoint-signatures",
        "ML-DSA-44 and Ed25519",
        "combiner",
        _SIGN,
        2,
        ("tlog",),
        "every checkpoint of a log has both, and both are demanded (C2SP tlog-cosignature, signed-note)",
        made_of=("ml-dsa-44", "ed25519"),
    ),
    Algorithm(
        "receipt-signatures",
        "ML-DSA-65 and Ed25519",
        "combiner",
        _SIGN,
        3,
        ("audit",),
        "receipts have both, where the policy asks for it; otherwise ML-DSA alone (RFC 9052, RFC 9942)",
        made_of=("ml-dsa-65", "ed25519"),
    ),
    Algorithm(
        "sealed-model-signatures",
        "ML-DSA and Ed25519",
        "combiner",
        _SIGN,
        3,
        ("resources",),
        "manifests of sealed models have both, and both are demanded (FIPS 204, RFC 8032)",
        made_of=("ml-dsa-65", "ed25519"),
    ),
)
