"""A file that appears whole or not at all: written without a name where the system can, and named at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from quatrefoil.errors import HostError


@contextlib.contextmanager
def new_file(file: Path, *, mode: int) -> Iterator[BinaryIO]:
    """A stream whose content becomes ``file`` when the block ends well, durably. Never over a file that is there.

    If the block raises, or the process is killed, nothing is left: the file has no name until then (``O_TMPFILE``).
    Where the file system lacks that, it is written beside, under a hidden name that only a kill leaves behind.
    """
    if file.exists() or file.is_symlink():
        raise _exists(file)
    try:
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _failed(file, error) from None
    try:
        with contextlib.closing(_Unfinished(folder, file, mode)) as unfinished:
            yield unfinished.stream
            unfinished.finish()
    finally:
        os.close(folder)


class _Unfinished:
    """What is being written, in ``folder``."""

    def __init__(self, folder: int, file: Path, mode: int) -> None:
        self._folder, self._file = folder, file
        self._hidden: str | None = None
        try:
            descriptor = self._create(mode)
            os.fchmod(descriptor, mode)  # whatever the umask
        except OSError as error:
            raise _failed(file, error) from None
        self.stream: BinaryIO = _Stream(os.fdopen(descriptor, "wb", buffering=1 << 18), file)  # type: ignore[assignment]

    def _create(self, mode: int) -> int:
        unnamed = getattr(os, "O_TMPFILE", None)
        if unnamed is not None and Path("/proc/self/fd").is_dir():
            try:
                return os.open(self._file.parent, os.O_WRONLY | unnamed, mode)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
                    raise
        self._hidden = f".{self._file.name}.{secrets.token_hex(8)}"
        return os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=self._folder)

    def finish(self) -> None:
        """Make it durable and give it its name; a link, unlike a rename, never replaces."""
        try:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            name = self._hidden or f"/proc/self/fd/{self.stream.fileno()}"
            os.link(name, self._file.name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=True)
            os.fsync(self._folder)
        except FileExistsError:
            raise _exists(self._file) from None
        except OSError as error:
            raise _failed(self._file, error) from None

    def close(self) -> None:
        with contextlib.suppress(OSError, HostError):
            self.stream.close()
        if self._hidden is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._hidden, dir_fd=self._folder)


class _Stream:
    """Writes, and says which file it was when the disk is full."""

    def __init__(self, inner: BinaryIO, file: Path) -> None:
        self._inner, self._file = inner, file

    def write(self, content: bytes) -> int:
        try:
            return self._inner.write(content)
        except OSError as error:
            raise _failed(self._file, error) from None

    def flush(self) -> None:
        self._inner.flush()

    def fileno(self) -> int:
        return self._inner.fileno()

    def close(self) -> None:
        self._inner.close()


def _exists(file: Path) -> HostError:
    return HostError(f"{file} exists already", hint="Name another place; nothing is overwritten")


def _failed(file: Path, error: OSError) -> HostError:
    return HostError(f"{file} cannot be written ({error.strerror})", hint="Check the folder, its rights and its space")
