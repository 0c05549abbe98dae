"""A seat on its socket, with a silo's node and an app that do what a test wants."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from quatrefoil.errors import (
    PeerError,
)
from quatrefoil.federation.vectors import Arrays
from quatrefoil.flower.contents import ForSilo, Values
from quatrefoil.flower.node import AppOf
from quatrefoil.flower.seat import Seat, listening
from quatrefoil.flower.seat_line import (
    Brought,
)
from quatrefoil.services.vitals import Vitals

STATE = "/silos/bari/state"
LONGEST = 1 << 20
MODEL: Arrays = [np.arange(6.0).reshape(2, 3), np.float32([1, 2])]


def brought(**changes: Any) -> Brought:
    given = {"state": STATE, "hello": False, "session": bytes(48), "number": 3, "kind": "train", "run": 7, "node": 9}
    return Brought(**(given | changes))


class Node:
    """What a seat drives: here it has the app do what a test wants."""

    def __init__(self, does: Callable[[Any], bytes]) -> None:
        self.files = SimpleNamespace(identity=SimpleNamespace(name="bari"))
        self.does = does
        self.asked: list[tuple[Any, ...]] = []
        self.kept = 0

    def greeted(self, hello: bytes, *, run: int, node: int) -> bytes:
        self.asked.append((hello, run, node))
        return b"answer to " + hello

    def reply(self, sealed: bytes, *, hello: bytes, number: int, kind: str, app_of: AppOf) -> bytes:
        self.asked.append((sealed, hello, number, kind))
        return self.does(app_of(ForSilo((), ["a", "b"], {"rate": 0.5})))

    def longest(self) -> int:
        return LONGEST

    def keep_costs(self) -> None:
        self.kept += 1


class Refused:
    def __init__(self) -> None:
        self.said: list[str] = []

    def connection(self, where: str, error: PeerError) -> None:
        self.said.append(error.problem)


@contextmanager
def seated(
    folder: Path,
    does: Callable[[Any], bytes] = lambda _: b"",
    users: set[int] | None = None,
    app_seconds: float = 3600.0,
) -> Iterator[tuple[Path, Node, Refused, list[BaseException]]]:
    """A seat that attends in a thread."""
    path, node, refused, ended = folder / "seat.sock", Node(does), Refused(), []
    allowed = {os.getuid()} if users is None else users
    there: Any = Seat(node, STATE, allowed, refused, Vitals("silo"), app_seconds=app_seconds)  # type: ignore[arg-type]
    with listening(path, private=users is None) as listener:

        def serve() -> None:
            try:
                there.serve(listener)
            except BaseException as error:  # what ends a seat is for the test to see
                ended.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, node, refused, ended
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Moved:
    """An app that adds one."""

    def __init__(self, sent: ForSilo, metrics: Values | None = None) -> None:
        self.sent = sent
        self.metrics: Values = metrics or {}

    def train(self, model: Arrays) -> Sequence[np.ndarray]:
        self.metrics["loss"] = 0.25
        return [array + array.dtype.type(1) for array in model]

    def evaluate(self, model: Arrays) -> None:
        self.metrics["first"] = float(model[0][0, 1])
