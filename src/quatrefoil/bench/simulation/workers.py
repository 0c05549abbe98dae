"""Silos in processes of their own, so that the server's memory and processor time are the server's.

A worker answers one question with one answer after another, and computes the next only when the pipe has room: what the
server has not read is not in its memory.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Iterator, Mapping
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

from quatrefoil.bench.simulation.silos import Place, SiloHost
from quatrefoil.errors import HostError, QuatrefoilError
from quatrefoil.offline.task import share_threads

_LAST = "last"


class Workers:
    """``places``: one for each process."""

    def __init__(self, places: list[Place]) -> None:
        context = get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        self._of: dict[str, int] = {}
        for number, place in enumerate(places):
            near, far = context.Pipe()
            process = context.Process(target=_work, args=(far, place), daemon=True)
            process.start()
            far.close()
            self._pipes.append(near)
            self._processes.append(process)
            self._of |= dict.fromkeys(place.names, number)

    def each(self, question: str, names: Collection[str], *given: Any) -> Iterator[Any]:
        """Ask the workers of these silos, each for its own in the order given; answers as they come."""
        asked: dict[int, list[str]] = {}
        for name in names:
            asked.setdefault(self._of[name], []).append(name)
        return self._answers({number: (question, (mine, *given)) for number, mine in asked.items()})

    def each_given(self, question: str, content: Mapping[str, bytes]) -> Iterator[Any]:
        """Ask the workers of these silos with what is for each of them."""
        asked: dict[int, dict[str, bytes]] = {}
        for name, one in content.items():
            asked.setdefault(self._of[name], {})[name] = one
        return self._answers({number: (question, (mine,)) for number, mine in asked.items()})

    def all(self, question: str) -> list[Any]:
        """Ask every worker."""
        return list(self._answers(dict.fromkeys(range(len(self._pipes)), (question, ()))))

    def _answers(self, questions: Mapping[int, tuple[str, tuple[Any, ...]]]) -> Iterator[Any]:
        for number, question in questions.items():
            try:
                self._pipes[number].send(question)
            except OSError:
                raise _ended() from None
        waiting = {self._pipes[number] for number in questions}
        while waiting:
            for pipe in connection.wait(list(waiting)):
                assert isinstance(pipe, Connection)
                try:
                    kind, answer = pipe.recv()
                except (EOFError, OSError):
                    raise _ended() from None
                if kind == _LAST:
                    waiting.discard(pipe)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    yield answer

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()
            process.join()


def _ended() -> HostError:
    return HostError("a process of simulated silos ended", hint="Simulate fewer silos, or on more memory")


# ------------------------------------------------------------------------------------------------ in the other process


def _work(pipe: Connection, place: Place) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    share_threads(1)
    host: SiloHost | None = None
    while True:
        try:
            question, given = pipe.recv()
        except (EOFError, OSError):
            break
        try:
            try:
                host = host or SiloHost(place)
                for answer in getattr(host, question)(*given):
                    pipe.send(("answer", answer))
            except QuatrefoilError as error:
                pipe.send(("answer", error))
            except Exception as error:
                fault = HostError(f"simulated silos failed ({type(error).__name__}: {error})", hint="Report this")
                pipe.send(("answer", fault))
            pipe.send((_LAST, None))
        except OSError:
            break
    if host is not None:
        host.close()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        signal.raise_signal(signal.SIGKILL)


__all__ = ["Workers"]
