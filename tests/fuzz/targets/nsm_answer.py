"""Answers of a Nitro security module: a document in bytes, or a refusal."""

from __future__ import annotations

import cbor2
from tests.fuzz.held import refused_or

from quatrefoil.enclave.collectors.nsm import answer_of


def seeds() -> list[bytes]:
    return [cbor2.dumps(value) for value in ({"Attestation": {"document": b"document"}}, {"Error": "InternalError"})]


def one(data: bytes) -> None:
    document = refused_or(lambda: answer_of(data))
    assert document is None or document in data or b"\x5f" in data  # a string in parts is put together
