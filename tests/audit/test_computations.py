"""What receipts commit to of a computation: in two implementations, each opened alone; and what does not open it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import inference_receipts as reference

import made_inferences as made
from quatrefoil.audit import inference_receipts
from quatrefoil.audit.computations import (
    OpeningKeys,
    commit_inputs,
    commit_outputs,
    computation,
    hashes_of,
    opening_keys,
    require_inputs,
    require_outputs,
    rho_of,
)
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.proofs.field_hash import FieldHash

FOLDER = Path(__file__).parents[1] / "vectors" / "inference_receipts"
INDEX = json.loads((FOLDER / "index.json").read_text())
HASH = FieldHash(3, -128, 127)
INPUTS, OUTPUTS = np.array([[-128, 0, 127], [5, -6, 7]]), np.array([[-70000, 70000], [0, 1]])
KEYS = opening_keys(made.SALT)
MADE = computation(HASH, INPUTS, OUTPUTS, KEYS)
RECEIPT = made.receipt(inputs=MADE.inputs, outputs=MADE.outputs)


def test_the_vector_is_about_its_computation() -> None:
    said = INDEX["computed"]
    keys = opening_keys(bytes.fromhex(INDEX["salt"]))
    field_hash = FieldHash(len(said["samples"][0]), said["low"], said["high"])
    found = inference_receipts.verify(
        (FOLDER / "computed.receipt").read_bytes(), Keyset.decode(bytes.fromhex(INDEX["keyset"]))
    )
    require_inputs(found, hashes_of(field_hash, np.array(said["samples"]), keys.inputs))
    require_outputs(found, keys.outputs, np.array(said["answers"]))


integers = st.integers(-(1 << 31), (1 << 31) - 1)


@settings(max_examples=20, deadline=None)
@given(
    salt=st.binary(min_size=32, max_size=32),
    samples=st.lists(st.lists(st.integers(-128, 127), min_size=3, max_size=3), min_size=1, max_size=2),
    answers=st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(integers, min_size=width, max_size=width), min_size=1, max_size=4)
    ),
)
def test_both_implementations_commit_to_the_same(
    salt: bytes, samples: list[list[int]], answers: list[list[int]]
) -> None:
    keys = opening_keys(salt)
    assert commit_outputs(keys.outputs, np.array(answers)) == reference.outputs(salt, answers)
    if len(samples) == 1:  # the reference is slow
        hashes = hashes_of(HASH, np.array(samples), keys.inputs)
        assert commit_inputs(hashes) == reference.inputs(salt, samples, -128, 127)


def test_outputs_are_opened_without_what_opens_inputs_or_the_request() -> None:
    """Without keys of their own, an auditor who is shown answers could try out what was asked."""
    require_outputs(RECEIPT, KEYS.outputs, OUTPUTS)
    assert len({KEYS.inputs, KEYS.outputs, made.SALT}) == 3
    with pytest.raises(EvidenceRejected):
        require_inputs(RECEIPT, hashes_of(HASH, INPUTS, KEYS.outputs))


@given(row=st.integers(0, 1), place=st.integers(0, 2), value=st.integers(-128, 127))
def test_another_input_does_not_open_it(row: int, place: int, value: int) -> None:
    other = INPUTS.copy()
    other[row, place] = value
    hashes = hashes_of(HASH, other, KEYS.inputs)
    if (other == INPUTS).all():
        require_inputs(RECEIPT, hashes)
        return
    with pytest.raises(EvidenceRejected, match="other inputs") as told:
        require_inputs(RECEIPT, hashes)
    assert told.value.check == "inputs"


@pytest.mark.parametrize(
    "other",
    [
        OUTPUTS + np.array([[1, 0], [0, 0]]),
        OUTPUTS[::-1],
        OUTPUTS[:1],
        OUTPUTS.reshape(1, 4),
        OUTPUTS.reshape(4, 1),
        np.concatenate([OUTPUTS, OUTPUTS]),
    ],
)
def test_other_outputs_do_not_open_it(other: np.ndarray) -> None:
    with pytest.raises(EvidenceRejected, match="other outputs") as told:
        require_outputs(RECEIPT, KEYS.outputs, other)
    assert told.value.check == "outputs"


def test_another_key_opens_neither() -> None:
    strange = opening_keys(bytes(32))
    with pytest.raises(EvidenceRejected):
        require_outputs(RECEIPT, strange.outputs, OUTPUTS)
    with pytest.raises(EvidenceRejected):
        require_inputs(RECEIPT, hashes_of(HASH, INPUTS, strange.inputs))


def test_rows_cannot_be_dropped_added_or_exchanged() -> None:
    hashes = hashes_of(HASH, INPUTS, KEYS.inputs)
    for other in ((), hashes[:1], hashes[::-1], (*hashes, hashes[0]), (hashes[0] + hashes[1],)):
        with pytest.raises(EvidenceRejected):
            require_inputs(RECEIPT, other)


def test_one_sample_in_two_rows_has_two_hashes() -> None:
    """Without rho of its own for each row, equal samples of a batch would show."""
    hashes = hashes_of(HASH, np.array([[1, 2, 3], [1, 2, 3]]), KEYS.inputs)
    assert hashes[0] != hashes[1]
    assert rho_of(KEYS.inputs, 0, 64) != rho_of(KEYS.inputs, 1, 64)


def test_a_receipt_that_says_nothing_of_it_opens_to_nothing() -> None:
    plain = made.receipt()
    assert (plain.inputs, plain.outputs) == (b"", b"")
    with pytest.raises(EvidenceRejected):
        require_inputs(plain, hashes_of(HASH, INPUTS, KEYS.inputs))
    with pytest.raises(EvidenceRejected):
        require_outputs(plain, KEYS.outputs, OUTPUTS)


@pytest.mark.parametrize("changes", [{"inputs": b""}, {"outputs": b""}, {"inputs": bytes(31)}, {"outputs": bytes(33)}])
def test_a_receipt_says_both_or_neither(changes: dict[str, bytes]) -> None:
    with pytest.raises(MessageRefused, match="not both or none"):
        replace(RECEIPT, **changes)


def test_what_is_no_computation_is_refused() -> None:
    with pytest.raises(CallerError, match="salt"):
        opening_keys(bytes(31))
    with pytest.raises(CallerError, match="sample a row"):
        hashes_of(HASH, INPUTS[0], KEYS.inputs)
    with pytest.raises(CallerError, match="outside -128 to 127"):
        hashes_of(HASH, INPUTS + 1, KEYS.inputs)
    for outputs in (OUTPUTS[0], OUTPUTS.astype(float), np.zeros((0, 2), int)):
        with pytest.raises(CallerError, match="rows of integers"):
            commit_outputs(KEYS.outputs, outputs)
    for key, outputs in ((bytes(16), OUTPUTS), (KEYS.outputs, OUTPUTS + (1 << 31))):
        with pytest.raises(CallerError, match="32 bits"):
            commit_outputs(key, outputs)


def test_keys_are_not_printed() -> None:
    shown = repr(OpeningKeys(b"\x17" * 32, b"\x17" * 32))
    assert "x17" not in shown and "17" * 4 not in shown
