"""Answers in receipts are proven and checked; every other answer, model, receipt and commitment is refused."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from float_models import classifier, everything, numbers
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.audit import PartyLog
from quatrefoil.errors import (
    CallerError,
    CommitmentExhausted,
    EvidenceRejected,
    HostError,
    ModelRefused,
    ProofRejected,
    StateCorrupt,
)
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import Batch, Link, WeightsCommitment, Witness, verify, verify_commitment
from quatrefoil.proven import ModelFolder, ProofFile, ProvenReceipt, Recorded, places_of, prove_answers, verify_answers
from quatrefoil.quantised import enter, quantise, trace_of
from second_opinion import Rejected, second_opinion
from world import START

OPENINGS = 8


@dataclass
class Served:
    ward: Ward
    folder: ModelFolder
    records: list[Recorded]
    log: PartyLog
    places: dict[bytes, int]
    file: ProofFile

    def prove(self, records: list[Recorded], folder: ModelFolder | None = None, **changes: bool) -> ProofFile:
        return prove_answers(
            folder or self.folder, records, origin=self.log.owner.origin, places=self.places, **changes
        )

    def check(self, file: ProofFile) -> object:
        return verify_answers(file.encode(), trust(), clock=clock, log=self.log)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    ward = Ward(folder, small_graph())
    committed = ModelFolder.create(folder / "committed", ward.model, OPENINGS, ward.identity, at=START)
    ward.state(committed.statement)
    records = [ward.answer(2 * numbers(seed, 2, 6), number=seed) for seed in range(4)]
    log = ward.logged()
    places = places_of(log, {one.receipt.digest() for one in records})
    file = prove_answers(committed, records[:3], origin=log.owner.origin, places=places)
    yield Served(ward, committed, records, log, places, file)
    ward.close()


def test_answers_are_proven_and_checked(served: Served):
    found = served.check(served.file)
    assert (found.inference.batch, found.receipts, found.logged) == (6, 3, True)
    assert found.inference.model_root == served.folder.commitment.root
    assert 95 < found.inference.soundness_bits < 100
    alone = verify_answers(served.file.encode(), trust(), clock=clock, log=None)
    assert not alone.logged and alone.inference == found.inference


def test_the_folder_keeps_what_is_secret_to_its_owner(served: Served):
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in served.folder.folder.iterdir()}
    assert modes["seed"] == modes["model.onnx"] == modes["state.sqlite"] == 0o600
    assert (served.folder.folder / "seed").read_bytes() not in served.file.encode()


def test_a_proof_is_for_its_receipts(served: Served):
    """Other receipts, fewer of them, in another order, at other places, of another log or statement."""
    first, second, third = served.file.receipts
    last = served.records[3]
    hashed = field_hash(6, served.ward.graph.input.low, served.ward.graph.input.high)
    fourth = ProvenReceipt.of(last, served.places[last.receipt.digest()], hashed, hidden=False)
    for receipts in (
        (first, second),
        (first, second, fourth),
        (second, first, third),
        (replace(first, entry=second.entry), replace(second, entry=first.entry), third),
    ):
        with pytest.raises((ProofRejected, EvidenceRejected)):
            served.check(replace(served.file, receipts=receipts))
        with pytest.raises(ProofRejected):
            verify_answers(replace(served.file, receipts=receipts).encode(), trust(), clock=clock, log=None)
        with pytest.raises(Rejected):
            second_opinion(replace(served.file, receipts=receipts))
    with pytest.raises(ProofRejected):
        verify_answers(replace(served.file, origin="other").encode(), trust(), clock=clock, log=None)


def test_inputs_stay_hidden_where_they_are_asked_to(served: Served):
    file = served.prove(served.records[:2], hidden=True)
    found = served.check(file)
    assert found.hidden and found.inference.batch == 4
    for one in served.records[:2]:
        assert one.keys.inputs not in file.encode()
        assert all(row.astype("<i4").tobytes() not in file.encode() for row in one.inputs)
    shown = served.file.receipts[:2]
    with pytest.raises(ProofRejected):
        served.check(replace(file, hidden=False, receipts=shown))
    with pytest.raises(ProofRejected):
        served.check(replace(served.prove(served.records[:2]), hidden=True, receipts=file.receipts))


def test_a_proof_with_any_byte_altered_is_refused(served: Served):
    data, draw = served.file.proof, np.random.default_rng(1)
    for place in draw.integers(0, len(data), 12):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(ProofRejected):
            served.check(replace(served.file, proof=bytes(altered)))
    for other in (b"", data[:-1], data + b"\0"):
        with pytest.raises(ProofRejected):
            served.check(replace(served.file, proof=other))


def test_a_commitment_with_an_altered_proof_is_refused(served: Served):
    commitment = served.file.commitment
    altered = bytearray(commitment.range_proof)
    altered[len(altered) // 2] ^= 1
    for proof in (b"", bytes(altered), served.file.proof):
        with pytest.raises(ProofRejected, match="range of the weights"):
            served.check(replace(served.file, commitment=replace(commitment, range_proof=proof)))
    linked = commitment.linked(Link(b"r" * 32, b"no link"))
    with pytest.raises(ProofRejected, match="link 1 of the commitment"):
        served.check(replace(served.file, commitment=linked))


def test_an_answer_of_other_weights_is_not_proven(served: Served, tmp_path: Path):
    """Another model answered, or this one something else; and no opening is used up."""
    other = Ward(tmp_path, small_graph(seed=2))
    record = other.answer(numbers(1, 2, 6))
    log = other.logged()
    left = served.folder.left
    with pytest.raises(EvidenceRejected, match="is of the model"):
        prove_answers(
            served.folder, [record], origin=log.owner.origin, places=places_of(log, {record.receipt.digest()})
        )
    inputs, outputs = served.records[0].inputs, served.records[1].outputs
    wrong = served.ward.recorded(inputs, outputs, number=77)
    places = places_of(served.ward.logged(), {wrong.receipt.digest()})
    with pytest.raises(ModelRefused, match="computes another answer"):
        prove_answers(served.folder, [wrong], origin=served.log.owner.origin, places=places)
    assert served.folder.left == left
    other.close()


def test_a_record_that_is_not_what_its_receipt_says_is_not_proven(served: Served):
    first, second = served.records[:2]
    for wrong in (
        replace(first, inputs=second.inputs),
        replace(first, outputs=second.outputs),
        replace(first, keys=second.keys),
    ):
        with pytest.raises(EvidenceRejected, match=r"other (inputs|outputs)"):
            served.prove([wrong])


@pytest.mark.parametrize("what", ["input", "output", "sum"])
def test_what_the_weights_do_not_compute_gets_no_proof(served: Served, what: str):
    """At the kernel's own door: a changed input, a swapped answer, a sum off by one."""
    graph, folder = served.ward.graph, served.folder
    inputs = enter(graph, numbers(3, 2, 6))
    found = trace_of(graph, inputs)
    outputs, sums = found.outputs.copy(), [one.copy() for one in found.sums]
    if what == "input":
        inputs = inputs.copy()
        inputs[0, 0] += 1 if inputs[0, 0] < graph.input.high else -1
    elif what == "output":
        outputs = outputs[::-1].copy()
    else:
        sums[0][1, 2] += 1
    batch = Batch(2, inputs.astype("<i4").tobytes(), outputs.astype("<i4").tobytes(), bytes(32))
    state = _Free()
    try:
        proof = folder.prover().prove(state, batch, Witness(inputs, sums))
    except CallerError:
        return
    with pytest.raises(ProofRejected):
        verify(verify_commitment(folder.commitment), batch, proof)


