"""Whole rounds: the same machines on both backends, the mean, silos that go missing, silos that come late."""

from __future__ import annotations

import numpy as np
import pytest

from backends import BACKENDS
from quatrefoil.errors import MessageRefused, PolicyError, UpdateRefused
from world import NAMES, SAMPLES, UPDATES, World, expected_mean


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def spread(world: World) -> float:
    """The largest distance of any parameter of the model from the exact mean of one round."""
    return max(float(np.abs(array - expected_mean()).max()) for array in world.aggregator.model)


def test_the_result_is_the_mean_by_sample_counts(backend: str) -> None:
    world = World(backend).begin()
    finished = world.run_round()
    assert finished.contributors == NAMES
    single = float(np.spacing(np.float32(1)))  # the model has a float32 array
    assert spread(world) <= finished.error_bound + single
    assert finished.error_bound < 1e-4
    assert abs(expected_mean() - np.mean([UPDATES[name] for name in NAMES])) > 1e-3, "counts would not matter"


@pytest.mark.parametrize("initial", [
    [np.zeros(5, np.float32)],
    [np.zeros((2, 2), np.float32), np.zeros(3)],
    [np.zeros(()), np.zeros((1, 2, 3), np.float32)],
    [np.zeros(5000)],
], ids=["float32", "mixed", "a scalar", "several blocks"])  # fmt: skip
def test_any_layout(backend: str, initial: list[np.ndarray]) -> None:
    world = World(backend, initial=initial).begin()
    finished = world.run_round()
    assert [(a.shape, a.dtype) for a in world.aggregator.model] == [(a.shape, a.dtype) for a in initial]
    assert spread(world) <= finished.error_bound + float(np.spacing(np.float32(1)))


def test_every_party_has_the_same_model_after_several_rounds(backend: str) -> None:
    world = World(backend).begin()
    bounds = [world.run_round().error_bound for _ in range(3)]
    for silo in world.silos.values():
        assert silo.rounds_done == 3
        for mine, published in zip(silo.model, world.aggregator.model, strict=True):
            np.testing.assert_array_equal(mine, published)
    assert world.moved() == pytest.approx(3 * expected_mean(), abs=sum(bounds) + 1e-6)
    assert world.kinds().count("key-release") == world.kinds().count("round-finished") == 3


def test_the_job_ends_after_its_rounds() -> None:
    world = World(rounds=1).begin()
    world.run_round()
    with pytest.raises(Exception, match="all 1 rounds of the job are done"):
        world.aggregator.open_request()


def test_a_silo_that_is_gone_after_sending_is_in_the_sum(backend: str) -> None:
    world = World(backend).begin()
    world.send(world.open())
    gone = world.silos.pop("dakar")
    finished = world.finish()
    world.accept(finished)
    assert finished.contributors == NAMES
    assert world.moved() == pytest.approx(expected_mean(), abs=finished.error_bound + 1e-6)
    assert gone.rounds_done == 0


def test_a_silo_that_is_gone_before_sending_is_not_in_the_sum_nor_in_the_weights(backend: str) -> None:
    world = World(backend).begin()
    finished = world.run_round(NAMES[:3])
    assert finished.contributors == NAMES[:3]
    assert world.moved() == pytest.approx(expected_mean(NAMES[:3]), abs=finished.error_bound + 1e-6)


def test_without_the_largest_silo_the_error_grows_as_its_bound_says() -> None:
    """Weights are shares of the largest silo's count; without that silo the sum is divided by less."""
    world = World(rounds=1).begin()
    rest = ("ambon", "bari", "dakar")
    finished = world.run_round(rest)
    assert world.moved() == pytest.approx(expected_mean(rest), abs=finished.error_bound)
    unit = 1.0 / (2**15 - 1)
    assert finished.error_bound == pytest.approx(3 * unit * SAMPLES["cusco"] / sum(SAMPLES[n] for n in rest), rel=1e-6)


def test_a_late_silo_catches_up_from_what_was_published(backend: str) -> None:
    world = World(backend).begin()
    late = world.silos.pop("dakar")
    for _ in range(3):
        world.run_round(NAMES[:3])
    for number in (1, 2, 3):
        finished = world.aggregator.finished(number)
        assert finished is not None and finished.number == number
        assert finished.contributors == NAMES[:3]
        late.accept(finished.offer, finished.release, finished.result, finished.receipts.of("dakar"))
    assert world.aggregator.finished(4) is None
    world.silos["dakar"] = late
    assert world.run_round().contributors == NAMES
    assert late.rounds_done == 4


