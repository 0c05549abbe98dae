"""Groups of silos whose sums go up: exact over the integers, and what does not fit is refused by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import CallerError, MessageRefused, PolicyError, UpdateRefused
from quatrefoil.federation import parts
from quatrefoil.federation.group_sums import LARGEST, GroupSum, grains_of, upper_initial
from quatrefoil.federation.vectors import encode_arrays, layout_of
from trees import CLIP, GRAIN, VALUES, GroupWorld, Tree, UpperWorld, given
from world import SAMPLES

NORTH, SOUTH, WEST = ("ambon", "bari", "cusco"), ("dakar", "elba"), ("faro", "graz")
GROUPS = {"north": NORTH, "south": SOUTH, "west": WEST}
ALL = NORTH + SOUTH + WEST
FOUR = {"east": ("cusco", "huesca"), "north": NORTH[:2], "south": SOUTH, "west": WEST}
EVERYBODY = (*ALL, "huesca")


def updates(*names: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Grains that no weight of these silos rounds."""
    generator = np.random.default_rng(seed)
    return {name: 128 * generator.integers(-200, 200, VALUES) for name in names}


def clear_mean(sent: dict[str, np.ndarray]) -> np.ndarray:
    """Of these silos, in integers up to the last step."""
    total = sum(SAMPLES[name] * update for name, update in sent.items())
    assert (total % 256 == 0).all()
    return total // 256 * GRAIN / (sum(SAMPLES[name] for name in sent) / 256)


def test_every_group_gets_the_mean_of_all_silos_exactly() -> None:
    tree = Tree(GROUPS)
    model = np.zeros(VALUES)
    for seed in range(2):
        sent = updates(*ALL, seed=seed)
        finished = tree.run_round(sent)
        model = model + clear_mean(sent)
        for world in tree.groups.values():
            assert all((silo.model[0] == model).all() for silo in world.silos.values())
        assert {name: one.contributors for name, one in finished.items()} == GROUPS
        bounds = {one.error_bound for one in finished.values()}
        assert len(bounds) == 1 and 7 * GRAIN * 256 / 600 < bounds.pop() < 7.001 * GRAIN * 256 / 600


def test_with_proofs_in_the_groups() -> None:
    tree = Tree(GROUPS, rounds=1, proofs=True)
    sent = updates("ambon", "cusco", "dakar", "elba", "faro", "graz")
    tree.run_round(sent)
    assert (tree.groups["north"].aggregator.model[0] == clear_mean(sent)).all()


def test_a_group_that_stays_away_is_a_silo_that_does() -> None:
    tree = Tree(FOUR, rounds=1)
    sent = updates(*EVERYBODY)
    tree.run_round(sent, away=["west"])
    there = {name: sent[name] for name in EVERYBODY if name not in WEST}
    assert (tree.groups["north"].aggregator.model[0] == clear_mean(there)).all()
    assert tree.groups["west"].aggregator.rounds_done == 0


def test_a_group_that_comes_too_late_takes_the_mean_of_the_others() -> None:
    tree = Tree(FOUR)
    sent = updates(*EVERYBODY)
    tree.run_round(sent, away=["west"])
    done = tree.upper.aggregator.finished(1)
    assert done is not None
    tree.groups["west"].accept(tree.nodes["west"].finish(tree.gather("west", sent), *given(done, "west")))
    assert (tree.groups["west"].aggregator.model[0] == tree.groups["north"].aggregator.model[0]).all()
    tree.run_round(updates(*EVERYBODY, seed=1))
    assert (tree.groups["west"].silos["graz"].model[0] == tree.groups["north"].silos["bari"].model[0]).all()


def test_too_few_groups_are_no_sum() -> None:
    tree = Tree(GROUPS, rounds=1)
    with pytest.raises(PolicyError, match="2 of at least 3"):
        tree.run_round(updates(*ALL), away=["south"])


def test_a_group_does_not_go_up_to_a_job_that_lets_two_groups_be_added() -> None:
    """The policy itself asks for ``colluding_silos + 2``, which is two where nobody is said to collude."""
    tree = Tree(GROUPS)
    fitting = {"names": tuple(GROUPS), "rounds": 2, "initial": upper_initial(VALUES)}
    tree.upper = UpperWorld(**fitting, limits={"minimum_silos": 2, "colluding_silos": 0}).begin()
    tree.groups["north"] = GroupWorld(
        limits={"clip": CLIP, "largest_sample_count": 256, "minimum_silos": 2, "colluding_silos": 0},
        names=NORTH,
        rounds=2,
        initial=[np.zeros(VALUES)],
        upper=tree.upper.aggregator.job.digest(),
    ).begin()
    with pytest.raises(PolicyError, match="adds 2 groups, and of two each has the other's sum"):
        tree.node("north")


