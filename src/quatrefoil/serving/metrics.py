"""Counts and durations in the text form of Prometheus (``exposition``): of the server, of no party, of no content."""

from __future__ import annotations

import threading
from collections.abc import Callable

from quatrefoil.services import exposition

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

COUNTERS = {
    "answers": ("status", "Answers inside the encryption, by status"),
    "outer": ("status", "Answers outside the encryption, by status"),
    "streams_cut": ("", "Streamed answers that ended before they were whole"),
    "attestations": ("outcome", "Challenges answered, answered from memory, and refused"),
    "rotations": ("outcome", "Keysets made, and refused"),
}


class Metrics:
    """May be called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._seconds = [0] * (len(BOUNDS_S) + 1)
        self._sum = 0.0
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def count(self, name: str, label: str = "") -> None:
        """One more; ``name`` is of :data:`COUNTERS`, and ``label`` of a small set."""
        assert name in COUNTERS
        with self._lock:
            self._counts[name, label] = self._counts.get((name, label), 0) + 1

    def took(self, seconds: float) -> None:
        """From the first byte of a request until its answer had begun."""
        place = next((at for at, bound in enumerate(BOUNDS_S) if seconds <= bound), len(BOUNDS_S))
        with self._lock:
            self._seconds[place] += 1
            self._sum += seconds

    def value(self, name: str, label: str = "") -> int:
        with self._lock:
            return self._counts.get((name, label), 0)

    def text(self) -> bytes:
        with self._lock:
            counts, seconds, total = dict(self._counts), list(self._seconds), self._sum
        lines: list[str] = []
        for name, (label, text) in COUNTERS.items():
            labels = (label,) if label else ()
            mine = {(value,)[: len(labels)]: number for (one, value), number in counts.items() if one == name}
            lines += exposition.counter(f"quatrefoil_serving_{name}", text, labels, mine)
        whole = "quatrefoil_serving_answer_seconds"
        lines += [f"# HELP {whole} From a request's first byte until its answer began", f"# TYPE {whole} histogram"]
        below = 0
        for bound, number in zip((*map(str, BOUNDS_S), "+Inf"), seconds, strict=True):
            below += number
            lines.append(f'{whole}_bucket{{le="{bound}"}} {below}')
        lines += [f"{whole}_sum {total:.6f}", f"{whole}_count {below}"]
        for name, (text, read) in sorted(self.gauges.items()):
            lines += exposition.gauge(f"quatrefoil_serving_{name}", text, read())
        return ("\n".join(lines) + "\n").encode()


__all__ = ["Metrics"]
