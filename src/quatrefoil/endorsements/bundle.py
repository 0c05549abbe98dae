"""A bundle: the folder that verification reads as collateral, with the manifest of what was fetched into it.

Files in it that the manifest does not list are the owner's, and are left as they are. Each fetched file holds by itself
(a chain, a list, one family's document), so that a folder with some new ones and some old is as good as either: a fetch
that is cut short anywhere leaves a bundle that verifies what it verified before.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from quatrefoil.enclave.collateral import ENDINGS, LARGEST_FILE, MOST_FILES, read_files
from quatrefoil.endorsements import parts
from quatrefoil.endorsements.manifest import LARGEST, NAME, Entry, Manifest
from quatrefoil.endorsements.parts import Fetched, Part
from quatrefoil.errors import HostError
from quatrefoil.transport.files import locked

FETCHED, OWN, ALTERED, MISSING = "fetched", "own", "altered", "missing"


@dataclass(frozen=True)
class Held:
    """A file of a bundle, or one that should be there."""

    name: str
    origin: str
    """"fetched": as the manifest says. "own": not in it. "altered": not the bytes, or not the dates, that were fetched.
    "missing": not there."""
    parts: tuple[Part, ...]
    """Read from the file; from the manifest where it is missing."""
    sha256: str
    entry: Entry | None

    def problems(self, at: datetime) -> list[str]:
        """What is wrong with it at ``at``: lines for people, with dates."""
        origin = f"it is {self.origin}" if self.origin in (ALTERED, MISSING) else ""
        return [problem for problem in (origin, *(part.problem(at) for part in self.parts)) if problem]


def held(folder: Path) -> tuple[Held, ...]:
    """Every file of the bundle in ``folder`` by its name; ``HostError`` where verification could not read it either."""
    files = {file.name: data for file, data in read_files(folder).items()}
    entries = {entry.name: entry for entry in manifest(folder).entries}
    return tuple(_held(name, files.get(name), entries.get(name)) for name in sorted(files.keys() | entries.keys()))


def _held(name: str, data: bytes | None, entry: Entry | None) -> Held:
    if data is None:
        assert entry is not None
        return Held(name, MISSING, entry.parts, entry.sha256, entry)
    found, digest = parts.read(name, data), hashlib.sha256(data).hexdigest()
    same = entry is not None and (entry.sha256, entry.parts) == (digest, found)
    return Held(name, OWN if entry is None else FETCHED if same else ALTERED, found, digest, entry)


def manifest(folder: Path) -> Manifest:
    """The manifest of ``folder``; an empty one where there is none, ``StateCorrupt`` where it cannot be read."""
    try:
        with (folder / NAME).open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise HostError(f"{folder / NAME} cannot be read ({error.strerror})", hint="Make it readable") from None
    return Manifest.decode(data)


def exists(folder: Path) -> bool:
    """Whether ``folder`` is there and holds a file of collateral."""
    return folder.is_dir() and any(file.suffix in ENDINGS for file in folder.iterdir())


def covers(folder: Path, names: Iterable[str], at: datetime) -> bool:
    """Whether ``names`` are in the bundle as they were fetched, and hold at ``at``."""
    if not exists(folder):
        return False
    good = {one.name for one in held(folder) if one.origin == FETCHED and not one.problems(at)}
    return set(names) <= good


def store(folder: Path, fetched: Iterable[Fetched], at: datetime) -> None:
    """Put ``fetched`` into the bundle: everything is on the disk before the first file takes the place of another."""
    new = tuple(_entry(one, at) for one in fetched)
    contents = {one.name: one.data for one in fetched}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{folder} cannot be made ({error.strerror})", hint="Name a folder that you may write"
        ) from None
    with locked(folder):
        listed = manifest(folder).with_entries(new)
        there = {file.name for file in folder.iterdir() if file.suffix in ENDINGS} | contents.keys()
        if len(there) > MOST_FILES:
            raise HostError(
                f"{folder} would hold {len(there)} files, over {MOST_FILES}", hint="Fetch into another folder"
            )
        _replace(folder, contents | {NAME: listed.encode()})


def _entry(one: Fetched, at: datetime) -> Entry:
    if len(one.data) > LARGEST_FILE:
        raise HostError(f"{one.name} has {len(one.data)} bytes, over {LARGEST_FILE}", hint="Report this as a fault")
    digest = hashlib.sha256(one.data).hexdigest()
    return Entry(one.name, one.what, one.sources, at.replace(microsecond=0), digest, parts.read(one.name, one.data))


def _replace(folder: Path, contents: Mapping[str, bytes]) -> None:
    """All of ``contents`` staged, then each renamed into its place, in their order: the manifest is the last."""
    staged: dict[str, Path] = {}
    try:
        for name, data in contents.items():
            staged[name] = folder / f".{name}.{secrets.token_hex(8)}"
            with staged[name].open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        for name, temporary in staged.items():
            temporary.replace(folder / name)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(
            f"{folder} cannot be written ({error.strerror})",
            hint="Check its rights and the space left, and fetch again",
        ) from None
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


__all__ = ["ALTERED", "FETCHED", "MISSING", "OWN", "Held", "covers", "exists", "held", "manifest", "store"]
