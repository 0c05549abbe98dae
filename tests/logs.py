"""Reading the logs that real parties wrote."""

from __future__ import annotations

from pathlib import Path

from quatrefoil.audit import Entry, PartyLog
from quatrefoil.audit.log import TRUST_FOLDER
from quatrefoil.transport import TrustAnchor


def entries_of(folder: Path) -> list[Entry]:
    """Every entry of a party's log folder, held to its checkpoint under the roots that the party had."""
    return list(PartyLog.in_folder(folder, TrustAnchor.load(folder / TRUST_FOLDER)).entries())
