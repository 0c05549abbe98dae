"""What an operator sees of a service from outside: counts, durations and readiness; no party, no digest, no content.

In the text form of Prometheus (``exposition``). ``/readyz`` asks the checks: whether this service can do its work now.
``/healthz`` asks only whether it still moves: a service that waits for another is healthy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from quatrefoil.errors import QuatrefoilError
from quatrefoil.services import exposition
from quatrefoil.services.rpc import Method

COUNTERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "questions": (("method", "outcome"), "Questions answered, by method and outcome"),
    "asked": (("method", "outcome"), "Questions put to another service, by method and outcome"),
    "connections_refused": ((), "Connections refused in their handshake or ended by what they sent"),
    "rounds_finished": ((), "Rounds finished, or results taken, by this process"),
    "attempts_voided": ((), "Attempts at rounds that were voided"),
}
LONGEST_STILL_S = 90.0
"""Seconds without a beat after which a service is not healthy: longer than a call to its state may go on trying."""


class Vitals:
    """May be called from any thread."""

    def __init__(self, role: str, now: Callable[[], float] = time.monotonic) -> None:
        self.role = role
        self._now = now
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, tuple[str, ...]], int] = {}
        self._seconds: dict[str, tuple[float, int]] = {}
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._checks: dict[str, Callable[[], str | None]] = {}
        self._started = time.time()
        self._beaten: float | None = None

    def count(self, name: str, *labels: str) -> None:
        """One more of ``name``, of :data:`COUNTERS`; ``labels`` are of small sets."""
        assert len(COUNTERS[name][0]) == len(labels)
        with self._lock:
            self._counts[name, labels] = self._counts.get((name, labels), 0) + 1

    def value(self, name: str, *labels: str) -> int:
        with self._lock:
            return self._counts.get((name, labels), 0)

    def answered(self, method: str, outcome: str, seconds: float) -> None:
        """A question was answered."""
        self.count("questions", method, outcome)
        if outcome == "wait":  # how long nothing happened is no cost
            return
        with self._lock:
            total, number = self._seconds.get(method, (0.0, 0))
            self._seconds[method] = total + seconds, number + 1

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._gauges[name] = text, read

    def check(self, name: str, problem: Callable[[], str | None]) -> None:
        """What has to hold for this service to be ready: ``problem`` says why it does not, or None."""
        self._checks[name] = problem

    def beat(self) -> None:
        """The service moves. One that never beats, since it waits in calls of others, is not held to it."""
        self._beaten = self._now()

    def still(self) -> bool:
        """Whether a service that beats has stopped to."""
        return self._beaten is not None and self._now() - self._beaten > LONGEST_STILL_S

    def problems(self) -> dict[str, str]:
        """Why this service is not ready: nothing if it is."""
        return {name: found for name, problem in self._checks.items() if (found := problem()) is not None}

    def text(self) -> bytes:
        with self._lock:
            counts, seconds = dict(self._counts), dict(self._seconds)
        lines = [f'# TYPE quatrefoil_service_info gauge\nquatrefoil_service_info{{role="{self.role}"}} 1']
        for name, (labels, text) in COUNTERS.items():
            mine = {values: number for (one, values), number in counts.items() if one == name}
            lines += exposition.counter(f"quatrefoil_{name}", text, labels, mine)
        whole = "quatrefoil_answer_seconds"
        lines += [f"# HELP {whole} From a question until its answer, waits left out", f"# TYPE {whole} summary"]
        for method, (total, number) in sorted(seconds.items()):
            lines.append(f'{whole}_sum{{method="{method}"}} {total:.6f}')
            lines.append(f'{whole}_count{{method="{method}"}} {number}')
        for name, (text, read) in sorted({**self._own(), **self._gauges}.items()):
            lines += exposition.gauge(f"quatrefoil_{name}", text, read())
        return ("\n".join(lines) + "\n").encode()

    def _own(self) -> dict[str, tuple[str, Callable[[], float]]]:
        return {
            "ready": ("1 while this service can do its work", lambda: float(not self.problems())),
            "start_time_seconds": ("When this process began, in Unix seconds", lambda: self._started),
            "resident_bytes": ("Memory of this process", _resident),
        }


def watched(methods: Mapping[str, Method], vitals: Vitals) -> dict[str, Method]:
    """The same methods, each counted and timed."""
    return {name: _watched(name, method, vitals) for name, method in methods.items()}


def _watched(name: str, method: Method, vitals: Vitals) -> Method:
    async def answer(peer: str, body: bytes) -> bytes | None:
        begin, outcome = time.perf_counter(), "failed"
        try:
            found = await method(peer, body)
            outcome = "wait" if found is None else "ok"
            return found
        except QuatrefoilError as error:
            outcome = type(error).__name__
            raise
        finally:
            vitals.answered(name, outcome, time.perf_counter() - begin)

    return answer


def _resident() -> float:
    try:
        with Path("/proc/self/status").open() as file:
            return next(float(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return 0.0


__all__ = ["COUNTERS", "LONGEST_STILL_S", "Vitals", "watched"]
