"""Each check of the verifier, taken out in turn: a liar who was rejected is then accepted.

The statement is false in all but the last cases: the norm is above the bound by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from toy_proofs import SEED, Silo, run, toy_shape

import bounded_update.prover
import bounded_update.verifier
from bounded_update import Randomness, Rejected, verify
from bounded_update.commitment import Commitment
from bounded_update.field import ONE, Ext, P, base, eq_vector, evaluate, inner
from bounded_update.opening import Weights, start_of_second
from bounded_update.proof_bytes import Reader, regions
from bounded_update.prover import Prover, Sent, combined_run
from bounded_update.shape import log2
from bounded_update.sumcheck import mask_value, split_mask

SHAPE = toy_shape(2, 2, 40)


def liar(kind: type[Prover] = Prover) -> Prover:
    return Silo(SHAPE, slack=-1).prover(kind)


def rejected(prover: Prover, proof: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        verify(prover.statement, prover.blocks, proof)


def accepted(prover: Prover, proof: bytes) -> None:
    verify(prover.statement, prover.blocks, proof)


def skip(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(bounded_update.verifier, name, lambda *_: None)


def test_without_the_last_claim_any_statement_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    prover = liar()
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the opened row does not take the values")
    skip(monkeypatch, "check_last_claim")
    accepted(prover, proof)


class BendsTheMaskRow(Prover):
    """Sends a mask row of which g(z) is what the false claim needs."""

    def opened_mask_row(self, sent: Sent, weights: Weights, epsilon: Ext) -> list[Ext]:
        coefficients, _ = split_mask(self.shape, self.randomness.mask)
        committed = inner([ONE] * len(sent.z), [mask_value(c, x) for c, x in zip(coefficients, sent.z, strict=True)])
        gap = epsilon * weights.mask * (sent.mask_value - committed)
        u_m = super().opened_mask_row(sent, weights, epsilon)
        return [u_m[0] + gap * weights.mask_row[0].inverse(), *u_m[1:]]


def test_without_the_mask_row_any_statement_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    prover = liar(BendsTheMaskRow)
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the opened mask row")
    skip(monkeypatch, "check_mask_row")
    accepted(prover, proof)


class BendsTheRow(Prover):
    """Sends a row that takes the value at z_lo that the false claim needs; the opened words say otherwise."""

    def opened_row(self, sent: Sent, weights: Weights, epsilon: Ext) -> list[Ext]:
        u = super().opened_row(sent, weights, epsilon)
        C = self.shape.code.C
        drawn = self.randomness
        sigma = inner(weights.low, drawn.mu[:C]) + inner(weights.mask_row, drawn.nu[: self.shape.M])
        u_m = self.opened_mask_row(sent, weights, epsilon)
        gap = weights.claim(sigma, epsilon, sent.y, sent.mask_value, u_m) - inner(weights.low, u[:C])
        return [u[0] + gap * weights.low[0].inverse(), *u[1:]]


def test_without_the_opened_values_any_statement_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """U_i tie the row to the trees. Without them chi has nothing to weigh: both sides leave their terms out."""
    prover = liar(BendsTheRow)
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the opened row does not take the values")

    def without_values(claim: Ext, values: Sequence[Ext], chi: Ext) -> Ext:
        return start_of_second(claim, [], chi)

    for module in (bounded_update.verifier, bounded_update.prover):
        monkeypatch.setattr(module, "start_of_second", without_values)
    omega_at, omega_vector = bounded_update.verifier.omega_at, bounded_update.prover.omega_vector
    monkeypatch.setattr(bounded_update.verifier, "omega_at", lambda r, low, _, chi: omega_at(r, low, [], chi))
    monkeypatch.setattr(bounded_update.prover, "omega_vector", lambda low, _, chi: omega_vector(low, [], chi))
    accepted(prover, run(prover).to_bytes())


def bending_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prover whose combined run takes the last claim, whatever that is."""
    seen: dict[str, Any] = {}
    fold_claim, omega_vector = bounded_update.prover.fold_claim, bounded_update.prover.omega_vector

    def fold(*arguments: Any) -> Ext:
        seen["claim"] = fold_claim(*arguments)
        return seen["claim"]

    def omega(*arguments: Any) -> list[Ext]:
        seen["omega"] = omega_vector(*arguments)
        return seen["omega"]

    def bent(shape: Any, row: Sequence[Ext], r: Sequence[Ext]) -> list[Ext]:
        u_2 = combined_run(shape, row, r)
        low = eq_vector(r[len(r) - log2(len(u_2)) :])
        needed = seen["claim"] * evaluate(seen["omega"], r).inverse()
        return [u_2[0] + (needed - inner(low, u_2)) * low[0].inverse(), *u_2[1:]]

    monkeypatch.setattr(bounded_update.prover, "fold_claim", fold)
    monkeypatch.setattr(bounded_update.prover, "omega_vector", omega)
    monkeypatch.setattr(bounded_update.prover, "combined_run", bent)


