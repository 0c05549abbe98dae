"""The README's claims: which figure of which result each is, what was read there, and the table that is made of it.

``docs/figures.json`` (``quatrefoil.figures/1``) holds a row for each claim: words with ``{name}`` where a figure goes,
the part whose command prints it, for each name the path in that part's result, and what was read there. No figure of
the table is written by hand: :func:`read_reports` reads all of them from reports, and :func:`table` writes them."""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from quatrefoil import strict_json
from quatrefoil.bench.report import records
from quatrefoil.bench.report.finding import find, is_number, steps
from quatrefoil.bench.report.parts import PARTS, Part
from quatrefoil.bench.report.records import Kept
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, QuatrefoilError

SCHEMA = "quatrefoil.figures/1"
IDLE = 0.05
"""Up to which part of the processor time in others' hands a machine is called idle."""

_LIMIT = 1 << 20
_SOURCE_KEYS = {"path", "form", "times", "over", "minus"}
_ROW_KEYS = {"figure", "value", "shape", "part", "note", "values", "read", "elsewhere"}

Value = float | str

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,+/_-]{0,79}", re.ASCII)
"""A text of a result that may stand in a page of Markdown: a name, and nothing that is markup."""

_MARKUP = frozenset("<>[]|`\\")


@dataclass(frozen=True)
class Source:
    """Where a figure is: at ``path``, less that at ``minus``, over that at ``over``, times ``times``. ``form``: as of
    ``format``; "" for text."""

    path: str
    form: str
    times: float = 1.0
    over: str = ""
    minus: str = ""

    def read(self, result: Mapping[str, Any]) -> list[Value]:
        """Lowest and highest, or the texts; nothing where it is not there."""
        found = find(result, self.path)
        if not self.form:
            return list(dict.fromkeys(found)) if all(map(_is_plain, found)) else []
        numbers = [float(one) for one in found if is_number(one)]
        for path, apply in ((self.minus, float.__sub__), (self.over, float.__truediv__)):
            if path:
                other = [float(one) for one in find(result, path) if is_number(one)]
                if len(other) != 1 or (apply is float.__truediv__ and other[0] == 0):
                    return []
                numbers = [apply(one, other[0]) for one in numbers]
        numbers = [one * self.times for one in numbers]
        if not all(map(math.isfinite, numbers)):
            return []
        return [min(numbers), max(numbers)] if numbers else []


@dataclass(frozen=True)
class Row:
    """A claim. ``read``: of each name the lowest and the highest figure over all runs, or texts; nothing: not yet.
    ``elsewhere``: on what and when, where that was not with the rest of the table."""

    figure: str
    value: str
    shape: str
    part: Part
    note: str
    values: Mapping[str, Source]
    read: Mapping[str, Sequence[Value]]
    elsewhere: str = ""

    def filled(self, words: str) -> str:
        if not self.read:
            return words if not names(words) else "not measured yet"
        return words.format(**{name: _range(self.values[name], self.read[name]) for name in names(words)})


@dataclass(frozen=True)
class Figures:
    """``machine``: what all was read on, as of ``machine.describe()``; ``dates``: first and last day, ISO 8601;
    ``others``: the most that others took of the processors meanwhile, None where that is not known."""

    machine: Mapping[str, Any]
    dates: tuple[str, str]
    runs: int
    others: float | None
    rows: tuple[Row, ...]


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def names(words: str) -> list[str]:
    """What stands in braces; ``CallerError`` where they hold anything but a name."""
    try:
        found = [name for _, name, form, conversion in string.Formatter().parse(words) if name is not None]
        plain = all(
            not form and not conversion for _, name, form, conversion in string.Formatter().parse(words) if name
        )
    except ValueError:
        raise CallerError(f"{words!r} has a brace too many", hint="Write {name}, and nothing else in braces") from None
    if not plain or not all(name.isidentifier() for name in found):
        raise CallerError(f"{words!r} has more than names in braces", hint="Write {name}, and nothing else in braces")
    return found


