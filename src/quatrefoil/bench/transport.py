"""What post-quantum channels cost beside classical mutual TLS: handshakes, small requests, long messages.

Each row is one shape of session under one stack. A client in this process and a server in another run on loopback, and
every stack takes its turn in every repetition, so that what else the machine does falls on all of them. Ratios are of
the same shape under classical TLS: of the best time, of the median, and of the processor time of both ends together,
which is what remains on a noisy machine.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from quatrefoil.bench.transport_far import Far, far_end, serve_channels, serve_classically
from quatrefoil.bench.transport_near import Channels, Classical, Near, write_identities
from quatrefoil.bench.transport_work import Asker, Direct
from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.transport import policy_named

REQUEST = 1000
REQUESTS = 200
CONNECTIONS = 20
UPLOAD = 20_000_000
MESSAGES = 5

POLICIES = ("hybrid-768", "hybrid-1024", "cnsa-2.0")


@dataclass(frozen=True)
class Shape:
    """``run`` does one session; it may return the seconds to count, and otherwise all of them count. ``work``: whether
    there is something to do besides moving bytes, which is then also timed without a channel."""

    name: str
    run: Callable[[Near, Asker], float | None]
    bytes_moved: int = 0
    resumed: bool | None = None
    work: bool = False


def measure_transport(repeats: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each shape and stack; the classical one first in each shape."""
    if repeats < 1:
        raise ParametersRefused(f"{repeats} repetitions measure nothing", hint="Ask for at least one")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name, ExitStack() as ends:
        folder = Path(name)
        write_identities(folder)
        asker = Asker(folder)
        far = ends.enter_context(far_end(serve_classically, folder))
        stacks: list[tuple[Near, Far]] = [(Classical(folder, far.port), far)]
        for policy in POLICIES:
            far = ends.enter_context(far_end(serve_channels, folder, policy))
            stacks.append((Channels(folder, far.port, policy_named(policy)), far))
        rows = []
        for shape in SHAPES:
            progress(f"{shape.name}: {repeats} times under {len(stacks)} stacks")
            alone = _alone(shape, Direct(folder), asker, repeats) if shape.work else None
            rows += _rows(shape, stacks, asker, repeats, alone)
        return rows


def _alone(shape: Shape, direct: Direct, asker: Asker, repeats: int) -> float:
    """Milliseconds of the work in a session, at best, where the far end is a function of this process."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        shape.run(cast(Near, direct), asker)
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def _rows(
    shape: Shape, stacks: list[tuple[Near, Far]], asker: Asker, repeats: int, alone: float | None
) -> list[dict[str, Any]]:
    samples: dict[str, list[tuple[float, float, float]]] = {near.name: [] for near, _ in stacks}
    for repetition in range(repeats + 1):
        for near, far in stacks:
            sample = _sample(shape, near, far, asker)
            if repetition:  # the first is for warming up
                samples[near.name].append(sample)
    rows = []
    for near, _ in stacks:
        times, nears, fars = zip(*samples[near.name], strict=True)
        rows.append(
            {
                "shape": shape.name,
                "stack": near.name,
                "best_ms": 1e3 * min(times),
                "median_ms": 1e3 * statistics.median(times),
                "cpu_client_ms": 1e3 * min(nears),
                "cpu_server_ms": 1e3 * min(fars),
                "handshake_bytes": None if shape.resumed is None else near.handshake_bytes(resume=shape.resumed),
                "work_ms": alone,
                "mb_per_s": shape.bytes_moved / min(times) / 1e6 if shape.bytes_moved else None,
            }
        )
    for row in rows:
        for ratio, figures in RATIOS.items():
            row[ratio] = sum(row[one] for one in figures) / sum(rows[0][one] for one in figures)
    return rows


RATIOS = {
    "ratio_best": ("best_ms",),
    "ratio_median": ("median_ms",),
    "ratio_cpu": ("cpu_client_ms", "cpu_server_ms"),
}
"""Ratio to classical TLS -> the figures that are added and compared."""


def _sample(shape: Shape, near: Near, far: Far, asker: Asker) -> tuple[float, float, float]:
    far_begin, near_begin, begin = far.cpu(), time.process_time(), time.perf_counter()
    counted = shape.run(near, asker)
    elapsed, near_end = time.perf_counter() - begin, time.process_time()
    return counted or elapsed, near_end - near_begin, far.cpu() - far_begin


def _handshake(near: Near, *, resume: bool) -> None:
    with near.connect(resume=resume) as link:
        _expect(link.ask(b""), b"")  # which also brings a client of the standard library its session


def _requests(near: Near, *, resume: bool) -> None:
    message = bytes(REQUEST)
    with near.connect(resume=resume) as link:
        for _ in range(REQUESTS):
            _expect(link.ask(message), message)


def _scores(near: Near, asker: Asker) -> None:
    with near.connect() as link:
        for _ in range(REQUESTS):
            _expect(link.ask(asker.patients), asker.scores)


def _statements(near: Near, asker: Asker) -> None:
    with near.connect() as link:
        for number in range(REQUESTS):
            body = number.to_bytes(REQUEST, "big")
            asker.require_receipt(link.ask(asker.statement(body)), body)


def _connections(near: Near, *, resume: bool) -> None:
    message = bytes(REQUEST)
    for _ in range(CONNECTIONS):
        with near.connect(resume=resume) as link:
            _expect(link.ask(message), message)


def _upload(near: Near) -> None:
    with near.connect() as link:
        _expect(link.ask(_long_message()), b"!")


def _stream(near: Near) -> float:
    message = _long_message()
    with near.connect() as link:
        begin = time.perf_counter()
        for _ in range(MESSAGES):
            _expect(link.ask(message), b"!")
        return time.perf_counter() - begin


def _stream_async(near: Near) -> float:
    return asyncio.run(near.stream(_long_message(), MESSAGES))


def _long_message() -> bytes:
    return bytes(UPLOAD)


def _expect(answer: bytes, expected: bytes) -> None:
    if answer != expected:
        raise HostError("the far end of the bench answered something else", hint="Run it again; report it if it stays")


SHAPES = (
    Shape("handshake and an empty message", lambda near, _: _handshake(near, resume=False), resumed=False),
    Shape("handshake and an empty message, resumed", lambda near, _: _handshake(near, resume=True), resumed=True),
    Shape("200 requests of 1 kB on a connection", lambda near, _: _requests(near, resume=False)),
    Shape("200 requests of 1 kB on a connection, resumed", lambda near, _: _requests(near, resume=True)),
    Shape("200 requests of 8 patients, scored by a model", _scores, work=True),
    Shape("200 signed statements of 1 kB, answered by such", _statements, work=True),
    Shape("20 requests of 1 kB, a connection each", lambda near, _: _connections(near, resume=False)),
    Shape("20 requests of 1 kB, a connection each, resumed", lambda near, _: _connections(near, resume=True)),
    Shape("upload of 20 MB", lambda near, _: _upload(near), bytes_moved=UPLOAD),
    Shape("stream of 100 MB, blocking client", lambda near, _: _stream(near), bytes_moved=MESSAGES * UPLOAD),
    Shape("stream of 100 MB, asyncio client", lambda near, _: _stream_async(near), bytes_moved=MESSAGES * UPLOAD),
)
"""Sessions count from the connection to the goodbye of both ends, a full handshake among it where nothing else is said;
streams from the first message to the last answer. In the rows with work there is one connection as well; a model scores
each request, or the client signs, the server verifies and signs its answer, and the client verifies that."""
