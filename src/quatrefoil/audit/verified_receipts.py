"""Receipts verified: by whoever has the consortium's root certificate, without a network or trust in the aggregator.

What a verified receipt shows is that the aggregator *said* so. Two receipts of one attempt that differ where they must
agree are the proof that it said two things (:func:`require_agreement`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.audit import cose
from quatrefoil.audit.cose import Sign1, Verifier
from quatrefoil.audit.receipts import (
    HINT,
    INCLUSION,
    MEDIA_TYPE,
    RFC9162_SHA256,
    TREE_KIND,
    TREE_PROOFS,
    UNDERSTOOD,
    Receipt,
    RoundReceipt,
)
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.tlog import merkle
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.bare import BareVerifier
from quatrefoil.wire import WireObject

MOST_AHEAD = timedelta(minutes=5)
"""How far the issuer's clock may be before the verifier's."""

Kind = TypeVar("Kind", bound=WireObject)


@dataclass(frozen=True)
class VerifiedReceipt:
    """A receipt of which every signature was verified.

    ``issuer``: who signed, by certificate. ``algorithms``: of the signatures, by name. ``size`` and ``index``: of the
    batch and in it; ``root``: of its tree, empty for a single one.
    """

    payload: RoundReceipt
    issuer: VerifiedStatement
    algorithms: tuple[str, ...]
    size: int
    index: int
    root: bytes
    digest: bytes
    """SHA-256 of the encoded :class:`Receipt`."""


def verify_receipt(
    encoded: bytes, trust: TrustAnchor, *, at: datetime, classical: Ed25519PublicKey | None
) -> VerifiedReceipt:
    """The receipt in ``encoded`` after every check, or ``EvidenceRejected`` naming the one that failed.

    ``at``: now; revocation is judged then, and the issuer's certificate must have been valid at the receipt's own time.
    ``classical``: the issuer's Ed25519 key, where the policy asks for a second signature: there must then be one. None:
    where it asks for ML-DSA alone: there must be none.
    """
    return verify_with(encoded, BareVerifier(trust, at=at), at=at, classical=classical)


def verify_with(
    encoded: bytes, verifier: Verifier, *, at: datetime, classical: Ed25519PublicKey | None
) -> VerifiedReceipt:
    """:func:`verify_receipt` by whom ``verifier`` believes; its clock and ``at`` are to agree."""
    receipt = _decoded(Receipt, encoded)
    payload = _decoded(RoundReceipt, receipt.payload)
    if payload.moment > at + MOST_AHEAD:
        raise _rejected(f"is of {payload.moment:%Y-%m-%d %H:%M} UTC, which is yet to come", "time", payload)
    signatures = [Sign1.decode(one, understood=UNDERSTOOD) for one in receipt.signatures]
    expected = 1 if classical is None else 2
    if len(signatures) != expected:
        known = "the policy asks for" if classical is not None else "there is a key to verify"
        raise _rejected(f"has {len(signatures)} signatures, and {known} {expected}", "signatures", payload)
    places = {_place(one, receipt.payload, payload) for one in signatures}
    if len(places) != 1:
        raise _rejected("has signatures over two different things", "signatures", payload)
    ((signed, size, index, root),) = places
    issuer = cose.verify_certified(signatures[0], verifier, detached=signed, claimed=payload.moment)
    algorithms = [signatures[0].algorithm.name]
    if classical is not None:
        cose.verify(signatures[1], classical, detached=signed)
        algorithms.append(signatures[1].algorithm.name)
    if (issuer.signer, issuer.role) != (payload.issuer, "aggregator"):
        raise _rejected(f"is signed by {issuer.role} {issuer.signer}", "issuer", payload, issuer.signer)
    digest = hashlib.sha256(encoded).digest()
    return VerifiedReceipt(payload, issuer, tuple(algorithms), size, index, root, digest)


def require_agreement(receipts: Iterable[VerifiedReceipt]) -> None:
    """``EvidenceRejected``, naming issuer and attempt, where two of these receipts cannot both be true.

    An issuer signs one batch an attempt: two with different roots are its contradiction, whatever the receipts say.
    """
    said: dict[tuple[bytes, ...], VerifiedReceipt] = {}
    for one in receipts:
        payload = one.payload
        attempt = (one.issuer.fingerprint, payload.job, payload.context)
        first = said.setdefault(attempt, one)
        if (first.root, first.size, first.payload.shared()) != (one.root, one.size, payload.shared()):
            problem = f"contradicts the one of {first.payload.silo} from the same issuer"
            raise _rejected(problem, "agreement", payload, one.issuer.signer)
        same = said.setdefault((*attempt, payload.silo.encode()), one)
        if same.payload != payload:
            raise _rejected("contradicts another one for the same silo", "agreement", payload, one.issuer.signer)


def _place(message: Sign1, encoded: bytes, payload: RoundReceipt) -> tuple[bytes, int, int, bytes]:
    """What ``message`` has signed: the payload, or the root that its proof of inclusion leads to from there; with the
    size of the tree, the index in it, and the root."""
    header, beside = message.header, message.unprotected
    batched = TREE_KIND in header
    certified = message.algorithm is not cose.ED25519
    expected = {cose.ALG, cose.TYPE, *([cose.X5T] if certified else []), *([TREE_KIND] if batched else [])}
    if (
        header.keys() != expected
        or header[cose.TYPE] != MEDIA_TYPE
        or header.get(TREE_KIND, RFC9162_SHA256) != RFC9162_SHA256
    ):
        raise _rejected("has other protected headers than a receipt", "form", payload)
    if beside.keys() != {*([cose.X5CHAIN] if certified else []), *([TREE_PROOFS] if batched else [])}:
        raise _rejected("has other unprotected headers than a receipt", "form", payload)
    size, index, path = _proof(beside[TREE_PROOFS], payload) if batched else (1, 0, [])
    if size != payload.receipts:
        raise _rejected(f"says that its batch has {payload.receipts}, and its proof {size}", "inclusion", payload)
    if not batched:
        return encoded, size, index, b""
    root = merkle.root_from_inclusion(merkle.leaf_hash(encoded), index, size, path)
    return root, size, index, root


def _proof(proofs: Any, payload: RoundReceipt) -> tuple[int, int, list[bytes]]:
    """Size, index and path of the one proof of inclusion (RFC 9942 section 5.2)."""
    inclusion = proofs.get(INCLUSION) if isinstance(proofs, dict) and len(proofs) == 1 else None
    if not (isinstance(inclusion, list) and len(inclusion) == 1 and type(inclusion[0]) is bytes):
        raise _rejected("does not bring exactly one proof of inclusion", "inclusion", payload)
    value = cose.decode(inclusion[0], "proof of inclusion")
    if not (isinstance(value, list) and len(value) == 3 and isinstance(value[2], list)):
        raise _rejected("has a proof of inclusion that is none", "inclusion", payload)
    size, index, path = value
    if type(size) is not int or type(index) is not int or any(type(one) is not bytes for one in path):
        raise _rejected("has a proof of inclusion that is none", "inclusion", payload)
    if size < 2:
        raise _rejected("has a proof of inclusion for itself alone", "inclusion", payload)
    return size, index, path


def _decoded(kind: type[Kind], encoded: bytes) -> Kind:
    try:
        return kind.decode(encoded)
    except MessageRefused as error:
        raise EvidenceRejected(error.problem, hint=HINT, check="form") from None


def _rejected(problem: str, check: str, payload: RoundReceipt, issuer: str | None = None) -> EvidenceRejected:
    """``issuer``: who has signed it, once that is known."""
    what = f"the receipt of {payload.silo[:64]} for round {payload.round} attempt {payload.attempt}"
    return EvidenceRejected(f"{what} {problem}", hint=HINT, check=check, party=issuer)


__all__ = ["MOST_AHEAD", "VerifiedReceipt", "require_agreement", "verify_receipt", "verify_with"]
