"""Costs of proofs of answers: measured by really proving, and lines that go through what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.planner.made_up import make_available, make_costs

from quatrefoil.bench import proven_costs
from quatrefoil.bench.proven_costs import (
    MANY,
    NARROW,
    ONE_LAYER,
    ROWS,
    WIDE,
    dense_graph,
    line_of,
    recorded_of,
    root_of,
)
from quatrefoil.errors import DependencyMissing, HostError
from quatrefoil.planner import Answered, AnsweredBytes, Recorded, host
from quatrefoil.policy import PROVEN_ANSWERS
from quatrefoil.proofs import inference
from quatrefoil.quantised import program_of

BATCHES = ((ONE_LAYER, 1), (ONE_LAYER, MANY), (NARROW, 1), (NARROW, ROWS), (WIDE, 1))


def sizes(layers: tuple[int, ...]) -> tuple[int, int, int]:
    graph = dense_graph(layers)
    return graph.inputs, graph.cells, graph.weights


def seen(truth: Answered | AnsweredBytes) -> dict[tuple[tuple[int, ...], int], float]:
    return {(layers, rows): truth.at(rows, *sizes(layers)) for layers, rows in BATCHES}


def test_a_line_goes_through_what_was_measured() -> None:
    truth = Answered(20.0, 7.0, 1e-3, 7e-5, 1e-4)
    found = line_of(seen(truth))
    for (layers, rows), value in seen(truth).items():
        assert found.at(rows, *sizes(layers)) == pytest.approx(value, rel=1e-3)
    assert found.each_cell == pytest.approx(truth.each_cell, rel=1e-3)
    assert found.each_weight == pytest.approx(truth.each_weight, rel=1e-3)


def test_bytes_grow_by_square_roots() -> None:
    truth = AnsweredBytes(240_000.0, 9_000.0, 400.0, 80.0)
    found = root_of(seen(truth))
    for (layers, rows), value in seen(truth).items():
        assert found.at(rows, *sizes(layers)) == pytest.approx(value, rel=1e-3)


def test_noise_never_makes_more_work_cheaper() -> None:
    backwards = dict(zip(BATCHES, (50.0, 40.0, 30.0, 20.0, 10.0), strict=True))
    for found in (line_of(backwards), root_of(backwards)):
        assert all(value >= 0 for value in vars(found).values())
    requests = [{"trace_us": us, "commit_us": 0.0, "keep_us": 0.0} for us in (900.0, 500.0, 100.0)]
    assert all(value >= 0 for value in vars(recorded_of(requests)).values())


def test_audit_mode_is_a_plane_through_three_requests() -> None:
    truth = Recorded(0.2, 0.4, 3e-4)
    rows = [
        {"trace_us": 1e3 * truth.at(samples, inputs), "commit_us": 0.0, "keep_us": 0.0}
        for inputs, samples in proven_costs.REQUESTS
    ]
    found = recorded_of(rows)
    assert (found.fixed, found.each_row, found.each_value) == pytest.approx((0.2, 0.4, 3e-4))


@pytest.fixture(scope="module")
def measured():
    told: list[str] = []
    costs = proven_costs.measure_answers(
        make_costs(), host.availability(), seconds=0.0, threads=(1,), progress=told.append
    )
    assert len(told) == 2
    return costs.of_answers(PROVEN_ANSWERS)


@pytest.mark.slow
def test_it_is_measured_by_proving(measured) -> None:
    assert measured.prove_ms.at(1, *sizes(NARROW)) > 0 and measured.verify_ms.at(1, *sizes(NARROW)) > 0
    assert measured.recorded_ms.at(64, 30) > measured.recorded_ms.at(1, 30) > 0


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "rows"), [((784, 128, 10), 1), ((784, 128, 10), 64), ((30, 1), 500)])
def test_predicted_bytes_are_close_to_those_of_proofs(layers: tuple[int, ...], rows: int, measured) -> None:
    largest = inference.shape(program_of(dense_graph(layers)).content, 16, rows, hidden=False)["largest_proof_bytes"]
    assert 0.7 * largest < measured.proof_bytes.at(rows, *sizes(layers)) < 1.1 * largest


def test_nothing_is_measured_where_nothing_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    without = replace(make_costs(), answers={})
    found = proven_costs.measure_answers(without, make_available(), seconds=0.0, threads=(1,), progress=told.append)
    assert found is without and "does not exist yet" in told[0]

    def no_package(_: object) -> None:
        raise DependencyMissing("onnx is not installed", hint="Install it")

    monkeypatch.setattr(proven_costs, "measure_audit_mode", no_package)
    here = make_available(("proofs", PROVEN_ANSWERS))
    found = proven_costs.measure_answers(without, here, seconds=0.0, threads=(1,), progress=told.append)
    assert found is without and "onnx is not installed" in told[-1]


def test_a_clock_that_runs_backwards_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proven_costs, "ONE_LAYER", (2, 1))
    monkeypatch.setattr(proven_costs, "MANY", 2)
    monkeypatch.setattr(
        proven_costs,
        "measure_audit_mode",
        lambda _: {"rows": [dict.fromkeys(("trace_us", "commit_us", "keep_us"), 1.0)] * 3},
    )
    ticks = iter(range(10**6, 0, -1))
    with pytest.raises(HostError, match="a measurement gave -1000"):
        proven_costs.measure_answers(
            make_costs(),
            make_available(("proofs", PROVEN_ANSWERS)),
            seconds=0.0,
            threads=(1,),
            progress=lambda _: None,
            clock=lambda: float(next(ticks)),
        )
