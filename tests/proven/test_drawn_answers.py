"""Of the receipts that a sample draws all are proven that can be, and each other one is named."""

from __future__ import annotations

import json
import shutil
import sys
import weakref
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sampled
from float_models import numbers
from identities import START, TRUSTED, consortium
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.audit.sampling import Sample, draw
from quatrefoil.cli import archives, auditing, main, model_commit, proof_prove, proof_verify
from quatrefoil.offline import Processes
from quatrefoil.offline.on_ray import OnRay
from quatrefoil.proven import ModelFolder, ProofFile, Recorded, verify_answers
from quatrefoil.proven.drawn import drawn_of
from quatrefoil.transport import sealed

ROOT = consortium(TRUSTED).directory / "root.pem"
RECORDED = 4


@dataclass
class Served:
    folder: Path
    model: ModelFolder
    records: list[Recorded]
    sample: Sample


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Four answers on the record, two off it, one that failed; all are drawn."""
    folder = tmp_path_factory.mktemp("drawn")
    ward = Ward(folder, small_graph())
    model = ModelFolder.create(folder / "committed", ward.model, 16, ward.identity, at=START)
    ward.state(model.statement)
    key = sealed.RecipientKey.generate(sealed.HYBRID_768)
    key.save(folder / "prover", b"whoever needs it")
    ward.audit(folder / "records", key.recipient)
    records = [ward.answer(numbers(seed, 1, 6), number=seed) for seed in range(RECORDED)]
    ward.recorder.close()
    ward.recorder = None
    ward.answer(numbers(8, 1, 6), number=8)
    ward.answer(numbers(9, 1, 6), number=9, status=500, audit=False)
    ward.answer(numbers(10, 1, 6), number=10)
    ward.end()
    ward.close()
    state = folder / "state"
    sample = draw(sampled.server(state), sampled.Cosigners().cosigned(state), sampled.terms(7), sampled.quiet)
    (folder / "may.sample").write_bytes(sample.encode())
    return Served(folder, model, records, sample)


@pytest.fixture(autouse=True)
def tests_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (model_commit, proof_prove, proof_verify, archives, auditing):
        monkeypatch.setattr(module, "system_clock", clock)


@pytest.mark.parametrize("batch", [(), ("--batch", "3", "--processes", "1")], ids=["one", "batches"])
def test_the_others_are_proven_and_what_is_not_is_named(served: Served, batch, tmp_path: Path, capsys):
    folder, out = served.folder, tmp_path / "P"
    given = ("--model", folder / "committed", "--receipts", folder / "records", "--key", folder / "prover")
    chosen = ("--sample", folder / "may.sample", "--log", folder / "state", "--trust", ROOT)
    said = ("--out", out, "--json", tmp_path / "p.json", *batch)
    assert main([str(one) for one in ("proof", "prove", *given, *chosen, *said)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    content = json.loads((tmp_path / "p.json").read_text())
    assert (content["receipts"], content["failed"], content["silent"]) == (RECORDED, 1, 0)
    off = [one for one in served.sample.drawn if one.sequence in (RECORDED, RECORDED + 2)]
    assert content["not_proven"] == [
        {
            "keyset": one.keyset.hex(),
            "sequence": one.sequence,
            "entry": one.entry,
            "why": "there is no record of it",
        }
        for one in off
    ]
    name = served.sample.drawn[0].keyset.hex()[:16]
    for one in off:
        assert f"not proven: receipt {one.sequence} of keyset {name}: there is no record of it" in told
    assert f"not proven: receipt {RECORDED + 1} of" not in told, "it failed"
    assert "the others are proven" in told and ", and 1 more" in told
    made = [Path(one) for one in content["files"]] if batch else [out]
    proven = set()
    for file in made:
        verify_answers(file.read_bytes(), trust(), clock=clock, log=sampled.server(folder / "state"))
        proven |= {one.said.digest() for one in ProofFile.decode(file.read_bytes()).receipts}
    assert proven == {one.receipt.digest() for one in served.records}


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_all_records_are_proven_as_they_are_read(served: Served, at_once: int, tmp_path: Path, monkeypatch, capsys):
    """Some batches after the other; what is there is kept, however many are in hand."""
    monkeypatch.setattr(proof_prove, "AT_ONCE", at_once)
    left = served.model.left
    kept = 0 if at_once == 1 else 2
    out = served.folder / "all"
    assert main(proving(served, "--out", out, "--json", tmp_path / "p.json", "--batch", 2, "--processes", 1)) == 0
    content = json.loads((tmp_path / "p.json").read_text())
    assert (content["receipts"], content["kept"], len(content["files"])) == (RECORDED, kept, 2)
    assert "(2 of 2)" in capsys.readouterr().err and served.model.left == left - 2 + kept
    shown = [one.said for name in content["files"] for one in ProofFile.decode(Path(name).read_bytes()).receipts]
    assert shown == [one.receipt for one in served.records]


def test_batches_end_where_no_opening_is_left_and_go_on_with_a_link(
    served: Served, tmp_path: Path, monkeypatch, capsys
):
    """Other batches are not read for nothing, and it is said how many there are."""
    monkeypatch.setattr(proof_prove, "AT_ONCE", 1)
    shutil.copytree(served.model.folder, tmp_path / "copy")
    used = ModelFolder(tmp_path / "copy").link(tmp_path / "used")  # with a copy itself nothing is proven
    while used.left > 2:
        used.claim("another proof")
    out = tmp_path / "batches"
    line = proving(served, "--out", out, "--batch", 1, "--processes", 1, model=used.folder)
    assert main(line) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 4 batches are proven, and receipts 2 to 2, and 2 more not: the commitment allows 16 openings" in told
    assert "receipts 3 to 3" not in told and len(list(out.glob("*.result"))) == 1
    assert main(proving(served, "--out", tmp_path / "P", model=used.folder)) == 1
    assert "reading records" not in (told := capsys.readouterr().err) and "kept for a link" in " ".join(told.split())
    linked = used.link(tmp_path / "linked")
    line = proving(served, "--out", out, "--batch", 1, "--processes", 1, model=linked.folder)
    assert main(line) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "receipts 1 to 1: kept (1 of 4)" in told and "receipts 4 to 4: done (4 of 4)" in told


def test_it_is_told_how_far_the_records_were_read(served: Served, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(proof_prove, "TOLD_EVERY", 3)
    assert main(proving(served, "--out", tmp_path / "P")) == 0
    told = capsys.readouterr().err
    assert "reading records" in told and "3 records read" in told and "4 records read" not in told


def proving(served: Served, *more: object, model: Path | None = None) -> list[str]:
    folder = served.folder
    given = ("--model", model or folder / "committed", "--receipts", folder / "records", "--key", folder / "prover")
    return [str(one) for one in ("proof", "prove", *given, "--log", folder / "state", "--trust", ROOT, *more)]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--ray",), "one proof is made in this process"),
        (("--processes", 2), "one proof is made in this process"),
        (("--batch", 2, "--processes", 2, "--ray"), "in processes or on Ray"),
        (("--batch", 2, "--ray"), "Ray is not installed"),
        (("--batch", 2, "--ray", "ray://there:1"), "Ray is not installed"),
    ],
)
def test_how_batches_are_computed_is_said_once_and_can_be_had(
    served: Served, more, why: str, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "ray", None)
    left = served.model.left
    assert main(proving(served, "--out", tmp_path / "P", *more)) == 1
    assert why in " ".join(capsys.readouterr().err.split()) and served.model.left == left


def test_batches_are_computed_where_it_is_said():
    """Runs on Ray itself: tests/offline/test_on_ray.py."""

    def chosen(**said: object) -> object:
        return proof_prove._executor(Namespace(**{"ray": None, "processes": None, "threads": 1, **said}))

    assert chosen() == Processes(None) and chosen(processes=2) == Processes(2)
    assert chosen(ray="") == OnRay(None, 1) and chosen(ray="ray://there:1", threads=2) == OnRay("ray://there:1", 2)


def test_more_samples_than_one_proof_can_be_about_are_refused_before_an_opening_is_used(
    served: Served, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(proof_prove, "LARGEST_BATCH", RECORDED - 1)
    left = served.model.left
    assert main(proving(served, "--out", tmp_path / "P")) == 1
    assert "which one proof cannot be about" in " ".join(capsys.readouterr().err.split())
    assert served.model.left == left and not (tmp_path / "P").exists()


def test_only_what_is_drawn_is_held_in_memory(served: Served):
    """However many records there are."""
    known = list[weakref.ref[Recorded]]()
    wanted = replace(served.sample, drawn=tuple(one for one in served.sample.drawn if one.sequence == 1))
    (one,) = [record for record in served.records if record.receipt.sequence == 1]
    most = 0

    def many() -> Iterator[Recorded]:
        nonlocal most
        for number in range(50):
            yielded = Recorded(
                one.receipt if number == 7 else replace(one.receipt, sequence=100 + number),
                one.inputs,
                one.outputs,
                one.keys,
            )
            known.append(weakref.ref(yielded))
            most = max(most, sum(one() is not None for one in known))
            yield yielded
            del yielded

    found = drawn_of(many(), wanted, sampled.server(served.folder / "state"), served.model.committed)
    assert [record.receipt for record in found.records] == [one.receipt] and found.left == ()
    assert most <= 3
