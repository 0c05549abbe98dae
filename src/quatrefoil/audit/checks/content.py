"""What is in a log: checks leaves, tiles, root, entries, payloads and statements, in one pass that holds one bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quatrefoil.audit import entries
from quatrefoil.audit.checks.identity import Introduction
from quatrefoil.audit.checks.measurements import KIND, Measurements
from quatrefoil.audit.checks.statements import CHECKERS, Attested, Context
from quatrefoil.audit.entries import Attachment, Entry
from quatrefoil.audit.kinds import KINDS
from quatrefoil.audit.log import PAYLOADS
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.tlog import LogReader, SignedCheckpoint, Source
from quatrefoil.tlog.sweep import sweep
from quatrefoil.tlog.tiles import levels_of

MOST_BACKWARDS = timedelta(minutes=5)
"""How far the clock of a party may be set back between two entries."""

_REMEMBERED = 1024
"""Payloads that were verified and are not read again."""

OnEntry = Callable[[Entry, Sequence[Attested]], None]
"""Told of an entry, and of what the statements that it attaches were found to say."""


@dataclass
class _Counts:
    entries: int = 0
    payloads: int = 0
    statements: int = 0


class Content:
    """Reads one log from beginning to end, and gives each entry that it finds to ``on_entry``."""

    def __init__(
        self,
        source: Source,
        introduction: Introduction,
        findings: Findings,
        context: Context | None,
        measurements: Measurements | None,
        on_entry: OnEntry,
    ) -> None:
        """``context``: what statements are verified with; None where there is no root to hold them to.
        ``measurements``: None where the auditor gave no appraisal policy."""
        self._source = source
        self._owner, self._claimed = introduction.owner, introduction.claimed
        self._findings = findings
        self._context = context
        self._measurements = measurements
        self._on_entry = on_entry
        self._counts = _Counts()
        self._latest = ""
        self._verified: dict[str, None] = {}

    def read(self, signed: SignedCheckpoint) -> None:
        for swept in sweep(LogReader(self._source, signed), self._findings.reject):
            for at, (leaf, hashed) in enumerate(zip(swept.leaves, swept.hashes, strict=True)):
                self._leaf(swept.first + at, leaf, hashed)
        size, counts, findings = signed.checkpoint.size, self._counts, self._findings
        if size == 0:
            findings.problem("entries", "the log is empty: it does not begin by saying whose it is")
        if counts.entries < size:
            for check in ("entries", "payloads", "statements"):
                findings.not_run(check, f"{size - counts.entries} of {size} leaves are missing or are no entries")
        if self._owner is None:
            findings.not_run("entries", "whose log it is is not known, so neither is which kinds it may hold")
        if not signed.signed:
            findings.say("root", "it is the root that the checkpoint names, which nobody is shown to have signed")
        else:
            findings.say("root", signed.checkpoint.root.hex())
        findings.say("leaves", count(size, "leaf", "leaves"))
        findings.say("tiles", f"on {count(len(levels_of(size)), 'level')}")
        findings.say(
            "entries", f"{counts.entries} entries; clocks may go back by {MOST_BACKWARDS.seconds // 60} minutes"
        )
        findings.say("payloads", count(counts.payloads, "attachment"))
        findings.say("statements", f"{counts.statements} verified")

    def _leaf(self, index: int, leaf: bytes, hashed: bytes) -> None:
        try:
            entry = entries.decode(index, leaf, hashed)
        except EvidenceRejected as error:
            self._findings.problem("entries", error.problem)
            return
        self._counts.entries += 1
        self._check_writer(entry)
        self._check_time(entry)
        said: Sequence[Attested] = ()
        contents = self._payloads(entry)
        if entry.attached or entry.kind in CHECKERS:
            said = self._check_statement(entry, contents)
        if self._measurements is not None:
            self._measurements.follow(entry, contents)
        self._on_entry(entry, said)

    def _check_writer(self, entry: Entry) -> None:
        kind = KINDS.get(entry.kind)
        if self._owner is not None and kind is not None and self._owner.role not in kind.by:
            self._findings.problem(
                "entries", f"entry {entry.index} is of kind {entry.kind}, which no {self._owner.role} writes"
            )
        if entry.kind == "log-opened":
            self._check_opening(entry)
        elif entry.index == 0:
            self._findings.problem("owner", "the log does not begin by saying whose it is")

    def _check_opening(self, entry: Entry) -> None:
        if self._claimed is None:
            return
        keys = [key.encode() for key in self._claimed.keys]
        if (entry.body["origin"], entry.body["keys"]) != (self._claimed.origin, keys):
            self._findings.problem("owner", f"entry {entry.index} names another origin or other keys than the owner")

    def _check_time(self, entry: Entry) -> None:
        if entry.time >= self._latest:
            self._latest = entry.time
        elif datetime.fromisoformat(self._latest) - datetime.fromisoformat(entry.time) > MOST_BACKWARDS:
            self._findings.problem("entries", f"entry {entry.index} is of {entry.time}, after one of {self._latest}")

    # ------------------------------------------------------------------------------------------- what lies beside it

    def _payloads(self, entry: Entry) -> dict[str, bytes]:
        """What an entry attaches and is needed further on, each held to its digest."""
        wanted = entry.kind in CHECKERS or (entry.kind == KIND and self._measurements is not None)
        found = {}
        for name, attachment in entry.attached.items():
            if not wanted and attachment.sha256 in self._verified:
                continue
            content = self._payload(entry, name, attachment)
            if content is not None and wanted:
                found[name] = content
        return found

    def _payload(self, entry: Entry, name: str, attachment: Attachment) -> bytes | None:
        what = f"the {name[:40]} of entry {entry.index}"
        try:
            content = self._source.read(f"{PAYLOADS}/{attachment.sha256}")
        except EvidenceRejected as error:
            self._findings.problem("payloads", f"{what}: {error.problem}")
            return None
        if content is None:
            self._findings.problem("payloads", f"{what} is missing")
            return None
        if len(content) != attachment.size or hashlib.sha256(content).hexdigest() != attachment.sha256:
            self._findings.problem("payloads", f"{what} is not what was logged")
            return None
        self._counts.payloads += 1
        self._verified[attachment.sha256] = None
        if len(self._verified) > _REMEMBERED:
            del self._verified[next(iter(self._verified))]
        return content

    def _check_statement(self, entry: Entry, contents: Mapping[str, bytes]) -> Sequence[Attested]:
        if (checker := CHECKERS.get(entry.kind)) is None:
            return ()
        if self._context is None:
            self._findings.not_run("statements", "there is no root certificate to hold them to")
            return ()
        if missing := entry.attached.keys() - contents.keys():
            self._findings.problem("statements", f"entry {entry.index} ({entry.kind}) lacks its {min(missing)[:40]}")
            return ()
        try:
            said = checker(entry, contents, self._context)
        except QuatrefoilError as error:
            self._findings.problem("statements", f"entry {entry.index} ({entry.kind}): {error.problem}")
            return ()
        self._counts.statements += bool(contents)
        return said
