"""What the server's steps cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Costs:
    """Processor time of this process, threads included, and time on the clock, by step, in milliseconds. Waiting for a
    silo is in no step."""

    cpu_ms: dict[str, float] = field(default_factory=dict)
    wall_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu_ms[name] = self.cpu_ms.get(name, 0.0) + (time.process_time() - cpu) * 1e3
            self.wall_ms[name] = self.wall_ms.get(name, 0.0) + (time.perf_counter() - wall) * 1e3
