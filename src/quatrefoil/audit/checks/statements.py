"""Signed statements that a log attaches: by kind, what verifies them. Check statements."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.audit import inference_receipts, provenance, serving_log, witnesses
from quatrefoil.audit.accusations import TriedAnswers, require_liar
from quatrefoil.audit.ancestry import signed_by
from quatrefoil.audit.dsse import Envelope, Verifier
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.leases import Lease, LeaseEvidence
from quatrefoil.audit.ownership import Owner
from quatrefoil.audit.receipts import INCLUDED, Receipt, ReceiptBatch, RoundReceipt
from quatrefoil.audit.serving_log import Served
from quatrefoil.audit.verified_receipts import VerifiedReceipt, verify_receipt
from quatrefoil.audit.witnesses import KnownWitness
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.transport import TrustAnchor, statement

_HINT = "Keep it as evidence, and ask the log's owner"


@dataclass(frozen=True)
class Context:
    """What statements are held to. ``owner``: of the log, where that is known. ``classical``: the Ed25519 keys (32
    bytes) that sign receipts beside ML-DSA, by the aggregator's name, as far as aggregators' logs are there."""

    anchor: TrustAnchor
    at: datetime
    owner: Owner | None
    classical: Mapping[str, bytes]


@dataclass(frozen=True)
class Said:
    """What a statement says beyond itself: who contributed in a context (hex), and which model (hex) came out where it
    says so; for comparison with the entries."""

    context: str
    contributors: tuple[str, ...]
    model: str = ""


Attested: TypeAlias = Said | KnownWitness | Served

Checker = Callable[[Entry, Mapping[str, bytes], Context], Sequence[Attested]]
"""``EvidenceRejected`` or ``MessageRefused`` where what an entry attaches does not verify, or the entry says other."""


def _policy(entry: Entry, attached: Mapping[str, bytes], _: Context) -> Sequence[Attested]:
    """The bytes that the digest is of; in logs that have them."""
    for name, content in attached.items():
        if name == entry.kind and hashlib.sha256(content).hexdigest() != entry.body["digest"]:
            raise _rejected(f"the {name} beside the entry is another than it names")
    return ()


SIGNED_BY = {
    "offer": "keeper",
    "release": "keeper",
    "proposal": "aggregator",
    "result": "aggregator",
    "contribution": "silo",
    "opened": "aggregator",
    "report": "silo",
    "answer": "silo",
    "void": "silo",
    "lease": "broker",
    "committed": "workload",
}
"""Messages that entries attach as they were signed, and the role that signs them."""


def _signed(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """Messages of a round, each by a certified party of the role that sends it; the owner's own by the owner, and a
    contribution by the silo that the entry names."""
    for name in SIGNED_BY.keys() & attached.keys():
        said = statement.verify(
            attached[name], context.anchor, clock=lambda: context.at, claimed=datetime.fromisoformat(entry.time)
        )
        if said.role != SIGNED_BY[name]:
            raise _rejected(f"the {name} is signed by {said.role} {said.signer}, not by the {SIGNED_BY[name]}")
        owner = context.owner
        if owner is not None and said.role == owner.role and said.signer != owner.name:
            raise _rejected(f"the {name} is signed by {said.role} {said.signer}, not by the log's owner")
        if name == "contribution" and said.signer != entry.body.get("silo", said.signer):
            raise _rejected(f"the contribution is signed by {said.signer}, and the entry names another silo")
    return ()


def _refusal(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """What a member of a committee signed; and where it is accused of a lie, that the answers of all show it."""
    _signed(entry, {name: attached[name] for name in ("answer",) if name in attached}, context)
    if "tried" in attached:
        at = datetime.fromisoformat(entry.time)
        require_liar(
            TriedAnswers.decode(attached["tried"]),
            str(entry.body.get("silo")),
            str(entry.body.get("context")),
            lambda signed: statement.verify(signed, context.anchor, clock=lambda: context.at, claimed=at),
        )
    return ()


def _batch(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """One signature over all receipts of an attempt: verified once, under the root of all that are there."""
    batch = ReceiptBatch.decode(_only(attached, "batch"))
    if not batch.payloads:
        raise _rejected("the batch is empty")
    said = [RoundReceipt.decode(payload) for payload in batch.payloads]
    first = batch.receipt(0) if len(said) > 1 else Receipt(batch.payloads[0], batch.signatures).encode()
    verified = _receipt_verified(first, context)
    if len({one.shared() for one in said}) != 1 or len({one.silo for one in said}) != len(said):
        raise _rejected("the receipts of the batch are not of one attempt and of different silos")
    _require_owner(verified, context)
    found = {"root": batch.root.hex(), "size": len(said), **_place(said[0])}
    _require_same(entry, found)
    included = tuple(sorted(one.silo for one in said if one.verdict == INCLUDED))
    return [Said(said[0].context.hex(), included)] if included else ()


def _receipt(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """What a silo was given: about itself, and saying what the entry says."""
    verified = _receipt_verified(_only(attached, "receipt"), context)
    payload = verified.payload
    if context.owner is not None and payload.silo != context.owner.name:
        raise _rejected(f"the receipt is about {payload.silo}, not about the log's owner")
    _require_same(entry, {"verdict": payload.verdict, "reason": payload.reason, **_place(payload)})
    return ()


def _receipt_verified(encoded: bytes, context: Context) -> VerifiedReceipt:
    """Under both signatures where the Ed25519 key is known; else by ML-DSA, which says as much."""
    receipt = Receipt.decode(encoded)
    key = context.classical.get(RoundReceipt.decode(receipt.payload).issuer)
    classical = None
    if len(receipt.signatures) > 1 and key is not None:
        classical = Ed25519PublicKey.from_public_bytes(key)
    elif len(receipt.signatures) > 1:
        receipt = replace(receipt, signatures=receipt.signatures[:1])
    return verify_receipt(receipt.encode(), context.anchor, at=context.at, classical=classical)


def _provenance(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """Where a model comes from, signed by the aggregator and by silos of the job: each round as the entries have it."""
    envelope = Envelope.decode(_only(attached, "envelope"))
    about = provenance.read(envelope)
    if not signed_by(envelope, about, Verifier(context.anchor, clock=lambda: context.at)).aggregator:
        raise _rejected("the aggregator has not signed where the model comes from")
    _require_same(entry, {"statement": envelope.digest.hex()})
    return [Said(one.context.hex(), one.contributors, one.model.hex()) for one in about.predicate.rounds]


def _witness(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    found = witnesses.verify(_only(attached, "statement"), context.anchor, clock=lambda: context.at)
    _require_same(entry, witnesses.introduced(found.name, found.key))
    return [found]


def _lease(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """Signed by the log's owner, a broker, and saying what the entry says."""
    evidence = LeaseEvidence.decode(_only(attached, "evidence"))
    _signed(entry, {"lease": evidence.lease}, context)
    lease = Lease.decode(statement.body_of(evidence.lease))
    if not lease.number and lease.id != hashlib.sha256(evidence.request).digest():
        raise _rejected("the request beside the lease is another than the one it answers")
    _require_same(entry, lease.entry())
    return ()


