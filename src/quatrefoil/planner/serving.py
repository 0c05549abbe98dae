"""What the layers answer where a model is served: requests sealed to attested code, with signed receipts. A request is
one row, or a whole table.

Only isolation answers who runs the server. A TPM says what was started on a machine whose operator reads its memory and
can have a key of its own quoted, so a request may be sealed to anybody. docs/policy.md has the same in prose.
"""

from __future__ import annotations

from quatrefoil.planner.answer import AUTHORITY, HYBRID, MUTUAL, Answer
from quatrefoil.policy import ISOLATING

KINDS = ("infer", "score", "summarise", "count")
"""What a served model can answer. Moments and counts are a model as well: a graph without weights of its own."""

SEALED_UNDER = "hybrid-768"
"""The one channel policy that requests are sealed under, whatever the channels around them use (docs/ohttp.md)."""

_APPRAISED = (
    "every client holds the server's evidence to the appraisal policy {appraisal}, with collateral of its own; nobody "
    "takes the server's machine apart, has its maker's keys, or reads it by a side channel (docs/attestation.md)"
)
_DISCREET = (
    "the server's code that the appraisal policy names neither keeps nor tells what it is asked, and all that computes "
    "an answer is inside with it; it does no harm that the host sees when requests come and how long they are, padded"
)
_SEALED_MODEL = (
    "the server's code that the appraisal policy names loads the sealed model itself, which a gateway to an upstream "
    "does not; the root in the serving policy is the one that the model's owner gives"
)
_FAULTLESS = (
    "the server's code that the appraisal policy names computes without faults of its own, which nothing shows: there "
    "are no proofs of inference yet; clients keep their receipts, and look for them in the log"
)


def _transport(kind: str) -> tuple[Answer, ...]:
    return (
        Answer(
            "transport",
            "pq-tls",
            kind,
            "recorder",
            f"{HYBRID}; inside the channel, requests and answers are sealed end to end under the same two, to a key "
            "that the server's evidence names",
            "nobody gets a key that requests are sealed to before it is replaced and wiped",
            beside="enclave",
        ),
        Answer(
            "transport",
            "pq-tls",
            kind,
            "network",
            f"{MUTUAL}; nothing is sent before the server's evidence is appraised; what was altered does not open, "
            "what comes twice is refused, and a signed receipt commits to each request and its answer",
            f"{AUTHORITY}; it does no harm that sizes and times are seen, padded and batched by the serving policy",
            beside="enclave",
        ),
    )


def _isolated(kinds: tuple[str, ...], threat: str, how: str, code: str) -> tuple[Answer, ...]:
    condition = f"{_APPRAISED}; {code}"
    return tuple(Answer("enclave", name, kind, threat, how, condition) for kind in kinds for name in ISOLATING)


ANSWERS: tuple[Answer, ...] = (
    *(row for kind in KINDS for row in _transport(kind)),
    *_isolated(
        KINDS,
        "curious-host",
        "requests open only in attested code, in memory that the host cannot read, and the key of the weights is "
        "released to it alone",
        _DISCREET,
    ),
    *_isolated(
        ("infer", "score"),
        "tampered-model",
        "the weights are a sealed model, verified up to the root that the serving policy and every receipt name; the "
        "broker releases their key to measured code alone",
        _SEALED_MODEL,
    ),
    *_isolated(
        KINDS,
        "malicious-server",
        "attested code answers, and signs a receipt of every answer with an attested key, in one sequence that is "
        "logged",
        _FAULTLESS,
    ),
)
"""The rows of ``threats.ANSWERS`` for what is served. What an answer shows of the records that a model learned is none
of these threats, and nothing here answers it."""


__all__ = ["ANSWERS", "KINDS", "SEALED_UNDER"]
