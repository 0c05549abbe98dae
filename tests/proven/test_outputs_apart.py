"""Each receipt's answer is proven by itself: what all receipts have together is not enough."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from float_models import numbers
from identities import START
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import Batch, Witness
from quatrefoil.proven import ModelFolder, ProofFile, ProvenReceipt, logged_answers, verify_answers
from quatrefoil.proven.binding import Binding, Place
from quatrefoil.quantised import enter, trace_of
from second_opinion import second_opinion


def test_an_entry_of_one_answer_is_not_taken_for_the_beginning_of_the_next(tmp_path: Path):
    """A server whose first receipt has an entry too many in its answer, and the second one too few. What both have
    together is what the weights compute, and is proven."""
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 8, ward.identity, at=START)
    assert folder.statement is not None
    signed = ward.state(folder.statement)
    inputs = enter(ward.graph, numbers(3, 2, 6))
    found = trace_of(ward.graph, inputs)
    width = found.outputs.shape[1]
    entries = np.asarray(found.outputs, np.int32).reshape(-1)
    answers = entries[: width + 1], entries[width + 1 :]
    records = [
        ward.recorded(inputs[row : row + 1], answer.reshape(1, -1), number=row) for row, answer in enumerate(answers)
    ]
    log = ward.logged()
    logged = logged_answers(log, {one.receipt.digest() for one in records}, folder.committed)
    hashed = field_hash(6, ward.graph.input.low, ward.graph.input.high)
    shown = tuple(ProvenReceipt.of(one, logged.places[one.receipt.digest()], hashed, hidden=False) for one in records)
    places = tuple(Place(one.receipt.digest(), logged.places[one.receipt.digest()]) for one in records)
    said = Binding(hashlib.sha256(signed).digest(), logged.origin, places).digest()
    batch = Batch(2, np.ascontiguousarray(inputs, "<i4").tobytes(), entries.astype("<i4").tobytes(), said)
    proof = folder.prover().prove(folder.claim("a lie"), batch, Witness(inputs, found.sums))
    file = ProofFile(signed, folder.commitment, logged.origin, False, shown, proof)
    for seen in (log, None):
        with pytest.raises(EvidenceRejected, match="outputs of different lengths"):
            verify_answers(file.encode(), trust(), clock=clock, log=seen)
    with pytest.raises(MessageRefused, match="outputs of different lengths"):
        second_opinion(file)
    ward.close()
