"""What a ceremony leaves, made in two steps so that it is there whole or not at all, wherever the process is killed.

The folder is written under a hidden name, then the key goes into its token, then the folder gets its name. Killed
before the key is in the token, nothing happened, and the next attempt clears away. Killed after, the next attempt
finishes: a key in a token is never left without the shares that were made of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from quatrefoil.errors import HostError
from quatrefoil.transport import files

PURPOSES = ("new", "share", "recover")
"""What a folder is made for: an attempt at one is not cleared away by another."""

PLACE = "kept-in"
"""In the folder: where the key is, as one line of text."""

STATEMENT = "ceremony.statement"
RECOVERY = "recovery.statement"
KEY = "root.key"
SHARES = ".share"


def publish(
    out: Path, purpose: str, content: Mapping[str, tuple[bytes | bytearray, int]], install: Callable[[], None]
) -> None:
    """Make the new folder ``out`` with ``content`` (name -> bytes, mode). ``install`` puts the key into its place."""
    with _alone(out):
        files.require_absent(out)
        files.write_new_directory(_staged(out, purpose), content)
        install()
        _finish(out, purpose)


def resume(out: Path, purpose: str, place: str, installed: Callable[[bytes], bool]) -> bool:
    """Finish or clear away what an attempt at ``out`` left that was killed; True where it is finished. ``HostError``
    where it was an attempt at something else, or for a key in another place.

    ``installed``: whether the key of the ceremony or recovery in this signed statement is in its ``place``.
    """
    with _alone(out):
        files.require_absent(out)
        return _resume(out, purpose, place, installed)


def _resume(out: Path, purpose: str, place: str, installed: Callable[[bytes], bool]) -> bool:
    for other in PURPOSES:
        _clear_unwritten(_staged(out, other))
        if other != purpose and _staged(out, other).exists():
            raise HostError(
                f"`quatrefoil broker root {other}` was interrupted while it made {out}",
                hint="Give that command again, which finishes it, or name another folder",
            )
    staged = _staged(out, purpose)
    if not staged.exists():
        return False
    begun = files.read(staged / PLACE, "what an interrupted attempt left").decode("utf-8", "replace").strip()
    if begun != place:
        raise HostError(
            f"`quatrefoil broker root {purpose}` was interrupted while it made {out}, for a key in {begun[:200]}",
            hint="Give the same command again, which finishes it, or name another folder",
        )
    statement = staged / STATEMENT if (staged / STATEMENT).exists() else staged / RECOVERY
    if installed(files.read(statement, "statement")):
        _finish(out, purpose)
        return True
    shutil.rmtree(staged)
    return False


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One process at a time at folders beside ``out``."""
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{out.parent} cannot be made ({error.strerror})", hint="Name a folder that you may write"
        ) from None
    with files.locked(out.absolute().parent):
        yield


def _staged(out: Path, purpose: str) -> Path:
    out = out.absolute()
    return out.with_name(f".{out.name}.{purpose}")


def _finish(out: Path, purpose: str) -> None:
    try:
        _staged(out, purpose).rename(out)
        folder = os.open(out.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise HostError(
            f"{out} cannot be made ({error.strerror})",
            hint="Make room for it, and give the same command again: it finishes what is there",
        ) from None


def _clear_unwritten(staged: Path) -> None:
    """Remove what a kill left of a folder before it was whole."""
    unwritten = re.compile(re.escape(f".{staged.name}.") + "[0-9a-f]{16}")
    for left in staged.parent.iterdir():
        if unwritten.fullmatch(left.name):
            shutil.rmtree(left)
