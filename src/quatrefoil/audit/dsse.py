"""Signed files: the DSSE envelope (Dead Simple Signing Envelope, v1.0.2) with signatures of this product's identities.

A signature is ML-DSA (FIPS 204) by a party's certified key, under the empty context, over the pre-authentication
encoding of payload type and payload. ``keyid`` is the SHA-256 of the certificate, which lies beside the signature in a
DSSE signature extension, so that a reader with the consortium's root needs nothing else.

What the empty context leaves to the first bytes is kept apart there: TLS 1.3 signs 64 spaces, COSE a CBOR array, a
certificate request a DER sequence, and DSSE the letters ``DSSEv1``.

The signature does not cover the certificate, and one key may be certified twice. Whoever reads an envelope must
therefore know from the payload which certificates may sign it; :meth:`Notary.verify` gives them and judges no roles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected
from quatrefoil.transport import Clock, Identity, Party, TrustAnchor

IN_TOTO = "application/vnd.in-toto+json"
"""Payload type of an in-toto statement."""

EXTENSION = "application/vnd.quatrefoil.certificate;version=1"
"""Kind of the extension that holds the signer's certificate: ``{"certificate": base64 of its DER}``."""

LARGEST_PAYLOAD = 24 << 20
LARGEST_ENVELOPE = 64 << 20
MOST_SIGNATURES = 4096
_LARGEST_CERTIFICATE = 1 << 16
_LARGEST_SIGNATURE = 1 << 13
_HINT = "Ask for the envelope again; it is no evidence as it is"


@dataclass(frozen=True)
class Signature:
    """One signature, and the certificate (DER) that it is to be checked with."""

    certificate: bytes
    signature: bytes

    @property
    def keyid(self) -> bytes:
        """SHA-256 of the certificate."""
        return hashlib.sha256(self.certificate).digest()


@dataclass(frozen=True)
class Envelope:
    """A payload, its type, and who signed it, each certificate once. Making one checks no signature."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The JSON form, names sorted, ending in a line feed."""
        content = {
            "payload": strict_json.to_base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [_written(one) for one in self.signatures],
        }
        return strict_json.canonical(content) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """The envelope in ``data``, or ``EvidenceRejected``.

        Stricter than DSSE: an unknown name is refused, not ignored, since what nobody understands is no evidence, and
        so is a signature without certificate or a second one of the same certificate. Spaces and order are free.
        """
        content = _object(
            strict_json.parse(data, "envelope", limit=LARGEST_ENVELOPE),
            "envelope",
            ("payload", "payloadType", "signatures"),
        )
        payload = strict_json.from_base64(_text(content["payload"], "payload"), "payload")
        if len(payload) > LARGEST_PAYLOAD:
            raise EvidenceRejected(f"a payload of {len(payload)} bytes is over {LARGEST_PAYLOAD}", hint=_HINT)
        listed = content["signatures"]
        if type(listed) is not list or not 1 <= len(listed) <= MOST_SIGNATURES:
            raise EvidenceRejected("the envelope is not signed by 1 to 4,096 parties", hint=_HINT)
        signatures = tuple(_signature(one, f"signature {at}") for at, one in enumerate(listed))
        if len({one.keyid for one in signatures}) != len(signatures):
            raise EvidenceRejected("the envelope has two signatures of one certificate", hint=_HINT)
        return cls(_text(content["payloadType"], "payloadType"), payload, signatures)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload: names what is said, whoever has signed it by now."""
        return hashlib.sha256(self.payload).digest()

    def with_signature(self, signature: Signature) -> Envelope:
        """This envelope with one signature more, or as it is where that certificate has signed already."""
        if signature.keyid in {one.keyid for one in self.signatures}:
            return self
        return replace(self, signatures=(*self.signatures, signature))


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding (DSSE protocol, "Signature Definition"): what is signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class Notary:
    """Signs envelopes as one party, and verifies those of others against its roots."""

    def __init__(self, identity: Identity, trust: TrustAnchor, *, clock: Clock) -> None:
        self._identity = identity
        self._verifier = Verifier(trust, clock=clock)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate that signs."""
        return self._identity.fingerprint

    @property
    def verifier(self) -> Verifier:
        return self._verifier

    def sign(self, payload: bytes, payload_type: str = IN_TOTO) -> Signature:
        """This party's signature on a payload."""
        return Signature(self._identity.certificate_der, self._identity.sign(pae(payload_type, payload), context=b""))

    def __repr__(self) -> str:
        return f"Notary({self._identity!r})"


class Verifier:
    """Whom an auditor believes, and what time it is."""

    def __init__(self, trust: TrustAnchor, *, clock: Clock) -> None:
        self._trust = trust
        self._clock = clock

    def now(self) -> datetime:
        return self._clock()

    def verify(self, envelope: Envelope, signature: Signature, *, claimed: datetime) -> Party:
        """The certified party whose signature on the envelope this is, or ``EvidenceRejected``.

        Chain and validity are judged at the time ``claimed``, revocation as of now: see ``TrustAnchor.verify``.
        """
        party = self._trust.verify(signature.certificate, at=self._clock(), refusal=EvidenceRejected, claimed=claimed)
        try:
            party.public_key.verify(signature.signature, pae(envelope.payload_type, envelope.payload), b"")
        except (InvalidSignature, ValueError):
            raise EvidenceRejected(
                f"the signature of {party.name!r} ({party.role}) does not fit the payload", hint=_HINT, party=party.name
            ) from None
        return party


def _written(one: Signature) -> dict[str, Any]:
    return {
        "extension": {"ext": {"certificate": strict_json.to_base64(one.certificate)}, "kind": EXTENSION},
        "keyid": one.keyid.hex(),
        "sig": strict_json.to_base64(one.signature),
    }


def _signature(value: Any, where: str) -> Signature:
    content = _object(value, where, ("extension", "keyid", "sig"))
    extension = _object(content["extension"], f"extension of {where}", ("ext", "kind"))
    if extension["kind"] != EXTENSION:
        raise EvidenceRejected(f"the extension of {where} is no certificate of Quatrefoil", hint=_HINT)
    ext = _object(extension["ext"], f"extension of {where}", ("certificate",))
    certificate = strict_json.from_base64(_text(ext["certificate"], where), f"certificate of {where}")
    signature = strict_json.from_base64(_text(content["sig"], where), where)
    if not 1 <= len(certificate) <= _LARGEST_CERTIFICATE or not 1 <= len(signature) <= _LARGEST_SIGNATURE:
        raise EvidenceRejected(f"{where} or its certificate is empty, or far too long", hint=_HINT)
    found = Signature(certificate, signature)
    if content["keyid"] != found.keyid.hex():
        raise EvidenceRejected(f"the keyid of {where} is not the SHA-256 of its certificate", hint=_HINT)
    return found


def _object(value: Any, what: str, names: Sequence[str]) -> dict[str, Any]:
    if type(value) is not dict or sorted(value) != sorted(names):
        found = ", ".join(sorted(value))[:80] if type(value) is dict else type(value).__name__
        raise EvidenceRejected(f"{what} holds {found or 'nothing'}, not {', '.join(names)}", hint=_HINT)
    return value


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise EvidenceRejected(f"{what} is {type(value).__name__}, not text", hint=_HINT)
    return value