def _serving_keys(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
    """The keyset that the entry names, with a key that signs receipts, and evidence that can be read; of the owner."""
    served = serving_log.served_from(entry.body, _only(attached, serving_log.KEYSET))
    inference_receipts.public_key(served.keyset)
    EvidenceSet.decode(_only(attached, serving_log.EVIDENCE))
    if context.owner is not None and served.terms.issuer != context.owner.name:
        raise _rejected(f"the keyset is that of {served.terms.issuer[:64]}, not of the log's owner")
    if served.purpose != serving_log.PURPOSE:
        raise _rejected(f"the keyset's evidence is for {served.purpose[:64]!r}, not for {serving_log.PURPOSE!r}")
    return [served]


def _signed_by(attachment: str, field: str) -> Checker:
    """What an entry attaches is signed by whoever it names."""

    def check(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Sequence[Attested]:
        if attachment in attached:  # said a second time, it is not attached again
            at = datetime.fromisoformat(entry.time)
            said = statement.verify(attached[attachment], context.anchor, clock=lambda: context.at, claimed=at)
            if said.signer != entry.body.get(field):
                raise _rejected(f"the {attachment} is signed by {said.signer}, and the entry names another")
        return ()

    return check


def _require_owner(verified: VerifiedReceipt, context: Context) -> None:
    if context.owner is not None and verified.issuer.signer != context.owner.name:
        raise _rejected(f"the receipts are signed by {verified.issuer.signer}, not by the log's owner")


def _place(payload: RoundReceipt) -> dict[str, object]:
    return {"round": payload.round, "attempt": payload.attempt, "context": payload.context.hex()}


def _require_same(entry: Entry, found: Mapping[str, object]) -> None:
    for name, value in found.items():
        if name in entry.body and entry.body[name] != value:
            raise _rejected(f"the entry says another {name} than what it attaches")


def _only(attached: Mapping[str, bytes], name: str) -> bytes:
    if name not in attached:
        raise MessageRefused(f"no {name} is attached", hint=_HINT)
    return attached[name]


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="statements")


CHECKERS: dict[str, Checker] = {
    "policy": _policy,
    "plan": _policy,
    "round-opened": _signed,
    "contribution": _signed,
    "roster": _signed,
    "key-release": _signed,
    "round-finished": _signed,
    "complaint": _signed,
    "member-answer": _signed,
    "member-void": _signed,
    "refusal": _refusal,
    "lease": _lease,
    "committed-model": _signed,
    "resource": _signed_by("resource", "owner"),
    "revocation": _signed_by("revocation", "by"),
    "receipts": _batch,
    "receipt": _receipt,
    "witness": _witness,
    "provenance": _provenance,
    serving_log.KEYS: _serving_keys,
}
"""Kinds whose attachments are verified. The attachments of others are held to their digests alone."""
