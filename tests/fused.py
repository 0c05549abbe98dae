"""``configfs.TsmKernel`` mounted as a real file system: a program of its own speaks to /dev/fuse and passes every
operation on to the kernel that lives in the test's process. What collects does real system calls on real paths.

``python fused.py SOCKET MOUNTPOINT`` is that program.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

DEVICE = Path("/dev/fuse")
LONGEST_S = 60


@cache
def why_not() -> str:
    """Why nothing can be mounted here, or nothing."""
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:
        return f"mfusepy or libfuse is missing ({error})"
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE} cannot be opened ({error.strerror})"
    with tempfile.TemporaryDirectory(prefix="fuse-") as folder:
        from configfs import TsmKernel

        try:
            with mounted(TsmKernel(lambda data, level: (data, b"")), Path(folder)):
                return ""
        except AssertionError as error:
            return str(error)


@contextmanager
def mounted(kernel: Any, folder: Path) -> Iterator[Path]:
    """``kernel`` as files below the yielded folder."""
    mountpoint, socket = folder / "report", str(folder / "kernel")
    mountpoint.mkdir()
    listener = Listener(socket, "AF_UNIX")
    threading.Thread(target=_serve, args=(listener, kernel), daemon=True).start()
    # Not a pipe: one that is full would stop the program.
    with (folder / "log").open("wb") as log:
        program = subprocess.Popen([sys.executable, __file__, socket, str(mountpoint)], stdout=log, stderr=log)
    try:
        for _ in range(500):
            if os.path.ismount(mountpoint):
                break
            if program.poll() is not None:
                raise AssertionError(f"FUSE cannot be mounted: {(folder / 'log').read_text()[-300:]}")
            time.sleep(0.02)
        else:
            raise AssertionError("FUSE was not mounted within 10 s")
        yield mountpoint
    finally:
        program.terminate()  # which unmounts
        with suppress(subprocess.TimeoutExpired):
            program.wait(10)
        program.kill()
        subprocess.run(["umount", "--lazy", str(mountpoint)], check=False, capture_output=True)
        listener.close()


def _serve(listener: Listener, kernel: Any) -> None:
    with suppress(EOFError, OSError), listener.accept() as connection:
        while True:
            operation, *arguments = connection.recv()
            try:
                connection.send((0, getattr(kernel, operation)(*arguments)))
            except OSError as error:
                connection.send((error.errno, None))


# --- the program -----------------------------------------------------------------------------------------------------


def main(socket: str, mountpoint: str) -> None:
    import mfusepy

    # Whatever goes wrong, nobody waits for this file system for ever: without its program, every operation fails.
    signal.alarm(LONGEST_S)
    kernel, lock = Client(socket, "AF_UNIX"), threading.Lock()

    def ask(*request: Any) -> Any:
        with lock:
            kernel.send(request)
            number, answer = kernel.recv()
        if number:
            raise mfusepy.FuseOSError(number)
        return answer

    class Configfs(mfusepy.Operations):  # type: ignore[misc, no-any-unimported]
        use_ns = True

        def __init__(self) -> None:
            self.opened: dict[int, bytearray] = {}
            self.next, self.guard, self.made = 1, threading.Lock(), set()

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            parts = _parts(path)
            if not parts or (len(parts) == 1 and parts[0] in self.made):
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if len(parts) == 2 and parts[0] in self.made and parts[1] in ask("names"):
                return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": 0}
            raise mfusepy.FuseOSError(errno.ENOENT)

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *(ask("names") if _parts(path) else self.made)]

        def mkdir(self, path: str, mode: int) -> None:
            ask("mkdir", *_parts(path))
            self.made.add(_parts(path)[0])

        def rmdir(self, path: str) -> None:
            ask("rmdir", *_parts(path))
            self.made.discard(_parts(path)[0])

        def open(self, path: str, flags: int) -> int:
            with self.guard:
                self.next += 1
                return self.next

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            if fh not in self.opened:
                self.opened[fh] = bytearray(ask("show", *_parts(path)))
            return bytes(self.opened[fh][offset : offset + size])

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            if path.endswith("/inblob"):
                self.opened.setdefault(fh, bytearray()).extend(data)
            else:
                ask("store", *_parts(path), bytes(data))
            return len(data)

        def truncate(self, path: str, length: int, fh: int | None = None) -> None:
            pass

        def flush(self, path: str, fh: int) -> None:
            # Not release, which comes some time after close(2) has returned.
            if path.endswith("/inblob") and fh in self.opened:
                with suppress(mfusepy.FuseOSError):
                    ask("store", *_parts(path), bytes(self.opened.pop(fh)))

        def release(self, path: str, fh: int) -> None:
            self.opened.pop(fh, None)

    mfusepy.FUSE(Configfs(), mountpoint, foreground=True, direct_io=True)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


if __name__ == "__main__":
    main(*sys.argv[1:])
