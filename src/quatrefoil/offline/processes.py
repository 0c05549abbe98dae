"""Tasks in processes of this machine, spawned and not forked: a fork copies locks that threads of libraries hold.

One process more or less does not matter to the others: if one is killed, by the kernel for want of memory for example,
its task fails, and another process takes its place. Processes end with the one that started them, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pickle import PicklingError

from quatrefoil import secrecy
from quatrefoil.errors import CallerError
from quatrefoil.offline.task import (
    Answer,
    Failed,
    Prove,
    Task,
    cores,
    reason,
    require_number,
    share_threads,
    thread_variables,
)

_GRACE_S = 5.0
"""How long a process may take to end that was told to; then it is killed."""


@dataclass(frozen=True)
class Processes:
    """``number`` processes with ``threads`` each; None: as many processes as there are cores or tasks, and threads so
    that both together are the cores. Memory is for the caller to think of: each process has its own."""

    number: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        require_number(self.number, "processes")
        require_number(self.threads, "threads")

    def shared(self, tasks: int) -> tuple[int, int]:
        """How many processes, and how many threads each, for so many tasks here."""
        available = cores()
        number = self.number or max(1, available // (self.threads or 1))
        number = max(1, min(number, tasks))
        return number, self.threads or max(1, available // number)

    def answers(self, prove: Prove, tasks: Sequence[Task]) -> Generator[Answer, None, None]:
        waiting = deque(tasks)
        number, threads = self.shared(len(tasks))
        workers: list[_Worker] = []
        try:
            while waiting or workers:
                while waiting and len(workers) < number:
                    workers.append(_Worker(prove, threads, waiting.popleft()))
                for worker in _ready(workers):
                    yield worker.task, worker.answer()
                    if not worker.alive or not waiting:
                        workers.remove(worker)
                        worker.end()
                    else:
                        worker.begin(waiting.popleft())
        finally:
            for worker in workers:
                worker.kill()


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    """Those that have answered or are gone; waits for the first."""
    ready = connection.wait([one for worker in workers for one in (worker.pipe, worker.process.sentinel)])
    return [worker for worker in workers if worker.pipe in ready or worker.process.sentinel in ready]


class _Worker:
    """A process that computes one task at a time."""

    def __init__(self, prove: Prove, threads: int, task: Task) -> None:
        context = get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(far, prove, threads), daemon=True)
        try:
            with _environment(thread_variables(threads)):
                self.process.start()
        except (PicklingError, AttributeError, TypeError) as error:
            self.pipe.close()
            raise CallerError(
                f"what is to be run cannot be given to another process ({reason(error)})",
                hint="Give a function of a module, or an object that can be pickled",
            ) from None
        finally:
            far.close()
        self.alive = True
        self.begin(task)

    def begin(self, task: Task) -> None:
        self.task = task
        # A process that is gone is noticed where its answer is waited for.
        with contextlib.suppress(OSError):
            self.pipe.send(task)

    def answer(self) -> bytes | Failed:
        try:
            found: bytes | Failed = self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            self.process.join(_GRACE_S)
            return Failed(_ended(self.process.exitcode))
        return found

    def end(self) -> None:
        """It has nothing left to do."""
        self.pipe.close()
        self.process.join(_GRACE_S)
        self.kill()

    def kill(self) -> None:
        self.pipe.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = ", as the kernel does where memory runs out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{memory}"
    return f"its process ended with {code} and gave no answer"


@contextlib.contextmanager
def _environment(added: dict[str, str]) -> Iterator[None]:
    """With these variables, which a child takes over when it starts: libraries read them as they are loaded."""
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# ------------------------------------------------------------------------------------------------ in the other process


def _work(pipe: Connection, prove: Prove, threads: int) -> None:
    # Ctrl-C reaches every process of a terminal: who started this one decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    secrecy.no_core_file()  # what a task holds is as secret here as where it came from
    threading.Thread(target=_end_with_parent, daemon=True).start()
    share_threads(threads)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        answer: bytes | Failed
        try:
            answer = prove(task)
            if not isinstance(answer, bytes):
                answer = Failed(f"it gave a {type(answer).__name__}, and not bytes")
        except Exception as error:
            answer = Failed(reason(error))
        try:
            pipe.send(answer)
        except OSError:
            return


def _end_with_parent() -> None:
    """Whoever was killed cannot end its processes: they see for themselves."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
