"""Nothing of a result becomes markup, no result stops the page, and a page loads and runs nothing."""

from __future__ import annotations

import math
import re
from itertools import cycle
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from report_pages import filled, outcomes, page, parsed
from report_world import part, result

from quatrefoil.bench.report import records
from quatrefoil.bench.report.cells import MOST
from quatrefoil.bench.report.parts import NAMES, PARTS
from quatrefoil.bench.report.records import Kept
from quatrefoil.bench.report.whole import Outcome

MARKUP = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '"><svg/onload=alert(1)>',
    "</text></svg><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    "$\\frac{1}{0}$",
    "$x^2",
    "<!--",
    "]]>&lt;b&gt;",
    "\N{RIGHT-TO-LEFT OVERRIDE}exe.lmth",
    "a\x00b\x1b[2J",
    "_nolegend",
    "x" * 4000,
)
NUMBERS = (1.0, 0.0, -1.0, 1e300, 1e-300, 5, None, True, "many", [], {})
HTML = "html head meta title style body main header section footer div span p ul li h1 h2 h3 strong b code"
ALLOWED = {*HTML.split(), "figure", "figcaption", "table", "thead", "tbody", "tr", "th", "td"}
DRAWN = {"svg", "g", "defs", "path", "rect", "use", "text", "tspan", "clippath"}
ATTRIBUTES = {"class", "data-label", "scope", "lang", "charset", "name", "content", "http-equiv"}
DRAWING = {
    "viewbox",
    "role",
    "aria-label",
    "d",
    "style",
    "transform",
    "x",
    "y",
    "width",
    "height",
    "id",
    "clip-path",
    "href",
}


def hostile(name: str) -> dict[str, Any]:
    content = filled(name, cycle(NUMBERS), cycle(MARKUP), rows=len(MARKUP))
    if name == "routing":
        for number, row in enumerate(content["rows"]):
            row["blanket_ms"] = {MARKUP[number]: NUMBERS[number % len(NUMBERS)], "x": MARKUP[number]}
            row["unanswered"] = row["cannot"] = row["not_one_choice"] = {MARKUP[number]: [MARKUP[number]]}
            row["phases"] = [dict.fromkeys(("phase", "backends", "plain_ms", "blanket"), MARKUP[number])]
            row["shape"] = {MARKUP[number]: MARKUP[number]}
        content |= {"condition": MARKUP[0], "controls": content["rows"]}
    return content


def require_harmless(made: str) -> None:
    for tag, attributes in parsed(made).found:
        assert tag in ALLOWED | DRAWN
        assert set(attributes) <= (DRAWING if tag in DRAWN else ATTRIBUTES)
        assert (attributes.get("href") or "#").startswith("#")
        assert "url(" not in " ".join(filter(None, attributes.values())).replace("url(#", "")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", made)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_result_becomes_markup(tmp_path, name) -> None:
    found = outcomes({name: hostile(name)}, tmp_path, peers={MARKUP[0]: MARKUP[1]}, version=MARKUP[2], code=MARKUP[3])
    made = page(found)
    require_harmless(made)
    assert "x" * (MOST + 1) not in made


def test_nothing_is_loaded_and_nothing_runs(whole_page) -> None:
    made = whole_page
    require_harmless(made)
    assert "default-src &#x27;none&#x27;" in made
    for word in ("<script", "http:", "https:", "@import", "src=", "javascript:", "xmlns", "<!DOCTYPE svg"):
        assert word not in made


def test_names_in_plots_are_used_once(whole_page) -> None:
    ids = [attributes["id"] for _, attributes in parsed(whole_page).found if "id" in attributes]
    assert ids and len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', whole_page))
    assert used <= set(ids)


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(-(2**53), 2**53),
    st.text(max_size=20),
    st.just([]),
)


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a page takes too long to shrink what it is made of
)
@given(st.sampled_from(NAMES), st.lists(odd, min_size=1, max_size=30))
def test_no_result_stops_the_page(name, values) -> None:
    values = [None if isinstance(one, float) and not math.isfinite(one) else one for one in values]
    content = filled(name, cycle(values), cycle(values))
    kept = Kept(records.Record(name, (), "", "", {}, {}, "", 1.0, None, ""), content)
    require_harmless(page([Outcome(part(name), "kept", kept)]))


@pytest.mark.parametrize("rows", [{}, [], "rows", None, 7, [[]], [None], [{"way": []}]])
def test_results_without_rows_stop_nothing(tmp_path, rows) -> None:
    contents = {
        one.name: result(one, rows=rows, operations=rows, containers=rows, costs=rows, auc=rows) for one in PARTS
    }
    require_harmless(page(outcomes(contents, tmp_path)))