def test_too_few_silos_do_not_make_a_round(backend: str) -> None:
    world = World(backend).begin()
    offer = world.open()
    world.send(offer, NAMES[:2])
    with pytest.raises(PolicyError, match="2 of at least 3 silos contributed to round 1"):
        world.finish()
    world.send(offer, ["cusco"])
    assert world.finish().contributors == NAMES[:3]


def test_a_voided_attempt_is_followed_by_another(backend: str) -> None:
    world = World(backend).begin()
    world.send(world.open(), NAMES[:2])
    world.void()
    finished = world.run_round()
    assert finished.contributors == NAMES
    assert world.moved() == pytest.approx(expected_mean(), abs=finished.error_bound + 1e-6)
    assert [body["attempt"] for body in world.logged("round-void")] == [0, 0]  # the keeper's and the aggregator's


# ---------------------------------------------------------------------------------------------- values beyond the clip


def test_refuse_a_value_beyond_the_clip_range(backend: str) -> None:
    world = World(backend).begin()
    offer = world.open()
    with pytest.raises(UpdateRefused, match=r"value 0 is 1\.5, not finite and within the clip bound of 1\.0"):
        world.contribution("ambon", offer, 1.5)
    assert "contribution" not in world.kinds()
    world.send(offer)
    assert world.finish().contributors == NAMES, "the silo may train again"


def test_clip_a_value_beyond_the_clip_range(backend: str) -> None:
    world = World(backend, {"on_excess": "clip"}, names=NAMES[:3]).begin()
    offer = world.open()
    for name, value in zip(NAMES, (7.0, -7.0, 0.5), strict=False):
        world.aggregator.receive(name, world.contribution(name, offer, value))
    finished = world.finish()
    exact = (1.0 * 100 - 1.0 * 50 + 0.5 * 200) / 350
    world.accept(finished)
    assert world.moved() == pytest.approx(exact, abs=finished.error_bound + 1e-6)
    assert world.logged("clipped") == [{"round": 1, "values": 10, "clip": 1.0}] * 2


@pytest.mark.parametrize("clip", [0.1, 0.3, 1e-3, 3.3e-5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_clip_bound_that_single_precision_does_not_hold(backend: str, clip: float, dtype: type) -> None:
    """float32(0.1) is above 0.1: clipping must go below the bound, not to its nearest float32."""
    limits = {"on_excess": "clip", "clip": clip}
    world = World(backend, limits, names=NAMES[:3], initial=[np.zeros(5, dtype)]).begin()
    offer = world.open()
    for name in NAMES[:3]:
        world.aggregator.receive(name, world.contribution(name, offer, 0.5))
    finished = world.finish()
    world.accept(finished)
    assert world.moved() == pytest.approx(clip, abs=finished.error_bound + clip * 1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("on_excess", ["refuse", "clip"])
def test_what_is_not_finite_is_never_clipped(backend: str, value: float, on_excess: str) -> None:
    world = World(backend, {"on_excess": on_excess}, initial=[np.zeros(5)]).begin()
    offer = world.open()
    trained = np.zeros(5)
    trained[3] = value
    with pytest.raises(UpdateRefused, match=f"value 3 is {value}, not finite"):
        world.silos["ambon"].contribute(offer, [trained])
    assert "contribution" not in world.kinds()


def test_an_update_that_only_single_precision_cannot_hold(backend: str) -> None:
    world = World(backend, {"on_excess": "clip"}, initial=[np.full(3, 3e38, np.float32)]).begin()
    offer = world.open()
    with pytest.raises(UpdateRefused, match="not finite"):
        world.silos["ambon"].contribute(offer, [np.full(3, -3e38, np.float32)])


# --------------------------------------------------------------------------------------------- what a refusal leaves


def test_a_refused_silo_is_named_and_the_round_goes_on(backend: str) -> None:
    world = World(backend).begin()
    offer = world.open()
    with pytest.raises(MessageRefused):
        world.aggregator.receive("dakar", b"garbage")
    world.send(offer, NAMES[:3])
    finished = world.finish()
    assert finished.contributors == NAMES[:3]
    assert [body["silo"] for body in world.logged("refusal")] == ["dakar"]
    assert list(world.logged("round-finished")[0]["refused"]) == ["dakar"]
