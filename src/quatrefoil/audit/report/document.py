"""A whole page of HTML in one file: no script, nothing that is loaded, and the look that all our pages have."""

from __future__ import annotations

from pathlib import Path

from quatrefoil.audit.report.markup import Markup, text

_STYLE = Path(__file__).with_name("style.css")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy: nothing is loaded and nothing runs, whatever a log or a result holds."""


def document(title: str, body: Markup, style: str = "") -> str:
    """``style``: CSS of this kind of page, after that of all."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{_STYLE.read_text()}{style}</style></head><body>{body}</body></html>\n"
    )
