"""Answers in receipts are proven and checked; every other answer, model, receipt and commitment is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from float_models import everything, numbers
from identities import START, identity
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.errors import CallerError, EvidenceRejected, ModelRefused, ProofRejected
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import LEAST_BITS, MOST_LINKS, Batch, Link, Witness, verify, verify_commitment
from quatrefoil.proven import ModelFolder, ProvenReceipt, logged_answers, prove_answers, verify_answers
from quatrefoil.proven.statement import sign_statement
from quatrefoil.quantised import enter, quantise, trace_of
from second_opinion import Rejected, second_opinion
from served_answers import Free, Served, served_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in(tmp_path_factory.mktemp("served")) as made:
        yield made


def test_answers_are_proven_and_checked(served: Served):
    found = served.check(served.file)
    assert (found.inference.batch, found.receipts, found.logged) == (6, 3, True)
    assert found.inference.model_root == served.folder.commitment.root
    assert 95 < found.inference.soundness_bits < 100
    alone = verify_answers(served.file.encode(), trust(), clock=clock, log=None)
    assert not alone.logged and alone.inference == found.inference


def test_a_proof_with_fewer_bits_than_are_asked_for_is_refused(served: Served):
    def check(**asked: float) -> None:
        verify_answers(served.file.encode(), trust(), clock=clock, log=None, **asked)

    check(least_bits=95.0)
    with pytest.raises(ProofRejected, match="bits of soundness, 101 are asked for"):
        check(least_bits=101.0)
    with pytest.raises(ProofRejected, match="nan are asked for"):
        check(least_bits=float("nan"))


def test_a_chain_of_links_that_leaves_too_few_bits_is_refused(served: Served):
    """As with more links than a commitment may have; the most that it may have leave enough."""
    commitment, batch = verify_commitment(served.file.commitment), served.file.batch()
    alone = commitment.soundness_bits
    longest = replace(commitment, soundness_bits=alone - np.log2(MOST_LINKS + 1))
    assert verify(longest, batch, served.file.proof).soundness_bits > LEAST_BITS
    with pytest.raises(ProofRejected, match="bits of soundness, 90 are asked for"):
        verify(replace(commitment, soundness_bits=alone - 10), batch, served.file.proof)


def test_a_proof_is_for_its_receipts(served: Served):
    """Other receipts, fewer of them, in another order, at other places, of another log or statement."""
    first, second, third = served.file.receipts
    last = served.records[3]
    hashed = field_hash(6, served.ward.graph.input.low, served.ward.graph.input.high)
    fourth = ProvenReceipt.of(last, served.logged.places[last.receipt.digest()], hashed, hidden=False)
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
    left = served.folder.left
    with pytest.raises(EvidenceRejected, match="is of the model"):
        prove_answers(served.folder, [record], replace(served.logged, places={record.receipt.digest(): 1}))
    inputs, outputs = served.records[0].inputs, served.records[1].outputs
    wrong = served.ward.recorded(inputs, outputs, number=77)
    logged = logged_answers(served.ward.logged(), {wrong.receipt.digest()}, served.folder.committed)
    with pytest.raises(ModelRefused, match="computes another answer"):
        prove_answers(served.folder, [wrong], logged)
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
    state = Free()
    try:
        proof = folder.prover().prove(state, batch, Witness(inputs, sums))
    except CallerError:
        return
    with pytest.raises(ProofRejected):
        verify(verify_commitment(folder.commitment), batch, proof)


def test_a_receipt_that_names_other_weights_is_not_proven(served: Served):
    """By the prover, before an opening is used; by the verifier, with the log and without; and one that names none."""
    left = served.folder.left
    for root in (b"o" * 32, b""):
        record = served.records[0]
        other = replace(record, receipt=replace(record.receipt, commitment=root))
        with pytest.raises(EvidenceRejected, match=r"names .* committed weights"):
            served.prove([other])
        shown = replace(served.file.receipts[0], receipt=other.receipt.encode())
        file = replace(served.file, receipts=(shown, *served.file.receipts[1:]))
        for log in (served.log, None):
            with pytest.raises(EvidenceRejected, match="and the proof is against"):
                verify_answers(file.encode(), trust(), clock=clock, log=log)
    assert served.folder.left == left


def test_a_log_that_would_not_hold_a_proof_costs_no_opening(served: Served, tmp_path: Path):
    """One without the statement, with one about another commitment, or with two."""
    said, digests = served.folder.committed, {served.records[0].receipt.digest()}
    ward, left = Ward(tmp_path, small_graph()), served.folder.left
    with pytest.raises(EvidenceRejected, match=r"has 0 statements about the model .*, not one"):
        logged_answers(ward.logged(), digests, said)
    ward.state()
    with pytest.raises(EvidenceRejected, match="names another commitment than this one"):
        logged_answers(ward.logged(), digests, said)
    body = {name: getattr(said, name).hex() for name in ("model", "commitment", "program")}
    ward.log.append("committed-model", body, {"committed": served.folder.statement})
    with pytest.raises(EvidenceRejected, match=r"the receipts in the log do not hold: .* names the commitment"):
        logged_answers(ward.logged(), digests, said)
    (tmp_path / "other").mkdir()
    other = Ward(tmp_path / "other", small_graph())
    other.state(sign_statement(served.folder.committed, identity("somebody", "workload")))
    with pytest.raises(EvidenceRejected, match="is of ward, and its statement about the model of somebody"):
        logged_answers(other.logged(), digests, said)
    other.close()
    theirs = replace(served.logged, statement=sign_statement(ward.said(), ward.identity))
    with pytest.raises(CallerError, match="about another commitment"):
        prove_answers(served.folder, served.records[:1], theirs)
    assert served.folder.left == left
    ward.close()


def test_nothing_and_what_the_log_lacks_is_not_proven(served: Served):
    with pytest.raises(CallerError, match="nothing to prove"):
        served.prove([])
    with pytest.raises(CallerError, match="the log has no receipt"):
        prove_answers(served.folder, served.records[:1], replace(served.logged, places={}))


def test_every_operator(tmp_path: Path):
    ward = Ward(tmp_path, quantise(everything(largest=False), numbers(1, 30, 2, 8, 8)))
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 4, ward.identity, at=START)
    ward.state(folder.statement)
    record = ward.answer(numbers(5, 3, 2, 8, 8))
    log = ward.logged()
    file = prove_answers(folder, [record], logged_answers(log, {record.receipt.digest()}, folder.committed))
    assert verify_answers(file.encode(), trust(), clock=clock, log=log).inference.batch == 3
    ward.close()
