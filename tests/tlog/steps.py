"""The steps that a log asks of a disk, each in the hands of a test: to number them, to stop at one, or to refuse it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from quatrefoil.tlog import disk

PRIMITIVES = ("write", "synchronise", "truncate", "create", "rename", "remove", "make_folder", "remove_folder")

Around = Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]
"""``around(name, real, arguments)`` is called in the place of each step."""


@contextmanager
def watched(around: Around) -> Iterator[None]:
    real = {name: getattr(disk, name) for name in PRIMITIVES}

    def step(name: str) -> Callable[..., Any]:
        return lambda *arguments: around(name, real[name], arguments)

    for name in PRIMITIVES:
        setattr(disk, name, step(name))
    try:
        yield
    finally:
        for name, one in real.items():
            setattr(disk, name, one)
