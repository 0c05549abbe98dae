"""What a proof shows: the simulator, the exact bijection between randomness and views, and every mask in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from toy_proofs import SEED, Silo, toy_shape

import bounded_update.constraint
import bounded_update.encryption
from bounded_update import Further, Randomness, Rejected, Shape, Statement, Verified, Witness
from bounded_update.columns import as_elements, base_columns, inverse_columns
from bounded_update.commitment import cut, first_commitment
from bounded_update.constraint import Constraint
from bounded_update.explain import explain
from bounded_update.field import ZERO, Ext, base, evaluate
from bounded_update.opening import Weights
from bounded_update.polynomials import code_word
from bounded_update.proof_bytes import Proof, Reader
from bounded_update.prover import Prover, combine
from bounded_update.simulator import Coins, View, simulate
from bounded_update.sumcheck import SumCheck
from bounded_update.verifier import draw_challenges, follow_rounds, verify_under

COINS = b"coins"
SHAPES = {
    "narrow": toy_shape(2, 2, 40),
    "wide, two groups": toy_shape(1, 4, 5 * 16 - 3),
    "three groups": toy_shape(3, 4, 9 * 48 - 40),
    "further claims": toy_shape(2, 2, 40, claims=3),
}
SHAPE = SHAPES["narrow"]
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def silo_of(shape: Shape) -> Silo:
    """With claims of every kind where there is room for them. One of them does not leave anything."""
    silo = Silo(shape)
    if shape is SHAPES["further claims"]:
        silo.q[0][0][2] = 0
        silo.further = Further((silo.part(0, 30, 0), silo.part(15, 40, 77)), silo.direction(5))
    return silo


def holds(statement: Statement, blocks: Any, proof: Proof, coins: bytes = COINS) -> Verified:
    reader = Reader(statement.shape, proof.to_bytes())
    return verify_under(statement, blocks, reader.head(), reader, Coins(coins))


class Watched(Prover):
    """Keeps the opened row, which a view consists of beside the proof."""

    row: list[Ext]

    def opened_row(self, *arguments: Any) -> list[Ext]:
        u = super().opened_row(*arguments)
        self.row = u[: self.shape.code.C]
        return u


def view_of(statement: Statement, blocks: Any, witness: Witness, drawn: Randomness, coins: bytes = COINS) -> View:
    columns = base_columns(statement.shape, witness, witness.slacks(statement))
    prover = Watched(statement, blocks, columns, drawn)
    proof = prover.run(Coins(coins))
    return View(proof, prover.row)


def shown(view: View) -> list[Any]:
    """All field elements of a view. Roots, salts and paths of trees 1 and 2 are random where nothing is opened."""
    proof = view.proof
    head = replace(proof.head, root1=b"", root2=b"")
    return [head, proof.opening1.words, proof.opening2.words, proof.folds, proof.u_2, proof.opening3, view.row]


@each_shape
def test_a_simulated_view_is_accepted_without_a_witness(shape: Shape) -> None:
    silo = silo_of(shape)
    for seed in (b"one", b"two"):
        holds(silo.statement(), silo.blocks(), simulate(silo.statement(), silo.blocks(), COINS, seed).proof)


def test_a_simulated_view_needs_its_coins_and_is_no_proof() -> None:
    silo = Silo(SHAPE)
    view = simulate(silo.statement(), silo.blocks(), COINS, b"one")
    with pytest.raises(Rejected):
        holds(silo.statement(), silo.blocks(), view.proof, b"other coins")


def test_the_simulator_does_not_even_need_a_true_statement() -> None:
    silo = Silo(SHAPE, slack=-1)
    holds(silo.statement(), silo.blocks(), simulate(silo.statement(), silo.blocks(), COINS, b"one").proof)
    silo = silo_of(SHAPES["further claims"])
    silo.further = Further((silo.part(0, 30, -1), silo.part(15, 40, 77)), silo.direction(-1))
    holds(silo.statement(), silo.blocks(), simulate(silo.statement(), silo.blocks(), COINS, b"one").proof)


@each_shape
def test_every_simulated_view_is_that_of_a_prover(shape: Shape) -> None:
    """The map from randomness to views is onto: `explain` finds what the prover drew."""
    silo = silo_of(shape)
    statement, blocks = silo.statement(), silo.blocks()
    view = simulate(statement, blocks, COINS, b"seed")
    found = explain(statement, blocks, COINS, view, silo.witness, Randomness.from_seed(shape, SEED))
    witness = replace(silo.witness, pad=found.pad)
    assert shown(view_of(statement, blocks, witness, found.randomness)) == shown(view)


@each_shape
def test_what_is_explained_is_what_was_drawn(shape: Shape) -> None:
    """The map is one to one, but for what positions that were drawn twice leave free: fibres have one size."""
    silo = silo_of(shape)
    statement, blocks, drawn = silo.statement(), silo.blocks(), Randomness.from_seed(shape, SEED)
    view = view_of(statement, blocks, silo.witness, drawn)
    found = explain(statement, blocks, COINS, view, silo.witness, drawn)
    assert found.pad == silo.pad
    assert found.randomness == drawn


MASKS = ["pad", "mask", "rho", "mask_appended", "nu", "mu", "appended1", "appended2"]


def without(name: str, drawn: Randomness, index: int) -> Randomness:
    """The randomness with one element of one mask set to 0."""
    sums = sum(SHAPE.degrees)
    if name == "rho":
        return replace(drawn, mask=zeroed(drawn.mask, sums + index % SHAPE.m))
    if name == "mask":
        return replace(drawn, mask=zeroed(drawn.mask, index % sums))
    if name.startswith("appended"):
        rows = [list(row) for row in getattr(drawn, name)]
        rows[index % len(rows)][index % SHAPE.code.Q] = 0
        return replace(drawn, **{name: rows})
    return replace(drawn, **{name: zeroed(getattr(drawn, name), index % len(getattr(drawn, name)))})


def zeroed(elements: list[Ext], index: int) -> list[Ext]:
    return [ZERO if i == index else x for i, x in enumerate(elements)]


@pytest.mark.parametrize("index", [0, 31, 1000003])
@pytest.mark.parametrize("name", MASKS)
def test_no_mask_can_be_left_out(name: str, index: int) -> None:
    """A prover without one element of a mask does not reach a view that an honest one reaches."""
    silo = Silo(SHAPE)
    statement, blocks = silo.statement(), silo.blocks()
    view = simulate(statement, blocks, COINS, b"seed")
    found = explain(statement, blocks, COINS, view, silo.witness, Randomness.from_seed(SHAPE, SEED))
    witness = replace(silo.witness, pad=ZERO if name == "pad" else found.pad)
    drawn = found.randomness if name == "pad" else without(name, found.randomness, index)
    reached = view_of(statement, blocks, witness, drawn)
    assert shown(reached) != shown(view)
    holds(statement, blocks, reached.proof)  # an honest verifier does not notice: only the silo is hurt


# Two witnesses of one statement. Where every a_j is 0, any key fits a ciphertext.


@pytest.fixture
def any_key_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bounded_update.constraint, bounded_update.encryption):
        monkeypatch.setattr(module, "public_element", lambda p, _, __: (0,) * p.N)


@pytest.mark.usefixtures("any_key_fits")
@each_shape
def test_a_view_of_one_witness_is_a_view_of_another(shape: Shape) -> None:
    silo = silo_of(shape)
    statement, blocks, drawn = silo.statement(), silo.blocks(), Randomness.from_seed(shape, SEED)
    other = replace(silo.witness, key=[5 - x for x in silo.key])
    view = view_of(statement, blocks, silo.witness, drawn)
    found = explain(statement, blocks, COINS, view, other, drawn)
    assert found.pad != silo.pad and found.randomness != drawn
    assert shown(view_of(statement, blocks, replace(other, pad=found.pad), found.randomness)) == shown(view)


def test_a_view_of_one_update_is_a_view_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a_0 is 2^delta, a key can take any values of slot 0 up: two updates have one ciphertext, and what each of
    the claims leaves differs between them. No view shows of which of the two it is."""
    shape = SHAPES["further claims"]
    delta = shape.parameters.delta
    for module in (bounded_update.constraint, bounded_update.encryption):
        monkeypatch.setattr(module, "public_element", lambda p, _, j: (0 if j else 1 << delta,) * p.N)
    silo = silo_of(shape)
    silo.slack = 500
    silo.further = Further((silo.part(0, 30, 500), silo.part(3, 40, 600)), silo.direction(9000))
    statement, blocks, drawn = silo.statement(), silo.blocks(), Randomness.from_seed(shape, SEED)
    values = [[list(slot) for slot in block] for block in silo.q]
    values[0][0][3:6] = [-x // 2 for x in values[0][0][3:6]]
    key = [s + q - other for s, q, other in zip(silo.key, silo.q[0][0], values[0][0], strict=True)]
    other = replace(silo.witness, key=key, values=values)
    both = (silo.witness.slacks(statement), other.slacks(statement))
    assert all(one != another for one, another in zip(*both, strict=True))
    view = view_of(statement, blocks, silo.witness, drawn)
    found = explain(statement, blocks, COINS, view, other, drawn)
    assert shown(view_of(statement, blocks, replace(other, pad=found.pad), found.randomness)) == shown(view)


@pytest.mark.usefixtures("any_key_fits")
@pytest.mark.parametrize("known", [True, False])
def test_without_salts_a_guess_can_be_confirmed(known: bool) -> None:
    """Given a guess of the witness, the view determines every leaf but for its salt: whoever knows the salts compares
    the root, and tells two witnesses apart. Whoever does not finds both to fit as well."""
    silo = Silo(SHAPE)
    statement, blocks, drawn = silo.statement(), silo.blocks(), Randomness.from_seed(SHAPE, SEED)
    view = view_of(statement, blocks, silo.witness, drawn)
    guessed_salts = drawn if known else Randomness.from_seed(SHAPE, bytes([1]) * 32)
    confirmed = []
    for guess in (silo.witness, replace(silo.witness, key=[5 - x for x in silo.key])):
        found = explain(statement, blocks, COINS, view, guess, guessed_salts)
        columns = base_columns(SHAPE, replace(guess, pad=found.pad), guess.slacks(statement))
        root = first_commitment(SHAPE, columns, found.randomness).root
        confirmed.append(root == view.proof.head.root1)
    assert confirmed == [known, False]


# What each mask keeps back, seen where it is 0.


def proof_without(**masks: Any) -> tuple[Silo, Proof, dict[str, Any]]:
    """A proof under the coins, and what someone who guesses the witness computes."""
    silo = Silo(SHAPE)
    silo.pad = masks.pop("pad", silo.pad)
    drawn = replace(Randomness.from_seed(SHAPE, SEED), **masks)
    proof = view_of(silo.statement(), silo.blocks(), silo.witness, drawn).proof
    coins = Coins(COINS)
    challenges = draw_challenges(SHAPE, proof.head, coins)
    constraint = Constraint(silo.statement(), silo.blocks(), challenges)
    z, _ = follow_rounds(constraint.claim(proof.head.v), proof.head, coins)
    columns = silo.columns()
    columns += inverse_columns(SHAPE, columns, challenges.alpha)
    weights = Weights.draw(SHAPE, coins, z)
    epsilon = coins.draw("epsilon").element()
    guess = {
        "zeta": challenges.zeta,
        "z": z,
        "columns": columns,
        "constraint": constraint,
        "epsilon": epsilon,
        "weights": weights,
        "positions": coins.draw("positions").positions(SHAPE.code.n, SHAPE.code.Q),
    }
    return silo, proof, guess


@pytest.mark.parametrize("hidden", [False, True])
def test_without_the_pad_v_is_a_function_of_the_key(hidden: bool) -> None:
    silo, proof, guess = proof_without(**({} if hidden else {"pad": ZERO}))
    known = evaluate([base(x) for x in silo.key], guess["zeta"])
    assert (proof.head.v == known) is not hidden


@pytest.mark.parametrize("hidden", [False, True])
def test_without_rho_the_values_are_those_of_the_columns(hidden: bool) -> None:
    sums, drawn = sum(SHAPE.degrees), Randomness.from_seed(SHAPE, SEED)
    masks = {} if hidden else {"mask": drawn.mask[:sums] + [ZERO] * SHAPE.m}
    _, proof, guess = proof_without(**masks)
    for column, value in zip(guess["columns"], proof.head.y, strict=True):
        assert (evaluate(as_elements(column), guess["z"]) == value) is not hidden


@pytest.mark.parametrize("hidden", [False, True])
def test_without_the_mask_of_the_sum_check_its_first_round_is_known(hidden: bool) -> None:
    sums, drawn = sum(SHAPE.degrees), Randomness.from_seed(SHAPE, SEED)
    masks = {} if hidden else {"mask": [ZERO] * sums + drawn.mask[sums:]}
    _, proof, guess = proof_without(**masks)
    plain = SumCheck(guess["constraint"], guess["columns"], drawn.mask).plain_round(0)
    assert ([plain[0], *plain[2:]] == proof.head.rounds[0]) is not hidden


@pytest.mark.parametrize("hidden", [False, True])
def test_without_appended_elements_opened_words_are_those_of_the_columns(hidden: bool) -> None:
    nothing = [[0] * SHAPE.code.Q for _ in range(SHAPE.c * SHAPE.R)]
    _, proof, guess = proof_without(**({} if hidden else {"appended1": nothing}))
    rows = [row for column in guess["columns"][: SHAPE.c] for row in cut(column, SHAPE.code.C)]
    words = [code_word(row, SHAPE.code.n) for row in rows]
    for position, opened in zip(guess["positions"], proof.opening1.words, strict=True):
        same = [word[position] == x for word, x in zip(words, opened, strict=False)]
        assert not any(same) if hidden else all(same)


@pytest.mark.parametrize("hidden", [False, True])
def test_without_mu_the_opened_row_is_a_combination_of_the_columns(hidden: bool) -> None:
    masks = {} if hidden else {"mu": [ZERO] * SHAPE.code.K}
    silo = Silo(SHAPE)
    drawn = replace(Randomness.from_seed(SHAPE, SEED), **masks)
    view = view_of(silo.statement(), silo.blocks(), silo.witness, drawn)
    _, _, guess = proof_without(**masks)
    rows = [row for column in guess["columns"] for row in cut(column, SHAPE.code.C)]
    known = combine([ZERO] * SHAPE.code.C, guess["epsilon"], guess["weights"].rows, rows)
    assert (view.row == known) is not hidden


@pytest.mark.parametrize("hidden", [False, True])
def test_without_nu_the_other_masks_are_shown(hidden: bool) -> None:
    drawn = Randomness.from_seed(SHAPE, SEED)
    masks = {} if hidden else {"nu": [ZERO] * len(drawn.nu)}
    _, proof, guess = proof_without(**masks)
    inverse = guess["epsilon"].inverse()
    read = [x * inverse for x in proof.head.u_m[: SHAPE.M]]
    assert (read == drawn.mask) is not hidden


def test_two_proofs_of_one_encryption_give_an_equation_in_the_key() -> None:
    """Why a silo repeats the bytes of a proof, and never proves the same encryption again: the pad cancels."""
    silo = Silo(SHAPE)
    statement, blocks, drawn = silo.statement(), silo.blocks(), Randomness.from_seed(SHAPE, SEED)
    found = []
    for coins in (b"one", b"two"):
        proof = view_of(statement, blocks, silo.witness, drawn, coins).proof
        found.append((proof.head.v, draw_challenges(SHAPE, proof.head, Coins(coins)).zeta))
    (v, zeta), (other_v, other_zeta) = found
    key = [base(x) for x in silo.key]
    assert v - other_v == evaluate(key, zeta) - evaluate(key, other_zeta) != ZERO
