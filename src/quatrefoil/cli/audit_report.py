"""``quatrefoil audit report``: the verdict and what the logs say, on one page for people."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from quatrefoil.audit.report import render
from quatrefoil.cli.audit_verify import add_policy_option, add_relying_options, add_sampling_options, as_json, examined
from quatrefoil.cli.auditing import add_at_option, add_log_argument, add_trust_option
from quatrefoil.output import add_json_option, console, only_json, require_writable, write_json
from quatrefoil.transport import files, system_clock

NAME = "report"
HELP = "check a log or a bundle and write the result as one HTML page"


def configure(parser: argparse.ArgumentParser) -> None:
    add_log_argument(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the page to write")
    add_trust_option(parser)
    add_policy_option(parser)
    add_relying_options(parser)
    add_sampling_options(parser)
    add_at_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    """The page is written whatever the verdict; the exit code is that of ``audit verify``."""
    require_writable(options.json)
    found = examined(options)
    at = options.at or system_clock()
    page = render(found, name=options.log.resolve().name, at=at, version=version("quatrefoil"))
    files.write_new(options.out, page.encode())
    write_json(options.json, "quatrefoil.audit-report/1", as_json(found))
    if not only_json(options):
        result = "all checks passed" if found.verdict.valid else "NOT all checks passed"
        console().print(f"{options.out}: {result}", markup=False, soft_wrap=True)
    found.verdict.require()
