"""What the page shows of one part: a plot, tables of chosen columns, and how to read them."""

from __future__ import annotations

from dataclasses import dataclass

from quatrefoil.bench.report.pictures import Draw


@dataclass(frozen=True)
class Column:
    """``key``: of a row; ``form``: of a number, as of ``format``, "" for text."""

    title: str
    key: str
    form: str = ""


@dataclass(frozen=True)
class Shown:
    """A table of the rows at ``path``; ``once``: the result is itself the one row, a line for each column."""

    columns: tuple[Column, ...]
    path: str = "rows"
    once: bool = False


@dataclass(frozen=True)
class Panel:
    part: str
    about: str
    tables: tuple[Shown, ...]
    draw: Draw
    said: str


def ms(*names: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(title, key, ",.2f") for title, key in names)
