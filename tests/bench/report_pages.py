"""Pages made of results that are filled in, and what a reader of a page sees of it."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from report_world import part, put, result

from quatrefoil.bench.report import records
from quatrefoil.bench.report.page import render
from quatrefoil.bench.report.panels import PANELS
from quatrefoil.bench.report.parts import PARTS
from quatrefoil.bench.report.whole import Outcome

ONLY_DRAWN = {"scale": {"curve": ("silos", "values", "server_ms_per_silo")}}
AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    return tags


def shown(page: str) -> str:
    return " ".join(" ".join(parsed(page).text).split())


def columns_of(name: str) -> list[tuple[str, list[str], bool]]:
    """Path, keys and whether it is one row, of each table of a part's panel."""
    panel = next(one for one in PANELS if one.part == name)
    return [(table.path, [column.key for column in table.columns], table.once) for table in panel.tables]


def filled(name: str, values: Any, texts: Any, rows: int = 3) -> dict[str, Any]:
    """A result that has every column of a part's tables, and what is only drawn. Each value and text is the next of
    those given."""
    which, content = part(name), result(part(name))
    for path, keys, once in columns_of(name):
        made = [
            {key: next(texts) if is_text(key) else next(values) for key in keys} for _ in range(1 if once else rows)
        ]
        if once:
            content |= made[0] if path == "rows" else {path: made[0]}
        else:
            content[path] = [before | row for before, row in zip(content.get(path, [{}] * rows), made, strict=True)]
    content |= {path: [{key: next(values) for key in keys}] for path, keys in ONLY_DRAWN.get(name, {}).items()}
    return content | {"schema": which.schema, "machine": records.here().machine}


def is_text(key: str) -> bool:
    forms = {column.key: column.form for panel in PANELS for table in panel.tables for column in table.columns}
    return forms[key] == ""


def outcomes(contents: dict[str, dict[str, Any]], folder: Path, **changed: Any) -> list[Outcome]:
    found = []
    for one in PARTS:
        if one.name not in contents:
            found.append(Outcome(one, "failed", why="<b>it broke</b>"))
            continue
        put(folder, one, contents[one.name], **changed)
        found.append(Outcome(one, "kept", records.read(folder, one, None)))
    return found


def page(found: list[Outcome], quick: bool = False) -> str:
    return render(found, now=records.here(), at=AT, quick=quick)
