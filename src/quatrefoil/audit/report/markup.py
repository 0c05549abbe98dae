"""HTML in which whatever comes from a log is text: only what :func:`element` made is markup."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TypeAlias


class Markup(str):
    """Is put into a page as it stands. Made here only."""

    __slots__ = ()


Content: TypeAlias = "Markup | str | int"


def text(value: object) -> Markup:
    """Escaped, and without what is not printable: a log must not turn the page's direction or hide characters."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))
    return Markup(html.escape(shown, quote=True))


def element(tag: str, *content: Content, **attributes: str) -> Markup:
    """``<tag attributes>content</tag>``; ``class_`` and ``data_label`` are written without and with hyphens."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"' for name, value in attributes.items() if value
    )
    return Markup(f"<{tag}{written}>{join(content)}</{tag}>")


def join(content: Sequence[Content]) -> Markup:
    return Markup("".join(one if isinstance(one, Markup) else text(one) for one in content))


def digest(value: str) -> Markup:
    """A digest in groups of eight, which people can compare and a narrow page can break."""
    groups = [value[at : at + 8] for at in range(0, len(value), 8)]
    return element("code", Markup(" ").join(map(text, groups)), class_="digest")


def table(columns: Sequence[str], rows: Sequence[Sequence[Content]], class_: str) -> Markup:
    """``class_``: style.css has the widths of its columns. On a phone each row is a card, in which the columns' names
    stand before the cells."""
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = [
        element("tr", *(element("td", cell, data_label=column) for column, cell in zip(columns, row, strict=True)))
        for row in rows
    ]
    return element("table", element("thead", head), element("tbody", *body), class_=class_)
