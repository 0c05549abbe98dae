"""A monitor: follows a log over time, and reports what its signed checkpoints say against each other.

It remembers every checkpoint that it was shown, and verifies of each newer one only the leaves that are new: time and
memory do not depend on how much was seen before. What it remembers is durable before it is compared.

It reads a log where it lies, or only a checkpoint that somebody else was given of it. Two such checkpoints are compared
by themselves, and against the tree of the log that is followed, as soon as that has as many leaves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.errors import EvidenceRejected, HostError, StateCorrupt
from quatrefoil.tlog.checkpoints import Checkpoint, SignedCheckpoint, read_checkpoint
from quatrefoil.tlog.edge import Edge, Written
from quatrefoil.tlog.evidence import REWRITE, STALE, Evidence, compare
from quatrefoil.tlog.merkle import consistency_proof, leaf_hash, verify_consistency
from quatrefoil.tlog.notes import VerifierKey
from quatrefoil.tlog.reader import LogReader, Source, fetch_checkpoint
from quatrefoil.tlog.tiles import ENTRIES, HEIGHT, WIDTH, levels_of, split_bundle, tile_at

STATE = "monitor.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoint (
  number INTEGER PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL,
  held INTEGER NOT NULL, UNIQUE (origin, size, root)
);
CREATE INDEX IF NOT EXISTS by_size ON checkpoint (origin, held, size);
CREATE TABLE IF NOT EXISTS head (origin TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""
_SAME_SIZE = "SELECT note FROM checkpoint WHERE origin = ? AND size = ? AND root != ? ORDER BY number LIMIT 4"
_NEXT_SMALLER = "SELECT note FROM checkpoint WHERE origin = ? AND size < ? ORDER BY size DESC, number LIMIT 1"
_NEXT_LARGER = "SELECT note FROM checkpoint WHERE origin = ? AND size > ? ORDER BY size, number LIMIT 1"

_HINT = "The log is damaged or was altered: keep it as evidence, and fetch it again"

OnLeaf = Callable[[int, bytes], None]
"""Told every new leaf and its index. They count once :meth:`Monitor.look` has returned."""


@dataclass(frozen=True)
class Seen:
    """What a look at a log found. ``new``: leaves that were verified now. ``evidence``: what its checkpoints say
    against each other, newly or still."""

    origin: str
    size: int
    new: int
    evidence: tuple[Evidence, ...]


class Monitor:
    """Of one log, with what it remembers in ``folder``. One process at a time."""

    def __init__(self, folder: Path, keys: Sequence[VerifierKey]) -> None:
        """``keys``: the log's own, all of them, under its origin. Lines of witnesses are kept as they come; who signed
        both sides of something is told when it is judged."""
        self._keys = tuple(keys)
        self._origin = keys[0].name
        self._path = folder / STATE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA synchronous = EXTRA")
            self._database.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self._path, error) from None

    @property
    def origin(self) -> str:
        return self._origin

    @property
    def head(self) -> SignedCheckpoint | None:
        """The newest checkpoint of which every leaf was verified."""
        row = self._query("SELECT note FROM head JOIN checkpoint USING (number) WHERE head.origin = ?", self._origin)
        return None if row is None else self._remembered(row[0])

    # ------------------------------------------------------------------------------------------------------- looking

    def look(self, source: Source, *, on_leaf: OnLeaf | None = None) -> Seen:
        """Read a log where it lies: its checkpoint, and the leaves since the last look.

        ``EvidenceRejected``, naming the tile or leaf, where the log does not hold what its checkpoint says.
        """
        signed = self._own(fetch_checkpoint(source, self._keys))
        found = self._note(signed)
        head, reader = self.head, LogReader(source, signed)
        size = 0 if head is None else head.checkpoint.size
        if signed.checkpoint.size < size:
            assert head is not None
            stale = [] if found else [Evidence(STALE, signed.note.encode(), head.note.encode())]
            return self._seen(signed, 0, [*found, *stale])
        if head is not None and signed.checkpoint.size == size and signed.checkpoint.root != head.checkpoint.root:
            return self._seen(signed, 0, found)
        if head is not None and signed.checkpoint.size > size and (rewrite := _rewrite(reader, head)) is not None:
            return self._seen(signed, 0, [*found, rewrite])
        if head is None or signed.checkpoint.size > size:
            _verify_new(reader, head, on_leaf)
            self._become_head(signed)
        return self._seen(signed, signed.checkpoint.size - size, [*found, *self._hold_up(reader)])

    def hear(self, checkpoint: bytes) -> Seen:
        """Take a checkpoint from elsewhere, without its log. It is compared with those of its size now, and with the
        tree of the log at the next look at one that is as large."""
        signed = self._own(read_checkpoint(checkpoint, self._keys))
        return self._seen(signed, 0, self._note(signed))

    def _own(self, signed: SignedCheckpoint) -> SignedCheckpoint:
        if signed.checkpoint.origin != self._origin:
            raise EvidenceRejected(
                f"the checkpoint is of {signed.checkpoint.origin}, and {self._origin} is followed",
                hint="Give each log a --state folder of its own",
                check="checkpoint",
            )
        signed.require(self._keys)
        return signed

    def _note(self, signed: SignedCheckpoint) -> list[Evidence]:
        """Remember a checkpoint, and compare it with those of its size and the next in size: that takes no tree."""
        checkpoint = signed.checkpoint
        self._execute(
            "INSERT INTO checkpoint (origin, size, root, note, held) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET note = excluded.note WHERE length(excluded.note) > length(note)",
            self._origin,
            checkpoint.size,
            checkpoint.root,
            signed.note.encode(),
            int(checkpoint.size == 0),
        )
        here = self._origin, checkpoint.size
        beside = [
            *self._execute(_SAME_SIZE, *here, checkpoint.root).fetchall(),
            *self._execute(_NEXT_SMALLER, *here).fetchall(),
            *self._execute(_NEXT_LARGER, *here).fetchall(),
        ]
        return [one for (note,) in beside if (one := compare(self._remembered(note), signed)) is not None]

    def _hold_up(self, reader: LogReader) -> list[Evidence]:
        """Compare what was remembered and never held up to the tree with it."""
        rows = self._execute(
            "SELECT number, note FROM checkpoint WHERE origin = ? AND held = 0 AND size <= ? ORDER BY size",
            self._origin,
            reader.size,
        ).fetchall()
        found = []
        for number, note in rows:
            signed = self._remembered(note)
            if signed.checkpoint.size == reader.size:
                evidence = compare(signed, reader.signed)
            else:
                evidence = _rewrite(reader, signed)
            if evidence is None:
                self._execute("UPDATE checkpoint SET held = 1 WHERE number = ?", number)
            else:
                found.append(evidence)
        return found

    def _become_head(self, signed: SignedCheckpoint) -> None:
        self._execute(
            "INSERT OR REPLACE INTO head SELECT origin, number FROM checkpoint"
            " WHERE origin = ? AND size = ? AND root = ?",
            self._origin,
            signed.checkpoint.size,
            signed.checkpoint.root,
        )

    def _seen(self, signed: SignedCheckpoint, new: int, found: Sequence[Evidence]) -> Seen:
        different = {(one.why, one.first, one.second): one for one in found}
        return Seen(self._origin, signed.checkpoint.size, new, tuple(different.values()))

    # -------------------------------------------------------------------------------------------------------- details

    def _remembered(self, note: bytes) -> SignedCheckpoint:
        try:
            signed = read_checkpoint(note, self._keys)
            signed.require(self._keys)
        except EvidenceRejected as error:
            raise StateCorrupt(
                f"{self._path} holds a checkpoint that does not verify ({error.problem})",
                hint="Check that it follows this log, and restore it from where it was last",
            ) from None
        return signed

    def _query(self, statement: str, *values: object) -> tuple[bytes] | None:
        found: tuple[bytes] | None = self._execute(statement, *values).fetchone()
        return found

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from None

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rewrite(reader: LogReader, older: SignedCheckpoint) -> Evidence | None:
    """What the tree of a log shows about an older checkpoint that it does not begin with. The proof is held to the
    newer root first: tiles that are damaged convict nobody."""
    small, large = older.checkpoint, reader.checkpoint
    if small.size == 0:
        return None
    prefix = reader.root_at(small.size)
    proof = consistency_proof(small.size, large.size, reader.node)
    try:
        verify_consistency(small.size, prefix, large.size, large.root, proof)
    except EvidenceRejected:
        raise _altered(
            f"the tiles of the log of {large.size} leaves do not give the root that was signed", "tiles"
        ) from None
    if prefix == small.root:
        return None
    return Evidence(REWRITE, older.note.encode(), reader.signed.note.encode(), prefix=prefix, proof=tuple(proof))


def _verify_new(reader: LogReader, head: SignedCheckpoint | None, on_leaf: OnLeaf | None) -> None:
    """Hold every leaf after those of ``head`` to its hash in a tile, every tile above to what is below it, and all of
    them, after the ones that were verified before, to the root."""
    edge = Edge() if head is None else _edge_at(reader, head.checkpoint)
    old = edge.size
    for index in range(old // WIDTH, -(-reader.size // WIDTH)):
        bundle = tile_at(reader.size, ENTRIES, index)
        leaves = split_bundle(bundle, reader.bundle(bundle))
        hashes = reader.hashes(tile_at(reader.size, 0, index))
        for position, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True), index * WIDTH):
            if position < old:
                continue
            if leaf_hash(leaf) != hashed:
                raise _altered(f"leaf {position} is not the one that was logged", "leaves")
            _require_tiles(reader, edge.append(leaf))
            if on_leaf is not None:
                on_leaf(position, leaf)
    _require_tiles(reader, edge.partial())
    if edge.root() != reader.checkpoint.root:
        raise _altered(f"the {reader.size} leaves do not give the root that was signed", "root")


def _require_tiles(reader: LogReader, written: Iterable[Written]) -> None:
    for tile, content in written:
        if tile.level > 0 and b"".join(reader.hashes(tile)) != content:
            raise _altered(f"{tile.path} does not hold the roots of the tiles below", "tiles")


def _edge_at(reader: LogReader, head: Checkpoint) -> Edge:
    """The right edge at the size of ``head``, from tiles, held to its root."""
    rows: list[list[bytes]] = []
    for level in levels_of(head.size):
        index, width = divmod(head.size >> (HEIGHT * level), WIDTH)
        rows.append(reader.hashes(tile_at(reader.size, level, index))[:width] if width else [])
    edge = Edge(head.size, rows)
    if edge.root() != head.root:
        raise _altered(f"the tiles of the log do not hold the {head.size} leaves that were verified before", "tiles")
    return edge


def _altered(problem: str, check: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check=check)


def _unusable(path: Path, error: sqlite3.Error | OSError) -> HostError:
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return StateCorrupt(
            f"what the monitor remembers in {path} is damaged ({error})", hint="Restore it from a copy, or begin anew"
        )
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return HostError(f"{path} is in use by another monitor", hint="Give each monitor its own --state folder")
    return HostError(f"{path} cannot be used ({error})", hint="Name a folder that you may read and write")
