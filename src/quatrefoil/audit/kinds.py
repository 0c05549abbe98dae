"""What is logged, by kind: who writes it, what it says, and which fields its body has at least.

Bodies hold digests (hex), names, counts and reasons; never updates, keys or records. docs/audit.md prints this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quatrefoil.errors import CallerError

OWN_PREFIX = "x-"
"""Kinds that begin so are whoever's uses the log as a library, with any body."""


@dataclass(frozen=True)
class Kind:
    """``by``: the roles that write it. ``fields``: what its body has at least."""

    says: str
    by: tuple[str, ...]
    fields: tuple[str, ...]


_ALL = ("aggregator", "broker", "keeper", "silo", "workload")

KINDS: dict[str, Kind] = {
    "log-opened": Kind("whose log this is, under which keys", _ALL, ("origin", "certificate", "keys")),
    "policy": Kind("the policy in force", _ALL, ("name", "digest")),
    "plan": Kind("the route that the policy led to", _ALL, ("digest", "policy", "insecure")),
    "plan-refused": Kind("nothing available satisfies the policy", _ALL, ("policy", "reason")),
    "enrolment": Kind("a silo joins a job", ("aggregator", "silo"), ("job", "samples")),
    "consent": Kind("a silo signs a job", ("aggregator", "silo"), ("job",)),
    "job": Kind("a job that every silo signed begins", ("aggregator",), ("job", "name", "roster", "policy", "plan")),
    "model": Kind("a model, by its manifest", ("aggregator", "silo"), ("root",)),
    "measurement": Kind("evidence of what holds a round's key", _ALL, ("enclave", "isolation", "context")),
    "round-opened": Kind("a key is made for an attempt at a round", _ALL, ("round", "attempt", "context")),
    "contribution": Kind(
        "an encrypted update, sent by a silo or taken by the aggregator",
        ("aggregator", "silo"),
        ("round", "attempt", "context"),
    ),
    "clipped": Kind("an update was brought within the policy's bounds", ("silo",), ("round",)),
    "roster": Kind("the contributions that a sum is asked for of", ("aggregator",), ("round", "attempt", "context")),
    "confirmation": Kind("a silo agrees to a roster", ("silo",), ("round", "attempt", "context", "contributors")),
    "key-release": Kind(
        "the one answer of an attempt",
        ("keeper",),
        ("round", "attempt", "context", "contributors", "enclave", "isolation"),
    ),
    "member-key": Kind("a member of a committee makes its key for an attempt", ("silo",), ("round", "attempt", "key")),
    "shares-checked": Kind(
        "a member checked its shares of what was sent", ("silo",), ("round", "attempt", "context", "accepted")
    ),
    "complaint": Kind(
        "a member complains of a share that a silo dealt",
        ("aggregator",),
        ("round", "attempt", "context", "member", "silo"),
    ),
    "share-opened": Kind(
        "a silo that was complained of showed that share",
        ("aggregator", "silo"),
        ("round", "attempt", "context", "member"),
    ),
    "member-answer": Kind(
        "the one answer of a member in an attempt",
        ("aggregator", "silo"),
        ("round", "attempt", "context", "contributors"),
    ),
    "member-void": Kind(
        "a member answers an attempt no more", ("silo",), ("round", "attempt", "context", "unanswered")
    ),
    "resource": Kind("the key of a resource is with the broker", ("broker",), ("resource", "what", "name", "policy")),
    "lease": Kind(
        "a resource's key was released, or its lease renewed, on accepted evidence",
        ("broker",),
        ("lease", "number", "resource", "stage", "holder", "policy", "appraisal", "evidence", "isolation", "expires"),
    ),
    "revocation": Kind("what gets keys no longer", ("broker",), ("what", "value", "by", "reason")),
    "clock-set": Kind("the broker's operator set its clock back", ("broker",), ("from", "to")),
    "round-void": Kind("an attempt ends without an answer", ("aggregator", "keeper"), ("round", "attempt", "reason")),
    "round-finished": Kind(
        "the mean of a round is published", ("aggregator",), ("round", "attempt", "context", "contributors", "model")
    ),
    "round-accepted": Kind("a silo takes the published mean", ("silo",), ("round", "context", "contributors", "model")),
    "refusal": Kind("something was refused, and why", _ALL, ("reason",)),
    "receipts": Kind("signed statements of what became of updates", ("aggregator",), ("round", "attempt")),
    "receipt": Kind("a signed statement of what became of an update", ("silo",), ("round", "attempt")),
    "provenance": Kind("where a model comes from, signed", _ALL, ("statement",)),
    "witness": Kind("with which key a silo cosigns logs", ("aggregator", "silo"), ("silo", "name", "key")),
    "witnessed": Kind("another party's checkpoint was cosigned", ("silo",), ("origin", "size", "root")),
    "cosigned": Kind("witnesses cosigned this log", _ALL, ("size", "witnesses")),
    "credentials": Kind("certificates and revocation lists that are used now", _ALL, ()),
    "channel": Kind("what was negotiated with a peer", _ALL, ("peer", "group")),
    "root-ceremony": Kind(
        "the broker's root key was split among operators", ("broker",), ("root", "ceremony", "threshold", "operators")
    ),
    "root-recovery": Kind(
        "operators' shares were put together to the broker's root key",
        ("broker",),
        ("root", "ceremony", "contributors", "purpose"),
    ),
    "committed-model": Kind(
        "which committed weights a served model has, signed", ("workload",), ("model", "commitment", "program")
    ),
    "proofs-promised": Kind(
        "of which share of the receipts under a serving policy answers are to be proven",
        ("workload",),
        ("policy", "plan", "share"),
    ),
    "serving-keys": Kind(
        "a keyset is in force: requests to a model are answered under it",
        ("workload",),
        ("keyset", "issuer", "model", "commitment", "measurement", "policy", "plan", "nonce", "purpose", "open"),
    ),
    "inference": Kind(
        "a request was answered, and a receipt of it signed",
        ("workload",),
        ("keyset", "sequence", "previous", "time", "request", "answer", "status", "complete", "inputs", "outputs"),
    ),
    "serving-ended": Kind(
        "no more receipts are signed under a keyset",
        ("workload",),
        ("keyset", "receipts", "last", "ended", "signature", "reason"),
    ),
}


def check(kind: str, body: Mapping[str, Any]) -> None:
    """``CallerError`` for a kind that is not in the table, or a body without what it needs."""
    if kind.startswith(OWN_PREFIX):
        return
    if kind not in KINDS:
        raise CallerError(f"{kind!r} is no kind of entry", hint=f"Begin kinds of your own with {OWN_PREFIX}")
    if missing := [field for field in KINDS[kind].fields if field not in body]:
        raise CallerError(f"an entry of kind {kind} lacks {', '.join(missing)}", hint="See docs/audit.md")
