"""The README's figures: each is read from a result by path, and none stands there that is not."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import commands
from pages import ROOT, rows

from quatrefoil.bench import readme
from quatrefoil.bench.readme import BEGIN, END, with_table
from quatrefoil.bench.report import records
from quatrefoil.bench.report.figures import Figures, load, names, read_reports, save, table
from quatrefoil.bench.report.parts import PARTS
from quatrefoil.errors import CallerError, HostError

README = ROOT / "README.md"
FIGURES = ROOT / "docs" / "figures.json"
MEASURED = re.compile(
    r"\d[\d.,]* ?(?:ms|µs|us|s|seconds?|minutes?|times|%|x|[MG]B(?:/s)?|MiB|dB|a second)\b(?! or)|\d ?%"
)
"""A number with a unit of what benches measure."""


def outside(page: str) -> str:
    """The page without what is generated."""
    before, _, rest = page.partition(BEGIN)
    return before + rest.partition(END)[2]


# --------------------------------------------------------------------------------------------------- the README itself


def test_the_table_is_what_the_figures_make() -> None:
    page = README.read_text()
    assert with_table(page, table(load(FIGURES))) == page


def test_the_file_of_figures_is_as_it_would_be_written(tmp_path) -> None:
    save(tmp_path / "figures.json", load(FIGURES))
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(FIGURES.read_text())


def test_no_claim_stands_outside_the_table() -> None:
    assert MEASURED.findall(outside(README.read_text())) == []


@pytest.mark.parametrize(
    "claim", ["takes 4 ms", "is 12 times as fast", "saves 90 %", "saves 90%", "1.12 GB/s", "8.5 dB"]
)
def test_such_a_claim_would_be_noticed(claim) -> None:
    assert MEASURED.search(f"It {claim}.")


def test_every_claim_has_a_command_and_every_figure_a_path() -> None:
    figures, known = load(FIGURES), commands()
    assert len(rows(README, "## Figures")) == len(figures.rows) > 20
    for row in figures.rows:
        assert row.part.command in known
        assert set(names(row.value)) <= set(row.values) and row.value != row.filled(row.value)


def test_the_page_of_benchmarks_lists_every_part_with_its_command() -> None:
    listed = [(row[0].strip("`"), row[1].strip("`").removeprefix("quatrefoil ")) for row in PARTS_TABLE]
    assert listed == [(part.name, part.full) for part in PARTS]


PARTS_TABLE = rows(ROOT / "docs" / "benchmarks.md", "## Parts")


# ------------------------------------------------------------------------------------------------------- from a report

MACHINE = {"processor": "one", "cores": 2, "memory_gib": 8.0, "system": "Linux", "python": "3"}


def claims(folder: Path, **changed: Any) -> Path:
    row = {
        "figure": "proving",
        "value": "{ms} ms, {kind}; {share}",
        "shape": "{n} values",
        "part": "proof",
        "values": {
            "ms": {"path": "prove_ms", "form": ".1f"},
            "kind": {"path": "level", "form": ""},
            "share": {"path": "proof_bytes", "form": ".0%", "over": "ciphertext_bytes", "minus": "start_bytes"},
            "n": {"path": "parameters", "form": ",d"},
        },
    }
    measured = {"machine": MACHINE, "dates": ["2026-01-01", "2026-01-01"], "runs": 1, "others": None}
    file = folder / "figures.json"
    content = {"schema": "quatrefoil.figures/1", "measured": measured, "rows": [row | changed]}
    file.write_text(json.dumps(content))
    return file


def report(folder: Path, *, record: dict[str, Any] | None = None, machine: Any = MACHINE, **changed: Any) -> Path:
    """A report with a proof in it."""
    (part,) = (one for one in PARTS if one.name == "proof")
    figures = {"prove_ms": 3.14, "level": "avx2", "proof_bytes": 60, "ciphertext_bytes": 100, "start_bytes": 10}
    content = {"schema": part.schema, "machine": machine, "parameters": 4096, **figures} | changed
    (folder / records.RESULTS).mkdir(parents=True, exist_ok=True)
    data = json.dumps({key: value for key, value in content.items() if value is not None}).encode()
    given = {
        "part": "proof",
        "arguments": part.arguments(False),
        "version": "1",
        "code": "c",
        "machine": machine,
        "peers": {},
        "started": "2026-02-03T00:00:00+00:00",
        "seconds": 1.0,
        "others": 0.02,
        "digest": hashlib.sha256(data).hexdigest(),
    }
    records.write(folder, part, data, records.Record(**given | (record or {})))
    return folder


def test_figures_are_read_from_a_report(tmp_path) -> None:
    found = read_reports(load(claims(tmp_path)), [report(tmp_path / "one")])
    made = table(found)
    assert "| proving | 3.1 ms, avx2; 50 % | 4,096 values | `quatrefoil bench proof` |" in made
    assert "From 2 cores of an one with 8.0 GiB, idle; Linux, Python 3; 2026-02-03." in made and "Ranges" not in made


def test_several_reports_make_ranges_and_say_how_busy_it_was(tmp_path) -> None:
    busy = report(tmp_path / "two", prove_ms=4.0, level="avx512", record={"others": 0.31, "started": "2026-02-05"})
    made = table(read_reports(load(claims(tmp_path)), [report(tmp_path / "one"), busy]))
    assert "3.1 to 4.0 ms, avx2 or avx512; 50 %" in made and "2026-02-03 to 2026-02-05. Ranges are over" in made
    assert "of which others took up to 31 %" in made
    unknown = report(tmp_path / "three", record={"others": None})
    assert "shared with other work" in table(read_reports(load(claims(tmp_path)), [unknown]))


REFUSED: dict[str, dict[str, Any]] = {
    "a path that leads nowhere": {"prove_ms": None},
    "a figure in words": {"prove_ms": "fast"},
    "a text that is none": {"level": 5},
    "a text of two lines": {"level": "avx2\n| a row | more |"},
    "a text that is markup": {"level": "<img src=x>"},
    "a text that is a link": {"level": "[avx2](https://example.org)"},
    "a text that ends the table": {"level": END},
    "a text that is endless": {"level": "a" * 1000},
    "a figure beyond all numbers": {"proof_bytes": 1e308, "ciphertext_bytes": 1e-308},
    "nothing to divide by": {"ciphertext_bytes": 0},
    "nothing to subtract": {"start_bytes": None},
    "a machine of two lines": {"machine": MACHINE | {"processor": "one\n| a row |"}},
    "a machine that is markup": {"machine": MACHINE | {"system": "<b>Linux</b>"}},
    "no day": {"record": {"started": "| a | row |"}},
    "a quick result": {"record": {"arguments": ("bench", "proof", "--parameters", "65536")}},
    "a record of another part": {"record": {"part": "score"}},
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_a_report_lacks_is_refused_and_changes_nothing(tmp_path, how, capsys) -> None:
    file, page = claims(tmp_path), tmp_path / "README.md"
    page.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    before = file.read_text(), page.read_text()
    arguments = [str(report(tmp_path / "one", **REFUSED[how])), "--readme", str(page), "--figures", str(file)]
    assert readme.main(arguments) == 1
    assert capsys.readouterr().err.startswith("quatrefoil: ") and (file.read_text(), page.read_text()) == before


def test_reports_of_two_machines_and_none_are_refused(tmp_path) -> None:
    figures = load(claims(tmp_path))
    other = report(tmp_path / "two", machine=MACHINE | {"cores": 64})
    with pytest.raises(CallerError, match="of several machines"):
        read_reports(figures, [report(tmp_path / "one"), other])
    with pytest.raises(CallerError, match="has no result of proof"):
        read_reports(figures, [tmp_path / "nowhere"])


def test_figures_of_one_part_are_read_alone_and_say_on_what_where_that_is_another_machine(tmp_path) -> None:
    file = claims(tmp_path)
    content = json.loads(file.read_text())
    of_score = {"figure": "scoring", "value": "{s} s", "part": "score", "values": {"s": {"path": "x", "form": ".0f"}}}
    file.write_text(json.dumps(content | {"rows": [*content["rows"], of_score | {"read": {"s": [2, 3]}}]}))
    figures = load(file)
    other = report(tmp_path / "two", machine=MACHINE | {"cores": 64})
    with pytest.raises(CallerError, match="has no result of score"):
        read_reports(figures, [other])
    with pytest.raises(CallerError, match="no figure is of part sums"):
        read_reports(figures, [other], ["sums"])
    read = read_reports(figures, [other], ["proof"])
    assert (read.machine, read.dates, read.others) == (figures.machine, figures.dates, figures.others)
    assert read.rows[1] == figures.rows[1] and read.rows[0].elsewhere.startswith("64 cores of an ")
    save(file, read)
    assert load(file) == read and f"values; on {read.rows[0].elsewhere} |" in table(read)
    again = read_reports(read, [report(tmp_path / "one")], ["proof"])
    assert again.rows[0].elsewhere == "" and again.dates[0] == "2026-01-01"


def test_the_command_writes_the_table_and_what_was_read(tmp_path, capsys) -> None:
    file, page = claims(tmp_path), tmp_path / "README.md"
    page.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    where = ["--readme", str(page), "--figures", str(file)]
    assert readme.main(where) == 0 and "| proving | not measured yet | not measured yet |" in page.read_text()
    assert readme.main([str(report(tmp_path / "one")), *where]) == 0
    assert (
        "3.1 ms" in page.read_text() and page.read_text().startswith("a\n") and page.read_text().endswith(f"{END}\nb\n")
    )
    assert load(file).rows[0].read["ms"] == [3.14, 3.14]
    written = page.read_text()
    assert readme.main(where) == 0 and page.read_text() == written
    assert readme.main(["--readme", str(tmp_path / "none.md"), "--figures", str(file)]) == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "page",
    [
        "",
        f"{BEGIN}\n",
        f"{END}\n",
        f"{END}\n{BEGIN}\n",
        f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n",
        f"{BEGIN}\n{END}\n{END}\n",
    ],
)
def test_a_page_without_its_marks_is_refused(page) -> None:
    with pytest.raises(CallerError, match="both marks"):
        with_table(page, "table\n")


BAD_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "a figure by hand": ({"value": "3 {ms} {kind} {share}"}, "no path leads to"),
    "no figure": ({"value": "fast", "shape": "", "values": {}}, "no path leads to"),
    "a name without a path": ({"value": "{ms} {kind} {share} {more}"}, "differ"),
    "a path without a name": ({"value": "{ms} {kind}"}, "differ"),
    "a part that is none": ({"part": "everything"}, "is of no part"),
    "no path": ({"values": {"ms": {"path": "a b", "form": ".1f"}}}, "is no path"),
    "a member more": ({"more": 1}, "other members"),
    "a member more of a value": ({"values": {"ms": {"path": "a", "form": "", "x": 1}}}, "other members"),
    "a form in the words": ({"value": "{ms:.1f} {kind} {share}"}, "more than names in braces"),
    "an attribute in the words": ({"value": "{ms.real} {kind} {share}"}, "more than names in braces"),
    "a brace": ({"value": "{ms} {kind} {share} {"}, "a brace too many"),
    "something else read": ({"read": {"ms": [1, 2]}}, "differ"),
    "text read for a figure": (
        {"read": {"ms": ["x", "y"], "kind": ["a"], "share": [1, 1], "n": [1, 1]}},
        "proving",
    ),
}


@pytest.mark.parametrize("how", BAD_ROWS)
def test_a_row_that_claims_without_a_path_is_refused(tmp_path, how) -> None:
    changed, problem = BAD_ROWS[how]
    with pytest.raises(CallerError, match=problem):
        load(claims(tmp_path, **changed))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "quatrefoil.figures/1"}', '{"schema": 1, "schema": 2}'])
def test_files_that_are_no_figures_are_refused(tmp_path, text) -> None:
    file = tmp_path / "figures.json"
    with pytest.raises(HostError, match="cannot be read"):
        load(file)
    file.write_text(text)
    with pytest.raises(CallerError):
        load(file)


def test_cells_cannot_break_the_table(tmp_path) -> None:
    figures = load(claims(tmp_path, figure="a | b"))
    assert isinstance(figures, Figures) and "| a &#124; b |" in table(figures)
