"""``quatrefoil aggregator`` in a tree: what it refuses at its start, before anybody is connected to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from party_site import refusal

from job_policies import LIMITS as USUAL
from job_policies import POLICY
from quatrefoil.cli import main
from quatrefoil.parties.upper import upper_database
from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.host import availability
from support import Consortium

LIMITS = USUAL | {"threat": "", "norm": "", "backend": "additive-rlwe", "accept": '"software-keeper"'}


def committee(text: str) -> str:
    """The same policy, without a keeper."""
    return (
        text.replace("threats = [", 'threats = ["byzantine-silo", ')
        .replace("value_bits", "update_norm = 3.0\nvalue_bits")
        .replace('["software"]', '["committee"]')
        .replace('["software-keeper"]', "[]")
        + '[key_authority]\nkind = "committee"\nmembers = 8\nsilent = 2\nliars = 1\n'
    )


TREE = '[tree]\nplace = "group"\n'
ALONE = POLICY.format(**LIMITS)
UPPER = ALONE.replace("clip = 1.0", "clip = 2147483647.0").replace("value_bits = 16", "value_bits = 32")
POLICIES = {
    "alone": ALONE,
    "group": ALONE + TREE,
    "ckks": ALONE.replace("additive-rlwe", "ckks") + TREE,
    "upper": UPPER,
    "middle": UPPER + TREE,
    "short": UPPER.replace("clip = 2147483647.0", "clip = 1.0"),
    "narrow": UPPER.replace("value_bits = 32", "value_bits = 16"),
    "scaled": UPPER.replace("value_bits = 32", "update_norm = 300000.0\nvalue_bits = 32"),
    "shared": committee(ALONE) + TREE,
    "proven": UPPER.replace("threats = [", 'threats = ["byzantine-silo", '),
    "committee": committee(UPPER).replace("update_norm = 3.0", "update_norm = 300000.0"),
    "two": UPPER.replace("minimum_silos = 3", "minimum_silos = 2").replace(
        "colluding_silos = 1", "colluding_silos = 0"
    ),
}


@dataclass
class Site:
    folder: Path
    people: Consortium

    def group(self, state: Path, *without: str, **changes: str) -> list[str]:
        up = {
            "upper": "127.0.0.1:1",
            "upper_policy": str(self.folder / "upper.toml"),
            "upper_identity": str(self.people.folder("silo", "silo")),
        }
        return self._command(state, *without, **({"policy": "group"} | up | changes))

    def upper(self, state: Path, **changes: str) -> list[str]:
        given = {"policy": "upper", "groups_of": "4", "workload": str(self.folder / "upper-workload.toml")} | changes
        return self._command(state, "initial", **given)

    def _command(self, state: Path, *without: str, policy: str, **changes: str) -> list[str]:
        options = {
            **{"identity": str(self.people.folder("aggregator", "aggregator")), "state": str(state)},
            **{"root": str(self.people.directory / "root.pem"), "policy": str(self.folder / f"{policy}.toml")},
            **{"workload": str(self.folder / "workload.toml"), "costs": str(self.folder / "costs.json")},
            **{"listen": "127.0.0.1:0", "keeper": "127.0.0.1:1", "silos": "a,b,c", "job": "toy"},
            **{"initial": str(self.folder / "model.npz"), "give_up": "0"},
        } | changes
        given = {name: value for name, value in options.items() if name not in without}
        return [
            "aggregator",
            *(part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)),
        ]


def workload(parameters: int, silos: int = 3) -> str:
    phases = "".join(
        f'[[phases]]\nname = "{kind}"\nkind = "{kind}"\ndata = "{"key" if kind == "keys" else "update"}"\n'
        + (f"parameters = {parameters}\n" if kind != "keys" else "")
        + f"silos = {silos}\nrounds = 1\nlatency_ms = 10000\n"
        for kind in ("collect", "aggregate", "keys")
    )
    return f'name = "toy"\n{phases}'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("tree-site")
    people = Consortium(folder / "ca")
    for role in ("aggregator", "silo"):
        people.identity(role, role)
    for name, text in POLICIES.items():
        (folder / f"{name}.toml").write_text(text)
    (folder / "workload.toml").write_text(workload(4))
    (folder / "upper-workload.toml").write_text(workload(7))
    (folder / "eight.toml").write_text(workload(4, 8))
    np.savez(folder / "model.npz", np.zeros(4))
    calibrate(availability(), lambda: None, bytes, seconds=0.1).save(folder / "costs.json")
    return Site(folder, people)


KEEPER_AWAY = "the keeper does not answer"
"""How a command ends that was refused nothing."""


def test_a_group_and_an_upper_aggregator_that_fit_are_refused_nothing(site, tmp_path, capsys) -> None:
    assert KEEPER_AWAY in refusal(site.group(tmp_path / "group"), capsys)
    assert KEEPER_AWAY in refusal(site.upper(tmp_path / "upper"), capsys)
    model = str(site.folder / "model.npz")
    assert KEEPER_AWAY in refusal(site.upper(tmp_path / "other", groups_of=model), capsys)


@pytest.mark.parametrize("policy", ["short", "narrow"])
def test_sums_are_not_added_under_a_policy_that_rounds_them(site, tmp_path, capsys, policy: str) -> None:
    told = refusal(site.upper(tmp_path / "upper", policy=policy), capsys)
    assert "are integers that are not to be rounded" in told and "clip = 2147483647.0 and value_bits = 32" in told
    told = refusal(site.group(tmp_path / "group", upper_policy=str(site.folder / f"{policy}.toml")), capsys)
    assert "clip = 2147483647.0 and value_bits = 32" in told


def test_sums_are_not_added_under_a_policy_that_scales_them_down(site, tmp_path, capsys) -> None:
    """By a norm that no proof is asked of, a large group would count for less than it is, and nobody be told."""
    told = refusal(site.upper(tmp_path / "upper", policy="scaled"), capsys)
    assert "holds what is added to a norm of 300000" in told and "Take update_norm out of the upper policy" in told
    told = refusal(site.group(tmp_path / "group", upper_policy=str(site.folder / "scaled.toml")), capsys)
    assert "would be scaled down to that" in told


def test_a_group_with_a_committee_has_no_keeper(site, tmp_path, capsys) -> None:
    changed = {"policy": "shared", "silos": "a,b,c,d,e,f,g,h", "workload": str(site.folder / "eight.toml")}
    told = refusal(site.group(tmp_path / "one", "keeper", **changed), capsys)
    assert "the upper aggregator does not answer" in told
    told = refusal(site.group(tmp_path / "two", **changed), capsys)
    assert "has a committee, and --keeper is given" in told


@pytest.mark.parametrize("policy", ["proven", "committee"])
def test_sums_are_not_added_under_a_policy_that_wants_them_proven(site, tmp_path, capsys, policy: str) -> None:
    told = [
        refusal(site.upper(tmp_path / "upper", policy=policy), capsys),
        refusal(site.group(tmp_path / "group", upper_policy=str(site.folder / f"{policy}.toml")), capsys),
    ]
    for line in told:
        assert "there are no proofs about values of 32 bits" in line and "Take byzantine-silo out of the upper" in line
        assert ("and appoint a keeper" in line) == (policy == "committee")


def test_two_groups_are_not_added(site, tmp_path, capsys) -> None:
    told = refusal(site.upper(tmp_path / "upper", policy="two"), capsys)
    assert "adds 2 groups, and of two each has the other's sum" in told and "minimum_silos = 3" in told
    told = refusal(site.group(tmp_path / "group", upper_policy=str(site.folder / "two.toml")), capsys)
    assert "adds 2 groups" in told


def test_a_group_whose_policy_stands_alone_does_not_go_up(site, tmp_path, capsys) -> None:
    told = refusal(site.group(tmp_path / "state", policy="alone"), capsys)
    assert "its jobs stand alone" in told and 'place = "group" under [tree]' in told


def test_a_group_whose_policy_goes_up_does_not_stand_alone(site, tmp_path, capsys) -> None:
    told = refusal(site.group(tmp_path / "state", "upper", "upper_policy", "upper_identity"), capsys)
    assert "sums go up to another job, and --upper is not given" in told


def test_sums_that_are_no_exact_integers_do_not_go_up(site, tmp_path, capsys) -> None:
    assert "leads to ckks, whose sums are not exact" in refusal(site.group(tmp_path / "state", policy="ckks"), capsys)


def test_a_tree_has_two_levels(site, tmp_path, capsys) -> None:
    assert "is of a group, and adds groups" in refusal(site.upper(tmp_path / "one", policy="middle"), capsys)
    both = site.upper(tmp_path / "two", policy="middle", upper="127.0.0.1:1")
    assert "--upper is given with --groups-of" in refusal(both, capsys)
    middle = site.group(tmp_path / "three", policy="middle")
    assert "adds groups, and would go up itself" in refusal(middle, capsys)


@pytest.mark.parametrize("without", ["upper_policy", "upper_identity"])
def test_what_a_group_needs_is_named(site, tmp_path, capsys, without: str) -> None:
    option = "--" + without.replace("_", "-")
    assert f"--upper is given without {option}" in refusal(site.group(tmp_path / "state", without), capsys)


@pytest.mark.parametrize("option", ["upper_policy", "upper_root", "upper_pin", "upper_enclave", "upper_collateral"])
def test_an_option_of_the_upper_job_needs_one(site, tmp_path, capsys, option: str) -> None:
    value = {"upper_pin": "0" * 64, "upper_enclave": "software"}.get(option, str(tmp_path))
    command = site.group(tmp_path / "state", "upper", "upper_policy", "upper_identity", policy="alone")
    told = refusal([*command, "--" + option.replace("_", "-"), value], capsys)
    assert f"--{option.replace('_', '-')} is given without --upper" in told


def test_an_aggregators_identity_is_no_silo_above(site, tmp_path, capsys) -> None:
    own = str(site.people.folder("aggregator", "aggregator"))
    told = refusal(site.group(tmp_path / "state", upper_identity=own), capsys)
    assert "the role needed is silo" in told and "--role silo" in told


def test_an_identity_under_another_root_needs_that_root(site, tmp_path, capsys, stranger) -> None:
    stranger.identity("north", "silo")
    theirs = str(stranger.folder("north", "silo"))
    assert "is signed by no trusted root" in refusal(site.group(tmp_path / "one", upper_identity=theirs), capsys)
    root = str(stranger.directory / "root.pem")
    assert KEEPER_AWAY in refusal(site.group(tmp_path / "two", upper_identity=theirs, upper_root=root), capsys)


@pytest.mark.parametrize(("source", "problem"), [("0", "models of 0 values"), ("nowhere.npz", "nowhere.npz")])
def test_groups_of_nothing_are_refused(site, tmp_path, capsys, source: str, problem: str) -> None:
    assert problem in refusal(site.upper(tmp_path / "state", groups_of=source), capsys)


def test_groups_of_another_length_than_the_workload_says_are_refused(site, tmp_path, capsys) -> None:
    told = refusal(site.upper(tmp_path / "state", groups_of="5"), capsys)
    assert "says 7 parameters, there are 8" in told and "Write parameters = 8" in told


def test_an_upper_job_has_no_model_to_keep(site, tmp_path, capsys) -> None:
    told = refusal(site.upper(tmp_path / "state", out=str(tmp_path / "model.npz")), capsys)
    assert "--out is given with --groups-of" in told


def test_a_first_model_is_given_in_one_way(site, tmp_path, capsys) -> None:
    for command in (site.upper(tmp_path / "s", initial="x.npz"), site.group(tmp_path / "s", "initial")):
        wrong = [*command, "--initial", "x.npz"] if "--groups-of" in command else command
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
        assert "--initial" in capsys.readouterr().err


def test_a_state_below_is_told_from_the_one_above(site, tmp_path, capsys) -> None:
    """Each is refused what the other began: a folder for the silo above lies in that of the aggregator."""
    refusal(site.group(tmp_path / "state"), capsys)
    assert {"log", "upper"} <= {entry.name for entry in (tmp_path / "state").iterdir()}
    assert "log" in {entry.name for entry in (tmp_path / "state" / "upper").iterdir()}
    database = site.group(tmp_path / "state", database="postgresql://nowhere/consortium")
    assert "is in its file state.sqlite" in refusal(database, capsys)


def test_two_states_in_a_database_have_two_names() -> None:
    """Without a name, each has that of its party: its role is in it."""
    assert upper_database(None) is None
    assert upper_database("postgresql://here/one") == "postgresql://here/one"
    assert upper_database("postgresql://here/one#north") == "postgresql://here/one#north/upper"


def test_a_group_that_waits_for_the_upper_aggregator_is_stopped_by_a_signal(site, tmp_path) -> None:
    command = [*site.group(tmp_path / "state", give_up="never"), "--log-format", "json"]
    process = subprocess.Popen([sys.executable, "-m", "quatrefoil.cli", *command], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "the upper aggregator does not answer" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    told = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    assert process.returncode == 0
    assert sorted(one["message"] for one in told if one["level"] == "warning") == [
        "INSECURE stand-in accepted by the policy: software-keeper",
        "INSECURE stand-in accepted by the upper policy: software-keeper",
    ]
    assert "stopped: started again with the same --state it goes on" in [one["message"] for one in told]
    assert any(one["message"].startswith("upper job: the upper aggregator does not answer") for one in told)
    assert {one["command"] for one in told} == {"aggregator"} and "Traceback" not in rest
