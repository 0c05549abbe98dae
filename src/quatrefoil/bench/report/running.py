"""One bench in a process of its own: started, listened to, stopped, and what it left checked before it counts."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TextIO

from quatrefoil.bench.report import records
from quatrefoil.bench.report.family import family_of_what_starts
from quatrefoil.bench.report.parts import Part
from quatrefoil.bench.report.records import RESULTS, Here, Kept, Record
from quatrefoil.errors import EvidenceRejected, HostError

Say = Callable[[str], None]

MOST_LINE = 1000
"""Characters of a line of progress that are kept."""

GRACE = 15.0
"""Seconds that a bench has to stop its own servers once it is asked to end."""


@dataclass(frozen=True)
class Way:
    """How a bench is started. ``command``: before its arguments, a program that ends when this process does; ``lock``:
    an open file that it holds open too, so that nobody takes the folder while it still runs."""

    command: tuple[str, ...]
    lock: int


def measure(part: Part, quick: bool, folder: Path, way: Way, now: Here, say: Say) -> Kept:
    """Run a part and keep what it measured. ``HostError`` says how it failed; then nothing is kept."""
    arguments, peers = part.arguments(quick), records.peers_of(part, now.apart)
    started, before = datetime.now(UTC), _Processors.read()
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name:
        file = Path(name) / "result.json"
        clock = time.perf_counter()
        command = (*way.command, *arguments, "--json", str(file))
        with family_of_what_starts() as end_family:
            _run(part, command, folder, way, part.most_seconds(quick), say, end_family)
        seconds = time.perf_counter() - clock
        try:
            data = file.read_bytes()
        except OSError:
            raise HostError(f"{part.name} ended well and wrote no result", hint="This is a bug: report it") from None
    try:
        result = records.read_result(data, part, now.machine)
    except EvidenceRejected as error:
        raise HostError(error.problem, hint="This is a bug: report it") from None
    record = Record(
        part=part.name,
        arguments=arguments,
        version=now.version,
        code=now.code,
        machine=now.machine,
        peers=peers,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        others=_Processors.read().others_since(before),
        digest=hashlib.sha256(data).hexdigest(),
    )
    records.write(folder, part, data, record)
    return Kept(record, result)


def _run(
    part: Part,
    command: Sequence[str],
    folder: Path,
    way: Way,
    most: float,
    say: Say,
    end_family: Callable[[], None],
) -> None:
    """To its end. What it prints for people is kept in ``NAME.txt``; its progress is passed on, line by line."""
    with (folder / RESULTS / f"{part.name}.txt").open("wb") as printed:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(way.lock,),
        )
    assert process.stderr is not None
    last = ""
    with process.stderr:
        lines: SimpleQueue[str] = SimpleQueue()
        listener = threading.Thread(target=_listen, args=(process.stderr, lines))
        listener.start()
        try:
            last = _passed_on(process, lines, time.monotonic() + most, say)
            late = process.poll() is None
        finally:
            _end(process)
            end_family()  # with whatever else holds the pipe open, so that the listener ends
            listener.join()
    while not lines.empty():
        last = lines.get()
        say(last)
    if late:
        raise HostError(f"{part.name} took longer than {most:.0f} s and was stopped", hint="Measure on an idle machine")
    if process.returncode != 0:
        raise HostError(f"{part.name} {_ended(process.returncode, last)}", hint=f"Try it alone: quatrefoil {part.full}")


def _listen(pipe: TextIO, lines: SimpleQueue[str]) -> None:
    for line in pipe:
        if line.strip():
            lines.put(line.strip()[:MOST_LINE])


def _passed_on(process: subprocess.Popen[str], lines: SimpleQueue[str], end: float, say: Say) -> str:
    """Say each line until the process ends or the time is over; the last one."""
    last = ""
    while process.poll() is None and time.monotonic() < end:
        with suppress(Empty):
            last = lines.get(timeout=0.1)
            say(last)
    return last


def _end(process: subprocess.Popen[str]) -> None:
    """The bench and its group: asked first, so that it stops its servers; then killed."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ended(code: int, last: str) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    return f"failed: {last.removeprefix('quatrefoil: ')[:300] or f'exit code {code}'}"


@dataclass(frozen=True)
class _Processors:
    """Processor time so far in seconds: of the whole machine, of this process's ended descendants, and the clock.

    ``busy`` is None where there is no ``/proc/stat`` (proc_stat(5)); time that a host took from this machine counts.
    """

    busy: float | None
    children: float
    clock: float

    @classmethod
    def read(cls) -> _Processors:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = None
        with suppress(OSError, ValueError, IndexError):
            fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
            busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
        return cls(busy, used.ru_utime + used.ru_stime, time.perf_counter())

    def others_since(self, before: _Processors) -> float | None:
        """What others took of the machine's processor time, 0 to 1."""
        if self.busy is None or before.busy is None:
            return None
        spent = (self.busy - before.busy) - (self.children - before.children)
        most = (self.clock - before.clock) * (os.cpu_count() or 1)
        return round(min(1.0, max(0.0, spent / most)), 3)


__all__ = ["Say", "Way", "measure"]
