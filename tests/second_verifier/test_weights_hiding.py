"""What is opened of one commitment by a proof of range and by a link, together as many as it allows, is what any other
weights would show: for each there is randomness with which a prover of those sends the very same. At toy size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from toy_answers import DENSE, SEED, TOY, WEIGHTS_SEED, Operator

import inference.range_prover
import inference.weights_link
from bounded_update.columns import as_elements
from bounded_update.commitment import Rows, parts
from bounded_update.explain import _appended, _value
from bounded_update.field import ZERO, Ext
from bounded_update.opening import code_points
from bounded_update.prover import combine
from bounded_update.simulator import Coins
from inference import Randomness, WeightsCommitment, WeightsRandomness, WeightsShape
from inference.commitment import runs
from inference.explain import _appended_rows, _column_masks, _round_masks
from inference.model import Weights, weights_columns
from inference.opened import RowWeights
from inference.range_bytes import RangeProof, RangeReader
from inference.range_prover import count_uses, inverse_columns, range_randomness, run_range
from inference.range_shape import RangeShape
from inference.rounds import follow_rounds
from inference.sumcheck import SumCheck
from inference.weights_link import LinkProof, LinkRandomness, LinkReader, draw_point, run_link, verify_link_under
from inference.weights_range import Constraint, Kappa, verify_range_under

OF_RANGE, OF_LINK = b"coins of the proof of range", b"coins of the link"
NEW_SEED = bytes([2]) * 32
DIGEST = bytes(32)


@dataclass
class Watch:
    """The opened rows of a prover, which a view shows all but completely."""

    rows: list[list[Ext]]

    def __call__(self, *arguments: Any) -> list[Ext]:
        self.rows.append(combine(*arguments))
        return self.rows[-1]


@dataclass(frozen=True)
class Opened:
    """A proof of range of one commitment, and a link from it to a fresh one: all that its openings allow."""

    shape: WeightsShape
    range: RangeProof
    link: LinkProof
    rows: list[list[Ext]]  # u and u_W, then u_A and u_B

    def shown(self) -> list[Any]:
        """Roots, salts and paths of salted trees are random where nothing is opened."""
        first, second = self.range.openings, self.link.openings
        opened = (first.first, first.second, first.mask, first.weights, second.mask, second.first, second.second)
        head = replace(self.range.head, root1=b"", root2=b"", root_M=b"")
        of_link = replace(self.link.head, root_M=b"")
        return [head, of_link, [one.words for one in opened], self.range.rows, self.link.rows, self.rows]


@dataclass(frozen=True)
class Drawn:
    old: WeightsRandomness
    new: WeightsRandomness
    range: Randomness
    link: LinkRandomness


def drawn_of(shape: WeightsShape) -> Drawn:
    old, new = (WeightsRandomness.from_seed(shape, seed) for seed in (WEIGHTS_SEED, NEW_SEED))
    return Drawn(old, new, range_randomness(RangeShape(shape), SEED), LinkRandomness.from_seed(shape, SEED))


def opened_of(shape: WeightsShape, weights: Weights, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> Opened:
    watch = Watch([])
    with monkeypatch.context() as patch:
        patch.setattr(inference.range_prover, "combine", watch)
        patch.setattr(inference.weights_link, "combine", watch)
        old, new = (WeightsCommitment.make(shape, weights, both) for both in (drawn.old, drawn.new))
        in_range = run_range(RangeShape(shape), old, drawn.range, DIGEST, Coins(OF_RANGE))
        link = run_link(old, new, drawn.link, DIGEST, Coins(OF_LINK))
    holds(shape, old.root, new.root, in_range, link)
    return Opened(shape, in_range, link, watch.rows)


def holds(shape: WeightsShape, old: bytes, new: bytes, in_range: RangeProof, link: LinkProof) -> None:
    reader = RangeReader(RangeShape(shape), in_range.to_bytes())
    verify_range_under(RangeShape(shape), old, reader.head(), reader, Coins(OF_RANGE))
    other = LinkReader(shape, link.to_bytes())
    verify_link_under(shape, (old, new), other.head(), other, Coins(OF_LINK))


# The randomness with which a prover of other weights sends the same.


@dataclass(frozen=True)
class OfRange:
    """What the coins say of a proof of range."""

    alpha: Ext
    constraint: Constraint
    z: list[Ext]
    kappa: Kappa
    epsilon: Ext
    positions: list[int]
    places: list[int]

    @staticmethod
    def draw(shape: RangeShape, proof: RangeProof) -> OfRange:
        coins = Coins(OF_RANGE)
        alpha = coins.draw("lookup").element()
        tau = coins.draw("point").elements(shape.ell)
        constraint = Constraint(shape, alpha, tau, coins.draw("gamma").element())
        z, _ = follow_rounds(ZERO, proof.head.rounds, ("round", "z"), coins)
        kappa, epsilon = Kappa.draw(shape, coins), coins.draw("epsilon").element()
        positions = coins.draw("positions").positions(shape.code.n, shape.code.Q)
        places = coins.draw("places").positions(shape.weights.code.n, shape.weights.code.Q)
        return OfRange(alpha, constraint, z, kappa, epsilon, positions, places)


@dataclass(frozen=True)
class OfLink:
    z: list[Ext]
    kappa: list[Ext]
    epsilon: Ext
    places: list[int]

    @staticmethod
    def draw(shape: WeightsShape) -> OfLink:
        coins = Coins(OF_LINK)
        z, kappa = draw_point(shape, coins)
        epsilon = coins.draw("epsilon").element()
        return OfLink(z, kappa, epsilon, coins.draw("places").positions(shape.code.n, shape.code.Q))


Words = list[tuple[list[int], Sequence[Sequence[int]]]]


def fitting(columns: Rows, shape: WeightsShape, opened: Words, free: WeightsRandomness) -> WeightsRandomness:
    """What is appended to other weights so that all words that were ever opened are theirs."""
    at = {place: words for places, all_words in opened for place, words in zip(places, all_words, strict=True)}
    points = code_points(shape.code.n, sorted(at))
    assert len(points) <= shape.code.appended
    return replace(
        free, appended=_appended_rows(columns, shape.code.C, [at[p] for p in sorted(at)], points, free.appended)
    )


def explained(opened: Opened, weights: Weights, drawn: Drawn) -> Drawn:
    """`drawn` says what is free."""
    shape = opened.shape
    of_range, of_link = OfRange.draw(RangeShape(shape), opened.range), OfLink.draw(shape)
    columns = weights_columns(shape, weights)
    link = opened.link.openings
    words: Words = [(of_range.places, opened.range.openings.weights.words), (of_link.places, link.first.words)]
    old = fitting(columns, shape, words, drawn.old)
    new = fitting(columns, shape, [(of_link.places, link.second.words)], drawn.new)
    rows = [runs(columns, shape.code.C, one.appended) for one in (old, new)]
    low = RowWeights.of(of_link.kappa, of_link.z, shape.code)
    mu_A, mu_B = (
        combine(row, -of_link.epsilon, low.rows, committed)
        for row, committed in zip(opened.rows[2:], rows, strict=True)
    )
    linking = LinkRandomness(mu_A, mu_B, drawn.link.salts_M)
    return Drawn(old, new, explained_range(opened, of_range, columns, rows[0], drawn.range), linking)


def explained_range(opened: Opened, coins: OfRange, columns_W: Rows, rows_W: Rows, drawn: Randomness) -> Randomness:
    shape, proof = RangeShape(opened.shape), opened.range
    C = shape.code.C
    weights = columns_W[: shape.n_1]
    uses = count_uses(shape, weights)
    fresh = uses + inverse_columns(shape, weights, uses, coins.alpha)
    rho = _column_masks(fresh + weights, [*proof.head.y, *proof.head.y_W], coins.z)
    sums = SumCheck(
        [as_elements(column) for column in fresh + weights],
        rho,
        coins.constraint.vectors(),
        coins.constraint.evaluate,
        shape.degrees,
        [ZERO] * sum(shape.degrees),
        ZERO,
    )
    mask = _round_masks(sums, shape.degrees, proof.head.rounds, coins.z, ZERO, ZERO) + rho
    points = code_points(shape.code.n, coins.positions)
    firsts, seconds = proof.openings.first.words, proof.openings.second.words
    words = [first[:-6] + second for first, second in zip(firsts, seconds, strict=True)]
    appended = _appended_rows(fresh, C, words, points, drawn.appended1 + drawn.appended2)
    targets = parts([Ext(*first[-6:-4]) for first in firsts])
    both = [
        _appended(row, wanted, points, free)
        for row, wanted, free in zip(parts(mask), targets, parts(drawn.mask_appended), strict=True)
    ]
    mask_appended = [Ext(a, b) for a, b in zip(*both, strict=True)]
    low = RowWeights.of(coins.kappa.columns, coins.z, shape.code)
    low_W = RowWeights.of(coins.kappa.weights, coins.z, shape.weights.code)
    split = shape.A * shape.R
    return replace(
        drawn,
        appended1=appended[:split],
        appended2=appended[split:],
        mask=mask,
        mask_appended=mask_appended,
        nu=[sent - coins.epsilon * x for sent, x in zip(proof.head.u_m, mask + mask_appended, strict=True)],
        mu=combine(opened.rows[0], -coins.epsilon, low.rows, runs(fresh, C, appended)),
        mu_W=combine(opened.rows[1], -coins.epsilon, low_W.rows, rows_W),
    )


def committed_to(openings: int) -> tuple[WeightsShape, Weights, Weights]:
    """The weights of one model, and those of another within the same range."""
    shape = WeightsShape(DENSE, openings, TOY)
    return shape, Operator(DENSE).weights, Operator(DENSE, seed=77).weights


def test_a_range_and_a_link_show_the_same_of_any_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, weights, others = committed_to(2)
    assert weights != others
    drawn = drawn_of(shape)
    opened = opened_of(shape, weights, drawn, monkeypatch)
    found = explained(opened, others, drawn)
    assert found != drawn
    assert opened_of(shape, others, found, monkeypatch).shown() == opened.shown()


def test_what_is_explained_is_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where as many places are opened as elements are appended nothing is free; here some coincide, or are left."""
    shape, weights, _ = committed_to(2)
    drawn = drawn_of(shape)
    assert explained(opened_of(shape, weights, drawn, monkeypatch), weights, drawn) == drawn


