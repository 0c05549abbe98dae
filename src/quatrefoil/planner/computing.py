"""What the layers answer where rows are computed on encrypted: CKKS and BGV, whose key is with the data's owner.

The machine that computes holds ciphertexts and evaluation keys, whoever runs or opens it. What it computes, nothing
shows: a wrong answer and another model are not answered here.
"""

from __future__ import annotations

from quatrefoil.planner.answer import AUTHORITY, HYBRID, MUTUAL, Answer

COMPUTED: dict[str, tuple[str, ...]] = {
    "infer": ("ckks",),
    "score": ("ckks", "bgv"),
    "summarise": ("ckks",),
    "count": ("bgv",),
}
"""kind -> backends of aggregation that compute it."""

_HOW = "the machine that computes has ciphertexts of the rows and of the answer, and never the key"
_KEY = (
    "the key is on another machine, which its owner alone runs and can touch; what it decrypts, and whether it "
    "refuses, is told to nobody who has the ciphertexts (docs/homomorphic.md)"
)


def _transport(kind: str) -> tuple[Answer, ...]:
    return (
        Answer("transport", "pq-tls", kind, "recorder", HYBRID),
        Answer("transport", "pq-tls", kind, "network", MUTUAL, f"{AUTHORITY}; it does no harm that sizes are seen"),
    )


ANSWERS: tuple[Answer, ...] = (
    *(row for kind in COMPUTED for row in _transport(kind)),
    *(
        Answer("aggregation", backend, kind, threat, _HOW, _KEY)
        for kind, backends in COMPUTED.items()
        for backend in backends
        for threat in ("curious-host", "physical-access")
    ),
)
"""Rows of ``threats.ANSWERS``. Those of ``serving`` for the same channel come first where an enclave is used too."""


__all__ = ["ANSWERS", "COMPUTED"]
