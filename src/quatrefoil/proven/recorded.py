"""Recorded exchanges on disk: a file each, in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from quatrefoil.audit.sampling import Sample
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.proven.exchanges import Exchange
from quatrefoil.transport import files

ENDING = ".exchange"


def read_exchanges(path: Path) -> list[Exchange]:
    """The exchange in a file, or those in a folder's files NAME.exchange in the order of their names."""
    found = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else [path]
    if not found:
        raise CallerError(f"there is no *{ENDING} in {path}", hint="Give the records of the server")
    return [_read(file) for file in found]


def drawn_of(exchanges: Sequence[Exchange], sample: Sample) -> list[Exchange]:
    """The exchanges that a sample has drawn, in its order. ``CallerError`` where there is no record of one."""
    known = {hashlib.sha256(one.receipt).digest(): one for one in exchanges}
    for drawn in sample.drawn:
        if drawn.digest not in known:
            raise CallerError(
                f"there is no record of receipt {drawn.sequence} of keyset {drawn.keyset.hex()[:16]}, which is drawn",
                hint="Give all records: a receipt without one cannot be proven, and the auditor sees that",
            )
    return [known[drawn.digest] for drawn in sample.drawn]


def _read(file: Path) -> Exchange:
    try:
        return Exchange.decode(files.read(file, "record"))
    except MessageRefused as error:
        raise EvidenceRejected(
            f"{file.name} is no recorded exchange: {error.problem}", hint="Give the record as the server wrote it"
        ) from None


__all__ = ["ENDING", "drawn_of", "read_exchanges"]
