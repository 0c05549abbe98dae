"""Attestation documents of the Nitro security module: COSE_Sign1 (RFC 9052 section 4.2), whole or not at all.

Sources: AWS, "Verifying the root of trust" (Nitro Enclaves user guide) and ``aws-nitro-enclaves-nsm-api``,
``docs/attestation_process.md``, section 3.1, for fields and sizes. What they leave open has one form here: no CBOR tag
around the document, an empty unprotected header, every length as short as it can be. The payload may be a map of
indefinite length, as real ones are; its own bytes are signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import cbor2

from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.wire import parse_cbor

PCRS = 32
"""Platform configuration registers are numbered below this."""
PCR_BYTES = 48
"""SHA-384: the one digest that documents are of."""
SIGNATURE_BYTES = 96
PROTECTED = b"\xa1\x01\x38\x22"
"""The protected header ``{1: -35}``: ES384."""

_LARGEST_PAYLOAD = 16 << 10
_LARGEST_CERTIFICATE = 1024
_LONGEST_BUNDLE = 8
_LARGEST_DATA = 1024
_LAST_MS = 253_402_300_799_999
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_REQUIRED = {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"}
_OPTIONAL = {"public_key", "user_data", "nonce"}


@dataclass(frozen=True)
class Document:
    """A document as it stands, unverified."""

    module_id: str
    """Instance and enclave."""
    made_at: datetime
    pcrs: Mapping[int, bytes]
    """0, 1 and 2 are there."""
    certificate: bytes
    """DER, of the key that signed."""
    bundle: tuple[bytes, ...]
    """DER of authorities, the root first."""
    public_key: bytes
    user_data: bytes
    nonce: bytes
    """What the enclave put in; empty where it put in nothing."""
    signed: bytes
    """What the signature is over: the Sig_structure (RFC 9052 section 4.4)."""
    r: int
    s: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The document in ``data``, or ``EvidenceRejected`` with the check "format"."""
        outer = _cbor(data, "document")
        if not (isinstance(outer, list) and len(outer) == 4):
            raise _rejected("the document is not a COSE_Sign1 of four parts")
        protected, unprotected, payload, signature = outer
        if protected != PROTECTED or unprotected != {} or not isinstance(unprotected, dict):
            raise _rejected("the document's headers are not those of ES384 alone")
        payload = _bytes("payload", payload, _LARGEST_PAYLOAD, least=1)
        signature = _bytes("signature", signature, SIGNATURE_BYTES, least=SIGNATURE_BYTES)
        if cbor2.dumps(outer) != data:
            raise _rejected("the document is not in its shortest form, or has bytes after its end")
        return cls(
            **_fields(payload),
            signed=cbor2.dumps(["Signature1", protected, b"", payload]),
            r=int.from_bytes(signature[:48], "big"),
            s=int.from_bytes(signature[48:], "big"),
        )


def _fields(payload: bytes) -> dict[str, Any]:
    found = _cbor(payload, "payload", indefinite=True)
    if not isinstance(found, dict):
        raise _rejected("the payload is not a map")
    if not (_REQUIRED <= set(found) <= _REQUIRED | _OPTIONAL):
        # A NitroTPM's document has the same root and other registers: it speaks of a whole instance.
        wrong = sorted(str(name)[:20] for name in set(found) ^ _REQUIRED if name not in _OPTIONAL)
        raise _rejected(f"the payload's fields are not those of an enclave's document: {', '.join(wrong)}")
    if payload not in _forms(found):
        raise _rejected("the payload is not in its shortest form, repeats a field, or has bytes after its end")
    if found["digest"] != "SHA384":
        raise _rejected(f"the document's digest is {str(found['digest'])[:20]}, not SHA384")
    name, made = found["module_id"], found["timestamp"]
    if not (isinstance(name, str) and _MODULE.fullmatch(name)):
        raise _rejected("the document's module_id is no name of an enclave")
    if not (type(made) is int and 0 < made <= _LAST_MS):
        raise _rejected("the document's timestamp is no time in milliseconds")
    bundle = found["cabundle"]
    if not (isinstance(bundle, list) and 1 <= len(bundle) <= _LONGEST_BUNDLE):
        raise _rejected(f"the document's cabundle does not hold 1 to {_LONGEST_BUNDLE} certificates")
    return {
        "module_id": name,
        "made_at": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=made),
        "pcrs": _registers(found["pcrs"]),
        "certificate": _bytes("certificate", found["certificate"], _LARGEST_CERTIFICATE, least=1),
        "bundle": tuple(_bytes("cabundle", one, _LARGEST_CERTIFICATE, least=1) for one in bundle),
        # Left out, or null: both are written.
        **{name: _optional(name, found.get(name)) for name in sorted(_OPTIONAL)},
    }


def _optional(name: str, value: Any) -> bytes:
    return b"" if value is None else _bytes(name, value, _LARGEST_DATA)


def _registers(found: Any) -> dict[int, bytes]:
    if not (isinstance(found, dict) and all(type(number) is int and 0 <= number < PCRS for number in found)):
        raise _rejected(f"the document's pcrs are not registers numbered below {PCRS}")
    if not {0, 1, 2} <= set(found):
        raise _rejected("the document lacks PCR0, PCR1 or PCR2")
    return {number: _bytes(f"PCR{number}", found[number], PCR_BYTES, least=PCR_BYTES) for number in sorted(found)}


def _forms(found: dict[Any, Any]) -> tuple[bytes, bytes]:
    """The two ways to write a map with these fields in this order: with its length, and up to a break."""
    fields = b"".join(cbor2.dumps(name) + cbor2.dumps(value) for name, value in found.items())
    return bytes([0xA0 | len(found)]) + fields, b"\xbf" + fields + b"\xff"


def _cbor(data: bytes, what: str, *, indefinite: bool = False) -> Any:
    try:
        return parse_cbor(data, what, indefinite=indefinite)
    except MessageRefused as refused:
        raise _rejected(f"the {refused.problem}") from None


def _bytes(name: str, value: Any, most: int, *, least: int = 0) -> bytes:
    if not (isinstance(value, bytes) and least <= len(value) <= most):
        raise _rejected(f"the document's {name} is not {least} to {most} bytes")
    return value


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        problem,
        hint="Send what the Nitro security module returned to the enclave, byte for byte",
        check="format",
    )


__all__ = ["PCRS", "PCR_BYTES", "Document"]
