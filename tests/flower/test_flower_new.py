"""``quatrefoil flower new``: an app that can be planned, run and read; the deployment tests run it."""

from __future__ import annotations

import compileall
import os
import re
import tomllib
from pathlib import Path

import pytest

from quatrefoil import cli
from quatrefoil.policy import Policy
from quatrefoil.workload import Workload


def test_what_is_written_is_whole_and_named_after_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = tmp_path / "our-tumours"
    assert cli.main(["flower", "new", str(app)]) == 0
    written = sorted(str(file.relative_to(app)) for file in app.rglob("*") if file.is_file())
    package = [f"our_tumours/{name}.py" for name in ("__init__", "client_app", "server_app", "task")]
    assert written == sorted(
        [".gitignore", "README.md", "policy.toml", "pyproject.toml", "trial.sh", "workload.toml", *package]
    )
    assert not [file for file in written if re.search("@[a-z]+@", (app / file).read_text())]
    assert tomllib.loads((app / "pyproject.toml").read_text())["project"]["name"] == "our-tumours"
    assert compileall.compile_dir(app, quiet=2)
    assert os.access(app / "trial.sh", os.X_OK)
    components = tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["components"]
    assert components == {"serverapp": "our_tumours.server_app:app", "clientapp": "our_tumours.client_app:app"}
    assert "trial.sh" in capsys.readouterr().err


def test_with_a_committee_it_is_the_same_app_of_silos_that_hold_the_keys_and_no_keeper_is_started(
    tmp_path: Path,
) -> None:
    for name, options in (("keeper", []), ("committee", ["--committee"])):
        assert cli.main(["flower", "new", str(tmp_path / name / "tumours"), *options]) == 0
    kept, shared = (tmp_path / name / "tumours" for name in ("keeper", "committee"))
    for file in (shared / "tumours").iterdir():
        assert file.read_text() == (kept / "tumours" / file.name).read_text()
    authority = Policy.load(shared / "policy.toml").key_authority
    assert authority.is_committee and not Policy.load(kept / "policy.toml").key_authority.is_committee
    assert {phase.silos for phase in Workload.load(shared / "workload.toml").phases} == {4}
    started = re.findall(r"quatrefoil ((?:flower )?(?:keeper|seat))", (shared / "trial.sh").read_text())
    assert started == ["flower seat"]
    assert "software-keeper" not in (shared / "policy.toml").read_text()
    for file in (*kept.rglob("*"), *shared.rglob("*")):
        assert file.is_dir() or not re.search("^@[a-z]+[|]", file.read_text(), re.MULTILINE), file


def test_its_policy_protects_its_workload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = tmp_path / "tumours"
    assert cli.main(["flower", "new", str(app)]) == 0
    assert Policy.load(app / "policy.toml").limits.minimum_silos == 3
    phases = Workload.load(app / "workload.toml").phases
    assert {phase.rounds for phase in phases} == {
        tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]["rounds"]
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [("there", "is there already"), ("1st", "cannot be the name"), ("A", "cannot be"), ("a" * 33, "cannot be")],
)
def test_an_app_is_written_into_no_folder_that_is_there_and_under_no_name_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    (tmp_path / "there").mkdir()
    assert cli.main(["flower", "new", str(tmp_path / name)]) == 1
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "there").iterdir())