def without_rho(drawn: Drawn) -> Drawn:
    """Of the last column of weights."""
    return replace(drawn, range=replace(drawn.range, mask=[*drawn.range.mask[:-1], ZERO]))


def without_g(drawn: Drawn) -> Drawn:
    return replace(drawn, range=replace(drawn.range, mask=[ZERO, *drawn.range.mask[1:]]))


def without_mu(drawn: Drawn) -> Drawn:
    return replace(drawn, range=replace(drawn.range, mu_W=[ZERO, *drawn.range.mu_W[1:]]))


def without_mu_of_the_new(drawn: Drawn) -> Drawn:
    return replace(drawn, link=replace(drawn.link, mu_B=[*drawn.link.mu_B[:-1], ZERO]))


def without_an_appended_element(drawn: Drawn) -> Drawn:
    first, *rows = drawn.old.appended
    return replace(drawn, old=replace(drawn.old, appended=[[*first[:-1], 0], *rows]))


@pytest.mark.parametrize(
    "leave_out", [without_rho, without_g, without_mu, without_mu_of_the_new, without_an_appended_element]
)
def test_no_mask_can_be_left_out(leave_out: Callable[[Drawn], Drawn], monkeypatch: pytest.MonkeyPatch) -> None:
    shape, weights, others = committed_to(2)
    drawn = drawn_of(shape)
    opened = opened_of(shape, weights, drawn, monkeypatch)
    found = leave_out(explained(opened, others, drawn))
    assert opened_of(shape, others, found, monkeypatch).shown() != opened.shown()


def test_a_commitment_that_allows_one_opening_does_not_hide_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The places of both are more than the elements that were appended: other weights do not fit."""
    shape, weights, others = committed_to(1)
    drawn = drawn_of(shape)
    opened = opened_of(shape, weights, drawn, monkeypatch)
    of_range, of_link = OfRange.draw(RangeShape(shape), opened.range), OfLink.draw(shape)
    points = code_points(shape.code.n, sorted({*of_range.places, *of_link.places}))
    assert len(points) > shape.code.appended
    with pytest.raises(AssertionError):
        explained(opened, others, drawn)
    row = runs(weights_columns(shape, weights), shape.code.C, drawn.old.appended)[0]
    other = [(entry + 1) % ((1 << 64) - (1 << 32) + 1) for entry in row[: shape.code.C]]
    some, further = points[: shape.code.appended], points[shape.code.appended]
    fitted = _appended(other, [_value(row, x) for x in some], some, row[shape.code.C :])
    assert _value([*other, *fitted], further) != _value(row, further)
