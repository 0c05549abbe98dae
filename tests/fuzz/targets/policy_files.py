"""Policy and workload files."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.held import refused_or

from quatrefoil.configuration import LARGEST_FILE
from quatrefoil.policy import Policy
from quatrefoil.workload import Workload

ROOT = Path(__file__).parents[3]


def seeds() -> list[bytes]:
    files = sorted([*ROOT.glob("examples/**/*.toml"), *ROOT.glob("src/quatrefoil/demo/*.toml")])
    return [file.read_bytes() for file in files]


def one(data: bytes) -> None:
    """What a file gives can be sent, and arrives the same."""
    text = data[:LARGEST_FILE].decode("utf-8", "replace")
    for kind in (Policy, Workload):
        value = refused_or(lambda kind=kind: kind.parse(text, source="it"))
        if value is not None:
            assert kind.decode(value.encode()) == value
