"""Whether the file that openings are counted in is the one that they were always counted in.

Property: where it is missing, begun anew or has a second name nothing is claimed, and where it is a copy, or was put
back from a backup, nothing but one link, with the opening that is kept for it: what was used since is forgotten. A file
is told from a copy by its number (inode) and the time it was made at (statx(2)), which no program sets. What puts back
a whole disk, such as a snapshot of a machine, is not seen.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

from quatrefoil.errors import StateCorrupt
from quatrefoil.proofs.openings import PREFIX, Once

NAME = "file"
"""Of the state: which file it began in."""

_AT_FDCWD = -100
_STATX_BTIME = 0x800
_STATX_BYTES, _BTIME_AT = 256, 80


def require_counted(counted: Path) -> None:
    """``StateCorrupt`` unless it is there, under one name: with a second one, what was written last may stand in a log
    beside the other."""
    try:
        names = counted.stat().st_nlink
    except OSError as error:
        raise _unknown(counted, f"cannot be read ({error.strerror})") from None
    if names != 1:
        raise _unknown(counted, f"has {names} names (hard links)")


def require_begun(state: Once, counted: Path) -> None:
    """``StateCorrupt`` unless an opening has been counted, as the proof of range or the link before took one."""
    if not state.names(PREFIX):
        raise _unknown(counted, "counts no opening, and the proof of range or the link before it took one")


def is_own(state: Once, counted: Path) -> bool:
    """Whether ``counted`` is the file that ``state`` began in."""
    which = _which(counted)
    return state.put_once(NAME, which) == which


def copied(folder: Path) -> StateCorrupt:
    return StateCorrupt(
        f"{folder} is a copy, or was moved or put back: openings may have been used that it does not know",
        hint="Prove with the folder itself; where that is gone, link at once (`quatrefoil model commit --link`) "
        "and prove with the fresh one",
    )


def _which(file: Path) -> bytes:
    return f"{file.stat().st_ino} {_made_at(file)}".encode()


def _made_at(file: Path) -> str:
    """Seconds and nanoseconds; empty where the file system does not say."""
    statx = getattr(ctypes.CDLL(None), "statx", None)
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if statx is None or statx(_AT_FDCWD, os.fsencode(file), 0, _STATX_BTIME, found):
        return ""
    (mask,) = struct.unpack_from("=I", found.raw)
    seconds, nanoseconds = struct.unpack_from("=qI", found.raw, _BTIME_AT)
    return f"{seconds}.{nanoseconds:09}" if mask & _STATX_BTIME else ""


def _unknown(counted: Path, why: str) -> StateCorrupt:
    return StateCorrupt(
        f"which openings of the commitment are used is not known: {counted} {why}",
        hint="Put it back as it was last, under this name alone; if it is lost, make a fresh commitment to the model",
    )


__all__ = ["copied", "is_own", "require_begun", "require_counted"]
