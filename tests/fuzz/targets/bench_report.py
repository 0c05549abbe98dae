"""Records and results of ``quatrefoil bench all``: a result alone, and both, parted by the first zero byte."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.held import refused_or

from quatrefoil.bench.report import records
from quatrefoil.bench.report.finding import numbers
from quatrefoil.bench.report.layers import LAYERS
from quatrefoil.bench.report.parts import PARTS
from quatrefoil.bench.report.records import RESULTS, record_file, result_file

PROOF = next(part for part in PARTS if part.name == "proof")


def seeds() -> list[bytes]:
    result = json.dumps(
        {"schema": PROOF.schema, "machine": {"cores": 2}, "prove_ms": 1.5, "rows": [{"a": [1]}]}
    ).encode()
    record: dict[str, Any] = {
        "schema": records.SCHEMA,
        "part": "proof",
        "arguments": list(PROOF.arguments(False)),
        "version": "0",
        "code": "0",
        "machine": {"cores": 2},
        "peers": {"one": "1"},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "others": None,
        "digest": hashlib.sha256(result).hexdigest(),
    }
    return [json.dumps(record).encode() + b"\0" + result, result]


def one(data: bytes) -> None:
    record, _, result = data.partition(b"\0")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / RESULTS).mkdir()
        record_file(folder, PROOF).write_bytes(record)
        result_file(folder, PROOF).write_bytes(result)
        kept = refused_or(lambda: records.read(folder, PROOF, None))
    if kept is not None:
        assert kept.record.part == "proof" and kept.record.digest == hashlib.sha256(result).hexdigest()
    alone = refused_or(lambda: records.read_result(data, PROOF, {"cores": 2}))
    if alone is not None:
        assert all(figure.shown({"proof": alone}) for layer in LAYERS for figure in (*layer.figures, *layer.latencies))
        assert all(isinstance(value, float) for value in numbers(alone, "rows[*].a[*]"))
