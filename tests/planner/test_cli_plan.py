"""``quatrefoil plan`` and ``quatrefoil doctor`` as a person and a program see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.planner.made_up import make_costs

from quatrefoil import cli
from quatrefoil.cli import doctor
from quatrefoil.enclave import devices
from quatrefoil.planner import host
from quatrefoil.policy import BACKENDS

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def only_these_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", ("plan", "doctor"))


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    make_costs().save(tmp_path / "costs.json")
    return tmp_path / "costs.json"


def plan(workload: str, policy: str, *options: str | Path) -> int:
    files = EXAMPLES / "workloads" / f"{workload}.toml", EXAMPLES / "policies" / f"{policy}.toml"
    return cli.main(["plan", str(files[0]), "--policy", str(files[1]), *map(str, options)])


SCORES = """
name = "scores"
[[phases]]
name = "score"
kind = "score"
data = "record"
parameters = 30
batch = 1000
latency_ms = 60000
largest_error = 1e-7
"""


def test_the_parameter_set_is_in_the_table_the_explanation_and_the_file(
    costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workload, policy = tmp_path / "scores.toml", EXAMPLES / "policies" / "bank.toml"
    workload.write_text(SCORES)
    options = ["--costs", costs, "--server-enclave", "sev-snp", "--explain", "score", "--json", tmp_path / "plan.json"]
    assert cli.main(["plan", str(workload), "--policy", str(policy), *map(str, options)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "aggregation: ckks (in ckks-product-8192)" in out
    assert "rows are encrypted in ckks-product-8192: quatrefoil score --set ckks-product-8192." in out
    assert "refused aggregation/ckks in ckks-linear-4096: can be wrong by 9.5e-06 of its bound" in out
    (phase,) = json.loads((tmp_path / "plan.json").read_text())["phases"]
    assert phase["parameter_set"] == "ckks-product-8192"
    workload.write_text(SCORES.replace("1e-7", "1e-9"))
    assert cli.main(["plan", str(workload), "--policy", str(policy), *map(str, options[:4])]) == 1
    assert "can be wrong by 2.8e-08 of its bound in ckks-product-8192, and largest_error = 1e-09" in " ".join(
        capsys.readouterr().err.split()
    )


def test_unprotected_comes_first_then_the_phases(costs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("hospital-training", "hospitals", "--costs", costs) == 0
    out = capsys.readouterr().out
    assert out.startswith("Not protected")
    order = [out.index(text) for text in ("byzantine-silo", "software-keeper", "Plan of hospital-training", "channels")]
    assert order == sorted(order)
    assert "the keeper and the aggregator are run by parties that do not pool" in " ".join(out.split())
    assert "Nothing here is audited" in out


def test_explain_names_every_threat_and_every_refused_backend(costs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("hospital-training", "hospitals", "--costs", costs, "--explain", "keys") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "curious-host: Whoever runs the machine" in text and "NOT PROTECTED: the policy does not name it" in text
    assert "refused enclave/tdx: no device here" in text
    assert "answered by transport/pq-tls" in text


def test_explain_says_what_a_served_model_is_protected_by_and_what_the_figures_leave_out(
    costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serving = ("--costs", costs, "--server-enclave", "sev-snp")
    assert plan("hospital-serving", "strict", *serving, "--explain", "answer") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "physical-access: Somebody opens the machine" in text
        and "the phase gives no `hidden` of such a network" in text
    )
    assert "answered by enclave/sev-snp: attested code answers, and signs a receipt of every answer" in text
    assert "isolation of the server from its host: vm" in text
    assert "not in it: the model's own computing" in text
    assert "refused enclave/software: nothing stands in for a server that gives evidence" in text
    assert text.count("every client holds the server's evidence") == 4, (
        "once for the plan, and with each claim of three"
    )


def test_proofs_of_answers_are_shown_with_what_they_take_and_catch(
    costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--costs", costs, "--server-enclave", "tpm", "--json", tmp_path / "plan.json")
    assert plan("proven-serving", "proven", *options, "--explain", "answer", "--blanket", "all") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "of the 10,000 receipts of a pass at least 200 are drawn (2 %)" in text
    assert "with the chance 0.183 where 0.1 % are false, 0.868 where 1 % are false, 0.999 where 5 % are false" in text
    assert "where 10 % are false" in text and "the chance 1 " not in text, "nothing that may be missed is certain"
    assert "answered by proofs/proven-answers: each receipt commits to what was computed" in text
    assert "of it to prove answers and verify them afterwards)" in text
    assert "isolation of the server from its host: none" in text
    found = json.loads((tmp_path / "plan.json").read_text())
    channels, answer = found["phases"]
    assert channels["proven"] is None and answer["proven"]["receipts"] == 10_000
    assert answer["proven"]["caught"]["0.01"] == pytest.approx(0.868, abs=1e-3)
    proving = answer["proven"]["prove_ms"] + answer["proven"]["verify_ms"]
    assert found["proving_ms"] == pytest.approx(proving, abs=1e-3)
    assert found["predicted_ms"] == pytest.approx(channels["predicted_ms"] + answer["predicted_ms"] + proving, abs=1e-3)
    assert len(found["blankets"]) == 8


def test_a_float_model_that_proofs_are_asked_for_is_refused_with_a_hint(
    costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan("hospital-serving", "proven", "--costs", costs, "--server-enclave", "tpm") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert 'the phase does not say model = "integers"' in told and "quatrefoil model quantise" in told


def test_the_digest_that_serving_policies_name_is_printed_whole(
    costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serving = ("--costs", costs, "--server-enclave", "sev-snp", "--json", tmp_path / "plan.json")
    assert plan("hospital-serving", "attested", *serving) == 0
    content = json.loads((tmp_path / "plan.json").read_text())
    assert len(content["digest"]) == 64 and f"Plan {content['digest']}." in capsys.readouterr().out
    assert [phase["excluded"] is None for phase in content["phases"]] == [True, False]


def test_json_for_programs(costs: Path, tmp_path: Path) -> None:
    assert plan("hospital-training", "hospitals", "--costs", costs, "--json", tmp_path / "plan.json") == 0
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["schema"] == "quatrefoil.plan/1" and content["machine"]["cores"]
    assert [phase["name"] for phase in content["phases"]] == ["channels", "collect", "aggregate", "keys", "audit"]
    assert content["insecure"] == ["software-keeper"]


def test_json_on_standard_output_is_nothing_but_json(costs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("hospital-training", "clear", "--costs", costs, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["policy"] == "clear"


def test_without_costs_this_host_is_measured_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quatrefoil.cli.kept_costs.SECONDS", 0.0)
    assert plan("hospital-training", "hospitals", "--save-costs", tmp_path / "saved.json") == 0
    assert "measuring this host" in capsys.readouterr().err
    assert plan("hospital-training", "hospitals", "--costs", tmp_path / "saved.json") == 0
    assert "measuring" not in capsys.readouterr().err


REFUSALS = [
    ("hospital-training", "strict", "exposed to malicious-server, which nothing available answers"),
    ("hospital-serving", "hospitals", "nothing stands in for a server that gives evidence"),
    ("nightly-analytics", "hospitals", "needs a backend of enclave or aggregation, and has none"),
    ("nightly-analytics", "strict", "'audit' (audit) is exposed to malicious-server, which nothing available answers"),
    ("no-such-file", "hospitals", "cannot be read"),
    ("hospital-training", "no-such-file", "cannot be read"),
]


@pytest.mark.parametrize(("workload", "policy", "expected"), REFUSALS)
def test_a_refusal_is_one_line_and_exit_code_1(
    workload: str, policy: str, expected: str, costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(workload, policy, "--costs", costs, "--json", tmp_path / "plan.json") == 1
    captured = capsys.readouterr()
    *before, refusal = captured.err.splitlines()
    assert captured.out == "" and expected in refusal
    assert all("are stale" in line for line in before) and len(before) <= 1  # said of made-up costs once they are read
    assert not (tmp_path / "plan.json").exists(), "a refused plan leaves no file that could be taken for one"


NIGHT = ("--server-enclave", "sev-snp")


def test_what_another_policy_would_change_is_shown_and_written(
    costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = EXAMPLES / "policies" / "attested.toml"
    options = ("--costs", costs, *NIGHT, "--what-if", other, "--json", tmp_path / "plan.json")
    assert plan("nightly-analytics", "night", *options) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Under attested instead of night" in text and "- aggregation/bgv" in text and "+ enclave/sev-snp" in text
    assert "- physical-access" in text and "As before: channel, score, drift, audit." in text
    found = json.loads((tmp_path / "plan.json").read_text())["what_if"]
    assert (found["before"], found["after"]) == ("night", "attested")
    assert [phase["name"] for phase in found["phases"] if phase["differs"]] == ["registry"]
    assert found["phases"][3]["lost"] == ["physical-access"] and found["after_ms"] < found["before_ms"]


def test_another_policy_that_refuses_says_so_and_leaves_nothing(
    costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = EXAMPLES / "policies" / "hospitals.toml"
    options = ("--costs", costs, *NIGHT, "--what-if", other, "--json", tmp_path / "plan.json")
    assert plan("nightly-analytics", "night", *options) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "under hospitals instead: phase 'score' (score) needs a backend" in captured.err
    assert not (tmp_path / "plan.json").exists()


def test_choices_for_all_phases_are_priced_beside_the_plan(
    costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--costs", costs, *NIGHT, "--json", tmp_path / "plan.json")
    assert (
        plan("nightly-analytics", "night", *options, "--blanket", "enclave", "--blanket", "transport,aggregation") == 0
    )
    text = " ".join(capsys.readouterr().out.split())
    assert "One choice for all phases" in text and "physical-access in registry" in text and "this plan" in text
    enclave, encrypted = json.loads((tmp_path / "plan.json").read_text())["blankets"]
    assert enclave["layers"] == ["enclave"] and [u["phase"] for u in enclave["unanswered"]] == ["registry"]
    assert encrypted["unanswered"] == [] and encrypted["ms"] > enclave["ms"]
    assert plan("nightly-analytics", "night", *options, "--blanket", "all") == 0
    found = json.loads((tmp_path / "plan.json").read_text())["blankets"]
    assert len(found) == 8 and [one["ms"] is None for one in found].count(True) > 0
    assert all(one["cannot"] for one in found if one["ms"] is None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--blanket", "fog"), "'fog' is no layer. Name some of transport"),
        (("--blanket", "enclave,enclave"), "is empty, or names one twice"),
        (("--blanket", "all", "--blanket", "enclave"), "--blanket all is every choice already"),
        (("--blanket", ""), "'' is no layer"),
        (("--what-if", "no-such-file.toml"), "cannot be read"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    options: tuple[str, ...], expected: str, costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan("nightly-analytics", "night", "--costs", costs, *NIGHT, *options) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and expected in captured.err


def test_a_machine_on_the_premises_is_the_workloads_word_and_the_plan_says_so(
    costs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan("nightly-analytics", "night", "--costs", costs, *NIGHT, "--explain", "registry") == 0
    text = " ".join(capsys.readouterr().out.split())
    said = "The workload's word, which nothing here checks: only those whose data it is can touch the machine of "
    assert f"{said}score, drift" in text
    assert "cheaper is transport/pq-tls, enclave/sev-snp" in text and "it would leave physical-access open" in text


def test_a_phase_that_is_not_there(costs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("hospital-training", "hospitals", "--costs", costs, "--explain", "nap") == 1
    assert "has no phase 'nap'. Its phases are channels, collect" in capsys.readouterr().err


def test_costs_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "costs.json").write_text("{}")
    assert plan("hospital-training", "hospitals", "--costs", tmp_path / "costs.json") == 1
    assert "schema: is nothing" in capsys.readouterr().err


def test_without_a_policy_it_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["plan", "workload.toml"])
    assert caught.value.code == 2


# ------------------------------------------------------------------------------------------------------ doctor


def run_doctor(tmp_path: Path, expected: int = 0) -> dict[str, Any]:
    assert cli.main(["doctor", "--json", str(tmp_path / "doctor.json")]) == expected
    content: dict[str, Any] = json.loads((tmp_path / "doctor.json").read_text())
    return content


def test_doctor_says_what_is_here_and_what_would_be_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = run_doctor(tmp_path)
    assert content["schema"] == "quatrefoil.doctor/1"
    assert {"group": "X25519MLKEM768", "available": True} in content["groups"]
    assert all(check["ok"] for check in content["mandatory"])
    versions = {check["name"].lower(): check["detail"] for check in content["mandatory"]}
    assert versions["cryptography"] and versions["pyopenssl"] and "OpenSSL" in versions["post-quantum channels"]
    assert {device["path"] for device in content["devices"]} == {f"/{path}" for _, path, _ in devices.KNOWN}
    refused = {entry["what"]: entry["reason"] for entry in content["refused"]}
    assert "proofs/bounded-update" not in refused
    assert not any("phases" in what for what in refused)
    assert "Nothing here is audited" in capsys.readouterr().out


def test_doctor_refuses_no_backend_that_a_plan_uses(tmp_path: Path) -> None:
    refused = {entry["what"] for entry in run_doctor(tmp_path)["refused"]}
    available = host.availability()
    backends = {f"{layer}/{b}" for layer in BACKENDS for b in BACKENDS[layer] if not available.has(layer, b)}
    assert refused == backends


@pytest.mark.parametrize("what", ["kernel_missing", "transport_missing"])
def test_doctor_fails_when_something_mandatory_is_broken(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, what, lambda: "it is broken")
    content = run_doctor(tmp_path, expected=1)
    assert [check["detail"] for check in content["mandatory"] if not check["ok"]] == ["it is broken"]
    assert "it is broken. Run make install" in capsys.readouterr().err


def test_doctor_gives_the_command_for_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata,
        "requires",
        lambda _: ["cbor2<7,>=6.2", "no-such-package>=1 ; extra == 'bench'", 'rich ; extra == "x"'],
    )
    assert [(c.name, c.ok, c.detail) for c in doctor.extras()] == [
        ("bench", False, "lacks no-such-package: pip install 'quatrefoil[bench]'"),
        ("x", True, "rich"),
    ]
    assert [c.name for c in doctor.mandatory()][:1] == ["cbor2"]


def test_doctor_runs_from_a_source_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> list[str]:
        raise doctor.metadata.PackageNotFoundError

    monkeypatch.setattr(doctor.metadata, "requires", absent)
    assert doctor.extras() == []
    assert "cryptography" in [check.name for check in doctor.mandatory()]


def test_doctor_shows_classical_groups_as_unused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    lines = {line.split()[2]: line for line in capsys.readouterr().out.splitlines() if "│ group" in line}
    assert "channels never use it" in lines["X25519"] and "channels never use it" in lines["MLKEM768"]
    assert "not hybrid" not in lines["X25519MLKEM768"]
