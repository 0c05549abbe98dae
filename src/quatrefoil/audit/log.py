"""Where parties write what happened.

Property: an acknowledged entry is on the disk and under a checkpoint that the log has signed; nobody who has seen a
checkpoint can be shown another history later without its owner's signatures proving it. See :mod:`quatrefoil.tlog`.

The folder of a party's log: what C2SP tlog-tiles has (``checkpoint``, ``tile/``), ``owner`` (the signed statement whose
log it is), ``payload/`` (what entries attach, each named by its SHA-256), ``trust/`` (roots and revocation lists as the
owner has them), ``witnessed`` (the newest checkpoint with a quorum of cosignatures), ``index.sqlite`` (a list by kind
that can be made again), and the writer's ``journal`` and ``lock``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from quatrefoil.audit import entries, ownership
from quatrefoil.audit.entries import Attachment, Entry
from quatrefoil.audit.index import FILE as INDEX
from quatrefoil.audit.index import Index
from quatrefoil.errors import HostError
from quatrefoil.policy import Policy
from quatrefoil.tlog import LogKeys, LogReader, LogWriter, NoteSignature, SignedCheckpoint, VerifierKey, disk
from quatrefoil.transport import Identity, TrustAnchor

LOG_FOLDER, KEY_FOLDER = "log", "log-keys"
OWNER, PAYLOADS, TRUST_FOLDER, WITNESSED = "owner", "payload", "trust", "witnessed"


@dataclass(frozen=True)
class Event:
    """What is to be logged. ``attached``: content that lies beside the log, by what it is."""

    kind: str
    body: Mapping[str, Any]
    attached: Mapping[str, bytes] = field(default_factory=dict)


class Log(Protocol):
    """Where what happened is written. What ``append`` and ``append_all`` return is durable."""

    def append(self, kind: str, body: Mapping[str, Any], attached: Mapping[str, bytes] | None = None) -> Entry: ...

    def append_all(self, events: Sequence[Event]) -> list[Entry]: ...

    def entries(self) -> Iterator[Entry]: ...

    @property
    def size(self) -> int:
        """How many entries there are."""

    def entries_from(self, start: int) -> Iterator[Entry]:
        """Entries from ``start`` on as they lie there, for the log's own writer: nothing is checked."""

    def payload(self, digest: str) -> bytes: ...


