"""``quatrefoil audit show``: what happened, after every entry has been held to the signed checkpoint."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from quatrefoil.cli.auditing import add_log_argument, open_log
from quatrefoil.cli.output import add_json_option, console, only_json, table, write_json

NAME = "show"
HELP = "check a log and show what happened"


def configure(parser: argparse.ArgumentParser) -> None:
    add_log_argument(parser)
    parser.add_argument("--kind", metavar="KIND", help="only entries of this kind")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    log = open_log(options)
    entries = [entry for entry in log.entries() if options.kind in (None, entry.kind)]
    rows = [
        (
            str(entry.index),
            entry.time[:19].replace("T", " "),
            entry.kind,
            json.dumps(entry.body, ensure_ascii=False)[:72],
        )
        for entry in entries
    ]
    title = f"{log.owner.origin}: {log.size} entries under the checkpoint that {log.owner.name} signed"
    drawn = table(title, ("#", "time (UTC)", "what", "detail"), rows)
    for column in drawn.columns:
        column.justify = "left"
    if not only_json(options):
        console().print(drawn)
    content = {"origin": log.owner.origin, "size": log.size, "entries": [asdict(entry) for entry in entries]}
    write_json(options.json, "quatrefoil.audit-show/1", content)
