"""What the steps of ``quatrefoil score`` read and print alike."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quatrefoil.cli import archives
from quatrefoil.cli.output import console, only_json, progress_console, table, write_json
from quatrefoil.errors import HostError
from quatrefoil.transport import files
from quatrefoil.wire import LARGEST_MESSAGE

SCHEMA = "quatrefoil.score/1"
SHOWN = 5
"""Scores in the table."""


def read(file: Path) -> bytes:
    """A message's bytes."""
    return archives.read_whole(file, LARGEST_MESSAGE, hint="Name the file that a step wrote")


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
    write_json(options.json, SCHEMA, {**content, "scores": values})
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