def load(file: Path) -> Figures:
    """The figures in a file; ``CallerError`` names the row and what is wrong with it."""
    try:
        content = strict_json.parse(file.read_bytes(), file.name, limit=_LIMIT)
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Name docs/figures.json") from None
    except EvidenceRejected as error:
        raise CallerError(error.problem, hint="Correct it, or take it from the repository") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise CallerError(f"{file} is not {SCHEMA}", hint="Take it from the repository")
    try:
        measured = content["measured"]
        first, last = (date.fromisoformat(day).isoformat() for day in measured["dates"])
        rows = tuple(_row(number, one) for number, one in enumerate(content["rows"], 1))
        return Figures(measured["machine"], (first, last), int(measured["runs"]), measured["others"], rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CallerError(f"{file} lacks something ({type(error).__name__}: {error})", hint="Correct it") from None


def save(file: Path, figures: Figures) -> None:
    content = {
        "schema": SCHEMA,
        "measured": {
            "machine": figures.machine,
            "dates": list(figures.dates),
            "runs": figures.runs,
            "others": figures.others,
        },
        "rows": [_written(row) for row in figures.rows],
    }
    records.replace(file, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_reports(figures: Figures, folders: Sequence[Path], only: Collection[str] = ()) -> Figures:
    """The same claims with what one or more whole reports hold: where they differ, the lowest and the highest.

    ``only``: of these parts; the others stay, and on what these were measured stands with them where it differs.
    ``CallerError``: a report is quick, of another machine than another, or lacks a figure. Nothing is left as it was.
    """
    if unknown := set(only) - {row.part.name for row in figures.rows}:
        raise CallerError(
            f"no figure is of part {', '.join(sorted(unknown))}", hint="Name a part that docs/figures.json has"
        )
    kept: dict[str, list[Kept]] = {}
    for folder in folders:
        for part in {row.part for row in figures.rows if not only or row.part.name in only}:
            kept.setdefault(part.name, []).append(_whole(folder, part))
    every = [one for of_part in kept.values() for one in of_part]
    machines = [one.record.machine for one in every]
    if any(machine != machines[0] for machine in machines):
        raise CallerError("the reports are of several machines", hint="Read reports of one machine only")
    if any(not text.isprintable() or set(text) & _MARKUP for text in map(str, machines[0].values())):
        raise CallerError("the reports are of a machine whose name is no plain text", hint="Measure them again")
    try:
        days = sorted(date.fromisoformat(one.record.started[:10]).isoformat() for one in every)
    except ValueError:
        raise CallerError("a report does not say on which day it began", hint="Measure it again") from None
    others = [one.record.others for one in every]
    busiest = None if None in others else max(one for one in others if one is not None)
    elsewhere = f"{_cores(machines[0])}, {_days(days[0], days[-1])}" if only and machines[0] != figures.machine else ""
    rows = tuple(
        replace(row, read=_read(row, kept[row.part.name]), elsewhere=elsewhere) if row.part.name in kept else row
        for row in figures.rows
    )
    if elsewhere:
        return replace(figures, rows=rows)
    if only:
        days = sorted({*days, *figures.dates})
        busiest = None if None in (busiest, figures.others) else max(busiest or 0.0, figures.others or 0.0)
    runs = max(len(folders), figures.runs) if only else len(folders)
    return Figures(machines[0], (days[0], days[-1]), runs, busiest, rows)


def table(figures: Figures) -> str:
    """The section of the README: what it was measured on, and the table."""
    lines = [f"{_measured(figures)} Yours will differ: the commands print them for your machine.", ""]
    lines += ["| figure | value | shape of the work | printed by |", "|---|---|---|---|"]
    before = ""
    for row in figures.rows:
        command = f"`quatrefoil {row.part.full}`"
        by = ("the same" if command == before else command) + (f", {row.note}" if row.note else "")
        before = command
        shape = row.filled(row.shape) + (f"; on {row.elsewhere}" if row.elsewhere else "")
        cells = (row.figure, row.filled(row.value), shape, by)
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _measured(figures: Figures) -> str:
    on = figures.machine
    day = _days(*figures.dates)
    if figures.others is None:
        state = "shared with other work"
    elif figures.others <= IDLE:
        state = "idle"
    else:
        state = f"of which others took up to {figures.others:.0%}".replace("%", " %")
    runs = " Ranges are over several runs." if figures.runs > 1 else ""
    return (
        f"From {_cores(on)} with {on['memory_gib']} GiB, {state}; {on['system']}, Python {on['python']}; {day}.{runs}"
    )


def _cores(machine: Mapping[str, Any]) -> str:
    return f"{machine['cores']} cores of an {machine['processor']}"


def _days(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _whole(folder: Path, part: Part) -> Kept:
    try:
        kept = records.read(folder, part, None)
    except EvidenceRejected as error:
        raise CallerError(f"{folder}: {error.problem}", hint=error.hint) from None
    if kept is None:
        raise CallerError(f"{folder} has no result of {part.name}", hint=f"Measure it: --only {part.name}")
    if kept.record.arguments != part.arguments(quick=False):
        raise CallerError(
            f"{folder}: {part.name} was measured with other options than the README's",
            hint="Measure it without --quick",
        )
    return kept


def _read(row: Row, kept: Sequence[Kept]) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for name, source in row.values.items():
        values = [value for one in kept for value in source.read(one.result)]
        if not values or any(not source.read(one.result) for one in kept):
            raise CallerError(
                f"{row.part.name} has nothing at {source.path}, for {row.figure!r}",
                hint="Install the extra bench and measure it again, or correct the path",
            )
        found[name] = list(dict.fromkeys(values)) if not source.form else [min(values), max(values)]
    return found


def _range(source: Source, values: Sequence[Value]) -> str:
    if not source.form:
        return " or ".join(str(value) for value in values)
    low, high = (_formatted(value, source.form) for value in (values[0], values[-1]))
    return low if low == high else f"{low} to {high}"


def _formatted(value: Value, form: str) -> str:
    number = float(value)
    return format(round(number) if form.endswith("d") else number, form).replace("%", " %")


def _row(number: int, content: Any) -> Row:
    what = f"row {number}"
    if (
        not isinstance(content, dict)
        or not set(content) <= _ROW_KEYS
        or not {"figure", "value", "part"} <= set(content)
    ):
        raise CallerError(f"{what} has other members than {', '.join(sorted(_ROW_KEYS))}", hint="Correct the row")
    part = next((part for part in PARTS if part.name == content["part"]), None)
    if part is None:
        raise CallerError(f"{what} is of no part: {content['part']!r}", hint="Name a part of quatrefoil bench all")
    values = {}
    for name, source in content.get("values", {}).items():
        if not set(source) <= _SOURCE_KEYS:
            raise CallerError(
                f"{what}, {name}: other members than {', '.join(sorted(_SOURCE_KEYS))}", hint="Correct it"
            )
        values[name] = Source(**source)
        for path in (values[name].path, values[name].over, values[name].minus):
            steps(path or "none")
    row = Row(
        content["figure"],
        content["value"],
        content.get("shape", ""),
        part,
        content.get("note", ""),
        values,
        content.get("read", {}),
        content.get("elsewhere", ""),
    )
    used = [name for words in (row.value, row.shape) for name in names(words)]
    if set(used) != set(values) or (row.read and set(row.read) != set(values)):
        raise CallerError(f"{what}, {row.figure!r}: names, values and what was read differ", hint="Give each a path")
    if not names(row.value) or re.search(r"(?<![A-Za-z0-9])\d", _without_names(row.value)):
        raise CallerError(
            f"{what}, {row.figure!r}: a value holds a figure that no path leads to", hint="Give it a path"
        )
    try:
        row.filled(row.value + row.shape)
    except QuatrefoilError:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise CallerError(f"{what}, {row.figure!r}: {error}", hint="Correct what was read, or its form") from None
    return row


def _without_names(words: str) -> str:
    return "".join(literal for literal, _, _, _ in string.Formatter().parse(words))


def _written(row: Row) -> dict[str, Any]:
    values = {
        name: {
            key: value for key, value in vars(source).items() if value != getattr(Source("", ""), key) or key == "form"
        }
        for name, source in row.values.items()
    }
    content = {
        "figure": row.figure,
        "value": row.value,
        "shape": row.shape,
        "part": row.part.name,
        "note": row.note,
        "values": values,
        "read": {name: list(value) for name, value in row.read.items()},
        "elsewhere": row.elsewhere,
    }
    return {key: value for key, value in content.items() if value}
