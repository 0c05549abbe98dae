"""What the layers answer where a model is served: requests sealed to attested code, with signed receipts. A request is
one row, or a whole table.

Only isolation answers who runs the server. A TPM says what was started on a machine whose operator reads its memory and
can have a key of its own quoted, so a request may be sealed to anybody. What it answers, proofs show without believing
the machine: of a sample, and afterwards. docs/policy.md has the same in prose.
"""

from __future__ import annotations

from quatrefoil.planner.answer import AUTHORITY, HYBRID, MUTUAL, Answer
from quatrefoil.policy import ISOLATING, PROVEN_ANSWERS
from quatrefoil.workload import MODELLED

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
    "the server's code that the appraisal policy names computes without faults of its own, which nothing shows where "
    "answers are not proven; clients keep their receipts, and look for them in the log"
)
_RECEIPTED = (
    "every client takes no answer whose receipt commits to no computation of the committed weights (quatrefoil predict "
    "--computes --committed), keeps its receipts, and looks for them in the log"
)
_DRAWN = (
    "an auditor draws {share} of all receipts at least, by a challenge that comes after witnesses have cosigned the "
    "log, which the operator and they do not choose together, and acts on each answer that is not proven "
    "(docs/audit-sampling.md); it does no harm that answers are used before, nor that a false one may not be among "
    "those drawn: the chance to be caught is what deters; the argument of proofs and its code are sound, which nobody "
    "has audited (docs/inference-proofs.md)"
)
_COMMITTED = (
    "clients have the root of the committed weights from the model's owner; what is committed to and served is the "
    "model in integers, {drop} (docs/quantised-models.md)"
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


def _proven(threat: str, how: str, condition: str) -> tuple[Answer, ...]:
    """Where a model is served, whatever the machine is."""
    return tuple(Answer("proofs", PROVEN_ANSWERS, kind, threat, how, condition, beside="enclave") for kind in MODELLED)


def _proven_besides() -> tuple[Answer, ...]:
    """Isolation, and proofs beside it: the faults of the code show as well."""
    how = (
        "attested code answers, and signs a receipt of every answer with an attested key, in one sequence that is "
        "logged; of the receipts {share} are drawn, and proofs that rely on no hardware show that the committed "
        "weights compute those answers"
    )
    condition = f"{_APPRAISED}, or the answer is among those that are proven; {_RECEIPTED}; {_DRAWN}"
    return tuple(
        Answer("enclave", name, kind, "malicious-server", how, condition, beside="proofs")
        for kind in MODELLED
        for name in ISOLATING
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
    *_proven_besides(),
    *_isolated(
        KINDS,
        "malicious-server",
        "attested code answers, and signs a receipt of every answer with an attested key, in one sequence that is "
        "logged",
        _FAULTLESS,
    ),
    *_proven(
        "tampered-model",
        "each receipt names the committed weights; of the receipts {share} are drawn, and proofs that rely on no "
        "hardware show that those weights compute the answers",
        f"{_RECEIPTED}; {_COMMITTED}; {_DRAWN}",
    ),
    *_proven(
        "malicious-server",
        "each receipt commits to what was computed, in one sequence that is logged; of the receipts {share} are drawn, "
        "and proofs that rely on no hardware show that the committed weights compute the answers",
        f"{_RECEIPTED}; {_DRAWN}",
    ),
)
"""The rows of ``threats.ANSWERS`` for what is served. What an answer shows of the records that a model learned is none
of these threats, and nothing here answers it."""


__all__ = ["ANSWERS", "KINDS", "SEALED_UNDER"]
