"""Predicted proofs of answers beside proofs that are made: what is compared with what, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

import pytest
from tests.planner.made_up import ANSWERS, make_costs, policy

from quatrefoil.bench import planner as bench
from quatrefoil.bench import planner_proofs
from quatrefoil.bench.planner_proofs import FIGURES, MOST_RUNS, compared_proof, measure_predicted_proofs
from quatrefoil.bench.proven_costs import dense_graph
from quatrefoil.bench.report import sections
from quatrefoil.bench.report.panels import PANELS
from quatrefoil.cli import bench_planner
from quatrefoil.errors import DependencyMissing, PolicyInvalid
from quatrefoil.planner import proving
from quatrefoil.policy import PROVEN_ANSWERS, Allow
from quatrefoil.proofs import inference
from quatrefoil.proofs.openings import USUAL_OPENINGS
from quatrefoil.quantised import program_of
from quatrefoil.workload import Phase

GRAPH = dense_graph((784, 128, 10))


def seen(times: float = 1.0, rows: int = 64) -> dict[str, list[float]]:
    """Runs that take so many times what is predicted, with one run far off."""
    of = (rows, GRAPH.inputs, GRAPH.cells, GRAPH.weights)
    return {name: [times * getattr(ANSWERS, name).at(*of)] * 2 + [1e9] for name in FIGURES}


def test_a_row_has_both_sides_and_the_shape() -> None:
    row = compared_proof("784-128-10", GRAPH, 64, ANSWERS, seen(), 0.25)
    assert row["shape"] == "784-128-10, 64 rows" and (row["threads"], row["openings"]) == (1, USUAL_OPENINGS)
    assert (row["inputs"], row["cells"], row["weights"], row["runs"]) == (784, 128, 101_770, 3)
    for name in FIGURES:
        assert row[name] == median(seen()[name]) == row[f"predicted_{name}"]
        assert row[f"{name}_ratio"] == pytest.approx(1.0) and row[f"{name}_within"] is True


def test_columns_are_those_of_the_proof() -> None:
    exact = inference.shape(program_of(GRAPH).content, USUAL_OPENINGS, 64, hidden=False)
    committed = compared_proof("784-128-10", GRAPH, 64, ANSWERS, seen(), 0.25)["committed"]
    assert committed == {
        "columns": exact["base_columns"] + 2 * exact["inverse_columns"],
        "entries": exact["rows"],
        "weights_columns": exact["weights_columns"],
        "weights_entries": exact["weights_rows"],
    }


@pytest.mark.parametrize("rows", [1, 64, 1000])
def test_what_is_predicted_is_what_a_plan_says(rows: int) -> None:
    allow = Allow(("pq-tls",), ("software", "tdx", "tpm"), ("additive-rlwe",), ("bounded-update", PROVEN_ANSWERS))
    given = policy({"malicious-server"}, allow=allow, proven_share=1.0)
    sizes = {"inputs": GRAPH.inputs, "cells": GRAPH.cells, "weights": GRAPH.weights}
    phase = Phase("answer", "infer", "record", 1e6, message_bytes=1000, batch=rows, model="integers", **sizes)
    planned = proving.predicted(phase, given, ANSWERS)
    row = compared_proof("784-128-10", GRAPH, rows, ANSWERS, seen(), 0.25)
    assert (planned.rows, planned.proofs) == (rows, 1)
    assert row["predicted_prove_ms"] == pytest.approx(planned.prove_ms)
    assert row["predicted_verify_ms"] == pytest.approx(planned.verify_ms)
    assert row["predicted_proof_bytes"] == pytest.approx(planned.proof_bytes, abs=1)


@pytest.mark.parametrize(("times", "within"), [(1.3, True), (0.85, True), (1.4, False), (0.75, False), (4.0, False)])
def test_a_prediction_that_is_far_off_is_said_to_be(times: float, within: bool) -> None:
    row = compared_proof("784-128-10", GRAPH, 64, ANSWERS, seen(times), 0.25)
    assert [row[f"{name}_within"] for name in FIGURES] == [within] * 3
    assert row["prove_ms_ratio"] == pytest.approx(1 / times)


def made_up(monkeypatch: pytest.MonkeyPatch, times: float) -> list[int]:
    """Nothing is proven; returns the numbers of runs that were asked for."""
    asked: list[int] = []

    class Model:
        name, model, samples = "784-128-10", b"", None

    def measured(_case: Any, _graph: Any, rows: int, runs: int) -> dict[str, list[float]]:
        asked.append(runs)
        return seen(times, rows)

    monkeypatch.setattr(planner_proofs, "quantise", lambda *_: GRAPH)
    monkeypatch.setattr(planner_proofs, "_measured", measured)
    monkeypatch.setattr(planner_proofs, "BATCHES", (planner_proofs.Batch(Model, (1, 64)),))  # type: ignore[arg-type]
    return asked


@pytest.mark.parametrize(("times", "within"), [(1.0, 6), (3.0, 0)])
def test_each_figure_counts(monkeypatch: pytest.MonkeyPatch, times: float, within: int) -> None:
    made_up(monkeypatch, times)
    found = measure_predicted_proofs(make_costs().at(2), 3, 0.25, lambda _: None)
    assert (found["within"], found["compared"], found["problem"]) == (within, 6, "")
    assert [row["rows"] for row in found["rows"]] == [1, 64]


@pytest.mark.parametrize(("repeats", "runs"), [(1, 3), (5, 5), (1000, MOST_RUNS)])
def test_runs_are_enough_for_a_median_and_within_the_openings(
    monkeypatch: pytest.MonkeyPatch, repeats: int, runs: int
) -> None:
    asked = made_up(monkeypatch, 1.0)
    measure_predicted_proofs(make_costs(), repeats, 0.25, lambda _: None)
    assert asked == [runs, runs]


def test_costs_without_proofs_of_answers_are_said_and_not_compared() -> None:
    told: list[str] = []
    found = measure_predicted_proofs(replace(make_costs(), answers={}), 3, 0.25, told.append)
    assert (found["compared"], found["rows"]) == (0, []) and "no figures of proofs of answers" in found["problem"]
    assert found["problem"] in told[0]


def test_a_missing_package_is_said_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise DependencyMissing("scikit-learn is not installed", hint="Install it")

    monkeypatch.setattr(planner_proofs, "QUICK", (planner_proofs.Batch(missing, (1,)),))
    found = measure_predicted_proofs(make_costs(), 3, 0.25, lambda _: None, quick=True)
    assert found["compared"] == 0 and "scikit-learn is not installed" in found["problem"]


def test_costs_of_other_threads_alone_are_refused() -> None:
    costs = make_costs()
    only = {key: value for key, value in costs.aggregation.items() if key.endswith("/2")}
    with pytest.raises(PolicyInvalid, match="no figures for 1 threads"):
        measure_predicted_proofs(replace(costs, aggregation=only), 3, 0.25, lambda _: None)


def test_they_are_counted_apart_from_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """``within`` of ``compared`` stay those of phases, which the README has."""
    apart = {"within": 2, "compared": 3, "problem": "", "rows": [{"within": True}]}
    monkeypatch.setattr(bench, "measure_predicted_proofs", lambda *_, **__: apart)
    monkeypatch.setattr(bench, "Run", Nothing)
    monkeypatch.setattr(bench, "_compared", lambda *_, **__: [{"within": True}, {"within": False}, {"within": None}])
    monkeypatch.setattr(bench, "_together", lambda *_: {})
    found = bench.measure_planner(["credit-scoring"], 1, lambda _: None, costs=make_costs())
    assert (found["within"], found["compared"], len(found["rows"])) == (1, 2, 3)
    assert found["answers"] is apart


class Nothing:
    def __init__(self, *_: Any, **__: Any) -> None: ...
    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_the_table_says_each_figure_with_its_shape(capsys: pytest.CaptureFixture[str]) -> None:
    row = compared_proof("784-128-10", GRAPH, 64, ANSWERS, seen(4.0), 0.25)
    answers = {"within": 0, "compared": 3, "problem": "", "rows": [row]}
    bench_planner.show_answers(answers)
    said = capsys.readouterr().out
    assert "784-128-10" in said and "prove ms" in said and "verify ms" in said and "bytes" in said
    assert said.count("NO") == 3 and "0 of 3 predictions of proofs of answers are within 25%" in said
    bench_planner.show_answers({"within": 0, "compared": 0, "problem": "onnx is not installed", "rows": []})
    assert "not compared: onnx is not installed" in capsys.readouterr().out


def test_the_page_of_all_benches_has_them() -> None:
    row = compared_proof("784-128-10", GRAPH, 64, ANSWERS, seen(2.0), 0.25)
    planner = next(panel for panel in PANELS if panel.part == "planner")
    (shown,) = (table for table in planner.tables if table.path == "answers.rows")
    assert {column.key for column in shown.columns} <= set(row)
    markup = str(sections._table(shown, {"answers": {"rows": [row]}}))
    assert "784-128-10, 64 rows" in markup and f"{row['predicted_prove_ms']:,.2f}" in markup
    assert "64 rows" not in str(sections._table(shown, {"rows": [row]})), "phases have a table of their own"


@pytest.mark.slow
def test_small_shapes_are_really_proven() -> None:
    found = measure_predicted_proofs(make_costs(), 1, 0.25, lambda _: None, quick=True)
    assert [row["shape"] for row in found["rows"]] == [
        "784-8-10, 1 row",
        "784-8-10, 4 rows",
        "32-32-32, 4 rows",
        "lenet-5, 1 row",
    ]
    assert found["compared"] == 3 * len(found["rows"]) and all(
        row[name] > 0 for row in found["rows"] for name in FIGURES
    )
    for row in found["rows"]:
        assert row["committed"]["weights_entries"] == 1 << 13
