"""Following a party's log from outside: whose it is, what is new in it, and a file for everything that contradicts.

In the watcher's folder: what the monitor remembers (``monitor.sqlite``), whose log it follows (``owner``), the
statements of that log's witnesses (``witnesses/``), and ``evidence/``, a file for each contradiction.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.audit import entries, ownership, witnesses
from quatrefoil.audit.log import OWNER, PAYLOADS
from quatrefoil.audit.ownership import Owner
from quatrefoil.audit.witnesses import Judged, judge_evidence
from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.tlog import Source
from quatrefoil.tlog.evidence import Evidence
from quatrefoil.tlog.monitor import Monitor, Seen
from quatrefoil.tlog.notes import MOST_SIGNATURES
from quatrefoil.tlog.witness import with_statements
from quatrefoil.transport import TrustAnchor, files
from quatrefoil.transport.identity import Clock

_WITNESSES, _EVIDENCE = "witnesses", "evidence"
_INTRODUCES = b'"kind":"witness"'


@dataclass(frozen=True)
class Found:
    """A contradiction, judged, and the file that shows it to others."""

    judged: Judged
    file: Path


@dataclass(frozen=True)
class Look:
    """What one look at a log, or at a checkpoint of it, found."""

    owner: Owner
    size: int
    new: int
    found: tuple[Found, ...]


class Watcher:
    """Of one party's log. ``with`` closes it."""

    def __init__(self, folder: Path, trust: TrustAnchor, *, clock: Clock) -> None:
        self._folder = folder
        self._trust = trust
        self._clock = clock
        self._monitor: Monitor | None = None
        self._owner: tuple[Owner, bytes] | None = None
        if (folder / OWNER).exists():
            self._meet(files.read(folder / OWNER, "owner of a log"))

    def look(self, source: Source) -> Look:
        """Read the log where it lies."""
        signed = source.read(OWNER)
        if signed is None:
            raise EvidenceRejected("the log does not say whose it is", hint="Name the folder of a log", check="owner")
        owner, monitor = self._meet(signed)
        introduced: list[bytes] = []

        def on_leaf(index: int, leaf: bytes) -> None:
            if _INTRODUCES in leaf:
                introduced.extend(_statements(source, index, leaf))

        seen = monitor.look(source, on_leaf=on_leaf)
        for statement in introduced:
            self._keep_witness(statement)
        return self._judged(owner, seen)

    def hear(self, checkpoint: bytes) -> Look:
        """Take a checkpoint that another party was given."""
        if self._owner is None or self._monitor is None:
            raise CallerError(
                "whose checkpoint it is cannot be told before its log was looked at",
                hint="Name the folder of the log first",
            )
        return self._judged(self._owner[0], self._monitor.hear(checkpoint))

    def _meet(self, signed: bytes) -> tuple[Owner, Monitor]:
        owner = ownership.verify(signed, self._trust, clock=self._clock)
        if self._owner is None:
            self._owner = owner, signed
            self._monitor = Monitor(self._folder, owner.keys)
            if not (self._folder / OWNER).exists():
                files.write_new(self._folder / OWNER, signed)
        known = self._owner[0]
        if (owner.origin, owner.keys) != (known.origin, known.keys):
            raise EvidenceRejected(
                f"the log of {owner.name} is {owner.origin} under other keys, or another log, than {known.origin} that "
                "is followed here",
                hint="Give each log a --state folder of its own; ask why, where it should be the same",
                check="owner",
                party=owner.name,
            )
        assert self._monitor is not None
        return owner, self._monitor

    def _keep_witness(self, statement: bytes) -> None:
        with contextlib.suppress(EvidenceRejected):  # one that does not hold ties no signature to anybody
            witnesses.verify(statement, self._trust, clock=self._clock)
            file = self._folder / _WITNESSES / hashlib.sha256(statement).hexdigest()
            if not file.exists():
                files.write_new(file, statement)

    def _judged(self, owner: Owner, seen: Seen) -> Look:
        assert self._owner is not None
        statements = self._statements() if seen.evidence else []
        whole = [with_statements(one, self._owner[1], statements) for one in seen.evidence]
        return Look(owner, seen.size, seen.new, tuple(self._written(one) for one in whole))

    def _statements(self) -> list[bytes]:
        folder = self._folder / _WITNESSES
        found = sorted(folder.iterdir())[:MOST_SIGNATURES] if folder.is_dir() else []
        return [files.read(file, "statement of a witness") for file in found]

    def _written(self, evidence: Evidence) -> Found:
        """The file is named by the two checkpoints: found again, it is the same file."""
        judged = judge_evidence(evidence, self._trust, clock=self._clock)
        sides = [judged.verdict.first.note.text, judged.verdict.second.note.text]
        name = hashlib.sha256("\n".join(sides).encode()).hexdigest()[:16]
        file = self._folder / _EVIDENCE / f"{evidence.why}-{name}.json"
        if not file.exists():
            files.write_new(file, evidence.encode())
        return Found(judged, file)

    def close(self) -> None:
        if self._monitor is not None:
            self._monitor.close()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_evidence(file: Path) -> Evidence:
    """The evidence in a file, still to be judged."""
    return Evidence.decode(files.read(file, "evidence"))


def _statements(source: Source, index: int, leaf: bytes) -> list[bytes]:
    try:
        entry = entries.decode(index, leaf)
    except EvidenceRejected:  # a log may hold what is no entry; whoever reads its entries is told
        return []
    attached = entry.attached.get("statement")
    if entry.kind != "witness" or attached is None:
        return []
    try:
        content = source.read(f"{PAYLOADS}/{attached.sha256}")
    except HostError:
        content = None
    return [] if content is None or hashlib.sha256(content).hexdigest() != attached.sha256 else [content]
