"""What another process has in its memory: for tests that a party has not seen what passed through it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PIECE = 16 << 20

_NEIGHBOUR = """
import ctypes, struct, sys
none = (ctypes.c_uint32 * 6)()
head = (ctypes.c_uint32 * 2)(0x20080522, 0)
if ctypes.CDLL(None).capset(head, none):
    sys.exit("capset")
try:
    open(f"/proc/{sys.argv[1]}/environ", "rb").read()
except PermissionError:
    print("kept")
else:
    print("read")
"""
"""A process of the same user without any capability (capset(2)) looks at what ptrace(2) lets it: nothing of a process
that is not dumpable."""


_ORDINARY = """
import ctypes, os, resource, sys
libc = ctypes.CDLL(None)
if os.geteuid() == 0:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError:
        pass
    if libc.prctl(28, 3, 0, 0, 0):  # PR_SET_SECUREBITS, SECBIT_NOROOT and its lock
        sys.exit("prctl")
    none = (ctypes.c_uint32 * 6)()
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(head, none):
        sys.exit("capset")
os.execv(sys.argv[1], sys.argv[1:])
"""


def ordinary(command: Sequence[str]) -> list[str]:
    """``command``, begun by a user who has no capability that a neighbour lacks, and whose core files have no limit
    where that can be had: the process of a test may have asked for none itself."""
    return [sys.executable, "-c", _ORDINARY, *command]


def is_private(process: int) -> bool:
    """Whether there is to be no core file of a process, by its limit (proc_pid_limits(5)) and for a program that is
    told of crashes, and its memory is kept from other processes of its user (PR_SET_DUMPABLE). It is one that
    :func:`ordinary` began: of another one nobody may read anything, whatever it asks for."""
    no_core = re.search(r"Max core file size +0 +0 ", Path(f"/proc/{process}/limits").read_text())
    looked = [sys.executable, "-c", _NEIGHBOUR, str(process)]
    seen = subprocess.run(looked, capture_output=True, text=True, check=True).stdout.strip()
    return no_core is not None and seen == "kept"


class NotReadable(Exception):
    """This user may not read that process."""


def found_in(process: int, needles: Mapping[str, bytes]) -> set[str]:
    """Which of ``needles``, by name, lie in anything that ``process`` can read. It stands still meanwhile."""
    longest = max(map(len, needles.values()))
    found: set[str] = set()
    os.kill(process, signal.SIGSTOP)
    try:
        for piece in _pieces(process, longest - 1):
            found |= {name for name, needle in needles.items() if name not in found and needle in piece}
    finally:
        os.kill(process, signal.SIGCONT)
    return found


def _pieces(process: int, overlap: int) -> Iterator[bytes]:
    """All readable memory; within one mapping, each piece begins with the end of the one before."""
    read = 0
    try:
        memory = Path(f"/proc/{process}/mem").open("rb", buffering=0)  # noqa: SIM115 (who may not is told apart)
    except PermissionError as refused:
        raise NotReadable(str(refused)) from None
    with memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            area, rights = line.split()[:2]
            if "r" not in rights or "[vvar" in line or "[vsyscall" in line:
                continue
            at, end = (int(one, 16) for one in area.split("-"))
            tail = b""
            while at < end:
                try:
                    memory.seek(at)
                    piece = memory.read(min(_PIECE, end - at))
                except (OSError, OverflowError, ValueError):
                    break  # past the end of a mapped file
                if not piece:
                    break
                read += len(piece)
                at += len(piece)
                yield tail + piece
                tail = piece[-overlap:] if overlap else b""
    assert read > 1 << 20, f"process {process} has let {read} bytes be read"


__all__ = ["NotReadable", "found_in", "is_private", "ordinary"]
