"""A commitment on disk: its openings, its links, and what becomes of a folder that was altered, killed or used up."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from float_models import numbers
from identities import START
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.errors import (
    CallerError,
    CommitmentExhausted,
    EvidenceRejected,
    HostError,
    ParametersRefused,
    ProofRejected,
    StateCorrupt,
)
from quatrefoil.proofs.inference import WeightsCommitment, verify_commitment
from quatrefoil.proven import ModelFolder, logged_answers, prove_answers, verify_answers
from quatrefoil.proven.statement import sign_statement
from second_opinion import Rejected, second_opinion
from served_answers import OPENINGS, Free, Served, served_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in(tmp_path_factory.mktemp("served")) as made:
        yield made


def test_the_folder_keeps_what_is_secret_to_its_owner(served: Served):
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in served.folder.folder.iterdir()}
    assert modes["seed"] == modes["model.onnx"] == modes["state.sqlite"] == 0o600
    assert (served.folder.folder / "seed").read_bytes() not in served.file.encode()


def test_no_more_openings_than_are_allowed(served: Served, tmp_path: Path):
    """And what was answered under an exhausted commitment is proven with fresh ones, which keep its name."""
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "few", ward.model, 3, ward.identity, at=START)
    ward.state(folder.statement)
    record = ward.answer(numbers(1, 2, 6))
    log = ward.logged()
    logged = logged_answers(log, {record.receipt.digest()}, folder.committed)
    ward.close()
    assert folder.left == 2
    prove_answers(folder, [record], logged)
    with pytest.raises(CommitmentExhausted, match="the last is kept for a link"):
        prove_answers(folder, [record], logged)
    linked = folder.link(tmp_path / "fresh")
    assert (folder.left, linked.left) == (0, 2)
    with pytest.raises(CommitmentExhausted):
        folder.link(tmp_path / "again")
    assert not (tmp_path / "again").exists(), "a seed was left"
    twice = linked.link(tmp_path / "fresher")
    file = prove_answers(twice, [record], logged)
    found = verify_answers(file.encode(), trust(), clock=clock, log=log)
    assert record.receipt.commitment == found.inference.model_root == folder.commitment.root
    assert len({folder.commitment.root, *(link.root for link in twice.commitment.links)}) == 3
    # What is opened has a name of its own, which no receipt names: the chain of links leads from one to the other.
    last, middle = twice.commitment.links[::-1]
    alone = replace(twice.commitment, root=last.root, links=())
    for commitment in (alone, replace(twice.commitment, root=middle.root, links=(last,))):
        with pytest.raises(EvidenceRejected, match="not the one that ward says"):
            verify_answers(replace(file, commitment=commitment).encode(), trust(), clock=clock, log=log)
    for links in ((last,), (last, middle), ()):
        broken = replace(file, commitment=replace(twice.commitment, links=links))
        with pytest.raises(ProofRejected):
            verify_answers(broken.encode(), trust(), clock=clock, log=log)
        with pytest.raises(Rejected):
            second_opinion(broken)
    # What is said to allow one opening more is no such commitment: the proofs under it say how many it allows.
    more = replace(file, commitment=replace(twice.commitment, openings=4))
    with pytest.raises(EvidenceRejected, match="not the one that ward says"):
        verify_answers(more.encode(), trust(), clock=clock, log=log)
    with pytest.raises(ProofRejected, match="range of the weights"):
        verify_commitment(more.commitment)
    with pytest.raises(Rejected, match="another statement"):
        second_opinion(more)


@pytest.mark.parametrize("openings", [0, 1, 2, 65])
def test_a_commitment_that_could_prove_nothing_is_not_made(served: Served, tmp_path: Path, openings: int):
    with pytest.raises(ParametersRefused, match=f"{openings} openings are not 3 to 64"):
        ModelFolder.create(tmp_path / "few", served.ward.model, openings, None, at=START)
    assert not (tmp_path / "few").exists()


def test_a_fresh_commitment_proves_under_the_same_name(served: Served, tmp_path: Path):
    linked = served.folder.link(tmp_path / "fresh")
    assert linked.commitment.root == served.folder.commitment.root != linked.commitment.current
    file = served.prove(served.records[3:], linked)
    found = served.check(file)
    assert second_opinion(file) == found.inference.statement
    assert found.inference.model_root == served.folder.commitment.root
    with pytest.raises(ProofRejected):
        served.check(replace(file, commitment=served.folder.commitment))


def test_a_link_to_other_weights_is_refused(served: Served, tmp_path: Path):
    """Prover and verifier both."""
    other = Ward(tmp_path, small_graph(seed=5))
    theirs = ModelFolder.create(tmp_path / "other", other.model, OPENINGS, other.identity, at=START)
    honest = served.folder.link(tmp_path / "fresh")
    stolen = replace(honest.commitment.links[0], root=theirs.commitment.root)
    wrong = replace(served.folder.commitment, links=(stolen,))
    with pytest.raises(ProofRejected, match="link 1"):
        verify_commitment(wrong)
    with pytest.raises(Rejected):
        second_opinion(replace(served.file, commitment=wrong))
    if theirs.commitment.program == served.folder.commitment.program:
        with pytest.raises((CallerError, ProofRejected)):
            link = served.folder.prover().prove_link(Free(), theirs.prover(), Free())
            verify_commitment(served.folder.commitment.linked(link))
    other.close()


def test_a_folder_that_was_altered_is_refused(served: Served, tmp_path: Path):
    made = ModelFolder.create(tmp_path / "one", served.ward.model, OPENINGS, served.ward.identity, at=START)
    with pytest.raises(HostError, match="exists already"):
        ModelFolder.create(tmp_path / "one", served.ward.model, OPENINGS, served.ward.identity, at=START)
    (made.folder / "seed").write_bytes(bytes(32))
    with pytest.raises(StateCorrupt, match="not those of the commitment"):
        ModelFolder(made.folder).prover()
    (made.folder / "seed").write_bytes(bytes(31))
    with pytest.raises(StateCorrupt, match="31 bytes"):
        ModelFolder(made.folder).prover()
    content = WeightsCommitment.decode((made.folder / "commitment").read_bytes())
    for wrong in (replace(content, root=b"x" * 32), replace(content, program=b"")):
        (made.folder / "commitment").write_bytes(wrong.encode())
        with pytest.raises(StateCorrupt, match="do not fit"):
            ModelFolder(made.folder)
    (made.folder / "commitment").unlink()
    (made.folder / "seed").unlink()
    with pytest.raises(HostError, match="cannot be read"):
        ModelFolder(made.folder)


@pytest.mark.parametrize("linking", [False, True])
def test_a_commitment_that_was_killed_says_so_and_what_to_do(served: Served, tmp_path: Path, linking: bool):
    """The folder is not taken for one that is whole, nor written into; once deleted, all is as before."""
    ward, out = served.ward, tmp_path / "out"

    def commit(told: Callable[[str], None] = lambda _what: None) -> ModelFolder:
        if linking:
            return served.folder.link(out, told=told)
        return ModelFolder.create(out, ward.model, OPENINGS, ward.identity, at=START, told=told)

    def killed(what: str) -> None:
        if what.startswith("proving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit(killed)
    assert {"model.onnx", "seed"} <= {file.name for file in out.iterdir()}
    left = served.folder.left
    for attempt in (lambda: ModelFolder(out), commit):
        with pytest.raises(StateCorrupt, match=r"(?s)was not finished.*delete the folder and commit again"):
            attempt()
    assert served.folder.left == left
    shutil.rmtree(out)
    assert commit().commitment.root


def test_a_folder_that_no_server_signed_proves_what_the_owner_committed_to(tmp_path: Path):
    """The server's log has the statement then, signed by itself."""
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 4, None, at=START)
    assert folder.statement is None and folder.server is None
    ward.state(sign_statement(replace(folder.committed, time=int(START.timestamp())), ward.identity))
    record = ward.answer(numbers(1, 2, 6))
    log = ward.logged()
    linked = folder.link(tmp_path / "linked")
    file = prove_answers(linked, [record], logged_answers(log, {record.receipt.digest()}, linked.committed))
    assert verify_answers(file.encode(), trust(), clock=clock, log=log).model.signer == "ward"
    ward.close()
