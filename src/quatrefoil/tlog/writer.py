"""The one writer of a log: appends that are durable, and covered by a signed checkpoint, when they return.

The order in which things reach the disk: the journal, which is what acknowledges; then tiles; then the checkpoint over
them. A process that is killed anywhere leaves a folder that a reader can use; a machine that loses its power leaves one
that the next opening makes whole from the journal. Tiles never hold what was not acknowledged.

The folder: ``checkpoint`` and ``tile/`` as C2SP tlog-tiles has them, and ``journal``, which is the writer's own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from quatrefoil.errors import CallerError, EvidenceRejected, HostError, StateCorrupt
from quatrefoil.tlog import disk
from quatrefoil.tlog.checkpoints import Checkpoint, SignedCheckpoint, Signer, read_checkpoint
from quatrefoil.tlog.edge import Edge, Written
from quatrefoil.tlog.journal import RESTORE, Appended, Journal
from quatrefoil.tlog.notes import Note, NoteSignature, VerifierKey
from quatrefoil.tlog.reader import FolderSource, LogReader, fetch_checkpoint
from quatrefoil.tlog.recovery import edge_of
from quatrefoil.tlog.store import TileStore
from quatrefoil.tlog.tiles import (
    CHECKPOINT,
    LARGEST_LEAF,
    TILES,
)

JOURNAL, LOCK = "journal", "lock"

MOST_APPENDED = 1 << 16
"""Leaves of one append."""

SETTLED_EVERY = 4 << 20
"""Bytes of journal after which tiles are synchronised and the journal begins anew."""


class LogWriter:
    """A log that is open for appending. Not for use by several threads at once."""

    def __init__(self, folder: Path, signers: Sequence[Signer], *, clock: Callable[[], datetime]) -> None:
        """Open the log in ``folder``, or begin one. ``signers``: the log's own keys, all under its origin.

        ``HostError`` where another process has it open, or the folder cannot be written; ``StateCorrupt`` where it does
        not hold what was acknowledged, or other keys signed it.
        """
        if not signers or len({signer.name for signer in signers}) != 1:
            raise CallerError(
                "a log signs with keys of one name", hint="Give every signer the log's origin as its name"
            )
        self._folder = folder
        self._signers = tuple(signers)
        self._keys = tuple(signer.verifier for signer in signers)
        self._clock = clock
        self._signed_at = datetime.fromtimestamp(0, UTC)
        self._edge: Edge
        self._checkpoint: bytes
        self._journal: Journal | None = None
        self._tiles = TileStore(folder)
        self._shown: bytes | None = None
        """The checkpoint in the folder, as far as this writer has put it there."""
        try:
            made = disk.make_folders(folder)
            self._lock = _locked(folder)
        except OSError as error:
            raise _unusable(folder, error) from None
        try:
            self._open(made)
        except OSError as error:
            self._let_go()
            raise _unusable(folder, error) from None
        except BaseException:
            self._let_go()
            raise

    # ------------------------------------------------------------------------------------------------------- what is

    @property
    def origin(self) -> str:
        return self._signers[0].name

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """What verifies this log's own signatures; a checkpoint of it has all of them."""
        return self._keys

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._edge.size

    @property
    def checkpoint(self) -> bytes:
        """The newest checkpoint, with the cosignatures that it has collected."""
        return self._checkpoint

    def reader(self) -> LogReader:
        """The log as it is now, for proofs."""
        return LogReader(FolderSource(self._folder), read_checkpoint(self._checkpoint, self._keys))

    # ----------------------------------------------------------------------------------------------------- appending

    def append(self, leaves: Sequence[bytes]) -> int:
        """Add leaves, and return the index of the first. They are durable and under a signed checkpoint then.

        ``HostError`` where the disk refuses: nothing was added, and it may be tried again; or, where it did not even
        let what was written be taken back, the log is closed, and opening it again shows whether it was added.
        """
        self._open_journal()
        if not 0 < len(leaves) <= MOST_APPENDED or any(len(leaf) > LARGEST_LEAF for leaf in leaves):
            raise CallerError(
                f"an append takes 1 to {MOST_APPENDED} leaves of at most {LARGEST_LEAF} bytes",
                hint="Divide it, or log digests of what is larger",
            )
        self._catch_up()
        edge, full = self._edge.copy(), list[Written]()
        for leaf in leaves:
            full += edge.append(leaf)
        start = self.size
        self._commit(edge, full, Appended(start, tuple(leaves), self._sign(edge)))
        return start

    def cosigned(self, signatures: Sequence[NoteSignature], keys: Sequence[VerifierKey]) -> SignedCheckpoint:
        """Put signatures of witnesses under the newest checkpoint, durably. ``keys``: the witnesses' that are known.

        ``EvidenceRejected`` where one of theirs does not verify for this very checkpoint. Others are left out.
        """
        self._open_journal()
        self._catch_up()
        note = Note.decode(self._checkpoint)
        known = [line for line in signatures if any(key.signed(line) for key in keys)]
        kept = [line for line in note.signatures if all(not _same_key(line, new) for new in known)]
        content = Note(note.text, (*kept, *known)).encode()
        found = read_checkpoint(content, (*self._keys, *keys))
        if known:
            self._commit(self._edge, [], Appended(self.size, (), content))
        return found

    def _sign(self, edge: Edge) -> bytes:
        checkpoint = Checkpoint(self.origin, edge.size, edge.root())
        # A clock that was set back must not have a larger tree signed at an earlier time: that is how a rollback looks.
        self._signed_at = at = max(self._clock(), self._signed_at)
        return Note(checkpoint.text(), tuple(signer.sign(checkpoint, at) for signer in self._signers)).encode()

    def _commit(self, edge: Edge, full: list[Written], appended: Appended) -> None:
        journal = self._open_journal()
        journal.append(appended)
        # Acknowledged from here on: what the disk refuses now is written again before the next append.
        self._edge, self._checkpoint = edge, appended.checkpoint
        self._tiles.add(full)
        if appended.leaves:
            self._tiles.add(edge.partial())
        try:
            self._publish()
        except OSError:
            return
        if journal.size > SETTLED_EVERY:
            try:
                self._settle()
            except OSError:
                journal.close()  # opening writes again, from the journal, what is not certain
                self._journal = journal

    def _publish(self) -> None:
        """Write the tiles that are behind, then the checkpoint over them."""
        self._tiles.write()
        if self._shown is not self._checkpoint:
            disk.put(self._folder / CHECKPOINT, self._checkpoint, durable=False)
            self._shown = self._checkpoint

    def _catch_up(self) -> None:
        try:
            self._publish()
        except OSError as error:
            raise HostError(
                f"log {self._folder} cannot be written ({error.strerror})",
                hint="Free space on its disk and try again; what was logged before is safe",
            ) from None

    # ---------------------------------------------------------------------------------------------- opening, settling

    def _open(self, made: Sequence[Path]) -> None:
        path = self._folder / JOURNAL
        if not path.exists():
            self._begin(path, made)
            return
        journal, self._checkpoint, appended = Journal.recover(path)
        try:
            base = edge_of(self._folder, self._own(self._checkpoint))
            self._edge = base.copy()
            for one in appended:
                self._follow(one)
            self._require_nothing_newer()
            journal.trim()
        except BaseException:
            journal.close()
            raise
        self._journal = journal
        for one in appended:
            # Tiles and narrower tiles of every checkpoint since the base: a lost power may have taken any of them.
            for leaf in one.leaves:
                self._tiles.add(base.append(leaf))
            self._tiles.add(base.partial())
            self._tiles.write()
        self._publish()
        self._tiles.mend(self._edge)
        if appended:
            self._settle()
        elif disk.beside(path).exists():  # a lost power may keep both names of a rename
            disk.remove(disk.beside(path))

    def _begin(self, path: Path, made: Sequence[Path]) -> None:
        if any((self._folder / name).exists() for name in (CHECKPOINT, TILES)):
            raise StateCorrupt(f"log {self._folder} has lost its journal", hint=RESTORE)
        for parent in made or [self._folder.resolve().parent]:
            with suppress(PermissionError):  # a folder that was made for us, in one that we may not read
                disk.synchronise_folder(parent)
        self._edge = Edge()
        self._checkpoint = self._sign(self._edge)
        self._journal = Journal.create(path, self._checkpoint)
        disk.put(self._folder / CHECKPOINT, self._checkpoint, durable=True)
        self._shown = self._checkpoint

    def _follow(self, appended: Appended) -> None:
        """Append in memory what the journal holds, and hold the result to the checkpoint beside it."""
        if appended.start != self.size:
            raise StateCorrupt(f"the journal of {self._folder} has a gap", hint=RESTORE)
        for leaf in appended.leaves:
            self._edge.append(leaf)
        checkpoint = self._own(appended.checkpoint).checkpoint
        if (checkpoint.size, checkpoint.root) != (self.size, self._edge.root()):
            raise StateCorrupt(f"the journal of {self._folder} and its checkpoint disagree", hint=RESTORE)
        self._checkpoint = appended.checkpoint

    def _require_nothing_newer(self) -> None:
        """The journal is on the disk before its checkpoint is shown: one that is beyond it was acknowledged, and to go
        on without it would be to sign a fork."""
        try:
            shown = fetch_checkpoint(FolderSource(self._folder), self._keys)
            shown.require(self._keys)
        except EvidenceRejected:
            return  # not there, or in part: it is not synchronised at each append, and is written again now
        size, root = shown.checkpoint.size, shown.checkpoint.root
        if shown.checkpoint.origin != self.origin or size < self.size:
            return
        if size > self.size or root != self._edge.root():
            raise StateCorrupt(
                f"log {self._folder} has a checkpoint of {size} leaves, and its journal ends otherwise, at {self.size}",
                hint=RESTORE,
            )

    def _own(self, content: bytes) -> SignedCheckpoint:
        """A checkpoint of this very log, under every key of it."""
        try:
            signed = read_checkpoint(content, self._keys)
            signed.require(self._keys)
        except EvidenceRejected as error:
            raise StateCorrupt(
                f"log {self._folder} was not signed by the keys given: {error.problem}", hint=RESTORE
            ) from None
        if signed.checkpoint.origin != self.origin:
            raise StateCorrupt(f"log {self._folder} is {signed.checkpoint.origin}, not {self.origin}", hint=RESTORE)
        times = [one.at for one in signed.signed if one.at is not None]
        self._signed_at = max([self._signed_at, *times])
        return signed

    def _settle(self) -> None:
        """Tiles and checkpoint to the disk for certain; then the journal needs none of what it holds."""
        self._tiles.settle(self._edge)
        disk.put(self._folder / CHECKPOINT, self._checkpoint, durable=True)
        journal = self._open_journal()
        try:
            self._journal = Journal.create(self._folder / JOURNAL, self._checkpoint)
        finally:
            # Perhaps the new one has its place already: nothing may be acknowledged by the old one any more.
            journal.close()

    def close(self) -> None:
        """Settle and let go; again is allowed. A log that was never closed loses nothing."""
        if self._journal is not None and not self._journal.closed:
            try:
                self._publish()
                if not self._tiles.settled:
                    self._settle()
            except OSError:
                pass  # the journal has it, and the next opening settles it
        self._let_go()

    def _let_go(self) -> None:
        """Without another byte to the disk."""
        if self._journal is not None:
            self._journal.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _open_journal(self) -> Journal:
        if self._journal is None or self._journal.closed:
            raise HostError(f"log {self._folder} is closed", hint="Open it again; what was logged is safe")
        return self._journal

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _same_key(one: NoteSignature, other: NoteSignature) -> bool:
    return (one.name, one.key_id) == (other.name, other.key_id)


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise HostError(f"log {folder} is in use by another process", hint="Give each process its own log") from None
    return descriptor


def _unusable(folder: Path, error: OSError) -> HostError:
    return HostError(
        f"log {folder} cannot be opened ({error.strerror})",
        hint="Name a folder that you may read and write, on a disk with space",
    )
