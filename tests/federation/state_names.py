"""Under which names parties store what they remember."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from quatrefoil.state import MemoryState


def names_of_state(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names that are written from now on, as they are."""
    names: set[str] = set()
    put_once, replace = MemoryState.put_once, MemoryState.replace

    def put_once_seen(state: MemoryState, name: str, value: bytes) -> bytes:
        names.add(name)
        return put_once(state, name, value)

    def replace_seen(state: MemoryState, changes: Mapping[str, bytes | None]) -> None:
        names.update(changes)
        replace(state, changes)

    monkeypatch.setattr(MemoryState, "put_once", put_once_seen)
    monkeypatch.setattr(MemoryState, "replace", replace_seen)
    return names
