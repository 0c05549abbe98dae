"""Certificates of peers, requests for them, and roots."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import profile


def seeds() -> list[bytes]:
    root = rooms.trust().roots[0]
    foreign = x509.load_pem_x509_certificate((rooms.VECTORS / "cms" / "rsa.crt").read_bytes())
    return [rooms.member().certificate_der, *(one.public_bytes(profile.Encoding.DER) for one in (root, foreign))]


def one(data: bytes) -> None:
    now = datetime.now(UTC)
    party = refused_or(lambda: rooms.trust().verify(data, at=now, refusal=MessageRefused))
    if party is not None:
        assert party.name == "north" and data == rooms.member().certificate_der
    server = profile.parse_host("a.example")
    refused_or(lambda: rooms.trust().verify(data, at=now, refusal=MessageRefused, server=server))
