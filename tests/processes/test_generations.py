"""Two jobs as real processes, the second from the model of the first, and what an outsider checks of it afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_job import ROUNDS, SILOS, ToyJob, mean

from quatrefoil import cli

SOON = 60.0


def run(job: ToyJob, name: str, initial: str, *arguments: str) -> Path:
    """One job in a state of its own; the folder with its model and what every party has kept."""
    job.start_keeper()
    job.start_aggregator(initial=initial, job=name, arguments=["--costs", str(job.folder / "costs.json"), *arguments])
    for silo in SILOS:
        job.silo(silo, "train", "--commit", str(job.folder / "policy.toml"))
    for party in ("aggregator", *SILOS):
        job.wait(party, SOON)
    job.kill("keeper")
    kept = job.folder / name
    (job.folder / "state").rename(kept)
    shutil.move(job.folder / "model.npz", kept / "model.npz")
    return kept


def verify(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main(["model", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_two_generations_from_the_command_line(job: ToyJob, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(job, "one", "toy:initial")
    second = run(
        job, "two", str(first / "model.npz"), "--parent-provenance", str(first / "aggregator" / "provenance.json")
    )
    with np.load(second / "model.npz") as arrays:
        assert all(np.allclose(arrays[key], 2 * ROUNDS * mean(), atol=2e-3) for key in arrays.files)
    ancestry = job.folder / "ancestry"
    ancestry.mkdir()
    shutil.copy(first / "aggregator" / "provenance.json", ancestry / "first.json")
    trust = ("--trust", job.root)
    model, statement = second / "model.npz", second / "aggregator" / "provenance.json"

    report = job.folder / "verified.json"
    whole = ("verify", model, "--provenance", statement, "--ancestry", ancestry, *trust)
    code, out, _ = verify(capsys, *whole, "--json", report)
    assert code == 0 and "every check holds" in out
    content = json.loads(report.read_text())
    assert content["schema"] == "quatrefoil.model-verify/1" and content["valid"] is True
    assert [one["job"] for one in content["generations"]] == ["two", "one"]
    assert {(check["name"], check["generation"]) for check in content["checks"]} >= {
        ("model", 0), ("silos", 0), ("parent", 1), ("silos", 1), ("ancestry", 1),
    }  # fmt: skip
    assert json.loads((job.folder / "aggregator.json").read_text())["provenance"]["model"] == content["root"]

    # Every silo has what it signed, and so can anybody ask it.
    own = json.loads((second / "bari" / "provenance.json").read_text())
    assert own["payload"] == json.loads(statement.read_text())["payload"] and len(own["signatures"]) == 2

    wrong = {
        "missing ancestor": (whole[:4] + trust, "statement (generation 1 back)"),
        "model of the first": (("verify", first / "model.npz", *whole[2:]), "model: the model has root"),
        "statement of the first": (
            ("verify", model, "--provenance", ancestry / "first.json", *trust), "model: the model has root",
        ),
        "one signature is not enough": (
            ("verify", model, "--provenance", second / "bari" / "provenance.json", "--ancestry", ancestry, *trust),
            "silos: 1 of 3 silos signed (bari; not: ambon, cusco), and 2 must",
        ),
        "more than there are": ((*whole, "--signatures", "4"), "silos: 3 of 3 silos signed"),
    }  # fmt: skip
    for arguments, problem in wrong.values():
        code, _, err = verify(capsys, *arguments)
        assert code == 1 and problem in err

    # A silo opens its commitment: to itself from its state, to an auditor with the salt.
    data = ("data", job.silos["ambon"], job.folder / "policy.toml", "--provenance", statement, "--silo")
    code, out, _ = verify(capsys, *data, "ambon", "--state", second / "ambon", "--json", report)
    assert code == 0 and "2 files are what ambon committed to" in out
    salt = json.loads(report.read_text())["salt"]
    assert verify(capsys, *data, "ambon", "--salt", salt)[0] == 0
    for arguments, problem in (
        ((*data, "ambon", "--salt", "00" * 32), "are not what ambon committed to"),
        ((*data, "bari", "--salt", salt), "are not what bari committed to"),
        ((*data, "nobody", "--salt", salt), "names no silo nobody"),
        ((*data[:2], *data[3:], "ambon", "--salt", salt), "are not what ambon committed to"),
    ):
        code, _, err = verify(capsys, *arguments)
        assert code == 1 and problem in err
