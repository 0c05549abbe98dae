"""The manifest of a bundle of collateral, as it lies on a disk."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.fuzz.held import refused_or_same

from quatrefoil.endorsements.manifest import Entry, Manifest
from quatrefoil.endorsements.parts import Part

AT = datetime(2026, 6, 1, tzinfo=UTC)


def seeds() -> list[bytes]:
    parts = (Part("TCB info", AT, None), Part("revocation list", AT, AT))
    entries = tuple(Entry(name, "what", ("https://a/b",), AT, "ab" * 32, parts) for name in ("a.pem", "b-1.json"))
    return [Manifest().encode(), Manifest(entries).encode()]


def one(data: bytes) -> None:
    refused_or_same(lambda: Manifest.decode(data), Manifest.encode, data)
