"""What came out: a table for people on standard output, ``--json FILE`` for programs."""

from __future__ import annotations

import argparse
import json
import math
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from quatrefoil import machine
from quatrefoil.errors import HostError


def add_json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="also write the result to FILE as JSON ('-': standard output)"
    )


def console() -> Console:
    """Standard output; 120 columns where it is not a terminal, so that tables keep their shape in a log."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is left-aligned and the others right-aligned."""
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def require_writable(file: Path | None) -> None:
    """Refuse a ``--json`` file in a folder that does not exist before the work is done, not after it."""
    if file is not None and str(file) != "-" and (file.is_dir() or not file.parent.is_dir()):
        raise HostError(f"{file} cannot be written", hint="Name a file in a folder that exists")


def only_json(options: argparse.Namespace) -> bool:
    """Whether standard output is to hold JSON and nothing else."""
    return str(options.json) == "-"


def write_json(file: Path | None, schema: str, content: dict[str, Any], *, private: bool = False) -> None:
    """Write ``{schema, machine, **content}``; infinite numbers are refused by the format, so callers cap them.
    ``private``: for eyes of the file's owner only (mode 0600)."""
    if file is None:
        return
    text = json.dumps({"schema": schema, "machine": machine.describe(), **content}, indent=2, allow_nan=False) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        with open(file, "w", opener=_private if private else None) as stream:
            stream.write(text)
    except OSError as error:
        raise HostError(
            f"{file} cannot be written ({error.strerror})", hint="Name a file in a folder that exists"
        ) from None


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)  # it may have been there, for others to read
    return descriptor


def capped(value: float, limit: float) -> float:
    """``value`` with infinity replaced by ``limit``, for JSON."""
    return limit if math.isinf(value) and value > 0 else value
