"""One proof about thousands of receipts, each of which counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from float_models import numbers
from identities import START
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.errors import EvidenceRejected, ProofRejected
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proven import ModelFolder, ProvenReceipt, logged_answers, prove_answers, verify_answers
from second_opinion import Rejected, second_opinion

RECEIPTS = 2_048
LIMIT = 700_000
"""Bytes of a proof, without the receipts that it is about."""


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [False, True], ids=["public", "hidden"])
def test_one_proof_is_about_thousands_of_receipts(tmp_path: Path, hidden: bool):
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 8, ward.identity, at=START)
    ward.state(folder.statement)
    samples = numbers(3, RECEIPTS, 6)
    records = [ward.answer(one[None], number=number) for number, one in enumerate(samples)]
    log = ward.logged()
    wrong = np.array(records[-1].outputs)
    wrong[0, 0] += 1
    lie = ward.recorded(records[-1].inputs, wrong, number=RECEIPTS)
    logged = logged_answers(log, {one.receipt.digest() for one in records}, folder.committed)
    ward.close()
    file = prove_answers(folder, records, logged, hidden=hidden, threads=2)
    found = verify_answers(file.encode(), trust(), clock=clock, log=log)
    assert (found.receipts, found.inference.batch) == (RECEIPTS, RECEIPTS) and folder.left == 6
    assert len(file.proof) < LIMIT and found.inference.soundness_bits > 95
    assert second_opinion(file) == found.inference.statement

    *before, last = file.receipts
    moved = replace(file, receipts=(*before, replace(last, entry=last.entry + 1)))
    fewer = replace(file, receipts=tuple(before))
    swapped = replace(file, receipts=(*before[:-1], last, before[-1]))
    for other in (moved, fewer, swapped):
        with pytest.raises((EvidenceRejected, ProofRejected)):
            verify_answers(other.encode(), trust(), clock=clock, log=None)
        with pytest.raises(Rejected):
            second_opinion(other)
    # A receipt that commits to another answer: the file fits it, and the proof does not.
    hashed = field_hash(6, ward.graph.input.low, ward.graph.input.high)
    lying = replace(file, receipts=(*before, ProvenReceipt.of(lie, last.entry, hashed, hidden=hidden)))
    with pytest.raises(ProofRejected):
        verify_answers(lying.encode(), trust(), clock=clock, log=None)
    with pytest.raises(Rejected):
        second_opinion(lying)
