"""``quatrefoil calibrate``, and which costs ``quatrefoil plan`` then predicts from."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tests.planner.made_up import ANSWERS, EXCHANGES, TRANSPORT, make_costs

from quatrefoil import cli, machine, stack
from quatrefoil.bench import around, around_rounds, proven_costs
from quatrefoil.cli import calibrate, kept_costs
from quatrefoil.errors import DependencyMissing
from quatrefoil.planner import Costs, Line, RoundCosts
from quatrefoil.policy import Policy
from quatrefoil.workload import FEDERATED

EXAMPLES = Path(__file__).parents[2] / "examples"


AUDITED = {"trace_us": 50.0, "commit_us": 200.0, "keep_us": 40.0}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Only these commands, a folder of configuration of its own, and a host whose costs are made up."""
    monkeypatch.setattr(cli, "COMMANDS", ("plan", "calibrate"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(stack, "measure_host", lambda *_, **__: fresh())
    monkeypatch.setattr(proven_costs, "measure_audit_mode", lambda _: {"rows": [AUDITED] * 3})
    monkeypatch.setattr(proven_costs, "_measured", lambda *_: ANSWERS)
    monkeypatch.setattr(around, "_added_ms", lambda _: {1: 10.0, around.ROWS: 20.0})
    monkeypatch.setattr(around_rounds, "_round_ms", lambda silos, *_: dict.fromkeys(FEDERATED, 100.0 + silos))
    return tmp_path / "config"


def fresh(**changed: Any) -> Costs:
    here = {
        "version": metadata.version("quatrefoil"),
        "measured_at": int(kept_costs.time.time()),
        "measured_on": machine.describe(),
    }
    return replace(make_costs(), **{**here, **changed})


def run_plan(*options: str | Path) -> int:
    files = EXAMPLES / "workloads" / "hospital-training.toml", EXAMPLES / "policies" / "hospitals.toml"
    return cli.main(["plan", str(files[0]), "--policy", str(files[1]), *map(str, options)])


# ------------------------------------------------------------------------------------------------ calibrate


def test_costs_are_kept_where_plans_look_for_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate"]) == 0
    kept = home / "quatrefoil" / "costs.json"
    assert f"Kept in {kept}" in capsys.readouterr().out
    assert Costs.load(kept).of_serving("pq-tls").around_ms.fixed > 0
    assert Costs.load(kept).rounds.keys_ms.fixed > 0
    assert run_plan("--json", home / "plan.json") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    used = json.loads((home / "plan.json").read_text())["costs"]
    assert used["file"] == str(kept) and used["stale"] is None and used["threads"] == 1


def test_proofs_of_answers_are_measured_and_kept_and_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", "--threads", "2"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Proofs of answers (proven-answers/1)" in shown and "audit mode, ms of a request, each row" in shown
    kept = Costs.load(home / "quatrefoil" / "costs.json")
    assert set(kept.answers) == {"proven-answers/1", "proven-answers/2"}


def test_a_short_look_measures_proofs_of_answers_where_a_plan_may_have_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "measure_host", lambda *_, **__: fresh(answers={}))
    files = EXAMPLES / "workloads" / "proven-serving.toml", EXAMPLES / "policies" / "proven.toml"
    served = [
        "plan",
        str(files[0]),
        "--server-enclave",
        "tpm",
        "--server-enclave",
        "sev-snp",
        "--json",
        str(home.parent / "plan.json"),
    ]
    assert cli.main([*served, "--policy", str(files[1])]) == 0
    assert "proofs of answers, 1 thread(s)" in capsys.readouterr().err
    (answer,) = json.loads((home.parent / "plan.json").read_text())["phases"][1:]
    assert answer["proven"]["drawn"] == 200 and answer["proven"]["prove_ms"] > 0
    strict = str(EXAMPLES / "policies" / "strict.toml")
    assert cli.main([*served, "--policy", strict]) == 0
    assert "proofs of answers" not in capsys.readouterr().err
    assert cli.main([*served, "--policy", strict, "--what-if", str(files[1])]) == 0
    assert "proofs of answers" in capsys.readouterr().err


def test_a_kept_file_without_proofs_of_answers_is_no_reason_to_guess(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh(answers={}).save(tmp_path / "c.json")
    files = EXAMPLES / "workloads" / "proven-serving.toml", EXAMPLES / "policies" / "proven.toml"
    command = ["plan", str(files[0]), "--policy", str(files[1]), "--server-enclave", "tpm"]
    assert cli.main([*command, "--costs", str(tmp_path / "c.json")]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "no figures for proofs/proven-answers in 1 thread" in told and "quatrefoil calibrate" in told


def test_costs_in_a_file_that_is_named_are_kept_nowhere_else(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["calibrate", "--out", str(tmp_path / "c.json"), "--json", str(tmp_path / "report.json")]) == 0
    assert "additive-rlwe/16/2" in capsys.readouterr().out
    assert not home.exists()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == "quatrefoil.calibration/1" and report["file"] == str(tmp_path / "c.json")
    assert report["costs"]["aggregation"] == json.loads((tmp_path / "c.json").read_text())["aggregation"]


def test_json_on_standard_output_is_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", "--out", str(tmp_path / "c.json"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["costs"]["threads"] == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--threads", "0"], "0 threads are none"),
        (["--threads", "-2"], "-2 threads are none"),
        (["--threads", "1025"], "1025 threads are none, or too many"),
        (["--seconds", "0"], "0 s are no time"),
        (["--seconds", "-1"], "-1 s are no time"),
        (["--seconds", "nan"], "nan s are no time"),
        (["--seconds", "inf"], "inf s are no time"),
        (["--out", "no/such/folder/c.json"], "cannot be written"),
        (["--json", "no/such/folder/c.json"], "cannot be written"),
        (["--out", "/"], "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    options: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stack, "measure_host", lambda *_, **__: pytest.fail("it was measured"))
    assert cli.main(["calibrate", *options]) == 1
    assert expected in capsys.readouterr().err


def test_a_folder_of_configuration_that_is_a_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("")
    assert cli.main(["calibrate"]) == 1
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("most", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_threads_that_are_measured(most: int, counts: list[int]) -> None:
    assert calibrate.counts_up_to(most) == counts


# ------------------------------------------------------------------------------------------------ around a request


def test_around_is_what_the_parts_leave() -> None:
    each = [rows * (around.COLUMNS + 1) * 4 / 2 for rows in (1, around.ROWS)]
    parts = [
        EXCHANGES.exchange_ms.at(n)
        + EXCHANGES.receipt_ms.at(n)
        + TRANSPORT.message_ms.at(EXCHANGES.exchange_bytes.at(n) + EXCHANGES.receipt_bytes)
        for n in each
    ]
    found = around.around_ms({1: parts[0] + 3.0, around.ROWS: parts[1] + 5.0}, EXCHANGES, TRANSPORT)
    assert found.at(each[0]) == pytest.approx(3.0) and found.at(each[1]) == pytest.approx(5.0)


@pytest.mark.parametrize("added", [{1: 0.0, around.ROWS: 0.0}, {1: -5.0, around.ROWS: 0.1}])
def test_noise_takes_nothing_away_from_the_parts(added: dict[int, float]) -> None:
    assert around.around_ms(added, EXCHANGES, TRANSPORT) == Line(0.0, 0.0)


def test_where_nothing_can_be_served_the_parts_are_kept_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: float) -> dict[int, float]:
        raise DependencyMissing("onnx is not installed", hint="Install it")

    monkeypatch.setattr(around, "_added_ms", missing)
    told: list[str] = []
    assert around.measure_around(make_costs(), seconds=1.0, progress=told.append) == make_costs()
    assert told[-1].startswith("not measured: onnx is not installed")
    without = replace(make_costs(), serving={})
    assert around.measure_around(without, seconds=1.0, progress=told.append) == without and len(told) == 2


# ------------------------------------------------------------------------------------------------ around a round

POLICY = Policy.load(around_rounds.built_in("hospital-group"))


def measured(more: dict[str, Line]) -> dict[int, dict[str, float]]:
    """Rounds that take what is predicted, and ``more`` by silos."""
    predicted = {n: around_rounds._predicted(n, POLICY, make_costs()) for n in around_rounds.SILOS}
    return {n: {kind: found[kind] + more[kind].at(n) for kind in FEDERATED} for n, found in predicted.items()}


def test_around_a_round_is_what_its_parts_leave() -> None:
    more = {"collect": Line(1.0, 0.5), "aggregate": Line(2.0, 0.0), "keys": Line(0.25, 1.5)}
    found = around_rounds.around_rounds(measured(more), POLICY, make_costs())
    assert [found.collect_ms.at(5), found.aggregate_ms.at(5), found.keys_ms.at(5)] == pytest.approx([3.5, 2.0, 7.75])


@pytest.mark.parametrize("each", [-1e3, -0.5])
def test_noise_takes_nothing_away_from_the_parts_of_a_round(each: float) -> None:
    less = dict.fromkeys(FEDERATED, Line(-1.0, each))
    found = around_rounds.around_rounds(measured(less), POLICY, make_costs())
    assert found == RoundCosts(*[Line(0.0, 0.0)] * 3)


@pytest.mark.parametrize("room", ["transport", "aggregation", "proofs"])
def test_where_no_round_can_be_run_nothing_is_measured(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(around_rounds, "_round_ms", lambda *_: pytest.fail("a round was run"))
    without = replace(make_costs(), **{room: {}})
    assert around_rounds.measure_around_rounds(without, seconds=1.0, progress=lambda _: None) == without


# ------------------------------------------------------------------------------------------------ plan


def test_without_kept_costs_the_host_is_looked_at_and_that_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_plan("--json", tmp_path / "plan.json") == 0
    told = capsys.readouterr().err
    assert "no costs of this machine are kept" in told and str(home) in told and "quatrefoil calibrate" in told
    assert json.loads((tmp_path / "plan.json").read_text())["costs"]["file"] is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"measured_at": 1_600_000_000}, "days ago, and count for 90"),
        ({"measured_at": 9_000_000_000}, "in the future"),
        ({"version": "0.0.0-other"}, "another version of quatrefoil"),
        ({"measured_on": {"processor": "none"}}, "another machine"),
        ({"measured_on": {}}, "another machine"),
    ],
)
def test_stale_costs_are_used_and_that_is_said(
    changed: dict[str, Any], expected: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, file in ((("--costs", tmp_path / "c.json"), tmp_path / "c.json"), ((), kept_costs.place())):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh(**changed).save(file)
        assert run_plan(*options, "--json", tmp_path / "plan.json") == 0
        told = capsys.readouterr().err
        assert f"the costs in {file} are stale" in told and expected in told and "calibrate again" in told
        assert expected in json.loads((tmp_path / "plan.json").read_text())["costs"]["stale"]


def test_stale_costs_are_said_to_be_before_a_plan_is_refused_because_of_them(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh(measured_on={}, log_append_ms=1e9).save(tmp_path / "c.json")
    assert run_plan("--costs", tmp_path / "c.json") == 1
    told = capsys.readouterr().err
    assert "are stale" in told and told.index("are stale") < told.index("over the limit of")


def test_stale_costs_are_said_to_be_where_only_json_is_printed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh(measured_on={}).save(tmp_path / "c.json")
    assert run_plan("--costs", tmp_path / "c.json", "--json", "-") == 0
    told = capsys.readouterr()
    assert "are stale" in told.err and "another machine" in json.loads(told.out)["costs"]["stale"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is not JSON"),
        ('{"schema": "quatrefoil.costs/2"}', "is 'quatrefoil.costs/2', not 'quatrefoil.costs/4'"),
        ("[]", "is not a JSON object"),
    ],
)
def test_kept_costs_that_are_damaged_are_refused_and_nothing_is_measured_instead(
    content: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "measure_host", lambda *_, **__: pytest.fail("it was measured"))
    kept_costs.place().parent.mkdir(parents=True)
    kept_costs.place().write_text(content)
    assert run_plan() == 1
    told = capsys.readouterr().err
    assert expected in told and "quatrefoil calibrate" in told and told.count("\n") == 1


def test_a_named_file_that_is_not_there_is_not_replaced_by_the_kept_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept_costs.place().parent.mkdir(parents=True)
    fresh().save(kept_costs.place())
    assert run_plan("--costs", tmp_path / "none.json") == 1
    assert "cannot be read" in capsys.readouterr().err


def test_predictions_are_for_the_threads_that_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fresh().save(tmp_path / "c.json")
    ms = {}
    for threads in (1, 2):
        assert run_plan("--costs", tmp_path / "c.json", "--threads", threads, "--json", tmp_path / "p.json") == 0
        phases = json.loads((tmp_path / "p.json").read_text())["phases"]
        ms[threads] = {phase["name"]: phase["predicted_ms"] for phase in phases}
    assert ms[2]["collect"] < ms[1]["collect"] and ms[2]["audit"] == ms[1]["audit"]
    capsys.readouterr()
    assert run_plan("--costs", tmp_path / "c.json", "--threads", 7) == 1
    assert "no figures for 7 threads, only for 1, 2" in capsys.readouterr().err


@pytest.mark.parametrize("base", ["", "relative/config"])
def test_a_relative_folder_of_configuration_does_not_count(
    base: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", base)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kept_costs.place() == tmp_path / ".config" / "quatrefoil" / "costs.json"
