"""Files that people write, read strictly: TOML in, plain values out, every fault with file, line and field.

A reader names the keys that it knows before it takes any value. A key that nobody reads, a key that is missing and a
value of another kind are ``PolicyInvalid``. What the values mean is checked once, by the object built from them,
which raises :class:`FieldInvalid`; :meth:`Table.placing` adds the file and line to it.

Source: TOML 1.0. ``tomllib`` keeps no positions, so the lines are found by a second, forgiving pass over text that it
has already accepted; a wrong guess there costs a line number, never a value.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quatrefoil.errors import PolicyInvalid

LARGEST_FILE = 64 << 10
"""Bytes. A policy or workload of thousands of phases fits; parsing stays instant for hostile files."""

MOST_DOTS = 64
"""In one line: the parser's work is quadratic in the parts of a dotted key, and no line of ours needs a tenth of it."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)

Place = tuple[str | int, ...]


class FieldInvalid(PolicyInvalid):
    """A field of an object holds a value that it must not; ``field`` is its dotted path inside the object."""

    def __init__(self, field: str, problem: str, *, hint: str) -> None:
        super().__init__(f"{field}: {problem}", hint=hint)
        self.field = field
        self.fault = problem


def read_text(file: Path, *, largest: int = LARGEST_FILE) -> str:
    """The text of ``file``, or ``PolicyInvalid`` when it is missing, too large or not UTF-8."""
    try:
        with file.open("rb") as stream:
            data = stream.read(largest + 1)
    except OSError as error:
        raise PolicyInvalid(f"{file}: cannot be read ({error.strerror})", hint="Name a file that exists") from None
    if len(data) > largest:
        raise PolicyInvalid(f"{file}: is over {largest} bytes", hint="Check that this is the file you meant")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyInvalid(f"{file}:{line}: byte {error.start} is not UTF-8", hint="Save the file as UTF-8") from None