def test_a_groups_own_mean_is_published_to_nobody() -> None:
    world = Tree(GROUPS).groups["north"]
    world.send(world.open())
    with pytest.raises(CallerError, match="goes up to another job"):
        world.finish()


# ------------------------------------------------------------------------------------------------------------ restarts


def test_a_group_that_is_killed_after_it_took_the_result_publishes_the_same() -> None:
    tree = Tree(GROUPS, rounds=1)
    sent = updates(*ALL)
    opened = {name: tree.gather(name, sent) for name in GROUPS}
    offer = tree.upper.open()
    for name, one in opened.items():
        tree.upper.aggregator.receive(name, tree.nodes[name].contribute(one, offer))
        tree.upper.silos[name].acknowledged(tree.upper.silos[name].check_offer(offer))
    done = tree.upper.finish()
    node = tree.nodes["north"]
    killed = RuntimeError("killed")

    def kill(*_: object) -> None:
        raise killed

    real, node.lower.publish = node.lower.publish, kill
    with pytest.raises(RuntimeError, match="killed"):
        node.finish(opened["north"], *given(done, "north"))
    node.lower.publish = real
    again = tree.node("north")
    finished = again.finish_taken(opened["north"])
    tree.groups["north"].accept(finished)
    assert (tree.groups["north"].aggregator.model[0] == clear_mean(sent)).all()


def test_a_contribution_is_made_once_for_an_attempt() -> None:
    tree = Tree(GROUPS)
    opened = tree.gather("north", updates(*NORTH))
    offer = tree.upper.open()
    first = tree.nodes["north"].contribute(opened, offer)
    assert tree.node("north").contribute(opened, offer) == first


def test_nothing_is_published_before_an_upper_result_was_taken() -> None:
    tree = Tree(GROUPS)
    opened = tree.gather("north", updates(*NORTH))
    with pytest.raises(CallerError, match="no upper result of round 1"):
        tree.nodes["north"].finish_taken(opened)


def test_a_result_that_is_refused_is_not_published_later() -> None:
    tree = Tree(GROUPS, rounds=1)
    sent = updates(*ALL)
    opened = {name: tree.gather(name, sent) for name in GROUPS}
    offer = tree.upper.open()
    for name, one in opened.items():
        tree.upper.aggregator.receive(name, tree.nodes[name].contribute(one, offer))
        tree.upper.silos[name].acknowledged(tree.upper.silos[name].check_offer(offer))
    done = tree.upper.finish()
    told = given(done, "north")
    signed, mean = parts.split(told[2], 2)
    false = parts.join([signed, bytes(len(mean))])
    with pytest.raises(MessageRefused):
        tree.nodes["north"].finish(opened["north"], told[0], told[1], false, told[3])
    with pytest.raises(CallerError, match="no upper result"):
        tree.nodes["north"].finish_taken(opened["north"])
    tree.nodes["north"].finish(opened["north"], *told)
    assert (tree.groups["north"].aggregator.model[0] == clear_mean(sent)).all()


# ------------------------------------------------------------------------------------------------------- what must fit


def test_a_group_of_another_upper_job_is_refused() -> None:
    tree = Tree(GROUPS)
    tree.groups["north"] = GroupWorld(
        limits={"clip": CLIP, "largest_sample_count": 256, "minimum_silos": 2, "colluding_silos": 0},
        names=NORTH,
        rounds=2,
        initial=[np.zeros(VALUES)],
        upper=bytes(32),
    ).begin()
    with pytest.raises(CallerError, match="does not go up"):
        tree.node("north")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"initial": upper_initial(VALUES + 1)}, "11 values"),
        ({"limits": {"clip": 1.0}}, r"up to 1\.0"),
        ({"rounds": 3}, "3 rounds"),
    ],
    ids=["length", "clip", "rounds"],
)
def test_an_upper_job_that_does_not_hold_the_sums_is_refused(changed: dict[str, object], problem: str) -> None:
    tree = Tree(GROUPS)
    fitting = {"names": tuple(GROUPS), "rounds": 2, "initial": upper_initial(VALUES)}
    tree.upper = UpperWorld(**(fitting | changed)).begin()
    tree.groups["north"] = GroupWorld(
        limits={"clip": CLIP, "largest_sample_count": 256, "minimum_silos": 2, "colluding_silos": 0},
        names=NORTH,
        rounds=2,
        initial=[np.zeros(VALUES)],
        upper=tree.upper.aggregator.job.digest(),
    ).begin()
    with pytest.raises(CallerError, match=problem):
        tree.node("north")


