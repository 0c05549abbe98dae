"""What stays of a part that was measured: the JSON as its bench wrote it, and a record of how it came about.

``NAME.json`` and ``NAME.record.json`` in the folder ``results``. A record is written last, in one step, and names the
SHA-256 of the JSON: a part whose record fits is finished, and anything else is as if it had not run. Both are read as
bytes from outside, for folders are copied, and disks fill up.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quatrefoil import machine, strict_json
from quatrefoil.bench.report.parts import Part
from quatrefoil.errors import EvidenceRejected, HostError

SCHEMA = "quatrefoil.bench-record/1"
RESULTS = "results"
MOST_BYTES = 16 << 20
"""Of a result."""

_PAGE_ONLY = ("bench/report/", "bench/readme.py", "cli/bench_all.py")
"""Code that measures nothing: a change of it leaves results as good as they were."""


@dataclass(frozen=True)
class Here:
    """What figures are of: this version of the package, and this machine. ``apart``: versions of packages that another
    Python has, which runs the parts that need them."""

    version: str
    code: str
    machine: Mapping[str, Any]
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """``code``: of the package's files, :func:`code_digest`; ``others``: the part of the machine's processor time that
    processes of others took meanwhile, 0 to 1, or None where the system does not tell; ``started``: ISO 8601, UTC."""

    part: str
    arguments: tuple[str, ...]
    version: str
    code: str
    machine: Mapping[str, Any]
    peers: Mapping[str, str]
    started: str
    seconds: float
    others: float | None
    digest: str


@dataclass(frozen=True)
class Kept:
    """A finished part: its record, and what its bench wrote."""

    record: Record
    result: Mapping[str, Any]


def here(apart: Mapping[str, str] | None = None) -> Here:
    code = code_digest(Path(machine.__file__).parent)
    return Here(version("quatrefoil"), code, machine.describe(), dict(apart or {}))


@cache
def code_digest(package: Path) -> str:
    """SHA-256 over the files of a package that compute: two checkouts of one version differ in it, and a change of
    what only draws the report does not."""
    total = hashlib.sha256()
    for file in sorted(package.rglob("*")):
        name = file.relative_to(package).as_posix()
        if file.suffix in (".py", ".so", ".toml") and not name.startswith(_PAGE_ONLY):
            total.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def result_file(folder: Path, part: Part) -> Path:
    return folder / RESULTS / f"{part.name}.json"


def record_file(folder: Path, part: Part) -> Path:
    return folder / RESULTS / f"{part.name}.record.json"


def peers_of(part: Part, apart: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions of a part's peers; ``apart``: of packages that the Python which runs it has."""
    return {peer.name: (apart or {}).get(peer.distribution) or peer.installed() for peer in part.peers}


def read_result(data: bytes, part: Part, on: Mapping[str, Any]) -> dict[str, Any]:
    """What the bench of a part wrote on the machine ``on``; ``EvidenceRejected`` says why it is none."""
    content = strict_json.parse(data, f"the result of {part.name}", limit=MOST_BYTES)
    if not isinstance(content, dict) or content.get("schema") != part.schema:
        raise EvidenceRejected(f"the result of {part.name} is not {part.schema}", hint=_again(part))
    if content.get("machine") != on:
        raise EvidenceRejected(f"the result of {part.name} is of another machine", hint=_again(part))
    return content


def read(folder: Path, part: Part, on: Mapping[str, Any] | None) -> Kept | None:
    """The finished part in a folder, or None where there is none. ``EvidenceRejected`` where files of it are there
    that do not fit together, or are of another machine than ``on``; where that is None, than the record says."""
    try:
        recorded, data = (_bounded(file) for file in (record_file(folder, part), result_file(folder, part)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvidenceRejected(
            f"the result of {part.name} cannot be read ({error.strerror})", hint=_again(part)
        ) from None
    record = _record(strict_json.parse(recorded, f"the record of {part.name}", limit=MOST_BYTES), part)
    if hashlib.sha256(data).hexdigest() != record.digest:
        raise EvidenceRejected(f"the result of {part.name} is not the one that its record names", hint=_again(part))
    return Kept(record, read_result(data, part, record.machine if on is None else on))


def still_good(kept: Kept, part: Part, quick: bool, now: Here) -> bool:
    """Whether measuring again would measure the same: options, version, code, machine and peers."""
    record = kept.record
    return (record.arguments, record.version, record.code, dict(record.machine), dict(record.peers)) == (
        part.arguments(quick),
        now.version,
        now.code,
        dict(now.machine),
        peers_of(part, now.apart),
    )


def write(folder: Path, part: Part, data: bytes, record: Record) -> None:
    """Result first, record last, each in one step: whoever is killed in between has measured nothing yet."""
    try:
        replace(result_file(folder, part), data)
        content = asdict(record) | {"schema": SCHEMA, "arguments": list(record.arguments)}
        replace(record_file(folder, part), strict_json.canonical(content) + b"\n")
    except OSError as error:
        raise HostError(
            f"the result of {part.name} cannot be written ({error.strerror})", hint="Name a folder that you may write"
        ) from None


def _record(content: Any, part: Part) -> Record:
    kinds: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("part", "version", "code", "started", "digest"), (str,)),
        **dict.fromkeys(("machine", "peers"), (dict,)),
        "arguments": (list,),
        "seconds": (float, int),
        "others": (float, int, type(None)),
    }
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or set(content) != {"schema", *kinds}:
        raise EvidenceRejected(f"the record of {part.name} is not {SCHEMA}", hint=_again(part))
    wrong = [name for name, kind in kinds.items() if type(content[name]) not in kind]
    texts = (*content["arguments"], *content["peers"].values()) if not wrong else ()
    if wrong or content["part"] != part.name or not all(type(text) is str for text in texts):
        what = ", ".join(wrong) or "what it is of"
        raise EvidenceRejected(f"the record of {part.name} does not say {what}", hint=_again(part))
    del content["schema"]
    return Record(**content | {"arguments": tuple(content["arguments"])})


def _bounded(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


def replace(file: Path, data: bytes) -> None:
    """``file`` with this content, durable and in one step."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)


def _again(part: Part) -> str:
    return f"Measure it again: --only {part.name}"
