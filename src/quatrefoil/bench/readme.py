"""``python -m quatrefoil.bench.readme [REPORT ...]``: the README's table of figures, from reports of ``bench all``.

Reads every figure of ``docs/figures.json`` from the reports, keeps what was read there, and writes the table between
two marks in ``README.md``, all or nothing. Without a report only the table is written anew. Run in the root of the
repository."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from quatrefoil.bench.report import records
from quatrefoil.bench.report.figures import load, read_reports, save, table
from quatrefoil.errors import CallerError, HostError, QuatrefoilError

BEGIN = "<!-- figures: written by python -m quatrefoil.bench.readme REPORT, not by hand -->"
END = "<!-- figures: end -->"


def with_table(page: str, made: str) -> str:
    """``page`` with the table between its marks; ``CallerError`` where it does not have each once, in this order."""
    before, found, rest = page.partition(f"{BEGIN}\n")
    _, ended, after = rest.partition(f"{END}\n")
    if not found or not ended or BEGIN in after or END in after or END in before:
        raise CallerError(
            "the page does not have both marks once", hint=f"Write {BEGIN} and {END} on lines of their own"
        )
    return f"{before}{BEGIN}\n\n{made}\n{END}\n{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m quatrefoil.bench.readme", description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="*", type=Path, metavar="REPORT", help="folder of quatrefoil bench all")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PART", help="read figures of this part alone; may be repeated"
    )
    parser.add_argument("--readme", type=Path, default=Path("README.md"), metavar="FILE", help="page with the marks")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures.json"), metavar="FILE", help="the claims")
    options = parser.parse_args(arguments)
    try:
        figures = load(options.figures)
        if options.reports:
            figures = read_reports(figures, options.reports, options.only)
        page = with_table(_read(options.readme), table(figures))
        save(options.figures, figures)
        records.replace(options.readme, page.encode())
    except QuatrefoilError as error:
        print(f"quatrefoil: {error}", file=sys.stderr)
        return 1
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Run it in the repository") from None


if __name__ == "__main__":
    sys.exit(main())
