"""What a silo says of its data and of its code, in 32 bytes each.

Both are over a *listing*: every file's path, size and SHA-256, sorted by path. The commitment to data is salted, so
that it binds the silo without telling anyone, not even one who has a guess at the data, what it holds; who is shown
data and salt can check them. The digest of code is not salted, so that parties can compare. docs/provenance.md has the
bytes.

Neither says that the data was trained on, or that the code ran: they are what the party says of itself.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quatrefoil.audit import json_form
from quatrefoil.errors import CallerError, HostError

SALT_BYTES = 32
MOST_FILES = 1 << 20
_DATA, _CODE = b"quatrefoil data v1\n", b"quatrefoil code v1\n"
_PIECE = 1 << 20


@dataclass(frozen=True)
class File:
    """One file of a listing: its path with "/" between folders, its SHA-256 and its size in bytes."""

    path: str
    sha256: bytes
    size: int


@dataclass(frozen=True)
class Listing:
    """Files, sorted by the UTF-8 bytes of their paths."""

    files: tuple[File, ...]

    def encode(self) -> bytes:
        return json_form.encode(self)


def list_files(paths: Sequence[Path]) -> Listing:
    """Every file of ``paths``: a file under its own name, a folder's under the folder's name and their way in it.

    Links to files count as the file. ``CallerError`` where two would have one path, where there is none, and for links
    to folders, sockets and devices inside a folder; ``HostError`` for what cannot be read.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for name, file in _walk(path):
            if name in found:
                raise CallerError(f"two of the paths hold {name}", hint="Name each file or folder once")
            found[name] = file
            if len(found) > MOST_FILES:
                raise CallerError(f"there are more than {MOST_FILES} files", hint="Pack them into archives")
    if not found:
        raise CallerError("there is no file to commit to", hint="Name files, or folders that hold some")
    return _listing(found)


def data_commitment(listing: Listing, salt: bytes) -> bytes:
    """32 bytes that bind to a listing and, as long as the random salt is secret, tell nothing of it."""
    if len(salt) != SALT_BYTES:
        raise CallerError(f"a salt of {len(salt)} bytes is not one of {SALT_BYTES}", hint="Use the one that was made")
    return hashlib.sha256(_DATA + salt + listing.encode()).digest()


def code_digest(function: Callable[..., Any]) -> bytes | None:
    """32 bytes over the files of the module that ``function`` is in; None where it came from no file.

    A module that stands alone is its one file, one in a package the whole package: every file under its top folder, but
    for bytecode. Modules that it imports from elsewhere are not in it.
    """
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    name = getattr(function, "__module__", None) or type(function).__module__
    module = sys.modules.get(name)
    top = sys.modules.get(name.partition(".")[0])
    if (folder := _package_folder(top)) is not None and name != "__main__":
        return hashlib.sha256(_CODE + _listing(dict(_walk(folder, _is_code))).encode()).digest()
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        return None
    return hashlib.sha256(_CODE + _listing({Path(file).name: Path(file)}).encode()).digest()


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file, read in pieces."""
    return _digest(path).sha256


def _package_folder(module: Any) -> Path | None:
    file = getattr(module, "__file__", None)
    if file is None or not hasattr(module, "__path__"):
        return None
    return Path(file).parent


def _is_code(path: Path) -> bool:
    return path.name != "__pycache__" and path.suffix not in (".pyc", ".pyo")


def _walk(path: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Iterator[tuple[str, Path]]:
    path = path.resolve()
    if path.is_file():
        yield path.name, path
        return
    if not path.is_dir():
        raise CallerError(f"there is no file or folder {path}", hint="Check the paths")
    yield from _walk_folder(path, path.name, wanted)


def _walk_folder(folder: Path, name: str, wanted: Callable[[Path], bool]) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            inner, path = f"{name}/{entry.name}", Path(entry.path)
            if not wanted(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk_folder(path, inner, wanted)
            elif stat.S_ISREG(entry.stat().st_mode):
                yield inner, path
            else:
                raise CallerError(f"{path} is no file", hint="Leave links to folders, and devices, out of the folder")
    except OSError as error:
        raise _unreadable(folder, error) from None


def _listing(found: dict[str, Path]) -> Listing:
    try:
        names = sorted(found, key=lambda name: name.encode("utf-8"))
    except UnicodeEncodeError:
        raise CallerError("a file's name is no UTF-8", hint="Rename it: its name is part of the listing") from None
    files = []
    for name in names:
        one = _digest(found[name])
        files.append(File(name, one.sha256, one.size))
    return Listing(tuple(files))


def _digest(path: Path) -> File:
    whole, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as opened:
            while piece := opened.read(_PIECE):
                whole.update(piece)
                size += len(piece)
    except OSError as error:
        raise _unreadable(path, error) from None
    return File(path.name, whole.digest(), size)


def _unreadable(path: Path, error: OSError) -> HostError:
    return HostError(f"{path} cannot be read ({error.strerror})", hint="Check its permissions")
