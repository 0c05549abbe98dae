"""Signed messages taken apart, changed and damaged, as whoever carries or signs them could."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from cryptography import x509

from identities import speaking_as
from quatrefoil.transport import Identity
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import WireObject

Message = TypeVar("Message", bound=WireObject)


def body_of(signed: bytes) -> bytes:
    """What was signed, without asking by whom."""
    return Signed.decode(signed).body


def changed(signed: bytes, kind: type[Message], holder: Identity, **changes: object) -> bytes:
    """A signed message with some fields changed, signed anew by ``holder``: what a lying party would send."""
    return speaking_as(holder).sign(dataclasses.replace(kind.decode(body_of(signed)), **changes).encode())


def signer_of(signed: bytes) -> str:
    """Whose certificate it has, without asking who certified that."""
    subject = x509.load_der_x509_certificate(Signed.decode(signed).certificate).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def damaged(data: bytes, position: int = -1) -> bytes:
    """``data`` with one bit turned."""
    content = bytearray(data)
    content[position] ^= 1
    return bytes(content)
