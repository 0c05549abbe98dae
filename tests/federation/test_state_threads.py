"""A state in a file is for any thread: nobody reads in the middle of a change."""

from __future__ import annotations

import threading
from pathlib import Path

from quatrefoil.state import SqliteState


def test_no_thread_sees_half_of_a_change(tmp_path: Path) -> None:
    """Two names that always hold the same, and are looked at while they change: never may one be ahead."""
    state = SqliteState(tmp_path / "state.sqlite")
    state.replace({"a": b"0", "b": b"0"})
    over, wrong = threading.Event(), list[tuple[bytes | None, bytes | None]]()

    def look() -> None:
        while not over.is_set():
            later = state.get("b")
            first = state.get("a")
            # What was read later is of the same change or of a later one.
            if first is None or later is None or int(first) < int(later):
                wrong.append((first, later))

    looking = [threading.Thread(target=look) for _ in range(2)]
    for one in looking:
        one.start()
    try:
        for number in range(1, 40):
            state.replace({"b": str(number).encode(), "gone": None, "a": str(number).encode()})
    finally:
        over.set()
        for one in looking:
            one.join()
        state.close()
    assert wrong == []
