"""Bundles of logs: the file, its members, and every check of what is in them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.audit import Event, TileLog
from quatrefoil.audit.archive import ArchiveReader, write_archive
from quatrefoil.audit.bundling import make_bundle
from quatrefoil.audit.verification import examine
from quatrefoil.transport import system_clock


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="quatrefoil-fuzz-bundle-"))


@cache
def seeds() -> list[bytes]:
    party = rooms.member("hub", "aggregator")
    with TileLog(folder() / "state", party, rooms.trust()) as log:
        log.append_all(
            [
                Event("round-opened", {"round": 1, "attempt": 0, "context": "aa"}),
                Event("x-a", {"n": 1}, {"document": b"a document"}),
            ]
        )
    make_bundle([folder() / "state"], folder() / "seed.zip")
    few = folder() / "few.zip"
    with few.open("wb") as out:
        write_archive(out, [("README.txt", b"read me"), ("logs/silo-a/checkpoint", b"nothing\n")])
    return [(folder() / "seed.zip").read_bytes(), few.read_bytes()]


def one(data: bytes) -> None:
    file = folder() / "input.zip"
    file.write_bytes(data)
    members = refused_or(lambda: _members(file))
    if members is not None and all(content is not None for content in members.values()):
        # What is read in full has one form: written again it is the same file.
        again = folder() / "again.zip"
        with again.open("wb") as out:
            write_archive(out, [(name, content or b"") for name, content in members.items()])
        assert again.read_bytes() == data
    verdict = examine(file, trust=None, policy=None, relied=None, at=system_clock()).verdict
    assert all(check.detail or check.passed for check in verdict.checks)
    assert verdict.valid is False, "nothing here lies under a root that came along"


def _members(file: Path) -> dict[str, bytes | None]:
    with ArchiveReader(file) as reader:
        return {name: reader.read(name) for name in reader.members}
