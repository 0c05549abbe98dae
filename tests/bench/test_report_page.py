"""The page says what is missing, takes nothing of a result as markup, loads nothing, and shows what results hold."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from report_world import COMMANDS, part, put, result

from quatrefoil.bench.report import layers, pictures, plots, records, svg
from quatrefoil.bench.report.cells import MOST, cell
from quatrefoil.bench.report.page import render
from quatrefoil.bench.report.panels import PANELS
from quatrefoil.bench.report.parts import NAMES, PARTS
from quatrefoil.bench.report.records import Kept
from quatrefoil.bench.report.summary import summary, write_report
from quatrefoil.bench.report.whole import Outcome, measure_all
from quatrefoil.errors import DependencyMissing, HostError

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
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
    """A result that has every column of a part's tables. Each value and text is the next of those given."""
    which, content = part(name), result(part(name))
    for path, keys, once in columns_of(name):
        made = [
            {key: next(texts) if is_text(key) else next(values) for key in keys} for _ in range(1 if once else rows)
        ]
        if once:
            content |= made[0] if path == "rows" else {path: made[0]}
        else:
            content[path] = made
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[Outcome]:
    """Every part with figures, none of them the same."""
    values = (1.0 + number / 7 for number in range(10_000))
    texts = (f"label {number}" for number in range(10_000))
    contents = {one.name: filled(one.name, values, texts) for one in PARTS}
    return outcomes(contents, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def whole_page(whole) -> str:
    return page(whole)


# --------------------------------------------------------------------------------------------------------- what it says


def test_every_part_has_a_panel_and_every_panel_a_part() -> None:
    assert sorted(one.part for one in PANELS) == sorted(NAMES)


def test_a_whole_page_has_every_command_plot_and_figure(whole, whole_page) -> None:
    made, text = whole_page, shown(whole_page)
    assert "15 of 15 benches have figures" in text and "quick run" not in text and "not idle" not in text
    for one in whole:
        assert one.part.title in text and one.part.full in text
    assert made.count("<svg") >= len(PARTS) - 1 and "There are no figures to draw" not in text
    assert "None of this ran." in text and "What is not measured" in text and "unaudited" in text


def test_each_layer_stands_with_figure_shape_range_and_source(tmp_path) -> None:
    contents = {
        "aggregation": {
            "rows": [{"backend": "additive-rlwe/sum-256-w16", "overhead": 4.9, "silos": 8, "parameters": 10**6}]
        },
        "proof": {"prove_over_encrypt": 48.7, "parameters": 1048576, "verify_ms": 3.2},
        "serving": {"rows": [{"model": "resnet-50", "overhead": 0.061, "parameters": 25, "request_bytes": 60}]},
        "score": {"rows": [{"way": "tenseal, a vector a row", "over_plain": 2.7e6}]},
    }
    text = shown(page(outcomes({name: result(part(name), **one) for name, one in contents.items()}, tmp_path)))
    assert "sums, our scheme: 4.9 times the plain sum (8 silos, 1,000,000 float32 each)" in text
    assert "prove, of its encryption: 48.7 times (1,048,576 values)" in text and "verify: 3.2 ms" in text
    assert "served ResNet-50: 1.06 times the plain server (25 parameters, 60 bytes a request" in text
    assert "scores, TenSEAL by rows: 2,700,000 times numpy (? rows of ? columns)" in text
    assert "scores, CKKS: not measured" in text and "handshake alone: not measured" in text
    for layer in layers.LAYERS:
        assert layer.quoted in text and " ".join(layer.source.split()) in text and layer.use in text
    assert "Hardware's own cost was NOT measured" in text


def test_routing_stands_first_with_its_condition_and_what_blankets_lack(tmp_path) -> None:
    row = {
        "workload": "hospital",
        "threats": ["curious-host", "recorder"],
        "plain_ms": 10,
        "routed_ms": 12.0,
        "blanket_ms": {"aggregation": 90.0, "proofs": 900},
        "cheapest": "aggregation",
        "saved_fraction": 0.975,
        "shape": {"score": "score: 30 parameters"},
        "phases": [
            {
                "phase": "score",
                "backends": ["pq-tls", "ckks"],
                "plain_ms": 1,
                "routed_ms": 2,
                "blanket": {"aggregation": {"ms": 77.0}},
            }
        ],
        "unanswered": {"enclave": ["physical-access in score"]},
        "cannot": {"transport": ["it is too slow"]},
        "not_one_choice": {"transport+proofs": {"takes": ["enclave in score"], "ms": 5.0, "routed": True}},
    }
    other = row | {"workload": "credit", "saved_fraction": None}
    controls = [row | {"workload": "hospital-part", "saved_fraction": 0.0}]
    content = result(part("routing"), condition="planned as if", rows=[row, other], controls=controls)
    text = shown(page(outcomes({"routing": content}, tmp_path)))
    assert (
        "98% saved by routing: hospital; nothing beyond the same route found by hand" in text
        and "saved by routing: credit" not in text
    )
    for said in (
        "curious-host, recorder",
        "aggregation: 90.0; proofs: 900.0",
        "Condition. planned as if.",
        "score score: 30 parameters pq-tls, ckks 1.00 2.00 77.00",
        "enclave leaves open: physical-access in score",
        "transport cannot run: it is too slow",
        "transport+proofs is no one choice for all phases, takes besides: takes: enclave in score; ms: 5; routed: yes",
        "hospital-part score 0.0%",
    ):
        assert said in text
    assert text.index("Routed against blanket") < text.index("Encrypted sums")


def test_what_is_missing_is_said_first(tmp_path) -> None:
    made = page(outcomes({"proof": result(part("proof"), prove_ms=1.0)}, tmp_path))
    text = shown(made)
    assert "1 of 15 benches have figures" in text and "<b>it broke</b>" in text
    assert "aggregation, streams, kernel, transport, " in text and "routing, planner, failed:" in text
    assert text.index("planner, failed:") < text.index("The four layers")
    assert "not measured: the bench is failed" in text and "not computed: its figure was not measured" in text


def test_a_missing_peer_is_shown_as_missing(tmp_path) -> None:
    peers = {peer.name: "" if peer.distribution == "tenseal" else "1.0" for peer in part("score").peers}
    found = outcomes({"score": result(part("score"), rows=[])}, tmp_path, peers=peers)
    text = shown(page(found))
    assert "Not installed, so not measured: TenSEAL (CKKS on SEAL)." in text and "missing: not installed" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"others": 0.4}, "proof (40%)"), ({"others": None}, ""), ({"others": 0.05}, ""), ({"others": 0.0}, "")],
)
def test_a_busy_machine_is_said(tmp_path, changed, said) -> None:
    text = shown(page(outcomes({"proof": result(part("proof"))}, tmp_path, **changed)))
    assert ("The machine was not idle." in text) == bool(said) and said in text


