"""``quatrefoil audit show``: what happened, after every entry has been held to the signed checkpoint."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from quatrefoil.audit import Entry, PartyLog
from quatrefoil.cli.auditing import add_at_option, add_log_argument, add_party_option, add_trust_option, open_logs
from quatrefoil.output import add_json_option, console, only_json, require_writable, table, write_json

NAME = "show"
HELP = "check a log and show what happened"


def configure(parser: argparse.ArgumentParser) -> None:
    add_log_argument(parser)
    add_trust_option(parser)
    add_at_option(parser)
    add_party_option(parser)
    parser.add_argument("--kind", metavar="KIND", help="only entries of this kind")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    shown = []
    with open_logs(options) as logs:
        for log in logs.values():
            entries = [entry for entry in log.entries() if options.kind in (None, entry.kind)]
            if not only_json(options):
                _print(log, entries)
            found = {"origin": log.owner.origin, "size": log.size, "entries": [asdict(entry) for entry in entries]}
            shown.append(found)
    content = shown[0] if len(shown) == 1 else {"logs": shown}
    write_json(options.json, "quatrefoil.audit-show/1", content)


def _print(log: PartyLog, entries: list[Entry]) -> None:
    rows = [
        (str(one.index), one.time[:19].replace("T", " "), one.kind, json.dumps(one.body, ensure_ascii=True)[:72])
        for one in entries
    ]
    title = f"{log.owner.origin}: {log.size} entries under the checkpoint that {log.owner.name} signed"
    drawn = table(title, ("#", "time (UTC)", "what", "detail"), rows)
    for column in drawn.columns:
        column.justify = "left"
    console().print(drawn)
