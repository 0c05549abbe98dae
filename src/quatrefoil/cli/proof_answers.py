"""What ``quatrefoil proof prove`` and ``proof verify P`` share: the server's log, and how a result is shown."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape

from quatrefoil.audit import PartyLog
from quatrefoil.cli.auditing import open_logs
from quatrefoil.errors import EvidenceRejected
from quatrefoil.proven.statement import ROLE


@contextmanager
def server_log(options: argparse.Namespace, name: str | None) -> Iterator[PartyLog]:
    """The log of the server ``name``, or of the only one that is there."""
    with open_logs(argparse.Namespace(log=options.log, trust=options.trust, at=None, party=None)) as logs:
        theirs = [log for log in logs.values() if log.owner.role == ROLE and name in (None, log.owner.name)]
        if len(theirs) != 1:
            raise EvidenceRejected(
                f"{len(theirs)} logs in {options.log} are of {ROLE} {name or 'any name'}",
                hint="Give the log of the server that issued the receipts",
                check="log",
            )
        yield theirs[0]


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _shown(value)) for name, value in found.items()]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


__all__ = ["rows", "server_log"]
