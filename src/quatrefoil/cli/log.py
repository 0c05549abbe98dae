"""``quatrefoil log``: read a party's log, checking every entry against the one before."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from quatrefoil.audit import verify_file
from quatrefoil.cli.output import add_json_option, console, only_json, table, write_json

NAME = "log"
HELP = "verify a party's log and show what happened"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the log.jsonl in a party's --state folder")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    entries = list(verify_file(options.file))
    rows = [
        (
            str(entry.index),
            entry.time[:19].replace("T", " "),
            entry.kind,
            json.dumps(entry.body, ensure_ascii=False)[:72],
        )
        for entry in entries
    ]
    drawn = table(f"{options.file}: {len(entries)} entries, chain intact", ("#", "time (UTC)", "what", "detail"), rows)
    for column in drawn.columns:
        column.justify = "left"
    if not only_json(options):
        console().print(drawn)
    write_json(options.json, "quatrefoil.log/1", {"size": len(entries), "entries": [vars(entry) for entry in entries]})
