"""Recorded exchanges on disk: a file each, in a folder."""

from __future__ import annotations

from pathlib import Path

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


def _read(file: Path) -> Exchange:
    try:
        return Exchange.decode(files.read(file, "record"))
    except MessageRefused as error:
        raise EvidenceRejected(
            f"{file.name} is no recorded exchange: {error.problem}", hint="Give the record as the server wrote it"
        ) from None


__all__ = ["ENDING", "read_exchanges"]
