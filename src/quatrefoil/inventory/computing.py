"""What computes on encrypted values today, and what proves."""

from __future__ import annotations

from quatrefoil.inventory.model import Algorithm

COMPUTING = (
    Algorithm(
        "field-hash",
        "short integer solution hash over F_p (Ajtai)",
        "hash",
        ("digest",),
        None,
        ("proofs", "rust"),
        "hiding commitments to inputs that a proof opens; estimates in docs/field-hash.md, no category assigned",
        made_of=("blake3",),
    ),
    Algorithm(
        "additive-rlwe",
        "additive ring-LWE encryption",
        "other",
        ("keygen", "encrypt", "decrypt"),
        None,
        ("aggregation", "rust"),
        "sums of updates; estimates in docs/additive-encryption.md, no category assigned",
        made_of=("aes-256-ctr", "hkdf-sha256"),
    ),
    Algorithm(
        "ckks",
        "CKKS homomorphic encryption",
        "other",
        ("keygen", "encrypt", "decrypt"),
        None,
        ("aggregation",),
        "computing on encrypted tables and sums of updates, by Microsoft SEAL, whose randomness is BLAKE2Xb; estimates "
        "in docs/homomorphic.md and docs/security-level.md, no category assigned",
    ),
    Algorithm(
        "bgv",
        "BGV homomorphic encryption",
        "other",
        ("keygen", "encrypt", "decrypt"),
        None,
        ("aggregation",),
        "exact counts on encrypted tables, by Microsoft SEAL; estimates in docs/homomorphic.md, no category assigned",
    ),
    Algorithm(
        "bounded-update",
        "zero-knowledge proof of a bounded update",
        "other",
        ("generate", "verify"),
        None,
        ("proofs", "rust"),
        "sum-check, LogUp and Reed-Solomon codes over hash trees; soundness in docs/proofs.md, no category assigned",
        made_of=("blake3", "aes-256-ctr", "hkdf-sha256"),
    ),
)
