"""Data that an installed package carries: its file is found without importing the package, and taken by its digest."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from quatrefoil.errors import DependencyMissing, HostError


def find_file(package: str, file: str, *, hint: str) -> Path:
    """Where ``package`` keeps ``file``, or ``DependencyMissing``. Importing it would pull in its own dependencies."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise DependencyMissing(f"the package {package} is not installed, whose data is used", hint=hint)
    return Path(next(iter(found.submodule_search_locations))) / file


def read_pinned(path: Path, sha256: str, *, hint: str) -> str:
    """The text of the file, or ``HostError`` where it is absent or is not the one with this digest."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise HostError(f"{path} cannot be read ({error.strerror})", hint=hint) from None
    digest = hashlib.sha256(raw).hexdigest()
    if digest != sha256:
        raise HostError(f"{path} has SHA-256 {digest}, expected {sha256}", hint=hint)
    return raw.decode("utf-8")


__all__ = ["find_file", "read_pinned"]
