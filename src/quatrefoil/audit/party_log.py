"""A party's log as an auditor finds it, in a folder or a bundle: nothing of it is believed before it is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from quatrefoil.audit import entries, ownership
from quatrefoil.audit.entries import Attachment, Entry
from quatrefoil.audit.log import OWNER, PAYLOADS
from quatrefoil.audit.ownership import Owner
from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import FolderSource, LogReader, Source, VerifierKey, fetch_checkpoint
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.identity import Clock, system_clock

_HINT = "Ask the log's operator for the folder as it is"


class PartyLog:
    """Whose log it is and its checkpoint have been verified; leaves and tiles are when they are read."""

    def __init__(
        self, source: Source, trust: TrustAnchor, *, clock: Clock, witnesses: tuple[VerifierKey, ...] = ()
    ) -> None:
        """``witnesses``: the keys of those whose cosignatures are looked for under the checkpoint."""
        signed = source.read(OWNER)
        if signed is None:
            raise EvidenceRejected("the log does not say whose it is", hint=_HINT, check="owner")
        self._source = source
        self.trust = trust
        """Whom its owner was certified by."""
        self.statement = signed
        """The owner's signed statement, as it lies in the log."""
        self.owner: Owner = ownership.verify(signed, trust, clock=clock)
        checkpoint = fetch_checkpoint(source, (*self.owner.keys, *witnesses))
        checkpoint.require(self.owner.keys)
        if checkpoint.checkpoint.origin != self.owner.origin:
            raise EvidenceRejected(
                f"the checkpoint is of {checkpoint.checkpoint.origin}, and the log of {self.owner.origin}",
                hint=_HINT,
                check="checkpoint",
            )
        self.reader = LogReader(source, checkpoint)

    @classmethod
    def in_folder(cls, folder: Path, trust: TrustAnchor, *, clock: Clock = system_clock) -> PartyLog:
        """The log that a party keeps in ``folder``."""
        return cls(FolderSource(folder), trust, clock=clock)

    @property
    def size(self) -> int:
        return self.reader.size

    def entries(self) -> Iterator[Entry]:
        """Every entry in order. They count once the iteration has ended: the root is compared last."""
        return (entries.decode(index, leaf) for index, leaf in self.reader.leaves())

    def entry(self, index: int) -> Entry:
        """One entry, shown to be under the checkpoint."""
        return entries.decode(index, self.reader.leaf(index))

    def read(self, path: str) -> bytes | None:
        """A file that lies beside the log, as it is: nothing of it has been verified."""
        return self._source.read(path)

    def payload(self, name: str, attachment: Attachment) -> bytes:
        """What an entry attaches, held to its digest."""
        content = self._source.read(f"{PAYLOADS}/{attachment.sha256}")
        if content is None:
            raise EvidenceRejected(f"the {name} {attachment.sha256[:16]} is missing", hint=_HINT, check="payloads")
        if len(content) != attachment.size or hashlib.sha256(content).hexdigest() != attachment.sha256:
            raise EvidenceRejected(
                f"the {name} {attachment.sha256[:16]} is not what was logged", hint=_HINT, check="payloads"
            )
        return content