class Table:
    """One TOML table being taken apart. Made by :func:`parse`; ``path`` is where it stands in the file."""

    def __init__(
        self, source: str, values: dict[str, Any], lines: dict[Place, int], path: Place = (), *, page: str
    ) -> None:
        self._source = source
        self._values = values
        self._lines = lines
        self._path = path
        self._page = page

    def expect(self, required: Collection[str], optional: Collection[str] = ()) -> None:
        """Refuse unknown keys, then missing ones: a misspelt key is both, and is best reported as unknown."""
        known = [*required, *optional]
        for key in self._values:
            if key not in known:
                close = difflib.get_close_matches(key[:80], known, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(sorted(known))}"
                raise self._at(key, problem="is not a known key", hint=hint)
        for key in required:
            if key not in self._values:
                raise self._at(key, problem="is missing", hint=f"Nothing has a default: see {self._page}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> tuple[str, ...]:
        """The keys that are there, sorted: for tables of which the file chooses the keys."""
        return tuple(sorted(self._values))

    def is_list(self, key: str) -> bool:
        """Whether the value is a list, for a key that takes one or something else."""
        return isinstance(self._values[key], list)

    def text(self, key: str) -> str:
        value = self._values[key]
        if not isinstance(value, str):
            raise self._wrong_kind(key, value, "a string")
        return value

    def integer(self, key: str) -> int:
        value = self._values[key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong_kind(key, value, "an integer")
        return value

    def number(self, key: str) -> float:
        """An integer or a float: ``1`` and ``1.0`` mean the same and give the same value."""
        value = self._values[key]
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong_kind(key, value, "a number")
        try:
            return float(value)
        except OverflowError:
            raise self._at(key, problem="is too large for a number", hint="Give a smaller value") from None

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of integers and floats, in its order."""
        value = self._values[key]
        if not isinstance(value, list):
            raise self._wrong_kind(key, value, "a list of numbers")
        numbers = []
        for position, item in enumerate(value):
            if not isinstance(item, int | float) or isinstance(item, bool):
                raise self._wrong_kind(key, item, f"a list of numbers at position {position + 1}")
            try:
                numbers.append(float(item))
            except OverflowError:
                raise self._at(key, problem="holds a number that is too large", hint="Give a smaller value") from None
        return tuple(numbers)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings read as a set: sorted, and refused when it repeats one."""
        value = self._values[key]
        if not isinstance(value, list):
            raise self._wrong_kind(key, value, "a list of strings")
        for position, item in enumerate(value):
            if not isinstance(item, str):
                raise self._wrong_kind(key, item, f"a list of strings at position {position + 1}")
        repeated = sorted(item for item, count in Counter(value).items() if count > 1)
        if repeated:
            raise self._at(key, problem=f"names {shown(repeated[0])} twice", hint="Name each once")
        return tuple(sorted(value))

    def table(self, key: str) -> Table:
        value = self._values[key]
        if not isinstance(value, dict):
            raise self._wrong_kind(key, value, f"a table [{key}]")
        return Table(self._source, value, self._lines, (*self._path, key), page=self._page)

    def tables(self, key: str) -> list[Table]:
        value = self._values[key]
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong_kind(key, value, f"a list of tables [[{key}]]")
        return [
            Table(self._source, item, self._lines, (*self._path, key, i), page=self._page)
            for i, item in enumerate(value)
        ]

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Give a :class:`FieldInvalid` raised inside its file and line."""
        try:
            yield
        except FieldInvalid as error:
            raise self.refused(error.field, error.fault, hint=error.hint) from None

    def refused(self, field: str, problem: str, *, hint: str) -> PolicyInvalid:
        """The error for ``field``, a dotted path inside this table."""
        return self._at(
            *(int(part) if part.isdecimal() else part for part in field.split(".")), problem=problem, hint=hint
        )

    def _at(self, *inside: str | int, problem: str, hint: str) -> PolicyInvalid:
        path = (*self._path, *inside)
        return PolicyInvalid(f"{self._source}:{self._line(path)}: {_dotted(path)}: {problem}", hint=hint)

    def _wrong_kind(self, key: str, value: object, wanted: str) -> PolicyInvalid:
        return self._at(key, problem=f"is {_kind(value)}, not {wanted}", hint=f"See {self._page}")

    def _line(self, path: Place) -> int:
        """The line of ``path``, or of the nearest table around it that stands in the file."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def parse(text: str, source: str, *, page: str = "docs/policy.md") -> Table:
    """The root table of TOML ``text``; ``source`` names it in messages, ``page`` is where its fields are explained.
    ``PolicyInvalid`` when it is not TOML."""
    if len(text) > LARGEST_FILE:
        raise PolicyInvalid(f"{source}: is over {LARGEST_FILE} characters", hint="Check that it is the file you meant")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise PolicyInvalid(f"{source}:{number}: holds over {MOST_DOTS} dots", hint="Use tables as documented")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise PolicyInvalid(f"{source}: is nested too deeply", hint=f"Use tables as in {page}") from None
    except ValueError as error:  # TOMLDecodeError, and an integer of thousands of digits
        raise _not_toml(source, text, str(error)) from None
    return Table(source, values, _lines_of(text), page=page)


def shown(value: str) -> str:
    """``value`` quoted for a message: one short line whatever it holds."""
    return ascii(value if len(value) <= 40 else value[:37] + "...")


def check_name(field: str, name: str) -> None:
    """Names go into logs, file names and tables: short, lower case, nothing that a terminal or a path interprets."""
    if not _NAME.fullmatch(name):
        raise FieldInvalid(
            field,
            f"{shown(name)} is not a name",
            hint="Use 1 to 64 of a-z 0-9 . _ -, first a letter or digit",
        )


def written(value: int) -> str:
    """``value`` for a message. Python refuses to write out thousands of digits, which hexadecimal notation can hold."""
    return str(value) if abs(value) < 1 << 64 else "huge"


def check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise FieldInvalid(
            field,
            f"is {written(value)}, outside {least} to {most}",
            hint="Correct the number",
        )


def check_positive(field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise FieldInvalid(field, f"is {value}, not a finite number above 0", hint="Give the largest magnitude")


def check_choice(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise FieldInvalid(field, f"{shown(value)} is not {' or '.join(map(repr, known))}", hint="Use one of these")


def _not_toml(source: str, text: str, message: str) -> PolicyInvalid:
    found = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", message)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1 if found else 1
    problem = re.sub(r"\s*\(at [^)]*\)", "", message)
    return PolicyInvalid(f"{source}:{line}: is not TOML: {shown(problem)[1:-1]}", hint="Correct this line")


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "a list", dict: "a table"}
    return names.get(type(value), f"a {type(value).__name__}")


def _dotted(path: Place) -> str:
    """``limits.clip``, ``phases[2].silos``; positions count from 1, as a person does."""
    out = ""
    for part in path:
        out += f"[{part + 1}]" if isinstance(part, int) else f".{_plain(part)}" if out else _plain(part)
    return out


def _plain(key: str) -> str:
    return key if re.fullmatch(r"[\w-]{1,40}", key, re.ASCII) else shown(key)


_QUOTED = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*',
    re.DOTALL,
)
_HEADER = re.compile(r"\s*\[(\[)?([^][=]+)\]\]?\s*")


def _lines_of(text: str) -> dict[Place, int]:
    """Where each key and table begins, counted from 1."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    depth = 0
    for number, line in enumerate(_QUOTED.sub(_masked, text).split("\n"), start=1):
        header = _HEADER.fullmatch(line) if depth == 0 else None
        if header:
            table = tuple(part.strip() for part in header[2].split("."))
            if header[1]:
                position = counts[table] = counts.get(table, -1) + 1
                lines.setdefault(table, number)
                table = (*table, position)
            lines.setdefault(table, number)
            continue
        key, equals, _ = line.partition("=")
        if equals and depth == 0:
            lines.setdefault((*table, *(part.strip() for part in key.split("."))), number)
        depth += sum(map(line.count, "[{")) - sum(map(line.count, "]}"))
    return lines


def _masked(found: re.Match[str]) -> str:
    """Strings and comments without anything that looks like structure; newlines stay, so that lines still count."""
    text = found[0]
    if text.startswith("#"):
        return ""
    if text.startswith(('"""', "'''")):
        return "\n" * text.count("\n")
    return " " + re.sub(r"[^\w-]", "_", text[1:-1]) + " "


__all__ = [
    "LARGEST_FILE",
    "FieldInvalid",
    "Table",
    "check_choice",
    "check_name",
    "check_positive",
    "check_range",
    "parse",
    "read_text",
    "shown",
    "written",
]
