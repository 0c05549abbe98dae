"""What a proof of answers shows: the simulator, the exact map between randomness and views, and every mask in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from toy_answers import CONV, DENSE, FIRST_OF_SUMS, LAST_OF_A_VALUE, LINEAR, SEED, WEIGHTS_SEED, Operator

from bounded_update.explain import _appended, _value
from bounded_update.field import ZERO, Ext, P
from bounded_update.opening import code_points
from bounded_update.simulator import Coins
from inference import Randomness, Rejected, Statement, Verified, WeightsCommitment, WeightsRandomness
from inference.explain import Explained, explain
from inference.model import Weights
from inference.opened import RowWeights
from inference.proof_bytes import Proof, Reader
from inference.prover import Prover, Sent
from inference.simulator import View, simulate
from inference.verifier import verify_under

COINS = b"coins"
OPERATORS = {
    "dense": Operator(DENSE),
    "linear": Operator(LINEAR, openings=2),
    "convolutions": Operator(CONV, batch=2),
    "hidden inputs": Operator(DENSE, batch=2, hidden=True),
    "a place among sums": Operator(FIRST_OF_SUMS, batch=3),
    "a place in a value": Operator(LAST_OF_A_VALUE, batch=2, hidden=True),
}
each_operator = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())


def holds(statement: Statement, proof: Proof, coins: bytes = COINS) -> Verified:
    reader = Reader(statement.shape, proof.to_bytes())
    return verify_under(statement, reader.head(), reader, Coins(coins))


class Watched(Prover):
    """Keeps the opened rows, which a view consists of beside the proof."""

    def opened_row(self, sent: Sent, rows: RowWeights, epsilon: Ext) -> list[Ext]:
        u = super().opened_row(sent, rows, epsilon)
        self.row = u[: self.shape.code.C]
        return u

    def opened_weights_row(self, sent: Sent, rows_W: RowWeights, epsilon: Ext) -> list[Ext]:
        u_W = super().opened_weights_row(sent, rows_W, epsilon)
        self.row_W = u_W[: self.shape.weights.code.C]
        return u_W


def drawn_of(operator: Operator) -> Explained:
    shape = operator.shape
    return Explained(Randomness.from_seed(shape, SEED), WeightsRandomness.from_seed(shape.weights, WEIGHTS_SEED))


def prover_of(operator: Operator, drawn: Explained, weights: Weights | None = None) -> Watched:
    weights = weights or operator.weights
    committed = WeightsCommitment.make(operator.shape.weights, weights, drawn.weights)
    statement = replace(operator.statement(), root=committed.root)
    return Watched(statement, committed, weights, drawn.randomness, operator.secrets)


def view_of(prover: Watched) -> View:
    proof = prover.run(Coins(COINS))
    return View(prover.statement, proof, prover.row, prover.row_W)


def shown(view: View) -> list[Any]:
    """All field elements of a view. Roots, salts and paths of salted trees are random where nothing is opened."""
    proof = view.proof
    head = replace(proof.head, statement=b"", root1=b"", root2=b"", root_M=b"")
    opened = proof.openings
    words = [opening.words for opening in (opened.first, opened.second, opened.mask, opened.weights)]
    return [head, words, proof.rows, view.row, view.row_W]


@each_operator
def test_a_simulated_view_is_accepted_without_a_witness(operator: Operator) -> None:
    for seed in (b"one", b"two"):
        view = simulate(operator.statement(), COINS, seed)
        holds(view.statement, view.proof)


def test_a_simulated_view_needs_its_coins_and_is_no_proof() -> None:
    view = simulate(OPERATORS["dense"].statement(), COINS, b"one")
    with pytest.raises(Rejected):
        holds(view.statement, view.proof, b"other coins")


def test_the_simulator_does_not_even_need_right_answers() -> None:
    operator = OPERATORS["dense"]
    view = simulate(operator.statement([[100, 100]] * operator.batch), COINS, b"one")
    holds(view.statement, view.proof)


@each_operator
def test_every_simulated_view_is_that_of_a_prover(operator: Operator) -> None:
    """The map from randomness to views is onto: `explain` finds what the prover drew."""
    view = simulate(operator.statement(), COINS, b"seed")
    drawn = drawn_of(operator)
    found = explain(view, COINS, prover_of(operator, drawn), drawn.weights)
    assert shown(view_of(prover_of(operator, found))) == shown(view)


@each_operator
def test_what_is_explained_is_what_was_drawn(operator: Operator) -> None:
    """The map is one to one, but for what is free: fibres have one size."""
    drawn = drawn_of(operator)
    view = view_of(prover_of(operator, drawn))
    assert explain(view, COINS, prover_of(operator, drawn), drawn.weights) == drawn


def with_other_weights(operator: Operator) -> Weights:
    """Weights with which all answers are the same: a feature that nobody reads is another."""
    weights = [list(layer) for layer in operator.weights.weights]
    biases = [list(layer) for layer in operator.weights.biases]
    weights[-1] = [0 if i % 3 == 2 else w for i, w in enumerate(weights[-1])]  # DENSE: the last takes three features
    operator.weights = Weights(weights, biases)
    others = [list(layer) for layer in weights]
    other_biases = [list(layer) for layer in biases]
    others[1][8:12] = [2 - w for w in others[1][8:12]]
    other_biases[1][2] -= 5
    return Weights(others, other_biases)


def test_a_view_of_one_model_is_a_view_of_another() -> None:
    """Two models that answer these inputs alike: no view shows of which of the two it is."""
    operator = Operator(DENSE)
    other = with_other_weights(operator)
    assert operator.outputs() == operator.outputs(other) and other != operator.weights
    drawn = drawn_of(operator)
    view = view_of(prover_of(operator, drawn))
    found = explain(view, COINS, prover_of(operator, drawn, other), drawn.weights)
    assert found != drawn
    assert shown(view_of(prover_of(operator, found, other))) == shown(view)


MASKS = ["g", "rho", "g_i", "rho_A", "rho_B", "rho_X", "rho_M", "g_W", "rho_w", "mask_appended", "nu", "mu", "mu_W"]
MASKS += ["appended1", "appended2", "weights"]


def without(name: str, drawn: Explained, operator: Operator, index: int) -> Explained:
    """The randomness with one element of one mask set to 0."""
    randomness, shape = drawn.randomness, operator.shape
    layer = 1  # of which all masks are used
    if (name, 0) in shape.places:
        place = shape.places[name, 0 if name in ("g", "rho", "g_W", "rho_w") else layer]
        at = place.start + index % (place.stop - place.start)
        return replace(drawn, randomness=replace(randomness, mask=zeroed(randomness.mask, at)))
    if name == "weights":
        rows = [list(row) for row in drawn.weights.appended]
        rows[index % len(rows)][index % len(rows[0])] = 0
        return replace(drawn, weights=WeightsRandomness(rows, drawn.weights.salts))
    if name.startswith("appended"):
        rows = [list(row) for row in getattr(randomness, name)]
        rows[index % len(rows)][index % len(rows[0])] = 0
        return replace(drawn, randomness=replace(randomness, **{name: rows}))
    elements = getattr(randomness, name)
    return replace(drawn, randomness=replace(randomness, **{name: zeroed(elements, index % len(elements))}))


def zeroed(elements: list[Ext], index: int) -> list[Ext]:
    return [ZERO if i == index else x for i, x in enumerate(elements)]


@pytest.fixture(scope="module")
def explained() -> tuple[Operator, View, Explained]:
    operator = OPERATORS["dense"]
    view = simulate(operator.statement(), COINS, b"seed")
    drawn = drawn_of(operator)
    return operator, view, explain(view, COINS, prover_of(operator, drawn), drawn.weights)


@pytest.mark.parametrize("name", MASKS)
def test_no_mask_can_be_left_out(name: str, explained: tuple[Operator, View, Explained]) -> None:
    """A prover without one element of a mask does not reach a view that an honest one reaches."""
    operator, view, found = explained
    prover = prover_of(operator, without(name, found, operator, 1))
    reached = view_of(prover)
    assert shown(reached) != shown(view)
    holds(prover.statement, reached.proof)  # an honest verifier does not notice: only the operator is hurt


def places_of(operator: Operator, proofs: int) -> list[int]:
    """Those that so many proofs open, all distinct here: the worst case."""
    code = operator.shape.weights.code
    assert proofs * code.Q < code.n
    return list(range(1, 1 + proofs * code.Q))


def test_as_many_proofs_as_are_allowed_are_hidden_together_and_one_more_is_not() -> None:
    """What T proofs open of a run of weights fits any other weights; one place more does not."""
    operator = Operator(DENSE, openings=2)
    code = operator.shape.weights.code
    drawn = drawn_of(operator)
    row = prover_of(operator, drawn).committed.commitment.rows[0]
    other = [(x + 1) % P for x in row[: code.C]]
    points = code_points(code.n, places_of(operator, 2))
    found = _appended(other, [_value(row, x) for x in points], points, row[code.C :])
    assert [_value(other + found, x) for x in points] == [_value(row, x) for x in points]
    further = code_points(code.n, [0])[0]
    assert _value(other + found, further) != _value(row, further)
