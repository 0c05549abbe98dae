"""How serving stands in a party's log: keysets that begin, what was answered under each, and their ends.

An entry of an answer holds what differs from one to the next; what is the same for all of a keyset stands in the entry
that begins it. Both together give the receipt byte for byte. Each receipt names the one before by its digest, so that
one signature, at the end of what is logged at once, is a signature of all before it.

docs/inference-receipts.md is the specification.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.audit import cose
from quatrefoil.audit.cose import Sign1
from quatrefoil.audit.inference_receipts import MEDIA_TYPE, UNDERSTOOD, InferenceReceipt, rejected, verify_signed
from quatrefoil.audit.log import Event, Log
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import MessageRefused
from quatrefoil.wire import WireObject

KEYS, INFERENCE, ENDED = "serving-keys", "inference", "serving-ended"
KEYSET, EVIDENCE = "keyset", "evidence"
"""What an entry of kind ``serving-keys`` attaches: the encoded keyset, and the evidence of who holds it."""

PURPOSE = "quatrefoil serving"
"""What evidence of a server's keyset is for: ``exchange.protocol`` has the same, which cannot be imported here."""

ENDED_TYPE = "application/vnd.quatrefoil.serving-ended"
"""The ``typ`` of an ending."""


@dataclass(frozen=True)
class Terms:
    """What is the same in every receipt of a keyset: fields of ``InferenceReceipt``."""

    issuer: str
    model: bytes
    commitment: bytes
    measurement: str
    policy: bytes
    plan: bytes

    def of(self, receipt: InferenceReceipt) -> bool:
        """Whether the receipt says these."""
        return all(getattr(receipt, one.name) == getattr(self, one.name) for one in fields(self))


@dataclass(frozen=True)
class Served:
    """A keyset as the entry that begins it has it. ``nonce`` and ``purpose``: what its evidence is bound to besides."""

    keyset: Keyset
    terms: Terms
    nonce: bytes
    purpose: str


@dataclass(frozen=True)
class ServingEnded(WireObject):
    """The code that held a keyset says: so many receipts, the last of this digest (the keyset's where there is none),
    and no more. ``time``: milliseconds since 1970."""

    TYPE: ClassVar[str] = "urn:quatrefoil:serving-ended"

    keyset: bytes
    receipts: int
    last: bytes
    time: int


# ------------------------------------------------------------------------------------------------------ what is logged


def begun(served: Served, evidence: bytes, still_open: Collection[bytes]) -> Event:
    """``still_open``: digests of keysets that are in force beside it, so that a reader from the end knows how far back
    to go."""
    terms = served.terms
    body = {
        "keyset": served.keyset.digest().hex(),
        "issuer": terms.issuer,
        "model": terms.model.hex(),
        "commitment": terms.commitment.hex(),
        "measurement": terms.measurement,
        "policy": terms.policy.hex(),
        "plan": terms.plan.hex(),
        "nonce": served.nonce.hex(),
        "purpose": served.purpose,
        "open": sorted(one.hex() for one in still_open),
    }
    return Event(KEYS, body, {KEYSET: served.keyset.encode(), EVIDENCE: evidence})


def answered(receipt: InferenceReceipt, signed: bytes | None) -> Event:
    """``signed``: the receipt as it was given out, where its signature is to be logged too."""
    body = {
        "keyset": receipt.keyset.hex(),
        "sequence": receipt.sequence,
        "previous": receipt.previous.hex(),
        "time": receipt.time,
        "request": receipt.request.hex(),
        "answer": receipt.answer.hex(),
        "status": receipt.status,
        "complete": receipt.complete,
        "inputs": receipt.inputs.hex(),
        "outputs": receipt.outputs.hex(),
    }
    if signed is not None:
        body["signature"] = _signature(signed)
    return Event(INFERENCE, body)


def ended(ending: ServingEnded, key: MLDSA44PrivateKey | None, reason: str) -> Event:
    """``key`` None: the process that held it was killed, and the log's owner says alone how far it got."""
    signed = None
    if key is not None:
        signed = cose.sign(ending.encode(), key, header={cose.TYPE: ENDED_TYPE}, attached=True).encode()
    body = {
        "keyset": ending.keyset.hex(),
        "receipts": ending.receipts,
        "last": ending.last.hex(),
        "ended": ending.time,
        "signature": "" if signed is None else _signature(signed),
        "reason": reason,
    }
    return Event(ENDED, body)


# -------------------------------------------------------------------------------------------------------- what is read


def served_from(body: Mapping[str, Any], keyset: bytes) -> Served:
    """What an entry of kind ``serving-keys`` says, with the ``keyset`` that it attaches; ``EvidenceRejected`` where it
    says nothing that can be."""
    found = Keyset.decode(keyset)
    if found.digest() != _digest(body, "keyset"):
        raise rejected("stands under an entry that names another keyset than it attaches", "inferences")
    terms = Terms(
        _text(body, "issuer"),
        _digest(body, "model"),
        _digest_or_none(body, "commitment"),
        _text(body, "measurement"),
        _digest(body, "policy"),
        _bytes(body, "plan"),
    )
    return Served(found, terms, _digest(body, "nonce"), _text(body, "purpose"))


def receipt_from(body: Mapping[str, Any], served: Served) -> InferenceReceipt:
    """The receipt that an entry of kind ``inference`` stands for; ``EvidenceRejected`` where it is none."""
    terms = served.terms
    try:
        return InferenceReceipt(
            terms.issuer,
            _digest(body, "keyset"),
            _number(body, "sequence"),
            _digest(body, "previous"),
            _number(body, "time"),
            terms.model,
            terms.commitment,
            terms.measurement,
            terms.policy,
            terms.plan,
            _digest(body, "request"),
            _digest(body, "answer"),
            _number(body, "status"),
            _truth(body, "complete"),
            _bytes(body, "inputs"),
            _bytes(body, "outputs"),
        )
    except MessageRefused as error:
        raise rejected(f"of an entry is none: {error.problem}", "inferences") from None


