"""Cost files: round trip, and every way in which one is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.planner.made_up import MEASURED_AT, PLAIN, PROOFS, make_costs

from quatrefoil import machine
from quatrefoil.errors import HostError, PolicyInvalid
from quatrefoil.planner import Costs, Line
from quatrefoil.planner.costs import OLDEST_DAYS, finite, staleness


def test_a_line_is_a_fixed_part_and_a_slope() -> None:
    assert Line(2.0, 0.5).at(10) == 7.0


def test_costs_survive_their_file(tmp_path: Path) -> None:
    make_costs().save(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == make_costs()
    assert json.loads((tmp_path / "costs.json").read_text())["schema"] == "quatrefoil.costs/4"


def test_costs_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written"):
        make_costs().save(tmp_path / "none" / "costs.json")


def content(tmp_path: Path) -> dict[str, Any]:
    make_costs().save(tmp_path / "costs.json")
    loaded: dict[str, Any] = json.loads((tmp_path / "costs.json").read_text())
    return loaded


def change(*path: str, to: object) -> Callable[[dict[str, Any]], None]:
    def apply(content: dict[str, Any]) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = to

    return apply


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "ciphertexts without slots": (
        change("homomorphic", "ckks-linear-4096", "slots", to=0.0),
        "homomorphic: 'ckks-linear-4096': slots: is under 1",
    ),
    "rows of networks without slots": (
        change("networks", "ckks-network-8192", "slots", to=0.5),
        "networks: 'ckks-network-8192': slots: is under 1",
    ),
    "another schema": (change("schema", to="quatrefoil.costs/2"), "schema: is 'quatrefoil.costs/2', not"),
    "a schema that is no text": (change("schema", to=1), "schema: is nothing, not"),
    "no schema": (lambda c: c.pop("schema"), "schema: is nothing, not"),
    "a missing field": (lambda c: c.pop("log_append_ms"), "log_append_ms: is missing"),
    "an unknown field": (change("extra", to=1), "extra: is not a known field"),
    "a missing figure": (lambda c: c["transport"]["pq-tls"].pop("open_ms"), "transport: pq-tls: open_ms: is missing"),
    "a missing serving figure": (
        lambda c: c["serving"]["pq-tls"].pop("receipt_ms"),
        "serving: pq-tls: receipt_ms: is missing",
    ),
    "no serving at all": (lambda c: c.pop("serving"), "serving: is missing"),
    "a negative figure": (change("log_append_ms", to=-1), "log_append_ms: is outside 0"),
    "a huge figure": (change("log_append_ms", to=1e300), "log_append_ms: is outside 0"),
    "a boolean figure": (change("log_append_ms", to=True), "log_append_ms: is bool, not a number"),
    "a text for a figure": (change("log_append_ms", to="1"), "log_append_ms: is str, not a number"),
    "nothing for a figure": (change("log_append_ms", to=None), "log_append_ms: is NoneType, not a number"),
    "a list for a table": (change("transport", to=[]), "transport: is list, not an object"),
    "a number for a line": (change("transport", "pq-tls", "message_ms", to=3), "message_ms: is int, not an object"),
    "no date": (lambda c: c.pop("measured_at"), "measured_at: is missing"),
    "half a second": (change("measured_at", to=0.5), "measured_at: is float, not a whole number"),
    "a date before any": (change("measured_at", to=-1), "measured_at: is outside 0"),
    "a version that is none": (change("version", to=1), "version: is no text"),
    "a version that moves the cursor": (change("version", to="\x1b[2J"), "version: is no text"),
    "a long version": (change("version", to="1" * 81), "version: is no text"),
    "no threads": (change("threads", to=0), "threads: is outside 1 to 1024"),
    "a crowd of threads": (change("threads", to=1025), "threads: is outside 1 to 1024"),
    "true threads": (change("threads", to=True), "threads: is bool, not a whole number"),
    "sums without threads": (change("aggregation", "plain/16", to=dataclasses.asdict(PLAIN)), "aggregation: a name is"),
    "sums in no number": (change("aggregation", "plain/16/x", to=dataclasses.asdict(PLAIN)), "aggregation: a name is"),
    "proofs by a fraction": (change("proofs", "b/16/1.5", to=dataclasses.asdict(PROOFS)), "proofs: a name is not"),
    "proofs of answers without threads": (
        lambda c: c["answers"].update({"proven-answers": c["answers"].pop("proven-answers/1")}),
        "answers: a name is not BACKEND/THREADS",
    ),
    "proofs of answers in no number": (
        lambda c: c["answers"].update({"proven-answers/x": c["answers"].pop("proven-answers/1")}),
        "answers: a name is not BACKEND/THREADS",
    ),
    "a missing figure of answers": (
        lambda c: c["answers"]["proven-answers/1"]["prove_ms"].pop("each_cell"),
        "answers: proven-answers/1: prove_ms: each_cell: is missing",
    ),
    "a negative figure of audit mode": (
        change("answers", "proven-answers/1", "recorded_ms", "each_row", to=-1),
        "recorded_ms: each_row: is outside 0",
    ),
    "no answers at all": (lambda c: c.pop("answers"), "answers: is missing"),
    "a missing figure of tables": (
        lambda c: c["homomorphic"]["ckks-linear-4096"].pop("weigh_ms"),
        "homomorphic: ckks-linear-4096: weigh_ms: is missing",
    ),
    "a negative slope": (
        change("homomorphic", "ckks-linear-4096", "weigh_ms", "each", to=-1e-9),
        "weigh_ms: each: is outside 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_file_and_field(case: str, tmp_path: Path) -> None:
    apply, expected = REFUSED[case]
    changed = content(tmp_path)
    apply(changed)
    with pytest.raises(PolicyInvalid) as caught:
        Costs.parse(json.dumps(changed), source="c.json")
    assert str(caught.value).startswith("c.json: ") and expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "c.json:1: is not JSON"),
        ("{\n\n,", "c.json:3: is not JSON"),
        ("[]", "is not a JSON object"),
        ("3", "is not a JSON object"),
        ("[" * 200_000, "is nested too deeply"),
        ('{"schema": NaN}', "holds NaN, which is not a number"),
        ('{"schema": -Infinity}', "holds -Infinity"),
        ('{"a": 1, "a": 2}', "a: is given twice"),
        ('{"\\u001b[2J": 1, "\\u001b[2J": 2}', r"'\x1b[2J': is given twice"),
        ('{"schema": ' + "9" * 5000 + "}", "c.json: "),
    ],
)
def test_text_that_holds_no_costs(text: str, expected: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        Costs.parse(text, source="c.json")
    assert expected in str(caught.value) and str(caught.value).isprintable()


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        Costs.load(tmp_path / "none.json")
    (tmp_path / "c.json").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyInvalid, match=r"c\.json:1: byte 0 is not UTF-8"):
        Costs.load(tmp_path / "c.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_measurement_that_is_no_figure(value: float) -> None:
    with pytest.raises(HostError, match="a measurement gave"):
        finite(value)


def test_a_machine_with_a_number_beyond_all_numbers_is_refused() -> None:
    """Plans write it out again, in JSON that has no infinity."""
    text = json.dumps({"schema": "quatrefoil.costs/4", **make_costs().to_json()})
    with pytest.raises(PolicyInvalid, match=r"^FILE: holds 1e999, which no number is as large as"):
        Costs.parse(text.replace('"cores": 2', '"cores": 1e999'), source="FILE")


# ------------------------------------------------------------------------------------------------------- staleness

MACHINE = {"processor": "made up", "cores": 2, "system": "none", "memory_gib": 4.0, "python": "3.11.0"}
VERSION = "0.0.made-up"
DAY = 86_400


@pytest.mark.parametrize("age", [0, 1, DAY, OLDEST_DAYS * DAY])
def test_fresh_costs(age: int) -> None:
    assert staleness(make_costs(), MEASURED_AT + age, MACHINE, VERSION) == ""
    other_memory = {**MACHINE, "memory_gib": None, "python": "3.12.1"}
    assert staleness(make_costs(), MEASURED_AT + age, other_memory, VERSION) == "", "costs nothing measured"


@pytest.mark.parametrize(
    ("changed", "age", "version", "expected"),
    [
        ({"processor": "another"}, 0, VERSION, "on another machine (its processor differs)"),
        ({"cores": 4}, 0, VERSION, "on another machine (its cores differs)"),
        ({"system": "Linux"}, 0, VERSION, "on another machine (its system differs)"),
        ({}, 0, "0.0.2", "with another version of quatrefoil"),
        ({}, 0, "", "with another version of quatrefoil"),
        ({}, -1, VERSION, "in the future, by the clock of this machine"),
        ({}, OLDEST_DAYS * DAY + 1, VERSION, "90 days ago, and count for 90"),
        ({}, 4000 * DAY, VERSION, "4000 days ago"),
    ],
)
def test_stale_costs(changed: dict[str, Any], age: int, version: str, expected: str) -> None:
    assert expected in staleness(make_costs(), MEASURED_AT + age, {**MACHINE, **changed}, version)


def test_costs_of_an_unknown_machine_are_stale_on_every_machine() -> None:
    unknown = dataclasses.replace(make_costs(), measured_on={})
    assert staleness(unknown, MEASURED_AT, machine.describe(), VERSION).startswith("they were measured on another")
