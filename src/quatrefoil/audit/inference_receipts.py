"""Inference receipts: what attested code signed about one request that it answered.

A receipt names the model, the code and the policy that answered, and commits to the request and to the answer under a
salt that only the two ends of the exchange have: it tells nobody else what was asked. It is signed with the receipt key
of a keyset that evidence is bound to, so that whoever verified that evidence needs no certificate and no other party.
Receipts of a keyset are a chain: each names the one before by its digest, and has the next number.

docs/inference-receipts.md is the specification.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from quatrefoil.audit import cose
from quatrefoil.audit.cose import Sign1
from quatrefoil.enclave.binding import LAST_SECOND, Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.wire import WireObject

MEDIA_TYPE = "application/vnd.quatrefoil.inference-receipt"
"""The ``typ`` (RFC 9596) of a receipt: one key signs receipts and endings, and neither can be taken for the other."""

UNDERSTOOD = (cose.ALG, cose.TYPE)
SALT_BYTES = 32
MOST_AHEAD = timedelta(minutes=5)
"""How far the issuer's clock may be from the verifier's."""

LONGEST_ANSWER = timedelta(days=1)
"""A request that came while its keyset was in force may be answered so long after that has ended: streams are long."""

LONGEST_MEASUREMENT = 2048
LONGEST_ISSUER = 255
_MEASUREMENT = re.compile(r"[\x21-\x7e]*")
_LATEST_MS = LAST_SECOND * 1000 + 999
_DIGEST = 32
_HINT = "Keep it as evidence with the request and the answer, and ask the server's operator"


@dataclass(frozen=True)
class InferenceReceipt(WireObject):
    """What is said of one answer. A later version may commit to more; a reader of this one refuses it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:inference-receipt"
    VERSION: ClassVar[int] = 3

    issuer: str
    """Certified name of whoever runs the server."""
    keyset: bytes
    """SHA-256 of the encoded keyset, whose receipt key signs."""
    sequence: int
    """From 0, by one, in each keyset."""
    previous: bytes
    """SHA-256 of the encoded receipt before; of the keyset for the first."""
    time: int
    """Milliseconds since 1970, by the issuer's clock, when the answer had ended; never before the receipt before."""
    model: bytes
    """Merkle root that names the served file."""
    commitment: bytes
    """Root of the commitment to the file's weights, as it was first made: what a proof of the answer has to be against.
    Empty where the server was told of none: nothing is proven of the answer then."""
    measurement: str
    """Of the code that answered, as ``appraisal.measurement_of`` writes it."""
    policy: bytes
    """Digest of the serving policy."""
    plan: bytes
    """Digest of the plan; empty where there is none."""
    request: bytes
    """:func:`commit_request`."""
    answer: bytes
    """:class:`AnswerCommitment`."""
    status: int
    """Of the answer, as in HTTP."""
    complete: bool
    """False where the answer broke off: what ``answer`` commits to is a beginning."""
    inputs: bytes = b""
    """``computations.commit_inputs`` of what the model computed on; empty where the receipt says nothing of that."""
    outputs: bytes = b""
    """``computations.commit_outputs`` of what it computed; empty where ``inputs`` is."""

    def __post_init__(self) -> None:
        for name in ("keyset", "previous", "model", "policy", "request", "answer"):
            if len(getattr(self, name)) != _DIGEST:
                raise _malformed(f"{len(getattr(self, name))} bytes for {name}, not {_DIGEST}")
        for name in ("commitment", "plan"):
            if len(getattr(self, name)) not in (0, _DIGEST):
                raise _malformed(f"{len(getattr(self, name))} bytes for {name}, not {_DIGEST} or none")
        if (len(self.inputs), len(self.outputs)) not in ((0, 0), (_DIGEST, _DIGEST)):
            raise _malformed(
                f"{len(self.inputs)} bytes for inputs and {len(self.outputs)} for outputs, not both or none"
            )
        if not 1 <= len(self.issuer) <= LONGEST_ISSUER:
            raise _malformed(f"{len(self.issuer)} characters for its issuer")
        if len(self.measurement) > LONGEST_MEASUREMENT or not _MEASUREMENT.fullmatch(self.measurement):
            raise _malformed("a measurement that is no printable ASCII, or too long")
        if not 200 <= self.status <= 599:
            raise _malformed(f"the status {self.status}")
        if not 0 <= self.time <= _LATEST_MS or not 0 <= self.sequence < 1 << 63:
            raise _malformed("a time after the year 9999, or a number out of range")

    @property
    def moment(self) -> datetime:
        """``time``, in UTC."""
        return datetime.fromtimestamp(self.time // 1000, UTC) + timedelta(milliseconds=self.time % 1000)


# --------------------------------------------------------------------------------------------------------- commitments


def commit_request(salt: bytes, method: bytes, path: bytes, content: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) that commits to a request: 32 bytes. ``path``: with its query. ``salt``: 32 bytes of the
    exchange (``ohttp.ResponseKeys.salt``), without which nobody can try out what was asked."""
    mac = _keyed(salt, b"request\0")
    for part in (method, path):
        mac.update(struct.pack(">I", len(part)) + part)
    mac.update(content)
    return mac.digest()


class AnswerCommitment:
    """HMAC-SHA256 that commits to an answer, piece by piece. How its content was cut does not count; events that pad a
    stream do, since they are content."""

    def __init__(self, salt: bytes, status: int) -> None:
        """``status``: 200 to 599."""
        if not 200 <= status <= 599:
            raise CallerError(f"{status} is no status of an answer", hint="Give that of the final response")
        self._mac = _keyed(salt, b"answer\0" + struct.pack(">H", status))

    def update(self, piece: bytes | memoryview) -> None:
        self._mac.update(piece)

    def digest(self) -> bytes:
        """The commitment to what there was so far: 32 bytes."""
        return self._mac.digest()


def commit_answer(salt: bytes, status: int, content: bytes) -> bytes:
    """The commitment to a whole answer: 32 bytes."""
    commitment = AnswerCommitment(salt, status)
    commitment.update(content)
    return commitment.digest()


def _keyed(salt: bytes, domain: bytes) -> hmac.HMAC:
    if len(salt) != SALT_BYTES:
        raise CallerError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}", hint="Give that of the exchange")
    return hmac.new(salt, domain, hashlib.sha256)


# ------------------------------------------------------------------------------------------------- signing, verifying


def receipt_key(key: MLDSA44PrivateKey) -> bytes:
    """The public half of ``key`` as ``Keyset.receipt`` holds it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(receipt: InferenceReceipt, key: MLDSA44PrivateKey) -> bytes:
    """The signed receipt: a COSE_Sign1 with its payload, about 3 KB."""
    return cose.sign(receipt.encode(), key, header={cose.TYPE: MEDIA_TYPE}, attached=True).encode()


def verify(encoded: bytes, keyset: Keyset) -> InferenceReceipt:
    """The receipt in ``encoded``, signed with the receipt key of ``keyset`` and about it, in the time of which it is;
    ``EvidenceRejected`` naming the check otherwise.

    It shows who said this if ``keyset`` was accepted with evidence, and only then. That it is about one's own exchange
    is for :func:`verify_against`.
    """
    message = Sign1.decode(encoded, understood=UNDERSTOOD)
    receipt = _said(message)
    _require_signed(message, keyset, MEDIA_TYPE)
    if receipt.keyset != keyset.digest():
        raise rejected("is of another keyset than that which signed it", "keyset")
    require_in_force(receipt, keyset)
    return receipt


def read(encoded: bytes) -> InferenceReceipt:
    """The receipt in ``encoded``, of which nothing is verified: to find out by whose keys it is to be."""
    return _said(Sign1.decode(encoded, understood=UNDERSTOOD))


def _said(message: Sign1) -> InferenceReceipt:
    payload = message.signed_over(None)
    try:
        return InferenceReceipt.decode(payload)
    except MessageRefused as error:
        raise EvidenceRejected(error.problem, hint=_HINT, check="form") from None


def verify_signed(encoded: bytes, keyset: Keyset, media_type: str) -> bytes:
    """The payload of a COSE_Sign1 by the receipt key of ``keyset``, of just this type; or ``EvidenceRejected``."""
    return _require_signed(Sign1.decode(encoded, understood=UNDERSTOOD), keyset, media_type)


def _require_signed(message: Sign1, keyset: Keyset, media_type: str) -> bytes:
    if message.header != {cose.ALG: cose.ML_DSA_44.identifier, cose.TYPE: media_type} or message.unprotected:
        raise rejected("has other headers than it may have", "form")
    return cose.verify(message, public_key(keyset), detached=None)


def public_key(keyset: Keyset) -> MLDSA44PublicKey:
    """The key that receipts of ``keyset`` are verified with; ``EvidenceRejected`` where it holds none."""
    key = _parsed(keyset.receipt)
    if not isinstance(key, MLDSA44PublicKey):
        raise EvidenceRejected(
            "the keyset holds no ML-DSA-44 key that signs receipts",
            hint="Ask the server's operator which version of Quatrefoil it runs",
            check="keyset",
        )
    return key


@lru_cache(maxsize=64)
def _parsed(receipt: bytes) -> object:
    """The key in a keyset, the same for every receipt of it: reading it takes as long as verifying a signature."""
    try:
        return load_der_public_key(receipt) if receipt else None
    except ValueError:
        return None


def require_in_force(receipt: InferenceReceipt, keyset: Keyset) -> None:
    """``EvidenceRejected`` where the receipt is of a time before its keyset is good, or over a day after it was."""
    latest = (keyset.expires + LONGEST_ANSWER.total_seconds()) * 1000
    if not keyset.not_before * 1000 <= receipt.time < latest:
        raise rejected(f"is of {receipt.moment:%Y-%m-%d %H:%M:%S} UTC, when its keyset was not in force", "time")


@dataclass(frozen=True)
class Expected:
    """What whoever asked knows of its own exchange. ``begun``: before the request was sent; ``ended``: after the answer
    had arrived; both by its own clock."""

    issuer: str
    model: bytes
    commitment: bytes
    measurement: str
    policy: bytes
    plan: bytes
    request: bytes
    answer: bytes
    status: int
    complete: bool
    begun: datetime
    ended: datetime


def verify_against(encoded: bytes, keyset: Keyset, expected: Expected) -> InferenceReceipt:
    """:func:`verify`, and that it says what ``expected`` does of this exchange; ``EvidenceRejected`` by field."""
    receipt = verify(encoded, keyset)
    for name in _DIFFERS:
        if getattr(receipt, name) != getattr(expected, name):
            raise rejected(_DIFFERS[name], name)
    if not expected.begun - MOST_AHEAD <= receipt.moment <= expected.ended + MOST_AHEAD:
        raise rejected(f"is of {receipt.moment:%Y-%m-%d %H:%M:%S} UTC, not of the time of this exchange", "time")
    return receipt


_DIFFERS = {
    "issuer": "is by another server than the one that was asked",
    "model": "names another model",
    "commitment": "names other committed weights than those expected",
    "measurement": "names other code than the evidence that was accepted",
    "policy": "names another serving policy",
    "plan": "names another plan",
    "request": "is about another request",
    "status": "is about an answer with another status",
    "complete": "and what arrived disagree on whether the answer is complete",
    "answer": "is about another answer",
}


def rejected(problem: str, check: str) -> EvidenceRejected:
    return EvidenceRejected(f"the inference receipt {problem}", hint=_HINT, check=check)


def _malformed(problem: str) -> MessageRefused:
    return MessageRefused(f"an inference receipt has {problem}", hint=_HINT)


__all__ = [
    "MEDIA_TYPE",
    "AnswerCommitment",
    "Expected",
    "InferenceReceipt",
    "commit_answer",
    "commit_request",
    "public_key",
    "read",
    "receipt_key",
    "require_in_force",
    "sign",
    "verify",
    "verify_against",
    "verify_signed",
]
