"""Files of measured costs, and entries of logs."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.fuzz.held import refused_or

from quatrefoil.audit import entries
from quatrefoil.planner.costs import SCHEMA, Costs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def seeds() -> list[bytes]:
    plain = entries.encode(NOON, "x-round", {"number": 1, "silos": ["north"]}, {})
    attached = entries.encode(NOON, "x-round", {"n": 1.5}, {"proof": entries.Attachment.of(b"abc")})
    return [plain, attached, b'{"schema": "%s", "machine": {}}' % SCHEMA.encode()]


def one(data: bytes) -> None:
    refused_or(lambda: Costs.parse(data.decode("utf-8", "replace"), source="it"))
    entry = refused_or(lambda: entries.decode(0, data))
    if entry:
        when = datetime.fromisoformat(entry.time)
        assert entries.encode(when, entry.kind, entry.body, entry.attached) == data
