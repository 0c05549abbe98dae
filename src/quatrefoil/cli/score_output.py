"""What the steps of ``quatrefoil score`` read and print alike."""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quatrefoil.cli import archives
from quatrefoil.errors import HostError
from quatrefoil.output import console, only_json, progress_console, table, write_json
from quatrefoil.transport import files
from quatrefoil.wire import LARGEST_MESSAGE

SCHEMA = "quatrefoil.score/1"
LARGEST_KEY = 1 << 20
"""Bytes of a key's file."""
SHOWN = 5
"""Scores in the table."""


def read(file: Path) -> bytes:
    """A message's bytes."""
    return archives.read_whole(file, LARGEST_MESSAGE, hint="Name the file that a step wrote")


def read_key(file: Path) -> bytearray:
    """A key file's bytes, its caller's to wipe, and no other copy; refused where others may read it."""
    try:
        with file.open("rb", buffering=0) as stream:
            found = os.fstat(stream.fileno())
            files.require_private(file, "the key", found.st_mode)
            if found.st_size > LARGEST_KEY:
                raise HostError(f"{file} is over {LARGEST_KEY} bytes", hint="Name the key that `--step encrypt` wrote")
            content = bytearray(found.st_size)
            size = stream.readinto(content)
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Check the path and its rights") from None
    if size != len(content):
        raise HostError(f"{file} changed while it was read", hint="Start again")
    return content


def require_new(*places: Path) -> None:
    """Before anything is written: no key without its table."""
    for file in places:
        if file.exists():
            raise HostError(f"{file} exists already", hint="Name another place; nothing is overwritten")


def show_scores(
    options: argparse.Namespace, content: dict[str, Any], names: Sequence[str], rows: list[list[float]]
) -> None:
    """All scores into a new file, as CSV, and as JSON; the first of them in the table. One column is a list of
    numbers, several a list for each row."""
    values: list[Any] = [row[0] for row in rows] if len(names) == 1 else rows
    if options.scores:
        written = io.StringIO(newline="")
        csv.writer(written, lineterminator="\n").writerows([names, *rows])
        files.write_new(options.scores, written.getvalue().encode(), mode=files.PRIVATE)
    write_json(options.json, SCHEMA, {**content, "scores": values}, private=True)
    if not only_json(options):
        first = ", ".join(" ".join(f"{value:.6g}" for value in row) for row in rows[:SHOWN])
        show_table("Scores", {**content, "scores": first + (", ..." if len(rows) > SHOWN else "")})


def show(options: argparse.Namespace, title: str, content: dict[str, Any]) -> None:
    write_json(options.json, SCHEMA, content)
    if not only_json(options):
        show_table(title, content)


def show_table(title: str, content: dict[str, Any]) -> None:
    from rich.markup import escape

    rows = [(name.replace("_", " "), escape(_shown(value))) for name, value in content.items()]
    console().print(table(title, ("what", "value"), rows))


def progress() -> Any:
    shown = progress_console()
    return lambda step: shown.print(step, markup=False)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