def test_a_quick_run_and_other_code_are_said(tmp_path) -> None:
    (kept,) = [one for one in outcomes({"proof": result(part("proof"))}, tmp_path) if one.kept]
    older = Outcome(kept.part, "older", kept.kept, why="x")
    text = shown(page([older], quick=True))
    assert "A quick run." in text and "Measured with other code, options or peers: proof." in text


def test_extrapolations_are_in_their_box_only(tmp_path) -> None:
    rows = [{"way": "ckks-linear-4096", "total_ms": 123.4, "rows": 10, "columns": 3}]
    made = page(outcomes({"score": result(part("score"), rows=rows)}, tmp_path))
    before, _, box = made.partition('class="extrapolated"')
    assert "12,340.0 ms" in box.partition("</section>")[0] and "12,340" not in before


def test_the_summary_has_every_figure_with_its_path(whole) -> None:
    found = summary(whole, quick=False)
    assert [one["part"] for one in found["parts"]] == list(NAMES)
    assert [one["layer"] for one in found["layers"]] == [layer.name for layer in layers.LAYERS]
    proof = whole[list(NAMES).index("proof")].kept
    (prove,) = [one for layer in found["layers"] for one in layer["times"] if one["path"] == "prove_ms"]
    assert proof is not None and prove["value"] == proof.result["prove_ms"]


# ------------------------------------------------------------------------------------------------------------- hostile


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


