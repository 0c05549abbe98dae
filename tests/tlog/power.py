"""A disk that loses its power: what was not synchronised may be there, or not, or in part, in any combination.

The model follows the steps of a log on a real folder, and knows of each file and each folder what is on the disk for
certain: the content of a file when it was last synchronised, the names in a folder when that was. After any step, the
disk can be made as an adversary would leave it. That is more than a file system does: names may be kept and lost one by
one, in any order, and a file may keep its new length with zeros in the place of any part of it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class File:
    content: bytes = b""
    durable: bytes | None = None
    """None: never synchronised."""


@dataclass
class Folder:
    names: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)


Choose = Callable[[int], int]
"""``choose(count)``: one of so many possibilities."""


class Disk:
    """The folder ``root`` and what is under it, all of it on the disk for certain at the beginning."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.tree = _durable(root)

    def around(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        getattr(self, f"_{name}")(*arguments)
        return real(*arguments) if name != "synchronise" else None

    def _folder(self, path: Path) -> Folder:
        found = self.tree
        for part in path.relative_to(self._root).parts:
            below = found.names[part]
            assert isinstance(below, Folder)
            found = below
        return found

    def _of(self, descriptor: int) -> File | Folder:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        return self.tree if path == self._root else self._folder(path.parent).names[path.name]

    def _file(self, descriptor: int) -> File:
        found = self._of(descriptor)
        assert isinstance(found, File)
        return found

    def _write(self, descriptor: int, content: bytes) -> None:
        file, at = self._file(descriptor), os.lseek(descriptor, 0, os.SEEK_CUR)
        file.content = file.content[:at] + content + file.content[at + len(content) :]

    def _synchronise(self, descriptor: int) -> None:
        found = self._of(descriptor)
        if isinstance(found, File):
            found.durable = found.content
        else:
            found.durable = dict(found.names)

    def _truncate(self, descriptor: int, size: int) -> None:
        file = self._file(descriptor)
        file.content = file.content[:size]

    def _create(self, path: Path) -> None:
        found = self._folder(path.parent).names.setdefault(path.name, File())
        assert isinstance(found, File)
        found.content = b""

    def _rename(self, source: Path, target: Path) -> None:
        self._folder(target.parent).names[target.name] = self._folder(source.parent).names.pop(source.name)

    def _remove(self, path: Path) -> None:
        del self._folder(path.parent).names[path.name]

    def _make_folder(self, path: Path) -> None:
        self._folder(path.parent).names.setdefault(path.name, Folder())

    def _remove_folder(self, path: Path) -> None:
        del self._folder(path.parent).names[path.name]


def _durable(path: Path) -> Folder:
    names: dict[str, File | Folder] = {}
    for one in path.iterdir():
        if one.is_dir():
            names[one.name] = _durable(one)
        elif one.name != "lock":
            names[one.name] = File(one.read_bytes(), one.read_bytes())
    return Folder(names, dict(names))


Content = dict[str, bytes | None]
"""Files by their path; None is an empty folder."""


def running(tree: Folder, under: str = "") -> Content:
    """What a process sees."""
    return dict(_walk(tree, under, lambda folder: folder.names, lambda file: file.content))


def cut(tree: Folder, choose: Choose) -> Content:
    """What the adversary who makes these choices leaves when the power is lost now."""

    def names(folder: Folder) -> dict[str, File | Folder]:
        found = {}
        for name in sorted(folder.names.keys() | folder.durable.keys()):
            now, kept = folder.names.get(name), folder.durable.get(name)
            one = kept if now is not kept and choose(2) == 0 else now
            if one is not None:
                found[name] = one
        return found

    def content(file: File) -> bytes:
        kept, now = file.durable or b"", file.content
        if file.durable == now:
            return now
        pairs = enumerate(zip(kept, now, strict=False))
        same = next((at for at, (one, other) in pairs if one != other), min(len(kept), len(now)))
        half = same + (len(now) - same) // 2
        torn = (
            kept,
            now[:same] + bytes(len(now) - same),
            now[:half],
            now[:half] + bytes(len(now) - half),
            now[:same] + bytes(half - same) + now[half:],
            now,
        )
        return torn[choose(len(torn))]

    return dict(_walk(tree, "", names, content))


def _walk(
    folder: Folder, under: str, names: Callable[[Folder], dict[str, File | Folder]], content: Callable[[File], bytes]
) -> Iterator[tuple[str, bytes | None]]:
    found = names(folder)
    if not found and under:
        yield under, None
    for name, one in sorted(found.items()):
        path = f"{under}/{name}" if under else name
        if isinstance(one, File):
            yield path, content(one)
        else:
            yield from _walk(one, path, names, content)


def adversaries(number: int, contents: Iterable[int], mixed: int) -> Iterator[Choose]:
    """One that keeps everything as it was, those that take new names with these contents, and ``mixed`` that draw:
    others for each ``number``."""
    yield lambda count: 0
    for content in contents:
        yield lambda count, content=content: 1 if count == 2 else content
    for seed in range(mixed):
        yield random.Random(f"{number} {seed}").randrange


def write_out(content: Content, root: Path) -> None:
    root.mkdir()
    for path, data in content.items():
        if data is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
