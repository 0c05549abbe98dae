"""What the log asks of a disk, in one place: so that tests can end the process, or refuse, at each of these steps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write(descriptor: int, content: bytes) -> None:
    """All of it: a nearly full disk takes a part first, and refuses the rest."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def synchronise(descriptor: int) -> None:
    """On the disk when this returns."""
    os.fsync(descriptor)


def truncate(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)


def create(path: Path) -> int:
    """An empty file, open for writing."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)


def create_appending(path: Path) -> int:
    """A file that was not there, open for writing at its end, for its owner alone."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)


def rename(source: Path, target: Path) -> None:
    """In one step: a reader sees the old file or the new one, whole."""
    source.rename(target)


def remove(path: Path) -> None:
    path.unlink()


def make_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)


def remove_folder(folder: Path) -> None:
    folder.rmdir()


def make_folders(folder: Path) -> list[Path]:
    """``folder`` and what is missing above it; the folders that have a new name in them."""
    if folder.is_dir():
        return []
    changed = make_folders(folder.parent)
    make_folder(folder)
    return [*changed, folder.parent]


def beside(path: Path) -> Path:
    """Where the new content of ``path`` is written first. There is one writer: no two of a name."""
    return path.with_name(f".{path.name}.new")


def put(path: Path, content: bytes, *, durable: bool) -> None:
    """``content`` in the place of ``path``, whole or not at all; ``durable``: on the disk when this returns."""
    _write_beside(path, content, durable=durable)
    rename(beside(path), path)
    if durable:
        synchronise_folder(path.parent)


def put_contents(contents: Mapping[Path, bytes]) -> None:
    """Durable :func:`put` for several, of which the caller synchronises the folder: until then a name may be gone after
    a crash, and never stands for anything else. All are written before the first is waited for, and go to the disk
    together."""
    for path, content in contents.items():
        _write_beside(path, content, durable=False)
    for path in contents:
        synchronise_file(beside(path))
    for path in contents:
        rename(beside(path), path)


def _write_beside(path: Path, content: bytes, *, durable: bool) -> None:
    make_folders(path.parent)
    descriptor = create(beside(path))
    try:
        write(descriptor, content)
        if durable:
            synchronise(descriptor)
    finally:
        os.close(descriptor)


def synchronise_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        synchronise(descriptor)
    finally:
        os.close(descriptor)


def synchronise_folder(folder: Path) -> None:
    """The names in ``folder`` are on the disk when this returns."""
    synchronise_file(folder)
