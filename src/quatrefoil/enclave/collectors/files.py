"""The few file operations that collectors make, so that tests can stand between a collector and the kernel."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Every method raises ``OSError`` with the kernel's own error number."""

    def make_folder(self, path: Path) -> None: ...

    def remove_folder(self, path: Path) -> None: ...

    def names(self, path: Path) -> frozenset[str]:
        """What is in the folder ``path``."""

    def read(self, path: Path, most: int) -> bytes:
        """Everything in ``path``; ``EFBIG`` where that is over ``most`` bytes."""

    def write(self, path: Path, data: bytes) -> None:
        """``data`` in one write(2): kernels take what an attribute is set to whole, or not at all."""


class KernelFiles:
    """The operating system's files."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)

    def remove_folder(self, path: Path) -> None:
        path.rmdir()

    def names(self, path: Path) -> frozenset[str]:
        return frozenset(one.name for one in path.iterdir())

    def read(self, path: Path, most: int) -> bytes:
        # Sizes that the kernel's own file systems give say nothing of what is in a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts, left = [], most + 1
            while left and (part := os.read(descriptor, left)):
                parts.append(part)
                left -= len(part)
        except OSError as error:
            raise _of(path, error) from None
        finally:
            os.close(descriptor)
        if not left:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return b"".join(parts)

    def write(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.write(descriptor, data)
        except OSError as error:
            raise _of(path, error) from None
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(errno.EIO, f"took {written} of {len(data)} bytes", str(path))


def _of(path: Path, error: OSError) -> OSError:
    """``error`` with the name of its file, which system calls on a descriptor leave out."""
    return OSError(error.errno, error.strerror, str(path))


__all__ = ["Files", "KernelFiles"]