# --------------------------------------------------------------------------------------------------------------- pieces


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "", "-"),
        (1234.5, ",.1f", "1,234.5"),
        (1234.4, ",d", "1,234"),
        (0.123, ".1%", "12.3%"),
        (True, ",d", "yes"),
        (False, "", "no"),
        ("x", ",d", "x"),
        ([1.25, "a"], ".1f", "1.2, a"),
        ({"a": 2.0, "b": None}, ".1f", "a: 2.0; b: -"),
        ([], "", "-"),
        (float("nan"), ".1f", "nan"),
    ],
)
def test_cells(value, form, text) -> None:
    assert cell(value, form) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (2.7e6, "2,700,000"),
        (1e12, "1e+12"),
        (1e-5, "1e-05"),
        (math.inf, "-"),
    ],
)
def test_short_numbers(value, text) -> None:
    assert plots.short(value) == text


def test_plots_of_nothing_are_none() -> None:
    bad = {"a": None, "b": 0.0, "c": -1.0, "d": math.nan, "e": math.inf}
    assert plots.bars("t", "ms", bad) is None and plots.grouped("t", "ms", {"x": bad}) is None
    assert (
        plots.ranges("t", "ms", [("x", (1.0, 2.0), bad)]) is None
        and plots.compared("t", "ms", {"x": (0, 1)}, 0.25) is None
    )
    assert plots.grouped("t", "ms", {}) is None


def test_a_plot_shows_its_figures_and_names() -> None:
    figure = plots.bars("A title", "ms", {"one & only": 12.34, "other": 1.0})
    assert figure is not None
    made = svg.markup(figure, "plot", 'says "this"')
    text = shown(made)
    assert "one & only" in text and "12.3" in text and "A title" in text and "&amp;" in made
    assert 'aria-label="says &quot;this&quot;"' in made and "var(--ink)" in made and svg.INK not in made


def test_the_worst_attack_counts(monkeypatch) -> None:
    drawn: list[dict[str, dict[str, float]]] = []
    monkeypatch.setattr(plots, "grouped", lambda _title, _unit, groups, **_: drawn.append(groups))
    rows = [{"world": "w", "defence": "mean", "accuracy": value} for value in (0.9, 0.2, 0.5)]
    pictures.byzantine({"rows": rows})
    assert drawn == [{"w": {"mean": 0.2}}]


def test_without_matplotlib_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(svg, "find_spec", lambda _: None)
    with pytest.raises(DependencyMissing, match="matplotlib is not installed"):
        plots.bars("t", "ms", {"a": 1.0})


def test_the_report_is_written_over_an_older_one_and_not_into_a_file(tmp_path) -> None:
    folder, some = tmp_path / "out", [Outcome(part("proof"), "failed", why="x")]
    folder.mkdir()
    for _ in range(2):
        assert write_report(folder, some, quick=False) == folder / "index.html"
    assert sorted(file.name for file in folder.iterdir()) == ["index.html", "report.json"]
    with pytest.raises(HostError, match="cannot be written"):
        write_report(tmp_path / "none", some, quick=False)


def test_a_damaged_result_is_on_the_page(tmp_path) -> None:
    which = part("proof")
    put(tmp_path, which, result(which))
    records.result_file(tmp_path, which).write_text("{")
    found = measure_all(
        tmp_path, only=(part("score"),), quick=False, commands=COMMANDS, program=("false",), say=lambda _: None
    )
    text = shown(page(found))
    assert "proof, damaged: the result of proof is not the one that its record names" in text
    assert "score, failed: score failed: exit code 1" in text


# ------------------------------------------------------------------------------------------------------ a real browser


def test_it_looks_right_in_a_browser(whole_page, tmp_path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("NOT OPENED IN A BROWSER: there is no chromium here (Debian's package chromium)")
    file = tmp_path / "page.html"
    counted = "document.documentElement.scrollWidth + ' ' + document.querySelectorAll('svg text').length"
    probe = f"<script>document.title = {counted}</script>"
    made = whole_page
    file.write_text(
        re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", made).replace("</body>", f"{probe}</body>")
    )
    for width in (1300, 500):
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        ran = subprocess.run([*command, profile, "--dump-dom", str(file)], capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        title = re.search(r"<title>(\d+) (\d+)</title>", ran.stdout)
        assert title is not None and int(title[1]) <= width and int(title[2]) > 100