def ending_from(body: Mapping[str, Any]) -> ServingEnded:
    """The ending that an entry of kind ``serving-ended`` stands for."""
    return ServingEnded(
        _digest(body, "keyset"), _number(body, "receipts"), _digest(body, "last"), _number(body, "ended")
    )


def signed_from(said: InferenceReceipt | ServingEnded, signature: object) -> bytes:
    """The signed message of which an entry logs the ``signature`` alone."""
    media_type = MEDIA_TYPE if isinstance(said, InferenceReceipt) else ENDED_TYPE
    try:
        found = base64.b64decode(signature if isinstance(signature, str) else "", validate=True)
    except (binascii.Error, ValueError):
        found = b""
    protected = cose.encode({cose.ALG: cose.ML_DSA_44.identifier, cose.TYPE: media_type})
    return Sign1(protected, {}, said.encode(), found).encode()


def verify_logged(said: InferenceReceipt | ServingEnded, signature: object, keyset: Keyset) -> None:
    """``EvidenceRejected`` unless the receipt key of ``keyset`` signed what the entry stands for."""
    verify_signed(
        signed_from(said, signature), keyset, MEDIA_TYPE if isinstance(said, InferenceReceipt) else ENDED_TYPE
    )


@dataclass
class Unended:
    """A keyset that the log does not end. ``receipts``: how many of it are logged; ``last``: the digest of the last,
    of the keyset where there is none; ``time``: its milliseconds. ``digests``: of those that were asked for."""

    served: Served
    receipts: int
    last: bytes
    time: int
    digests: dict[int, bytes]


def unended(log: Log, wanted: Collection[tuple[bytes, int]]) -> dict[bytes, Unended]:
    """The keysets that the log of one's own does not end, by digest. ``wanted``: receipts of which the digest is to be
    found, by keyset and number. ``EvidenceRejected`` where what the log holds is not what an issuer writes."""
    found: dict[bytes, Unended] = {}
    for entry in log.entries_from(_beginning(log)):
        body = entry.body
        if entry.kind == KEYS:
            served = served_from(body, log.payload(entry.attached[KEYSET].sha256))
            digest = served.keyset.digest()
            found[digest] = Unended(served, 0, digest, served.keyset.not_before * 1000, {})
        elif entry.kind == ENDED:
            found.pop(_digest(body, "keyset"), None)
        elif entry.kind == INFERENCE and (one := found.get(_digest(body, "keyset"))) is not None:
            receipt = receipt_from(body, one.served)
            one.receipts, one.last, one.time = receipt.sequence + 1, receipt.digest(), receipt.time
            if (receipt.keyset, receipt.sequence) in wanted:
                one.digests[receipt.sequence] = one.last
    return found


def _beginning(log: Log) -> int:
    """From where on the log has to be read to know every keyset that it does not end: found from the end backwards."""
    end, step, missing = log.size, 1024, None
    while end:
        start = max(0, end - step)
        newest_first = [entry for entry in islice(log.entries_from(start), end - start) if entry.kind == KEYS][::-1]
        for entry in newest_first:
            if missing is None:
                missing = {entry.body["keyset"], *entry.body["open"]}
            missing.discard(entry.body["keyset"])
            if not missing:
                return entry.index
        end, step = start, 4 * step
    return 0


def _signature(encoded: bytes) -> str:
    return base64.b64encode(Sign1.decode(encoded, understood=UNDERSTOOD).signature).decode("ascii")


# ------------------------------------------------------------------------------------------------------------- details


def _digest(body: Mapping[str, Any], name: str) -> bytes:
    found = _bytes(body, name)
    if len(found) != 32:
        raise rejected(f"of an entry has no SHA-256 for {name}", "inferences")
    return found


def _digest_or_none(body: Mapping[str, Any], name: str) -> bytes:
    return _digest(body, name) if body.get(name) != "" else b""


def _bytes(body: Mapping[str, Any], name: str) -> bytes:
    value = _text(body, name)
    try:
        found = bytes.fromhex(value)
    except ValueError:
        found = None
    if found is None or found.hex() != value:
        raise rejected(f"of an entry has no lower-case hexadecimal for {name}", "inferences")
    return found


def _text(body: Mapping[str, Any], name: str) -> str:
    if type(value := body.get(name)) is not str:
        raise rejected(f"of an entry has no text for {name}", "inferences")
    return value


def _number(body: Mapping[str, Any], name: str) -> int:
    if type(value := body.get(name)) is not int or not 0 <= value < 1 << 63:
        raise rejected(f"of an entry has no number for {name}", "inferences")
    return value


def _truth(body: Mapping[str, Any], name: str) -> bool:
    if type(value := body.get(name)) is not bool:
        raise rejected(f"of an entry does not say whether it is {name}", "inferences")
    return value


__all__ = [
    "ENDED",
    "ENDED_TYPE",
    "EVIDENCE",
    "INFERENCE",
    "KEYS",
    "KEYSET",
    "PURPOSE",
    "Served",
    "ServingEnded",
    "Terms",
    "Unended",
    "answered",
    "begun",
    "ended",
    "ending_from",
    "receipt_from",
    "served_from",
    "signed_from",
    "unended",
    "verify_logged",
]
