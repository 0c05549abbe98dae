"""Answers that are places: of a model that ends in ArgMax they are proven, and what it compares stays hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from float_models import classifier, everything, numbers
from identities import START
from proven_answers import Ward, clock, trust
from quatrefoil.audit import PartyLog
from quatrefoil.errors import EvidenceRejected, ModelRefused, ProofRejected
from quatrefoil.proven import ModelFolder, ProofFile, Recorded, logged_answers, prove_answers, verify_answers
from quatrefoil.quantised import quantise


@dataclass
class Placed:
    """A server of a model that answers with places, and one answer of it."""

    ward: Ward
    folder: ModelFolder
    record: Recorded
    log: PartyLog

    def prove(self, **changes: bool) -> ProofFile:
        logged = logged_answers(self.log, {self.record.receipt.digest()}, self.folder.committed)
        return prove_answers(self.folder, [self.record], logged, **changes)


def placed(folder: Path, float_model: bytes, *shape: int) -> Placed:
    ward = Ward(folder, quantise(float_model, numbers(1, 30, *shape)))
    committed = ModelFolder.create(folder / "committed", ward.model, 4, ward.identity, at=START)
    ward.state(committed.statement)
    return Placed(ward, committed, ward.answer(2 * numbers(5, 3, *shape)), ward.logged())


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
    """Be it of a tie, or none at all: the model's owner finds it before an opening is used."""
    made = placed(tmp_path, classifier(3), 16)
    inputs, outputs = made.record.inputs, made.record.outputs
    for wrong in ((outputs + 1) % 5, outputs * 0 + 5, outputs * 0 - 1):
        record = made.ward.recorded(inputs, wrong.astype(np.int32), number=7)
        other = replace(made, record=record, log=made.ward.logged())
        with pytest.raises(ModelRefused, match="computes another answer"):
            other.prove()
    made.ward.close()
