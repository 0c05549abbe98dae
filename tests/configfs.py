"""The kernel's side of configfs-tsm, in software: entries, generations, reports, and whatever may go wrong there.

``TsmKernel`` follows Linux ``drivers/virt/coco/guest/report.c`` and ``fs/configfs/file.c`` as they behave, not as one
would like them to: what is written to ``inblob`` counts when the file is closed, and close(2) hides a failure. It is
reached through :class:`TsmFiles`, or as a real file system through :mod:`fused`.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Report = Callable[[bytes, int], tuple[bytes, bytes]]
"""(REPORTDATA, privilege level) -> (report, certificate table)."""

READABLE = {"generation", "provider", "privlevel_floor", "outblob", "auxblob"}
WRITABLE = {"inblob", "privlevel"}


def failure(number: int, path: str = "") -> OSError:
    return OSError(number, f"errno {number}", path)


@dataclass
class Entry:
    written: int = 0
    read: int = 0
    inblob: bytes = b""
    level: int = 0
    outblob: bytes | None = None
    auxblob: bytes = b""


@dataclass
class TsmKernel:
    """One provider. Lists of faults are used up, one for each operation that they are about."""

    report: Report
    provider: str = "sev_guest"
    levels: bool = True
    floor: int = 0
    report_faults: list[int] = field(default_factory=list)
    """Error numbers with which making a report fails."""
    folder_faults: list[int] = field(default_factory=list)
    removal_faults: list[int] = field(default_factory=list)
    lost_writes: int = 0
    """How many writes of ``inblob`` get lost, as when they come too often: nobody is told."""
    intruder: Callable[[Entry], None] | None = None
    """What somebody else does to the entry just before its report is made."""
    made: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def names(self) -> set[str]:
        named = {"generation", "provider", "inblob", "outblob"}
        return named | ({"auxblob", "privlevel", "privlevel_floor"} if self.levels else set())

    def mkdir(self, name: str) -> None:
        with self.lock:
            if not self.provider:
                raise failure(errno.ENXIO)
            if self.folder_faults:
                raise failure(self.folder_faults.pop(0))
            if name in self.entries:
                raise failure(errno.EEXIST)
            self.entries[name] = Entry()

    def rmdir(self, name: str) -> None:
        with self.lock:
            if self.removal_faults:
                raise failure(self.removal_faults.pop(0))
            if name not in self.entries:
                raise failure(errno.ENOENT)
            del self.entries[name]

    def show(self, name: str, attribute: str) -> bytes:
        with self.lock:
            entry = self._entry(name, attribute, READABLE)
            if attribute == "generation":
                return b"%d\n" % entry.written
            if attribute == "provider":
                return self.provider.encode() + b"\n"
            if attribute == "privlevel_floor":
                return b"%d\n" % self.floor
            self._make(entry)
            return (entry.outblob or b"") if attribute == "outblob" else entry.auxblob

    def store(self, name: str, attribute: str, data: bytes) -> None:
        with self.lock:
            entry = self._entry(name, attribute, WRITABLE)
            if attribute == "privlevel":
                if not self.floor <= int(data) <= 3:
                    raise failure(errno.EINVAL)
                entry.level = int(data)
            elif self.lost_writes:
                self.lost_writes -= 1
                raise failure(errno.EBUSY)
            else:
                entry.inblob = data
            entry.written += 1

    def _entry(self, name: str, attribute: str, allowed: set[str]) -> Entry:
        if name not in self.entries or attribute not in self.names():
            raise failure(errno.ENOENT)
        if attribute not in allowed:
            raise failure(errno.EACCES)
        return self.entries[name]

    def _make(self, entry: Entry) -> None:
        if not entry.inblob:
            raise failure(errno.EINVAL)
        if entry.outblob is not None and entry.read == entry.written:
            return
        if self.report_faults:
            raise failure(self.report_faults.pop(0))
        if self.intruder:
            self.intruder(entry)
        if len(entry.inblob) != 64:
            raise failure(errno.EINVAL)
        entry.outblob, entry.auxblob = self.report(entry.inblob, entry.level)
        entry.read = entry.written
        self.made += 1


@dataclass(frozen=True)
class TsmFiles:
    """``collectors.files.Files`` straight onto a kernel; ``folder`` is where its entries would be mounted."""

    kernel: TsmKernel
    folder: Path = Path("/reports")

    def make_folder(self, path: Path) -> None:
        self.kernel.mkdir(self._entry(path)[0])

    def remove_folder(self, path: Path) -> None:
        self.kernel.rmdir(self._entry(path)[0])

    def names(self, path: Path) -> frozenset[str]:
        return frozenset(self.kernel.names())

    def read(self, path: Path, most: int) -> bytes:
        try:
            data = self.kernel.show(*self._entry(path))
        except OSError as error:
            raise failure(error.errno, str(path)) from None
        if len(data) > most:
            raise failure(errno.EFBIG, str(path))
        return data

    def write(self, path: Path, data: bytes) -> None:
        name, attribute = self._entry(path)
        try:
            self.kernel.store(name, attribute, data)
        except OSError:
            if attribute != "inblob":  # which is stored on close(2), and that never fails
                raise

    def _entry(self, path: Path) -> list[str]:
        return list(path.relative_to(self.folder).parts)
