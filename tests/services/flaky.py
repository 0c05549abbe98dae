"""A state on a server that is away now and then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quatrefoil.errors import StateAway
from quatrefoil.state import MemoryState


class Flaky(MemoryState):
    """Away at each kind of change: at first before it, then after it, and then never again."""

    def __init__(self) -> None:
        super().__init__()
        self.steady = False
        self.failures: dict[str, int] = {}

    def put_once(self, name: str, value: bytes) -> bytes:
        return self._changed(f"put {_kind(name)}", lambda: super(Flaky, self).put_once(name, value))

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        self._changed(f"replace {sorted(set(map(_kind, changes)))}", lambda: super(Flaky, self).replace(changes))

    def _changed(self, what: str, change: Callable[[], object]) -> object:
        failed = self.failures.get(what, 0)
        if self.steady or failed == 2:
            return change()
        self.failures[what] = failed + 1
        if failed == 1:
            change()
        raise StateAway("state x cannot be used (connection refused)", hint="Check the server")


def _kind(name: str) -> str:
    """A name without what is new in every attempt: else there would be no end of them."""
    return name.partition("/")[0]