class MemoryLog:
    """A log for tests and for runs in one process; gone with the process, and signed by nobody."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or _now
        self._leaves: list[bytes] = []
        self._payloads: dict[str, bytes] = {}

    def append(self, kind: str, body: Mapping[str, Any], attached: Mapping[str, bytes] | None = None) -> Entry:
        return self.append_all([Event(kind, body, attached or {})])[0]

    def append_all(self, events: Sequence[Event]) -> list[Entry]:
        start, leaves = len(self._leaves), [_leaf(self._clock(), event) for event in events]
        for content in _contents(events):
            self._payloads[Attachment.of(content).sha256] = content
        self._leaves += leaves
        return [entries.decode(start + at, leaf) for at, leaf in enumerate(leaves)]

    def entries(self) -> Iterator[Entry]:
        return self.entries_from(0)

    @property
    def size(self) -> int:
        return len(self._leaves)

    def entries_from(self, start: int) -> Iterator[Entry]:
        return (entries.decode(index, leaf) for index, leaf in enumerate(tuple(self._leaves)) if index >= start)

    def payload(self, digest: str) -> bytes:
        return self._payloads[digest]


class TileLog:
    """A party's log on its disk, with one writer at a time."""

    def __init__(
        self, state: Path, identity: Identity, trust: TrustAnchor, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        """Open the log in the folder ``state`` of a party, or begin it. ``HostError`` where another process has it
        open or its disk refuses, ``StateCorrupt`` where it is not what was acknowledged."""
        self._clock = clock or _now
        self._keys = ownership.keys_of(state / KEY_FOLDER, identity, trust)
        self._folder = state / LOG_FOLDER
        self._writer = LogWriter(self._folder, self._keys.signers, clock=self._clock)
        try:
            self._index = Index(self._folder / INDEX)
            self._introduce(identity)
            self._index.catch_up(self._writer)
        except BaseException:
            self._writer.close()
            raise

    def _introduce(self, identity: Identity) -> None:
        """Say whose log it is where that is not said yet, or was said under an older certificate."""
        owner = self._folder / OWNER
        try:
            if self._writer.size and owner.exists() and ownership.signer_of(owner.read_bytes()) == identity.fingerprint:
                return
            signed = ownership.sign(self._keys, identity, self._clock())
            disk.put(owner, signed, durable=True)
        except OSError as error:
            raise HostError(f"log {self._folder} cannot be written ({error.strerror})", hint="Check its disk") from None
        body = {
            "origin": self._keys.origin,
            "certificate": identity.fingerprint.hex(),
            "keys": [key.encode() for key in self._keys.verifiers],
        }
        self.append("log-opened", body, {"owner": signed})

    # ----------------------------------------------------------------------------------------------------- appending

    def append(self, kind: str, body: Mapping[str, Any], attached: Mapping[str, bytes] | None = None) -> Entry:
        return self.append_all([Event(kind, body, attached or {})])[0]

    def append_all(self, events: Sequence[Event]) -> list[Entry]:
        """Several at once: one write to the disk and one checkpoint for all of them."""
        if not events:
            return []
        leaves = [_leaf(self._clock(), event) for event in events]
        self._attach(events)
        start = self._writer.append(leaves)
        found = [entries.decode(start + at, leaf) for at, leaf in enumerate(leaves)]
        self._index.add(found)
        return found

    def _attach(self, events: Sequence[Event]) -> None:
        """What entries attach is on the disk before them; without its entry it is only a file that nobody names.

        Also where all files are there: their names may come of an attempt that failed before they were synchronised.
        """
        folder = self._folder / PAYLOADS
        attached = {folder / Attachment.of(content).sha256: content for content in _contents(events)}
        try:
            disk.put_contents({path: content for path, content in attached.items() if not path.exists()})
            if attached:
                disk.synchronise_folder(folder)
        except OSError as error:
            raise HostError(
                f"log {self._folder} cannot be written ({error.strerror})",
                hint="Free space on its disk and try again; nothing was logged",
            ) from None

    def cosigned(self, signatures: Sequence[NoteSignature], witnesses: Sequence[VerifierKey]) -> SignedCheckpoint:
        """Put signatures of witnesses under the newest checkpoint."""
        return self._writer.cosigned(signatures, witnesses)

    def keep_witnessed(self, checkpoint: bytes) -> None:
        """Put a checkpoint of this log that a quorum has cosigned beside it, durably."""
        try:
            disk.put(self._folder / WITNESSED, checkpoint, durable=True)
        except OSError as error:
            raise HostError(f"log {self._folder} cannot be written ({error.strerror})", hint="Check its disk") from None

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def owner(self) -> bytes:
        """The signed statement of whose log it is."""
        return (self._folder / OWNER).read_bytes()

    @property
    def keys(self) -> LogKeys:
        return self._keys

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def checkpoint(self) -> bytes:
        """The newest signed checkpoint."""
        return self._writer.checkpoint

    def reader(self) -> LogReader:
        """The log as it is now, for proofs."""
        return self._writer.reader()

    def entries(self) -> Iterator[Entry]:
        """Every entry in order, each held to the tree; at the end, the tree to the checkpoint."""
        return (entries.decode(index, leaf) for index, leaf in self.reader().leaves())

    @property
    def size(self) -> int:
        return self._writer.size

    def entries_from(self, start: int) -> Iterator[Entry]:
        return (entries.decode(index, leaf) for index, leaf in self.reader().leaves_from(start))

    def payload(self, digest: str) -> bytes:
        return (self._folder / PAYLOADS / digest).read_bytes()

    def find_kind(self, kind: str) -> list[int]:
        """Where the entries of a kind are."""
        return self._index.of_kind(kind)

    def find_hash(self, hashed: bytes) -> list[int]:
        """Where leaves of this hash are, or entries that attach content of this SHA-256."""
        return self._index.with_hash(hashed)

    def keep_trust(self, files: Mapping[str, bytes]) -> None:
        """Put the roots and lists that the owner has beside the log, for whoever audits the folder."""
        try:
            for name, content in files.items():
                disk.put(self._folder / TRUST_FOLDER / name, content, durable=True)
        except OSError as error:
            raise HostError(f"log {self._folder} cannot be written ({error.strerror})", hint="Check its disk") from None

    def close(self) -> None:
        self._index.close()
        self._writer.close()

    def __enter__(self) -> TileLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def log_policy(policy: Policy, log: Log) -> None:
    """Log which policy is in force, with the bytes that its digest is of."""
    log.append("policy", {"name": policy.name, "digest": policy.digest().hex()}, {"policy": policy.encode()})


def carry_over(begun: Log, log: Log) -> None:
    """Log again in ``log`` what was logged in ``begun``, with what it attaches."""
    for entry in begun.entries():
        attached = {name: begun.payload(one.sha256) for name, one in entry.attached.items()}
        log.append(entry.kind, entry.body, attached)


def _leaf(time: datetime, event: Event) -> bytes:
    attached = {name: Attachment.of(content) for name, content in event.attached.items()}
    return entries.encode(time, event.kind, event.body, attached)


def _contents(events: Sequence[Event]) -> Iterator[bytes]:
    return (content for event in events for content in event.attached.values())


def _now() -> datetime:
    return datetime.now(UTC)


__all__ = ["Event", "Log", "MemoryLog", "TileLog", "carry_over", "log_policy"]
