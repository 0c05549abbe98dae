"""Writing keys and certificates: whole or not at all, never over what is there, keys for their owner's eyes only.

One file is replaced by a newer one, in one step: the revocation list, which has a number that only grows.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from quatrefoil.errors import HostError, MessageRefused

PRIVATE, PUBLIC = 0o600, 0o644


def write_new(file: Path, content: bytes | bytearray, *, mode: int = PUBLIC) -> None:
    """Create ``file`` with ``content``, durable and in one step. An existing file is left as it is: ``HostError``."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_durably(temporary, content, mode)
        try:
            os.link(temporary, file)  # unlike a rename, a link never replaces
        finally:
            temporary.unlink()
        _sync_directory(file.parent)
    except FileExistsError:
        raise HostError(f"{file} exists already", hint="Name another place; nothing is overwritten") from None
    except OSError as error:
        raise HostError(
            f"{file} cannot be written ({error.strerror})", hint="Check the folder and its rights"
        ) from None


def write_new_directory(directory: Path, files: Mapping[str, tuple[bytes | bytearray, int]]) -> None:
    """Create ``directory`` holding ``files`` (name -> content, mode), all of them in one step.

    A directory that exists and is not empty is left as it is: ``HostError``.
    """
    temporary = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700)
        try:
            for name, (content, mode) in files.items():
                _write_durably(temporary / name, content, mode)
            _sync_directory(temporary)
            temporary.rename(directory)  # refused by the system where the directory is not empty
        except OSError:
            for name in files:
                (temporary / name).unlink(missing_ok=True)
            temporary.rmdir()
            raise
        _sync_directory(directory.parent)
    except OSError as error:
        if directory.exists():
            raise HostError(f"{directory} exists already", hint="Name another place; nothing is overwritten") from None
        raise HostError(
            f"{directory} cannot be written ({error.strerror})", hint="Check the folder and its rights"
        ) from None


def make_private(directory: Path) -> None:
    """``directory``, made for its owner's eyes only if it is new."""
    try:
        directory.mkdir(mode=PRIVATE | 0o100, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"folder {directory} cannot be made ({error.strerror})", hint="Name a folder that you may write"
        ) from None


def stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file or the entries of a folder do; None where there is nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def require_absent(directory: Path) -> None:
    """``HostError`` when ``directory`` holds anything: :func:`write_new_directory` would refuse it."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise HostError(f"{directory} exists already", hint="Name another place; nothing is overwritten")


def replace(file: Path, content: bytes, *, mode: int = PUBLIC) -> None:
    """Put ``content`` in the place of ``file``, durable and in one step: a reader sees the old or the new, whole."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        _write_durably(temporary, content, mode)
        try:
            temporary.replace(file)
        except OSError:
            temporary.unlink()
            raise
        _sync_directory(file.parent)
    except OSError as error:
        raise HostError(
            f"{file} cannot be written ({error.strerror})", hint="Check the folder and its rights"
        ) from None


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One process at a time in here, for ``directory``; the system lets go of it when the process ends."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise HostError(f"{directory} cannot be read ({error.strerror})", hint="Name a folder that exists") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(file: Path, what: str, *, largest: int | None = None) -> bytes:
    """The content of a file that must be there. ``largest``: bytes that its format allows, for what others wrote: of
    more no more than one is read, and ``MessageRefused`` says so."""
    try:
        with file.open("rb") as stream:
            content = stream.read(-1 if largest is None else largest + 1)
    except OSError as error:
        raise HostError(
            f"{what} {file} cannot be read ({error.strerror})", hint="Check the path and its rights"
        ) from None
    if largest is not None and len(content) > largest:
        raise MessageRefused(
            f"{what} {file} has over {largest:,} bytes, the most that one has", hint="Name another file, or ask for it"
        )
    return content


def read_private(file: Path, what: str) -> bytes:
    """Like :func:`read`, for a key: refused when anyone but its owner may read or change it."""
    content = read(file, what)
    require_private(file, what, file.stat().st_mode)
    return content


def require_private(file: Path, what: str, mode: int) -> None:
    """``HostError`` where ``mode``, that of ``file``, lets anyone but its owner read or change it."""
    if mode & 0o077:
        raise HostError(f"{what} {file} is open to others (mode {mode & 0o777:04o})", hint=f"Run `chmod 600 {file}`")


def _write_durably(file: Path, content: bytes | bytearray, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)  # whatever the umask
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.unlink()
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