class _Free:
    """An opening of a test that throws its commitment away."""

    def use(self) -> None:
        pass


def test_no_more_openings_than_are_allowed(served: Served, tmp_path: Path):
    folder = ModelFolder.create(tmp_path / "few", served.ward.model, 3, served.ward.identity, at=START)
    assert folder.left == 2
    served.prove(served.records[:1], folder)
    with pytest.raises(CommitmentExhausted, match="the last is kept for a link"):
        served.prove(served.records[:1], folder)
    linked = folder.link(tmp_path / "fresh")
    assert (folder.left, linked.left) == (0, 2)
    with pytest.raises(CommitmentExhausted):
        folder.link(tmp_path / "again")
    assert not (tmp_path / "again" / "commitment").exists()


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
            link = served.folder.prover().prove_link(_Free(), theirs.prover(), _Free())
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


def test_nothing_and_what_the_log_lacks_is_not_proven(served: Served):
    with pytest.raises(CallerError, match="nothing to prove"):
        served.prove([])
    with pytest.raises(CallerError, match="the log has no receipt"):
        prove_answers(served.folder, served.records[:1], origin=served.log.owner.origin, places={})


def test_every_operator(tmp_path: Path):
    ward = Ward(tmp_path, quantise(everything(largest=False), numbers(1, 30, 2, 8, 8)))
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 4, ward.identity, at=START)
    ward.state(folder.statement)
    record = ward.answer(numbers(5, 3, 2, 8, 8))
    log = ward.logged()
    places = places_of(log, {record.receipt.digest()})
    file = prove_answers(folder, [record], origin=log.owner.origin, places=places)
    assert verify_answers(file.encode(), trust(), clock=clock, log=log).inference.batch == 3
    ward.close()


