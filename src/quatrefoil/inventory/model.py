"""An algorithm, and a kind of key."""

from __future__ import annotations

from dataclasses import dataclass

NIST = "2.16.840.1.101.3.4"
"""Where NIST names its algorithms."""


@dataclass(frozen=True)
class Algorithm:
    """``primitive`` and ``functions`` are terms of CycloneDX. ``rooms``: where in the tree. ``made_of``: other refs."""

    ref: str
    name: str
    primitive: str
    functions: tuple[str, ...]
    level: int | None
    rooms: tuple[str, ...]
    why: str
    parameters: str = ""
    curve: str = ""
    mode: str = ""
    padding: str = ""
    oid: str = ""
    made_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Material:
    """A kind of key that is kept or sent. ``kind`` is a term of CycloneDX, ``bits`` its size where it is fixed."""

    ref: str
    name: str
    kind: str
    algorithm: str
    where: str
    bits: int = 0
