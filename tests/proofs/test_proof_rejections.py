"""Proofs that must not pass: damaged, of something else, or no proofs at all. Each is refused with a reason."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from both_verifiers import accepted_by_both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proving import WIDE, Instance, instance

from quatrefoil.contracts import KeyClaim
from quatrefoil.errors import ProofRejected


def rejected(one: Instance, proof: bytes) -> str:
    with pytest.raises(ProofRejected) as refusal:
        one.backend.verify(one.statement, proof)
    assert refusal.value.reason and refusal.value.reason in refusal.value.problem
    return refusal.value.reason


def rejected_by_both(one: Instance, proof: bytes) -> str:
    """The same, of a proof that the second verifier rejects as well: a third of a second."""
    assert not accepted_by_both(one.backend, one.parameters.name, one.statement, proof)
    return rejected(one, proof)


def changed(proof: bytes, position: int, mask: int) -> bytes:
    return proof[:position] + bytes([proof[position] ^ mask]) + proof[position + 1 :]


def test_one_changed_bit_anywhere_is_rejected(small: Instance, small_proof: bytes) -> None:
    draw = random.Random(1)
    for start in range(0, len(small_proof), 61):
        position = min(start + draw.randrange(61), len(small_proof) - 1)
        rejected(small, changed(small_proof, position, 1 << draw.randrange(8)))


@pytest.mark.slow
def test_every_changed_byte_is_rejected(small: Instance, small_proof: bytes) -> None:
    for position in range(len(small_proof)):
        rejected(small, changed(small_proof, position, 0x10))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_no_bytes_make_it_panic(small: Instance, small_proof: bytes, data: st.DataObject) -> None:
    """Any bytes; an honest head followed by any bytes; an honest proof with a piece cut out, doubled or replaced."""
    start = data.draw(st.integers(0, len(small_proof)))
    end = data.draw(st.integers(start, min(len(small_proof), start + 5_000)))
    middle = data.draw(st.binary(max_size=200) | st.just(small_proof[start:end] * 2) | st.just(b""))
    proof = data.draw(
        st.just(small_proof[:start] + middle + small_proof[end:])
        | st.binary(max_size=300)
        | st.just(small_proof[:start] + random.Random(start).randbytes(len(small_proof) - start))
    )
    if proof != small_proof:
        rejected(small, proof)


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [
        (0, b"X", "do not begin as a proof"),
        (8, b"\x02", "version 2 is unknown"),
        (10, b"\x01", "the reserved field holds 1"),
        (12, b"\x00" * 32, "another statement"),
        (76, b"\xff" * 8, "the word at byte 76 is not below the modulus"),
        (44, b"\x00" * 32, "do not lead to its root"),
    ],
)
def test_reasons_name_what_is_wrong(
    small: Instance, small_proof: bytes, position: int, value: bytes, reason: str
) -> None:
    assert reason in rejected_by_both(small, small_proof[:position] + value + small_proof[position + len(value) :])


def test_lengths_are_checked_first(small: Instance, small_proof: bytes) -> None:
    assert "are needed" in rejected_by_both(small, b"")
    assert "are needed" in rejected_by_both(small, small_proof[:-1])
    assert "follow the last opening" in rejected_by_both(small, small_proof + b"\0")
    assert "more than the" in rejected_by_both(small, small_proof * 2)
    assert "not bytes" in rejected(small, bytearray(small_proof))  # type: ignore[arg-type]


def test_a_proof_is_of_one_round_one_silo_and_one_ciphertext(small: Instance, small_proof: bytes) -> None:
    other = instance(WIDE, 545, seed=6)
    for statement in (
        small.stated(binding=bytes(32)),
        small.stated(bound=small.statement.bound + 1),
        small.stated(shape=replace(small.shape, context=bytes(32))),
        small.stated(shape=replace(small.shape, length=546)),
        small.stated(ciphertext=other.encrypted.ciphertext),
    ):
        with pytest.raises(ProofRejected, match="another statement"):
            small.backend.verify(statement, small_proof)
        assert not accepted_by_both(small.backend, WIDE.name, statement, small_proof)
    assert other.encrypted.ciphertext != small.encrypted.ciphertext


def test_a_ciphertext_altered_by_any_word_is_rejected(small: Instance, small_proof: bytes) -> None:
    for word in (0, 1, 4_095):
        at = 96 + 8 * word
        altered = changed(small.encrypted.ciphertext, at, 1)
        with pytest.raises(ProofRejected, match="another statement"):
            small.backend.verify(small.stated(ciphertext=altered), small_proof)
        assert not accepted_by_both(small.backend, WIDE.name, small.stated(ciphertext=altered), small_proof)


@pytest.mark.parametrize("part", ["key", "content", "root", "value", "bound", "binding", "context", "length"])
def test_the_keeper_notices_a_key_that_is_another(small: Instance, small_proof: bytes, part: str) -> None:
    claim = small.backend.verify(small.statement, small_proof).key_claim
    arguments = {"shape": small.shape, "bound": small.statement.bound, "binding": small.statement.binding}
    key = small.encrypted.key
    small.backend.check_key(key, claim, **arguments)
    flipped = {name: changed(getattr(claim, name), 3, 1) for name in ("content", "root", "value")}
    if part == "key":
        key = bytearray(changed(bytes(key), 0, 1))
    elif part in flipped:
        claim = replace(claim, **{part: flipped[part]})
    elif part == "context":
        arguments["shape"] = replace(small.shape, context=bytes(32))
    elif part == "length":
        arguments["shape"] = replace(small.shape, length=544)
    else:
        arguments[part] = bytes(32) if part == "binding" else 7
    with pytest.raises(ProofRejected, match="the key does not belong to the ciphertext"):
        small.backend.check_key(key, claim, **arguments)


def test_a_damaged_claim_is_refused_by_its_lengths(small: Instance) -> None:
    for key, claim in (
        (bytes(31), KeyClaim(bytes(32), bytes(32), bytes(16))),
        (bytes(32), KeyClaim(bytes(31), bytes(32), bytes(16))),
        (bytes(32), KeyClaim(bytes(32), bytes(32), bytes(15))),
    ):
        with pytest.raises(ProofRejected, match="bytes are not"):
            small.backend.check_key(
                key, claim, shape=small.shape, bound=small.statement.bound, binding=small.statement.binding
            )