def test_without_the_combined_run_any_statement_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    bending_the_run(monkeypatch)
    prover = liar()
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the combined run is not")
    skip(monkeypatch, "check_combined_run")
    accepted(prover, proof)


@pytest.mark.parametrize(
    ("number", "name", "committed"),
    [(0, "first", "first_commitment"), (1, "second", "second_commitment"), (2, "third", "row_commitment")],
)
def test_without_a_root_words_are_free(number: int, name: str, committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prover who has not committed to anything: its root is made up, and it could choose its words later."""
    original = getattr(bounded_update.prover, committed)

    class MadeUp(Commitment):
        @property
        def root(self) -> bytes:
            return bytes([number]) * 32

    def commit(*arguments: Any) -> Commitment:
        commitment: Commitment = original(*arguments)
        commitment.__class__ = MadeUp
        return commitment

    monkeypatch.setattr(bounded_update.prover, committed, commit)
    prover = Silo(SHAPE).prover()
    proof = run(prover).to_bytes()
    rejected(prover, proof, f"not those of the {name} tree")
    check = bounded_update.verifier.check_root

    def all_but_one(which: str, *arguments: Any) -> None:
        if which != name:
            check(which, *arguments)

    monkeypatch.setattr(bounded_update.verifier, "check_root", all_but_one)
    accepted(prover, proof)


def test_without_its_digest_a_proof_is_not_one_string_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    prover = Silo(SHAPE).prover()
    proof = bytearray(run(prover).to_bytes())
    proof[12] ^= 1
    rejected(prover, bytes(proof), "another statement")
    skip(monkeypatch, "check_statement")
    accepted(prover, bytes(proof))


def test_without_its_range_a_word_of_the_ciphertext_has_two_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    silo, blocks = with_small_word()
    prover = silo.prover()
    prover.blocks = blocks
    proof = run(prover).to_bytes()
    rejected(prover, proof, "a word of the ciphertext is not below p")
    skip(monkeypatch, "check_blocks")
    accepted(prover, proof)


def with_small_word() -> tuple[Silo, list[list[int]]]:
    """Key 0, error 0 and value 0 in coefficient 0: the word is 0, and p is another form of it."""
    silo = Silo(SHAPE)
    silo.key = [0] * len(silo.key)
    silo.errors[0][0] = 0
    for slot in silo.q[0]:
        slot[0] = 0
    blocks = silo.blocks()
    assert blocks[0][0] == 0
    blocks[0][0] = P
    return silo, blocks


def test_without_its_end_a_proof_can_be_made_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    prover = Silo(SHAPE).prover()
    proof = run(prover).to_bytes() + bytes(1)
    rejected(prover, proof, "goes on after its end")
    monkeypatch.setattr(Reader, "end", lambda _: None)
    accepted(prover, proof)


def test_without_the_range_of_words_a_proof_has_two_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes no secret of its update can choose nu so that the end of u_m is 0; p is another form of that."""

    drawn = Randomness.from_seed(SHAPE, SEED)
    drawn.mask_appended[-1], drawn.nu[-1] = Ext(0), Ext(0)
    honest = Silo(SHAPE).prover()
    prover = Prover(honest.statement, honest.blocks, honest.columns, drawn)
    proof = run(prover)
    accepted(prover, proof.to_bytes())
    _, at, size = next(part for part in regions(SHAPE, proof) if part[0] == "u_m")
    data = bytearray(proof.to_bytes())
    assert data[at + size - 8 : at + size] == bytes(8)
    data[at + size - 8 : at + size] = P.to_bytes(8, "little")
    rejected(prover, bytes(data), "not below p")

    def reduced(reader: Reader) -> int:
        return int.from_bytes(reader._take(8), "little") % P

    monkeypatch.setattr(Reader, "_base", reduced)
    accepted(prover, bytes(data))


def test_the_rule_on_alpha_keeps_the_prover_from_dividing_by_zero() -> None:
    """With a tag as the part of X of alpha, whether a prover can go on depends on its witness."""
    prover = Silo(SHAPE).prover()
    q = prover.columns[SHAPE.limb_column(0, 0, 0)][0]
    with pytest.raises(ZeroDivisionError):
        prover.inverses(base(q) + Ext(0, 1))
    for part in (0, 3, P - 1):
        prover.inverses(Ext(q, part))


CHECKS: list[Callable[..., object]] = [
    bounded_update.verifier.check_statement,
    bounded_update.verifier.check_root,
    bounded_update.verifier.check_mask_row,
    bounded_update.verifier.check_last_claim,
    bounded_update.verifier.check_combined_run,
]


def test_no_check_of_the_verifier_is_left_out_here() -> None:
    names = {name for name in vars(bounded_update.verifier) if name.startswith("check_")}
    assert names == {check.__name__ for check in CHECKS} | {"check_blocks"}
