"""A report without measuring: results of the right form, and a program that stands for the benches."""

from __future__ import annotations

import hashlib
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from quatrefoil.bench.report import records
from quatrefoil.bench.report.parts import PARTS, Part
from quatrefoil.bench.report.records import RESULTS, Here, Record

COMMANDS = frozenset(part.command for part in PARTS)
QUICK = False


def part(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)


def result(which: Part, **content: Any) -> dict[str, Any]:
    return {"schema": which.schema, "machine": records.here().machine, **content}


def put(folder: Path, which: Part, content: dict[str, Any], **changed: Any) -> None:
    """A finished part, as if it had been measured by this version."""
    (folder / RESULTS).mkdir(parents=True, exist_ok=True)
    data, now = json.dumps(content).encode(), records.here()
    given: dict[str, Any] = {
        "part": which.name,
        "arguments": which.arguments(QUICK),
        "version": now.version,
        "code": now.code,
        "machine": content.get("machine", now.machine),
        "peers": records.peers_of(which),
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 1.5,
        "others": 0.01,
        "digest": hashlib.sha256(data).hexdigest(),
    }
    records.write(folder, which, data, Record(**given | changed))


def program(folder: Path, body: str) -> tuple[str, ...]:
    """A program in the place of ``quatrefoil``: it has ``name`` of the bench, ``out``, ``good``."""
    file = folder / "program.py"
    head = """
    import json, os, signal, subprocess, sys, time
    from pathlib import Path
    from quatrefoil import machine
    from quatrefoil.bench.report.parts import PARTS
    words = sys.argv[1:]
    out = Path(words[words.index("--json") + 1])
    given = words[: words.index("--json")]
    which = next(p for p in PARTS if given in (list(p.arguments(False)), list(p.arguments(True))))
    name = which.name
    good = {"schema": which.schema, "machine": machine.describe(), "rows": []}
    """
    file.write_text(textwrap.dedent(head) + textwrap.dedent(body))
    return (sys.executable, str(file))


def other_machine(now: Here) -> dict[str, Any]:
    return dict(now.machine) | {"processor": "another"}
