"""Costs of proofs of answers: measured by really proving, and lines that go through what was measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.planner.made_up import make_available, make_costs

from quatrefoil.bench import proven_costs
from quatrefoil.bench.inference_models import lenet
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
from quatrefoil.planner.costs import LONGEST_ROOT
from quatrefoil.planner.stopwatch import Watch
from quatrefoil.policy import PROVEN_ANSWERS
from quatrefoil.proofs import inference
from quatrefoil.proofs.openings import MOST_OPENINGS, USUAL_OPENINGS
from quatrefoil.quantised import program_of, quantise

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


def largest_bytes(layers: tuple[int, ...], rows: int) -> int:
    """Exact, from the shape of the proof; of a commitment as ``quatrefoil model commit`` makes it."""
    program = program_of(dense_graph(layers)).content
    return int(inference.shape(program, USUAL_OPENINGS, rows, hidden=False)["largest_proof_bytes"])


@pytest.mark.parametrize(
    ("layers", "rows"),
    [
        (layers, rows)
        for layers in ((32, 32, 1), (784, 128, 10), (512, 512, 512), (1024, 1024, 1), (256, 256, 256, 256, 1))
        for rows in (1, 2, 64, 100, 1024, 4096, 1 << 14)
    ],
)
def test_bytes_between_and_beyond_what_is_measured_are_those_of_exact_sizes(layers: tuple[int, ...], rows: int) -> None:
    found = root_of({one: float(largest_bytes(*one)) for one in BATCHES})
    assert found.at(rows, *sizes(layers)) == pytest.approx(largest_bytes(layers, rows), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 16, 256, 1024])
def test_bytes_of_convolutions_and_pools_too(rows: int) -> None:
    pytest.importorskip("sklearn")
    case = lenet(1)
    graph = quantise(case.model, case.samples)
    program = program_of(graph).content
    exact = inference.shape(program, USUAL_OPENINGS, rows, hidden=False)["largest_proof_bytes"]
    found = root_of({one: float(largest_bytes(*one)) for one in BATCHES})
    assert found.at(rows, graph.inputs, graph.cells, graph.weights) == pytest.approx(exact, rel=0.15)


def test_by_roots_alone_large_batches_are_predicted_far_too_large() -> None:
    """What the turn at ``LONGEST_ROOT`` is there for: the test above would fail without it."""
    found = root_of({one: float(largest_bytes(*one)) for one in BATCHES})
    inputs, cells, weights = sizes((1024, 1024, 1))
    beyond = found.each_root_cell * (math.sqrt(cells << 14) - math.sqrt(LONGEST_ROOT))
    by_roots = found.at(LONGEST_ROOT // cells, inputs, cells, weights) + beyond
    assert by_roots > 1.5 * largest_bytes((1024, 1024, 1), 1 << 14)


def test_bytes_never_fall_where_they_turn() -> None:
    one = AnsweredBytes(0.0, 0.0, 1.0, 0.0)
    at = [one.at(1, 2, cells, 2) for cells in (LONGEST_ROOT - 1, LONGEST_ROOT, LONGEST_ROOT + 1, 2 * LONGEST_ROOT)]
    assert at == sorted(at) and at[2] == pytest.approx(at[0], rel=1e-5)
    assert at[3] == pytest.approx(1.2 * at[1])


def test_costs_are_of_commitments_as_the_command_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that allows more openings takes more: plans would promise too little."""
    content = program_of(dense_graph((32, 32, 1))).content
    more = inference.shape(content, MOST_OPENINGS, 1, hidden=False)["largest_proof_bytes"]
    assert more > 1.3 * largest_bytes((32, 32, 1), 1)
    asked: list[int] = []

    def commit(_graph: object, _threads: int, openings: int = USUAL_OPENINGS) -> None:
        asked.append(openings)
        raise HostError("it is enough", hint="Stop")

    monkeypatch.setattr(proven_costs, "commit", commit)
    with pytest.raises(HostError, match="enough"):
        proven_costs._measured(1, Watch(0.0, lambda: 0.0), Recorded(0.0, 0.0, 0.0))
    assert asked == [USUAL_OPENINGS]


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
    largest = largest_bytes(layers, rows)
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
