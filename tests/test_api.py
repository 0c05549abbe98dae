"""``quatrefoil.run``: a whole job from Python, and everything a caller can get wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quatrefoil
from job_policies import POLICY, policy
from quatrefoil import stack
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.ancestry import Model, examine
from quatrefoil.audit.commitments import code_digest, data_commitment, list_files
from quatrefoil.audit.dsse import Envelope, Verifier
from quatrefoil.audit.model_file import measure_arrays
from quatrefoil.audit.provenance import read
from quatrefoil.errors import CallerError, EvidenceRejected, PhaseUnprotected, PolicyError, UpdateRefused
from quatrefoil.federation.vectors import Arrays, layout_of, model_digest
from quatrefoil.planner import Costs
from quatrefoil.planner.host import availability
from quatrefoil.policy import Policy
from quatrefoil.transport import system_clock
from quatrefoil.workload import Workload

WORKLOAD = """
name = "api-test"
[[phases]]
name = "channels"
kind = "transport"
data = "update"
message_bytes = 1000
silos = 3
latency_ms = 60000
[[phases]]
name = "collect"
kind = "collect"
data = "update"
parameters = 5
silos = 3
rounds = {rounds}
latency_ms = 60000
[[phases]]
name = "aggregate"
kind = "aggregate"
data = "update"
parameters = 5
silos = 3
rounds = {rounds}
latency_ms = 60000
[[phases]]
name = "keys"
kind = "keys"
data = "key"
silos = 3
rounds = {rounds}
latency_ms = 60000
[[phases]]
name = "audit"
kind = "audit"
data = "log"
batch = 4
latency_ms = 60000
"""
DATA = {"a": np.full((10, 1), 0.1), "b": np.full((20, 1), -0.2), "c": np.full((70, 1), 0.3)}
MEAN = (0.1 * 10 - 0.2 * 20 + 0.3 * 70) / 100


def workload(rounds: int = 2) -> Workload:
    return Workload.parse(WORKLOAD.format(rounds=rounds), source="test")


def train(parameters: Sequence[np.ndarray], data: np.ndarray) -> list[np.ndarray]:
    return [array + array.dtype.type(data.mean()) for array in parameters]


@pytest.fixture(scope="module")
def costs() -> Costs:
    return stack.measure_host(availability())


def run(costs: Costs, **changes: Any) -> quatrefoil.Outcome:
    given: dict[str, Any] = {
        "workload": workload(), "policy": policy(), "train": train, "data": DATA,
        "initial": [np.zeros((2, 2)), np.zeros(1, np.float32)], "costs": costs,
    }  # fmt: skip
    return quatrefoil.run(**(given | changes))


@pytest.mark.parametrize("backend", ["additive-rlwe", "ckks", "plain"])
def test_the_weighted_mean_comes_out_in_the_shapes_that_went_in(costs: Costs, backend: str) -> None:
    chosen = clear() if backend == "plain" else policy(backend)
    outcome = run(costs, policy=chosen)
    assert [(a.shape, a.dtype) for a in outcome.parameters] == [((2, 2), np.float64), ((1,), np.float32)]
    error = sum(done.error_bound for done in outcome.rounds) + 1e-6
    for array in outcome.parameters:
        np.testing.assert_allclose(array, 2 * MEAN, atol=error)
    assert outcome.plan.backend("aggregation") == backend
    assert [done.contributors for done in outcome.rounds] == [("a", "b", "c")] * 2


def clear() -> Policy:
    """What the plain stand-in can satisfy: it answers neither a curious aggregator nor colluding silos."""
    text = policy_text("plain").replace(', "curious-aggregator", "colluding-silos"', "")
    return Policy.parse(text, source="test")


def policy_text(backend: str) -> str:
    return POLICY.format(
        backend=backend, accept='"software-keeper", "plain-aggregation"', on_excess="refuse", minimum_silos=3,
        colluding_silos=1, difference=1, clip=1.0, rounds=20, largest_sample_count=1000, threat="", norm="",
        receipts="ml-dsa",
        witnesses=0,
    )  # fmt: skip


def test_stand_ins_are_named(costs: Costs) -> None:
    assert run(costs).insecure == ("software-keeper",)
    assert set(run(costs, policy=clear()).insecure) == {"software-keeper", "plain-aggregation"}


def test_every_step_is_metered_and_logged(costs: Costs) -> None:
    outcome = run(costs)
    steps = {str(row["step"]): row for row in outcome.costs}
    assert steps["aggregation.encrypt"]["calls"] == steps["training"]["calls"] == 6
    assert steps["transport.seal"]["calls"] == 6 and int(steps["transport.seal"]["bytes"]) > 0
    kinds = [entry.kind for entry in outcome.log]
    assert kinds[:2] == ["policy", "plan"] and kinds.count("key-release") == 2 and kinds.count("round-accepted") == 6


def test_under_a_quorum_every_silo_cosigns_the_log_after_every_round(costs: Costs) -> None:
    outcome = run(costs, policy=policy(witnesses=3))
    kinds = [entry.kind for entry in outcome.log]
    assert kinds[:3] == ["log-opened", "policy", "plan"]
    assert kinds.count("witnessed") == 6 and kinds.count("cosigned") == 1  # the last is under the checkpoint itself
    (cosigned,) = [entry for entry in outcome.log if entry.kind == "cosigned"]
    assert cosigned.body["witnesses"] == ["a", "b", "c"]


def test_a_quorum_that_cannot_be_is_refused(costs: Costs) -> None:
    with pytest.raises(PolicyError, match="asks for 4 witnesses, and the roster has 3 silos: a, b, c"):
        run(costs, policy=policy(witnesses=4))
    with pytest.raises(CallerError, match="another log is given"):
        run(costs, policy=policy(witnesses=3), log=MemoryLog())


@pytest.mark.parametrize("rule", [{}, {"update_norm_factor": 3.0, "update_norm_floor": 0.9}], ids=["fixed", "adaptive"])
def test_a_policy_that_names_byzantine_silos_gets_proofs(costs: Costs, rule: dict[str, float]) -> None:
    named = policy()
    named = replace(
        named,
        threats=tuple(sorted({*named.threats, "byzantine-silo"})),
        limits=replace(named.limits, update_norm=4.0, **rule),
    )
    outcome = run(costs, policy=named)
    steps = {str(row["step"]): row for row in outcome.costs}
    assert steps["proofs.prove"]["calls"] == 6 and int(steps["proofs.prove"]["bytes"]) > 6 * 50_000
    assert steps["proofs.verify"]["calls"] == 12, "each silo its own, and the aggregator all"
    assert steps["proofs.check key"]["calls"] == 12, "when it is asked to check, and when it answers"
    assert not [left for left in outcome.plan.unprotected if left.threat == "byzantine-silo"]


def test_what_the_caller_watches(costs: Costs) -> None:
    messages, models, log = [], [], MemoryLog()
    outcome = run(
        costs,
        log=log,
        on_message=lambda name, message: messages.append((name, message)),
        on_round=lambda finished, model: models.append((finished.number, model)),
    )
    assert [name for name, _ in messages] == ["a", "b", "c"] * 2
    assert [number for number, _ in models] == [1, 2]
    assert all(np.array_equal(a, b) for a, b in zip(models[-1][1], outcome.parameters, strict=True))
    assert tuple(log.entries()) == outcome.log
    for _, message in messages:
        assert np.full(4, 0.1).tobytes() not in message


def test_samples_may_be_given(costs: Costs) -> None:
    outcome = run(costs, workload=workload(1), samples={"a": 1, "b": np.int64(1), "c": 2})
    np.testing.assert_allclose(outcome.parameters[0], (0.1 - 0.2 + 2 * 0.3) / 4, atol=1e-3)


def test_a_function_that_changes_what_it_is_given_changes_its_own_copy(costs: Costs) -> None:
    def in_place(parameters: list[np.ndarray], data: np.ndarray) -> list[np.ndarray]:
        for array in parameters:
            array += array.dtype.type(data.mean())
        return parameters

    outcome = run(costs, train=in_place)
    np.testing.assert_allclose(outcome.parameters[0], 2 * MEAN, atol=1e-3)


def test_the_callers_arrays_are_left_alone(costs: Costs) -> None:
    initial: Arrays = [np.zeros((2, 2)), np.zeros(1, np.float32)]
    run(costs, initial=initial)
    assert not any(array.any() for array in initial)


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"initial": [np.zeros(4)]}, CallerError, "says 5 parameters, there are 4"),
        ({"initial": []}, UpdateRefused, "without arrays"),
        ({"initial": [np.zeros(5, int)]}, UpdateRefused, "parameter 0 is int64"),
        ({"initial": [[0.0] * 5]}, UpdateRefused, "parameter 0 is list"),
        ({"data": {"a": DATA["a"], "b": DATA["b"]}}, CallerError, "says 3 silos, there are 2"),
        ({"data": {}}, CallerError, "says 3 silos, there are 0"),
        ({"data": {**DATA, "c": 5}}, CallerError, "int has no length"),
        ({"samples": {"a": 1, "b": 1}}, CallerError, "no number of samples is given for c"),
        ({"samples": {"a": 1, "b": 1, "c": 1.5}}, CallerError, r"samples of c are 1\.5"),
        ({"samples": {"a": 1, "b": 1, "c": 0}}, CallerError, "c counts 0 samples"),
        ({"samples": {"a": 1, "b": 1, "c": 1001}}, CallerError, "c counts 1001 samples"),
        ({"samples": {"a": 1, "b": 1, "c": -1}}, CallerError, "c counts -1 samples"),
        ({"data": {"a/..": DATA["a"], "b": DATA["b"], "c": DATA["c"]}}, CallerError, "name"),
        ({"data": {"keeper": DATA["a"], "b": DATA["b"], "c": DATA["c"]}}, CallerError, "cannot be called keeper"),
        ({"train": lambda parameters, data: parameters[:1]}, UpdateRefused, "agreed layout"),
        ({"train": lambda parameters, data: [p + 2 for p in parameters]}, UpdateRefused, "clip bound"),
        ({"train": lambda parameters, data: [p + np.float32(np.nan) for p in parameters]}, UpdateRefused, "not finite"),
        ({"threads": 0}, CallerError, "0 threads"),
        ({"away": {1: ["d"]}}, CallerError, "d cannot be away in round 1"),
        ({"away": {0: ["a"]}}, CallerError, "away in round 0"),
        ({"away": {99: []}}, CallerError, "away in round 99"),
        ({"workload": workload(21)}, PolicyError, "21 rounds"),
    ],
    ids=lambda value: "" if not isinstance(value, dict) else next(iter(value)),
)
def test_what_does_not_fit_is_refused(
    costs: Costs, changes: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        run(costs, **changes)


def test_an_error_in_training_is_the_callers_to_see(costs: Costs) -> None:
    def broken(parameters: object, data: object) -> list[np.ndarray]:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(costs, train=broken)


def test_a_policy_that_nothing_satisfies_stops_before_anything_runs(costs: Costs) -> None:
    text = policy_text("additive-rlwe").replace('"colluding-silos"]', '"colluding-silos", "malicious-server"]')
    log, asked = MemoryLog(), []
    unsatisfied = Policy.parse(text.replace(', "plain-aggregation"', ""), source="test")
    with pytest.raises(PhaseUnprotected):
        run(costs, policy=unsatisfied, log=log, train=lambda *_: asked.append(1))
    assert [entry.kind for entry in log.entries()] == ["policy", "plan-refused"] and asked == []


# ---------------------------------------------------------------------------------------------------------- provenance


def model_of(outcome: quatrefoil.Outcome) -> Model:
    arrays = outcome.parameters
    return Model(measure_arrays(arrays), model_digest(arrays, layout_of(arrays)))


def test_a_run_states_where_its_model_comes_from_and_a_second_goes_on_from_it(costs: Costs, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2\n")
    first = run(costs, workload=workload(1), committed={"a": [tmp_path / "a.csv"]})
    second = run(costs, workload=workload(1), initial=first.parameters, parent=first)
    verifier = Verifier(first.trust, clock=system_clock)
    found = examine(model_of(first), first.provenance, [], verifier=verifier)
    found.require()
    silos = {silo.name: silo for silo in found.generations[0].predicate.silos}
    assert silos["a"].data == data_commitment(list_files([tmp_path / "a.csv"]), first.salts["a"])
    assert silos["b"].data is None and silos["a"].code == silos["b"].code == code_digest(train) is not None
    assert first.salts["a"].hex() not in repr(first)
    again = Envelope.decode(second.provenance)
    assert read(again).predicate.initial.statement == Envelope.decode(first.provenance).digest


def test_a_run_that_did_not_begin_where_its_parent_ended_is_refused(costs: Costs) -> None:
    first = run(costs, workload=workload(1))
    moved = [array + array.dtype.type(1) for array in first.parameters]
    with pytest.raises(EvidenceRejected, match="the statement given for the initial model is about"):
        run(costs, workload=workload(1), initial=moved, parent=first)


def test_a_run_commits_to_data_of_its_own_silos_only(costs: Costs, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="d cannot commit"):
        run(costs, committed={"d": [tmp_path]})
    with pytest.raises(CallerError, match="there is no file or folder"):
        run(costs, committed={"a": [tmp_path / "none"]})
