"""Lines of progress on standard error: text for people, or one JSON object a line for whoever collects logs.

No line holds a secret: what is reported are names, counts, addresses, digests and reasons.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console

FORMATS = ("text", "json")


class _Shape:
    """How this process reports: one for the whole process, as standard error is."""

    def __init__(self) -> None:
        self.json = False
        self.about: dict[str, str] = {}
        self.also: Callable[[str], None] = lambda _: None
        self.turn = threading.Lock()


_SHAPE = _Shape()


def add_log_format_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format", choices=FORMATS, default="text", help="lines on standard error (default: %(default)s)"
    )


def shape(log_format: str, **about: str) -> None:
    """From now on lines are of this format; ``about`` is in every line of JSON: who reports."""
    _SHAPE.json = log_format == "json"
    _SHAPE.about = about


def also(tell: Callable[[str], None]) -> None:
    """Have each line told to somebody else, too."""
    _SHAPE.also = tell


def report(text: str, *, level: str = "info", **fields: str) -> None:
    """A line of progress. ``fields``: what programs may want to have apart."""
    line = text
    if _SHAPE.json:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": time, "level": level, **_SHAPE.about, "message": text, **fields})
    with _SHAPE.turn:
        print(line, file=sys.stderr, flush=True)
    _SHAPE.also(text)


def progress_console() -> Console:
    return Console(stderr=True, highlight=False)


def warn(text: str) -> None:
    """A line that nobody may overlook: in red where colours are shown, and of its own level for programs."""
    if _SHAPE.json:
        report(text, level="warning")
    else:
        progress_console().print(text, style="bold red", markup=False, soft_wrap=True)


def fail(text: str, **fields: str) -> None:
    """The line that a command ends with when it is refused or fails."""
    report(text if _SHAPE.json else f"quatrefoil: {text}", level="error", **fields)


__all__ = ["add_log_format_option", "also", "fail", "progress_console", "report", "shape", "warn"]