def test_groups_that_weigh_differently_are_refused(monkeypatch) -> None:
    monkeypatch.setitem(SAMPLES, "north", 2)
    upper = UpperWorld(
        names=tuple(GROUPS), rounds=2, initial=upper_initial(VALUES), limits={"largest_sample_count": 9}
    ).begin()
    tree = Tree.__new__(Tree)
    tree.upper = upper
    tree.groups = {
        "north": GroupWorld(
            limits={"clip": CLIP, "largest_sample_count": 256, "minimum_silos": 2, "colluding_silos": 0},
            names=NORTH,
            rounds=2,
            initial=[np.zeros(VALUES)],
            upper=upper.aggregator.job.digest(),
        ).begin()
    }
    with pytest.raises(CallerError, match=r"counts of \[1, 2\]"):
        tree.node("north")


# ------------------------------------------------------------------------------------------------------ sums as bytes


ENTRIES = st.lists(st.integers(-(1 << 23), 1 << 23), min_size=1, max_size=9)


@for_all(
    st.integers(1, 9).flatmap(
        lambda size: st.lists(
            st.tuples(
                st.lists(st.integers(-LARGEST, LARGEST), min_size=size, max_size=size),
                st.integers(2, 256),
                st.integers(256, 1 << 50),
            ),
            min_size=2,
            max_size=6,
        )
    )
)
def test_a_sum_of_sums_is_read_from_its_mean_exactly(groups) -> None:
    sums = [GroupSum(np.array(grains), samples, count) for grains, count, samples in groups]
    mean = sum(one.encode() for one in sums) / len(sums)
    found = GroupSum.of_mean(mean.astype("<f8").tobytes(), len(sums))
    assert found.samples == sum(one.samples for one in sums)
    assert found.contributors == sum(one.contributors for one in sums)
    assert found.grains.tolist() == sum(one.grains for one in sums).tolist()


@for_all(st.lists(st.integers(-LARGEST, LARGEST), min_size=1, max_size=40))
def test_an_upper_encryption_rounds_no_integer(entries) -> None:
    backend = AdditiveAggregation(ParameterSet.named("sum-2048-w32"))
    shape = SumShape(len(entries), float(LARGEST), bytes(32))
    encrypted = backend.encrypt(np.array(entries, np.float64), weight=1.0, shape=shape)
    total = backend.accumulator(shape=shape)
    total.add(encrypted.ciphertext)
    found = backend.decrypt(total.total(), backend.combine_keys([encrypted.key]), shape=shape, count=1)
    assert found.values.tolist() == entries


@pytest.mark.parametrize(
    "one",
    [
        GroupSum(np.array([LARGEST + 1]), 1, 1),
        GroupSum(np.array([-LARGEST - 1]), 1, 1),
        GroupSum(np.array([0]), 1 << 56, 1),
        GroupSum(np.array([0]), 1, LARGEST + 1),
        GroupSum(np.array([0]), -1, 1),
    ],
)
def test_a_sum_that_does_not_fit_is_refused(one: GroupSum) -> None:
    with pytest.raises(UpdateRefused, match="does not fit"):
        one.encode()


def altered(**changes: object) -> bytes:
    one = GroupSum(np.array([5, -7]), 900, 3)
    return dataclasses.replace(one, **changes).encode().astype("<f8").tobytes()


@pytest.mark.parametrize(
    ("mean", "groups", "problem"),
    [
        (altered(contributors=0), 2, "sum of 0 silos"),
        (altered(samples=1, contributors=3), 2, "6 silos with 2 samples"),
        (np.array([0.3, 1.0, 2.0, 0.0]).tobytes(), 2, "no sum of integers"),
        (np.array([np.nan, 1.0, 2.0, 0.0]).tobytes(), 2, "no sum of integers"),
        (np.array([np.inf, 1.0, 2.0, 0.0]).tobytes(), 2, "no sum of integers"),
        (np.array([1.0, 2.0, 0.0]).tobytes(), 2, "no sum of integers"),
        (np.array([0.0, 1.5, 2.0, 0.0]).tobytes(), 3, "no sum of integers"),
        (np.array([0.0, 1.0, 2.0, 0.0]).tobytes()[:-1], 1, "no sum of integers"),
        (np.array([2.0**63, 1.0, 2.0, 0.0]).tobytes(), 1, "no sum of integers"),
        (np.array([1e308, 1.0, 2.0, 0.0]).tobytes(), 3, "no sum of integers"),
        (np.array([0.0, 1.0, -2.0, 1.0]).tobytes(), 1, "a sum of 1 silos"),
    ],
)
def test_a_mean_that_no_sums_lead_to_is_refused(mean: bytes, groups: int, problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        GroupSum.of_mean(mean, groups)


@pytest.mark.parametrize("value", [0.5, 1.01, np.nan, np.inf])
def test_a_sum_without_whole_grains_is_refused(value: float) -> None:
    with pytest.raises(UpdateRefused, match="whole grains"):
        grains_of(np.array([GRAIN, value * GRAIN]), GRAIN)


def test_the_layout_of_an_upper_job_is_that_of_its_model() -> None:
    initial = upper_initial(VALUES)
    assert len(encode_arrays(initial, layout_of(initial))) == 8 * (VALUES + 3)
