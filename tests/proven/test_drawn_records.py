"""Which records are proven for a sample: those drawn that have an answer to prove."""

from __future__ import annotations

from pathlib import Path

import pytest

import sampled
from float_models import numbers
from made_inferences import ANSWER, REQUEST
from proven_answers import Ward, small_graph
from quatrefoil.audit.sampling import draw
from quatrefoil.errors import CallerError
from quatrefoil.proven.drawn import drawn_of


def test_failures_and_questions_about_the_model_are_drawn_and_not_proven(tmp_path: Path) -> None:
    ward = Ward(tmp_path, small_graph())
    records = [ward.answer(numbers(number, 1, 6), number=number) for number in range(3)]
    ward.issuer.issue(REQUEST, ANSWER, 200, True)  # metadata, which a client asks for first
    ward.issuer.issue(REQUEST, ANSWER, 400, True)
    ward.issuer.issue(REQUEST, ANSWER, 200, False)
    ward.end()
    ward.close()
    state = tmp_path / "state"
    log = sampled.server(state)
    sample = draw(log, sampled.Cosigners().cosigned(state), sampled.terms(6), sampled.quiet)
    found = drawn_of(records, sample, log, ward.said())
    wanted = [one.sequence for one in sample.drawn if one.sequence < 3]
    assert [one.receipt.sequence for one in found.records] == wanted and len(wanted) == 3
    assert (found.left, found.failed, found.silent) == ((), 2, 1)
    (lacking,) = drawn_of([records[0], records[2]], sample, log, ward.said()).left
    assert str(lacking).startswith("receipt 1 of keyset") and lacking.why == "there is no record of it"
    with pytest.raises(
        CallerError, match=r"none of 6 receipts drawn can be proven; receipt . of keyset .*of the model"
    ):
        drawn_of(records, sample, log, ward.said(model=b"n" * 32))


def test_receipts_of_a_keyset_off_the_record_lack_theirs(tmp_path: Path) -> None:
    ward = Ward(tmp_path, small_graph())
    assert ward.keyset
    ward.issuer.issue(REQUEST, ANSWER, 200, True)
    ward.end()
    ward.close()
    state = tmp_path / "state"
    log = sampled.server(state)
    sample = draw(log, sampled.Cosigners().cosigned(state), sampled.terms(1), sampled.quiet)
    with pytest.raises(CallerError, match=r"none of 1 receipts drawn .*receipt 0 of keyset .*: there is no record"):
        drawn_of([], sample, log, ward.said())
