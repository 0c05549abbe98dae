"""A folder of results: one file a task, named by it, each there whole or not at all. One run at a time has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quatrefoil.errors import HostError
from quatrefoil.offline.task import Task
from quatrefoil.transport import files

ENDING, LOCK = ".result", ".lock"
_LEFT = re.compile(r"\.[0-9a-f]{64}\.result\.[0-9a-f]{16}")
"""What a run that was killed while it wrote leaves: never read, and removed by the next."""


class Results:
    """Open with :func:`opened`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, task: Task) -> Path:
        return self._folder / f"{task.name}{ENDING}"

    def read(self, task: Task) -> bytes | None:
        """What is there, whoever wrote it; None where nothing is."""
        file = self.file(task)
        return files.read(file, "result") if file.exists() else None

    def write(self, task: Task, content: bytes) -> Path:
        """Durable and in one step, also over what was refused."""
        file = self.file(task)
        files.replace(file, content)
        return file


@contextmanager
def opened(folder: Path) -> Iterator[Results]:
    """The folder, made if it is new, for this process alone; ``HostError`` where another run has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(
            f"folder {folder} cannot be used ({error.strerror})", hint="Name one that can be written"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HostError(
                f"another run is at work in {folder}", hint="Wait for it to end, or name another folder"
            ) from None
        for file in folder.iterdir():
            if _LEFT.fullmatch(file.name):
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
        yield Results(folder)
    finally:
        os.close(descriptor)
