"""Each check of the verifier of answers, taken out in turn: a liar who was rejected is then accepted. At toy size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from toy_answers import DENSE, Operator, run

import inference.joint
import inference.opened
import inference.prover
import inference.verifier
from bounded_update.commitment import Commitment
from bounded_update.field import ONE, Ext, P, eq_vector, evaluate, inner
from bounded_update.opening import start_of_second
from bounded_update.reading import Pieces
from bounded_update.shape import log2
from inference import Rejected, verify
from inference.joint import Joint
from inference.opened import RowWeights
from inference.opening import MaskWeights
from inference.prover import Prover, Sent

Patch = pytest.MonkeyPatch


def liar(kind: type[Prover] = Prover) -> Prover:
    """The second answer is larger by one."""
    operator = Operator(DENSE)
    outputs = operator.outputs()
    outputs[1][0] += 1
    return operator.prover(kind, outputs)


def rejected(prover: Prover, proof: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        verify(prover.statement, proof)


def skip(monkeypatch: Patch, name: str) -> None:
    for module in (inference.verifier, inference.opened):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, lambda *_: None)


def test_without_the_last_claim_any_answer_is_proven(monkeypatch: Patch) -> None:
    prover = liar()
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the opened rows do not take the values")
    skip(monkeypatch, "check_last_claim")
    verify(prover.statement, proof)


def bending_the_mask_row(monkeypatch: Patch) -> type[Prover]:
    """The claim of u is too large by something: that is put on the first coefficient of g, after the claim is known."""
    kept: dict[str, Any] = {}
    weights = inference.prover.mask_weights

    def mask_weights(*arguments: Any) -> Any:
        kept["w_m"], kept["w_mW"] = weights(*arguments)
        return kept["w_m"], kept["w_mW"]

    class Bends(Prover):
        def _open(self, sent: Sent, *rest: Any) -> Any:
            self.sent = sent
            return super()._open(sent, *rest)

        def opened_row(self, sent: Sent, rows: RowWeights, epsilon: Ext) -> list[Ext]:
            self.rows, self.u = rows, super().opened_row(sent, rows, epsilon)
            return self.u

        def opened_mask_row(self, epsilon: Ext) -> list[Ext]:
            u_m = super().opened_mask_row(epsilon)
            shape, drawn = self.shape, self.randomness
            sigma = inner(self.rows.low, drawn.mu[: shape.code.C]) + inner(kept["w_m"], drawn.nu[: shape.M])
            left = inference.prover.claim(sigma, epsilon, kept["kappa"], self.sent.ends, kept["w_m"], u_m)
            gap = left - inner(self.rows.low, self.u[: shape.code.C])
            return [u_m[0] + gap * kept["w_m"][0].inverse(), *u_m[1:]]

    draw = inference.prover.Kappa.draw

    def drawn_kappa(*arguments: Any) -> Any:
        kept["kappa"] = draw(*arguments)
        return kept["kappa"]

    monkeypatch.setattr(inference.prover, "mask_weights", mask_weights)
    monkeypatch.setattr(inference.prover.Kappa, "draw", drawn_kappa)
    return Bends


def test_without_the_mask_row_any_answer_is_proven(monkeypatch: Patch) -> None:
    prover = liar(bending_the_mask_row(monkeypatch))
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the opened mask row")
    skip(monkeypatch, "check_mask_row")
    verify(prover.statement, proof)


class BendsTheRow(Prover):
    """Sends a row that takes the value at z_lo that the false claim needs; the opened words say otherwise."""

    def opened_row(self, sent: Sent, rows: RowWeights, epsilon: Ext) -> list[Ext]:
        u = super().opened_row(sent, rows, epsilon)
        gap = self.left(sent, rows, epsilon) - inner(rows.low, u[: self.shape.code.C])
        return [u[0] + gap * rows.low[0].inverse(), *u[1:]]

    left: Callable[[Sent, RowWeights, Ext], Ext]


def test_without_the_opened_values_any_answer_is_proven(monkeypatch: Patch) -> None:
    """U_i tie the row to the trees. Without them chi has nothing to weigh: both sides leave their terms out."""
    kept: dict[str, Any] = {}
    weights, draw = inference.prover.mask_weights, inference.prover.Kappa.draw

    def mask_weights(*arguments: Any) -> Any:
        kept["w_m"], w_mW = weights(*arguments)
        return kept["w_m"], w_mW

    def drawn_kappa(*arguments: Any) -> Any:
        kept["kappa"] = draw(*arguments)
        return kept["kappa"]

    def left(self: Prover, sent: Sent, rows: RowWeights, epsilon: Ext) -> Ext:
        drawn, shape = self.randomness, self.shape
        sigma = inner(rows.low, drawn.mu[: shape.code.C]) + inner(kept["w_m"], drawn.nu[: shape.M])
        u_m = self.opened_mask_row(epsilon)
        return inference.prover.claim(sigma, epsilon, kept["kappa"], sent.ends, kept["w_m"], u_m)

    monkeypatch.setattr(inference.prover, "mask_weights", mask_weights)
    monkeypatch.setattr(inference.prover.Kappa, "draw", drawn_kappa)
    monkeypatch.setattr(BendsTheRow, "left", left, raising=False)
    prover = liar(BendsTheRow)
    rejected(prover, run(prover).to_bytes(), "the opened rows do not take the values")

    def without_values(claim: Ext, _: Sequence[Ext], chi: Ext) -> Ext:
        return start_of_second(claim, [], chi)

    omega_at, omega_vector = inference.joint.omega_at, inference.joint.omega_vector
    monkeypatch.setattr(inference.opened, "start_of_second", without_values)
    monkeypatch.setattr(inference.joint, "omega_at", lambda r, low, _, chi: omega_at(r, low, [], chi))
    monkeypatch.setattr(inference.joint, "omega_vector", lambda low, _, chi: omega_vector(low, [], chi))
    verify(prover.statement, run(prover).to_bytes())


@pytest.mark.parametrize("more", [1, P - 1])
def test_without_a_factor_of_the_second_row_wrong_claims_of_both_cancel(more: int, monkeypatch: Patch) -> None:
    """A prover who says too much of u, and as much too little of u_W."""

    class Cancelling(Prover):
        def sigmas(
            self, rows: tuple[RowWeights, RowWeights], masks: tuple[MaskWeights, MaskWeights]
        ) -> tuple[Ext, Ext]:
            sigma, sigma_W = super().sigmas(rows, masks)
            return sigma + Ext(more), sigma_W - Ext(more)

    prover = Operator(DENSE).prover(Cancelling)
    rejected(prover, run(prover).to_bytes(), "the opened rows do not take the values")
    monkeypatch.setattr(Joint, "factors", lambda *_: (ONE, ONE))
    verify(prover.statement, run(prover).to_bytes())


def test_without_the_combined_run_any_answer_is_proven(monkeypatch: Patch) -> None:
    """A prover whose combined run takes the last claim, whatever that is."""
    seen: dict[str, Any] = {}
    fold_claim, honest_omega, combined = inference.opened.fold_claim, Joint.omega, Joint.combined

    def fold(*arguments: Any) -> Ext:
        seen["claim"] = fold_claim(*arguments)
        return seen["claim"]

    def omega(*arguments: Any) -> list[Ext]:
        seen["omega"] = honest_omega(*arguments)
        return seen["omega"]

    def bent(joint: Joint, vector: Sequence[Ext], r: Sequence[Ext]) -> list[Ext]:
        u_2 = combined(joint, vector, r)
        low = eq_vector(r[len(r) - log2(joint.row_code.C) :])
        needed = seen["claim"] * evaluate(seen["omega"], r).inverse()
        return [u_2[0] + (needed - inner(low, u_2)) * low[0].inverse(), *u_2[1:]]

    monkeypatch.setattr(inference.opened, "fold_claim", fold)
    monkeypatch.setattr(Joint, "omega", omega)
    monkeypatch.setattr(Joint, "combined", bent)
    prover = liar()
    proof = run(prover).to_bytes()
    rejected(prover, proof, "the combined run is not")
    skip(monkeypatch, "check_combined_run")
    verify(prover.statement, proof)


@pytest.mark.parametrize("name", ["1", "2", "M", "W", "3"])
def test_without_a_root_words_are_free(name: str, monkeypatch: Patch) -> None:
    """A prover who has not committed to anything: its root is made up, and it could choose its words later."""

    class MadeUp(Commitment):
        @property
        def root(self) -> bytes:
            return bytes([7]) * 32

    def making_up(original: Callable[..., Commitment]) -> Callable[..., Commitment]:
        def commit(*arguments: Any) -> Commitment:
            commitment = original(*arguments)
            commitment.__class__ = MadeUp
            return commitment

        return commit

    functions = {"1": "first_commitment", "2": "second_commitment", "M": "mask_commitment"}
    prover = Operator(DENSE).prover()
    if name in functions:
        original = getattr(inference.prover, functions[name])
        monkeypatch.setattr(inference.prover, functions[name], making_up(original))
    elif name == "3":
        monkeypatch.setattr(Joint, "commit", making_up(Joint.commit))
    else:
        from dataclasses import replace

        prover.statement = replace(prover.statement, root=bytes(32))
    proof = run(prover).to_bytes()
    rejected(prover, proof, f"not those of tree {name}$")
    check = inference.opened.check_root

    def all_but_one(which: str, *arguments: Any) -> None:
        if which != name:
            check(which, *arguments)

    monkeypatch.setattr(inference.verifier, "check_root", all_but_one)
    monkeypatch.setattr(inference.opened, "check_root", all_but_one)
    verify(prover.statement, proof)


def test_without_its_digest_a_proof_is_not_one_string_of_bytes(monkeypatch: Patch) -> None:
    prover = Operator(DENSE).prover()
    proof = bytearray(run(prover).to_bytes())
    proof[12] ^= 1
    rejected(prover, bytes(proof), "another statement")
    skip(monkeypatch, "check_statement")
    verify(prover.statement, bytes(proof))


def test_without_its_end_a_proof_can_be_made_longer(monkeypatch: Patch) -> None:
    prover = Operator(DENSE).prover()
    proof = run(prover).to_bytes() + bytes(1)
    rejected(prover, proof, "goes on after its end")
    monkeypatch.setattr(Pieces, "end", lambda _: None)
    verify(prover.statement, proof)


def test_an_element_that_is_not_reduced_is_seen() -> None:
    from inference.proof_bytes import regions

    prover = Operator(DENSE).prover()
    proof = run(prover)
    for name in ("v_B 0", "layer 1 round 0", "X 1", "m 2", "round 0", "y", "weights round 0", "y_w", "sigma", "u_m"):
        _, at, _ = next(region for region in regions(proof) if region[0] == name)
        data = bytearray(proof.to_bytes())
        data[at : at + 8] = P.to_bytes(8, "little")
        rejected(prover, bytes(data), "not below p")


def test_no_part_of_a_proof_can_be_changed() -> None:
    from inference.proof_bytes import regions

    prover = Operator(DENSE).prover()
    proof = run(prover)
    data = proof.to_bytes()
    parts = regions(proof)
    assert parts[-1][1] + parts[-1][2] == len(data)
    seen: set[str] = set()
    for name, at, size in parts:
        kind = name.rstrip("0123456789 ")
        if kind in seen or not size:
            continue
        seen.add(kind)
        for offset in (at, at + size - 1) if size < 1000 else (at + size // 2,):
            spoilt = bytearray(data)
            spoilt[offset] ^= 1
            rejected(prover, bytes(spoilt), ".")
    for other in (b"", data[:-1], data[:-32], data + bytes(32), data[: len(data) // 2]):
        rejected(prover, other, "too short|too long|ends early|goes on")


CHECKS = {"check_statement", "check_batch", "check_roots", "check_root", "check_mask_row", "check_last_claim"}


def test_no_check_of_the_verifier_is_left_out_here() -> None:
    names = {name for module in (inference.verifier, inference.opened) for name in vars(module)}
    assert {name for name in names if name.startswith("check_")} == CHECKS | {"check_combined_run"}
