"""The published vectors of proofs of answers, through the second verifier."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference import Rejected, Statement, verify
from inference.mutations import apply
from inference.statement_file import FILES, load
from inference.vectors import ACCEPTED, LINKED_SEED, Case, reason_of
from inference.weights_link import verify_link
from inference.weights_range import verify_range

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "vectors" / "inference_proofs"
INDEX = json.loads((FOLDER / "index.json").read_text())
# Half a second each: of the changes, every sixth is enough for every day.
SLOW = {"two-layers-16-openings"} | {entry["name"] for i, entry in enumerate(INDEX["mutated"]) if i % 6}


def marked(entries: list[dict[str, Any]]) -> list[Any]:
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(entry, id=entry["name"], marks=marks[entry["name"] in SLOW]) for entry in entries]


def loaded(name: str) -> tuple[Statement, bytes]:
    return load(FOLDER / f"{name}.json"), (FOLDER / f"{name}.proof").read_bytes()


@pytest.mark.parametrize("entry", marked(INDEX["accepted"]))
def test_accepted_ones_are_accepted(entry: dict[str, Any]) -> None:
    verified = verify(*loaded(entry["name"]))
    assert verified.statement.hex() == entry["statement_digest"]
    assert round(verified.soundness_bits, 6) == entry["soundness_bits"]


@pytest.mark.parametrize("entry", marked(INDEX["forged"]))
def test_forged_ones_are_rejected(entry: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        verify(*loaded(entry["name"]))
    assert caught.value.reason == entry["reason"]


@pytest.mark.parametrize("entry", marked(INDEX["forged_links"]))
def test_forged_links_are_rejected(entry: dict[str, Any]) -> None:
    statement, _ = loaded(entry["of"])
    shape, linked, link = statement.shape.weights, bytes.fromhex(entry["linked_root"]), (FOLDER / entry["file"])
    with pytest.raises(Rejected) as caught:
        verify_link(shape, statement.root, linked, link.read_bytes())
    assert caught.value.reason == entry["reason"]


@pytest.mark.parametrize("entry", marked(INDEX["mutated"]))
def test_mutated_ones_are_rejected(entry: dict[str, Any]) -> None:
    fields = json.loads((FOLDER / f"{entry['of']}.json").read_text())
    files = {name: (FOLDER / fields[name]).read_bytes() for name in FILES}
    proof = (FOLDER / f"{entry['of']}.proof").read_bytes()
    assert reason_of(apply(entry, fields, files, proof)) == entry["reason"]


def test_range_and_link_are_accepted_and_are_of_their_commitments() -> None:
    entry = INDEX["accepted"][0]
    statement, _ = loaded(entry["name"])
    shape, root, linked = statement.shape.weights, statement.root, bytes.fromhex(entry["link"]["linked_root"])
    in_range, link = ((FOLDER / entry[kind]["file"]).read_bytes() for kind in ("range", "link"))
    assert verify_range(shape, root, in_range).statement.hex() == entry["range"]["statement_digest"]
    assert verify_link(shape, root, linked, link).statement.hex() == entry["link"]["statement_digest"]
    with pytest.raises(Rejected, match="another statement"):
        verify_range(shape, linked, in_range)
    with pytest.raises(Rejected, match="another statement"):
        verify_link(shape, linked, root, link)


@pytest.mark.slow
def test_the_generator_makes_the_same_again() -> None:
    """Of one case; all of them take minutes."""
    case = Case(*ACCEPTED[0])
    statement, proof = case.prove()
    assert (statement, proof.to_bytes()) == loaded(case.name)
    assert case.commit(LINKED_SEED).root.hex() == INDEX["accepted"][0]["link"]["linked_root"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-m", "inference", *arguments]
    return subprocess.run(given, cwd=ROOT / "second_verifier", capture_output=True, text=True, check=False)


def test_the_command_says_what_holds_and_what_does_not(tmp_path: Path) -> None:
    statement, proof = (str(FOLDER / f"one-layer-batch-of-1.{kind}") for kind in ("json", "proof"))
    held = command("verify", statement, proof)
    assert (held.returncode, held.stdout[:19]) == (0, "accepted: statement")
    as_json = json.loads(command("verify", statement, proof, "--json").stdout)
    assert as_json["valid"] and as_json["statement"] == INDEX["accepted"][2]["statement_digest"]
    assert (as_json["batch"], as_json["soundness_bits"] > 99) == (1, True)
    weak = command("verify", statement, proof, "--bits", "120")
    assert (weak.returncode, weak.stdout[:13], weak.stdout[-15:]) == (1, "rejected: 99.", "fewer than 120\n")
    spoilt = tmp_path / "spoilt.proof"
    spoilt.write_bytes(Path(proof).read_bytes()[:-1])
    rejected = command("verify", statement, str(spoilt))
    assert (rejected.returncode, rejected.stdout) == (1, "rejected: the proof ends early\n")
    assert json.loads(command("verify", statement, str(spoilt), "--json").stdout)["valid"] is False
    missing = command("verify", str(tmp_path / "none.json"), proof)
    assert (missing.returncode, missing.stdout) == (2, "")


@pytest.mark.parametrize("bits", ["0", "-1", "-90", "0.0", "nan", "inf", "-inf", "257", "1e2", "", "ninety", "\u00b2"])
def test_a_number_of_bits_that_takes_any_proof_is_refused(bits: str) -> None:
    statement, proof = (str(FOLDER / f"one-layer-batch-of-1.{kind}") for kind in ("json", "proof"))
    refused = command("verify", statement, proof, f"--bits={bits}")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is no number of bits from above 0 to 256: leave the option out for 90" in refused.stderr


@pytest.mark.parametrize("field", ["batch", "root", "program"])
def test_a_file_that_is_no_statement_is_refused(field: str, tmp_path: Path) -> None:
    given = json.loads((FOLDER / "two-layers.json").read_text())
    del given[field]
    (tmp_path / "s.json").write_text(json.dumps(given))
    with pytest.raises(ValueError, match="exactly the fields"):
        load(tmp_path / "s.json")
