"""State that is gone with its process."""

from __future__ import annotations

from collections.abc import Mapping


class MemoryState:
    """State for tests and runs in one process. ``copy`` gives what an old backup of a disk would."""

    def __init__(self, values: Mapping[str, bytes] | None = None) -> None:
        self._values = dict(values or {})

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def put_once(self, name: str, value: bytes) -> bytes:
        return self._values.setdefault(name, bytes(value))

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        for name, value in changes.items():
            if value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = bytes(value)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self._values if name.startswith(prefix))

    def copy(self) -> MemoryState:
        return MemoryState(self._values)
