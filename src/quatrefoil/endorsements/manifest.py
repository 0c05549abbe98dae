"""The list of what was fetched: ``collateral.manifest`` in a bundle, beside the files that verification reads.

It answers where a file came from, when, and until when it holds. Verification never reads it, and nothing is believed
for being in it: dates are read from the files again. The name has an ending that verification leaves alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from quatrefoil import strict_json
from quatrefoil.enclave.collateral import MOST_FILES
from quatrefoil.endorsements.parts import Part
from quatrefoil.errors import EvidenceRejected, StateCorrupt

NAME = "collateral.manifest"
TYPE, VERSION = "urn:quatrefoil:collateral-manifest", 1
LARGEST = 1 << 20
MOST_SOURCES, MOST_PARTS = 8, 64

_FILE = re.compile(r"[a-z0-9][a-z0-9-]{0,120}\.(?:pem|der|crl|json)", re.ASCII)
_SHA256 = re.compile("[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Entry:
    """One file of a bundle as it was fetched."""

    name: str
    what: str
    sources: tuple[str, ...]
    """Addresses it was fetched from."""
    fetched_at: datetime
    sha256: str
    """Of the file, in hexadecimal."""
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Manifest:
    """Entries by the order of their names, each name once."""

    entries: tuple[Entry, ...] = ()

    def with_entries(self, new: tuple[Entry, ...]) -> Self:
        """This one with ``new`` beside its entries, or in the place of those with the same name."""
        by_name = {entry.name: entry for entry in (*self.entries, *new)}
        return type(self)(tuple(by_name[name] for name in sorted(by_name)))

    def encode(self) -> bytes:
        files = [
            {
                "name": entry.name,
                "what": entry.what,
                "sources": list(entry.sources),
                "fetched_at": entry.fetched_at.strftime(_TIME),
                "sha256": entry.sha256,
                "parts": [
                    {"name": part.name, "since": _written(part.since), "until": _written(part.until)}
                    for part in entry.parts
                ],
            }
            for entry in self.entries
        ]
        text = json.dumps({"type": TYPE, "version": VERSION, "files": files}, indent=1, sort_keys=True)
        return text.encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Exactly what :meth:`encode` writes, or ``StateCorrupt``."""
        try:
            value = strict_json.parse(data, "the manifest", limit=LARGEST)
            read = _object(value, {"type": str, "version": int, "files": list})
            if (read["type"], read["version"]) != (TYPE, VERSION):
                raise _Refused("is of another type or version")
            found = cls(tuple(_entry(one) for one in _at_most(read["files"], MOST_FILES)))
        except EvidenceRejected as refusal:
            raise _corrupt(refusal.problem) from None
        except _Refused as refusal:
            raise _corrupt(f"the manifest {refusal}") from None
        if found != found.with_entries(()) or found.encode() != data:
            raise _corrupt("the manifest is not written as this program writes it")
        return found


class _Refused(Exception):
    pass


def _corrupt(problem: str) -> StateCorrupt:
    return StateCorrupt(problem, hint=f"Remove {NAME} and fetch again: verification does not need it")


def _entry(value: object) -> Entry:
    read = _object(value, {"name": str, "what": str, "sources": list, "fetched_at": str, "sha256": str, "parts": list})
    if not _FILE.fullmatch(read["name"]) or not _SHA256.fullmatch(read["sha256"]):
        raise _Refused("names a file that no bundle has, or no SHA-256")
    sources = _at_most(read["sources"], MOST_SOURCES)
    if not all(isinstance(source, str) for source in sources):
        raise _Refused("has a source that is not text")
    parts = tuple(_part(one) for one in _at_most(read["parts"], MOST_PARTS))
    return Entry(read["name"], read["what"], tuple(sources), _time(read["fetched_at"]), read["sha256"], parts)


def _part(value: object) -> Part:
    read = _object(value, {"name": str, "since": str, "until": (str, type(None))})
    return Part(read["name"], _time(read["since"]), None if read["until"] is None else _time(read["until"]))


def _object(value: object, fields: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(fields):
        raise _Refused("has other fields than it should")
    for name, kinds in fields.items():
        if not isinstance(value[name], kinds) or isinstance(value[name], bool):
            raise _Refused(f"has a field {name} that is something else")
    return value


def _at_most(values: list[Any], most: int) -> list[Any]:
    if len(values) > most:
        raise _Refused(f"has a list of {len(values)}, over {most}")
    return values


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime(_TIME)


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise _Refused("has a time that is none") from None


__all__ = ["NAME", "Entry", "Manifest"]