@dataclass
class Placed:
    """A server of a model that answers with places."""

    ward: Ward
    folder: ModelFolder
    record: Recorded
    log: PartyLog
    places: dict[bytes, int]

    def prove(self, record: Recorded | None = None, **changes: bool) -> ProofFile:
        return prove_answers(
            self.folder, [record or self.record], origin=self.log.owner.origin, places=self.places, **changes
        )


def placed(folder: Path, float_model: bytes, *shape: int) -> Placed:
    ward = Ward(folder, quantise(float_model, numbers(1, 30, *shape)))
    committed = ModelFolder.create(folder / "committed", ward.model, 4, ward.identity, at=START)
    ward.state(committed.statement)
    record = ward.answer(2 * numbers(5, 3, *shape))
    log = ward.logged()
    return Placed(ward, committed, record, log, places_of(log, {record.receipt.digest()}))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_model_that_ends_in_an_arg_max_is_proven_by_its_places(tmp_path: Path, hidden: bool):
    """Of every operator, and of what it compares nothing is in the file but the place."""
    made = placed(tmp_path, everything(), 2, 8, 8)
    assert made.record.outputs.shape == (3, 1) and made.record.outputs.max() < 4
    file = made.prove(hidden=hidden)
    found = verify_answers(file.encode(), trust(), clock=clock, log=made.log)
    assert (found.inference.batch, found.hidden) == (3, hidden) and found.inference.soundness_bits > 95
    (shown,) = file.receipts
    assert shown.outputs == made.record.outputs.astype("<i4").tobytes()
    for row in range(3):
        for other in range(4):
            outputs = made.record.outputs.copy()
            outputs[row] = other
            if other != made.record.outputs[row]:
                with pytest.raises((ProofRejected, EvidenceRejected)):
                    changed = replace(shown, outputs=outputs.astype("<i4").tobytes())
                    verify_answers(replace(file, receipts=(changed,)).encode(), trust(), clock=clock, log=made.log)
    made.ward.close()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("options", [{}, {"keepdims": 1, "select_last_index": 1}])
def test_places_of_sums_and_of_values_with_ties_are_proven_as_the_model_takes_them(tmp_path: Path, options, relu):
    made = placed(tmp_path, classifier(3, relu=relu, **options), 16)
    found = verify_answers(made.prove().encode(), trust(), clock=clock, log=made.log)
    assert found.inference.batch == 3
    made.ward.close()


def test_another_place_in_a_receipt_has_no_proof(tmp_path: Path):
    """Be it the other of a tie, or none at all: the model's owner finds it before an opening is used."""
    made = placed(tmp_path, classifier(3), 16)
    inputs, outputs = made.record.inputs, made.record.outputs
    for wrong in ((outputs + 1) % 5, outputs * 0 + 5, outputs * 0 - 1):
        record = made.ward.recorded(inputs, wrong.astype(np.int32), number=7)
        log = made.ward.logged()
        places = places_of(log, {record.receipt.digest()})
        with pytest.raises(ModelRefused, match="computes another answer"):
            prove_answers(made.folder, [record], origin=log.owner.origin, places=places)
    made.ward.close()
