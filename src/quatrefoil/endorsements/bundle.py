"""A bundle: the folder that verification reads as collateral, with the manifest of what was fetched into it.

Files in it that the manifest does not list are the owner's, and are left as they are. Each fetched file holds by itself
(a chain, a list, one family's document), so that a folder with some new ones and some old is as good as either: a fetch
that is cut short anywhere leaves a bundle that verifies what it verified before.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from quatrefoil.enclave.collateral import ENDINGS, LARGEST_FILE, MOST_FILES, files_of, read_file
from quatrefoil.endorsements import parts
from quatrefoil.endorsements.manifest import LARGEST, NAME, Entry, Manifest
from quatrefoil.endorsements.parts import Fetched, Part
from quatrefoil.errors import HostError, MessageRefused
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
    """Read from the file; from the manifest where it is missing or cannot be read."""
    sha256: str
    """Of the file; of the manifest where it is missing, empty where it cannot be read."""
    entry: Entry | None

    def problems(self, at: datetime) -> list[str]:
        """What is wrong with it at ``at``: lines for people, with dates."""
        origin = f"it is {self.origin}" if self.origin in (ALTERED, MISSING) else ""
        return [problem for problem in (origin, *(part.problem(at) for part in self.parts)) if problem]


def held(folder: Path) -> tuple[Held, ...]:
    """Every file of the bundle in ``folder`` by its name.

    ``HostError`` for one that is the owner's and that verification could not read either; one that was fetched is
    "altered" then, so that it can be fetched again.
    """
    files = {file.name: file for file in files_of(folder)}
    entries = {entry.name: entry for entry in manifest(folder).entries}
    return tuple(_held(name, files.get(name), entries.get(name)) for name in sorted(files.keys() | entries.keys()))


def _held(name: str, file: Path | None, entry: Entry | None) -> Held:
    if file is None:
        assert entry is not None
        return Held(name, MISSING, entry.parts, entry.sha256, entry)
    try:
        data = read_file(file)
        found, digest = parts.read(name, data), hashlib.sha256(data).hexdigest()
    except HostError:
        if entry is None:
            raise
        return Held(name, ALTERED, entry.parts, "", entry)
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
    """Whether ``folder`` is there and holds a file of collateral; ``HostError`` where it cannot be one."""
    try:
        return any(file.suffix in ENDINGS for file in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HostError(
            f"{folder} cannot be a folder of collateral ({error.strerror})", hint="Name another, or make it readable"
        ) from None


def covers(folder: Path, names: Iterable[str], at: datetime) -> bool:
    """Whether ``names`` are in the bundle as they were fetched, and hold at ``at``."""
    if not exists(folder):
        return False
    good = {one.name for one in held(folder) if one.origin == FETCHED and not one.problems(at)}
    return set(names) <= good


def store(folder: Path, fetched: Sequence[Fetched], at: datetime) -> None:
    """Put ``fetched`` into the bundle, if nothing of it is older than what is there.

    Everything is on the disk before the first file takes the place of another.
    """
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
        _require_newer(folder, fetched)
        _replace(folder, contents | {NAME: listed.encode()})


def _require_newer(folder: Path, fetched: Iterable[Fetched]) -> None:
    """Refuse statements and lists older than those of the bundle: whoever answers may replay what holds still."""
    before = {one.name: one for one in held(folder)} if exists(folder) else {}
    for one in fetched:
        old = before.get(one.name)
        if old is None or old.origin != FETCHED:
            continue
        since = {part.name: part.since for part in old.parts if part.moves}
        for part in parts.read(one.name, one.data):
            if part.moves and part.since < since.get(part.name, part.since):
                said = f"the {part.name} from {one.sources[0][:120]} is of {part.since:%Y-%m-%d %H:%M} UTC"
                raise MessageRefused(
                    f"{said}, older than that in the bundle",
                    hint="Fetch from the vendor's own service, or into another folder; nothing was changed",
                )


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
