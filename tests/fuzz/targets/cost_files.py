"""Files of measured costs, and logs."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz.held import refused_or

from quatrefoil.audit import MemoryLog, log
from quatrefoil.planner.costs import SCHEMA, Costs


def seeds() -> list[bytes]:
    written = MemoryLog(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    entries = [written.append("x-round", {"number": n, "silos": ["north"]}) for n in range(2)]
    lines = b"".join(log._line(entry) for entry in entries)
    return [lines, lines[:-1], b'{"schema": "%s", "machine": {}}' % SCHEMA.encode()]


def one(data: bytes) -> None:
    refused_or(lambda: Costs.parse(data.decode("utf-8", "replace"), source="it"))
    entries = refused_or(lambda: list(log._checked(io.BufferedReader(io.BytesIO(data)), Path("it"))))
    if entries:
        assert data.startswith(b"".join(log._line(entry) for entry in entries))
