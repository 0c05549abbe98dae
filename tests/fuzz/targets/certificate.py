"""Certificates of peers, requests for them, roots, and lists of what was revoked."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import profile
from quatrefoil.transport.request import read_request, request
from quatrefoil.transport.revocation import read_lists


@cache
def _requested() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return request(Path(folder) / "party", "east", "silo")


def seeds() -> list[bytes]:
    root = rooms.trust().roots[0]
    foreign = x509.load_pem_x509_certificate((rooms.VECTORS / "cms" / "rsa.crt").read_bytes())
    lists = b"".join(one.read_bytes() for one in sorted(rooms.VECTORS.rglob("crl.pem"))[:1])
    certificates = [one.public_bytes(profile.Encoding.DER) for one in (root, foreign)]
    return [rooms.member().certificate_der, *certificates, _requested(), *([lists] if lists else [])]


def one(data: bytes) -> None:
    now = datetime.now(UTC)
    party = refused_or(lambda: rooms.trust().verify(data, at=now, refusal=MessageRefused))
    if party is not None:
        assert party.name == "north" and data == rooms.member().certificate_der
    server = profile.parse_host("a.example")
    refused_or(lambda: rooms.trust().verify(data, at=now, refusal=MessageRefused, server=server))
    asked = refused_or(lambda: read_request(data))
    assert asked is None or (asked.name, asked.role) == ("east", "silo"), "its signature covers what it asks for"
    refused_or(lambda: read_lists(data, "the list", rooms.trust().roots))
