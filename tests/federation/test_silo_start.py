"""How a silo joins a job: what it signs, what it starts from, and how it goes on after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from backends import plain
from identities import identity
from quatrefoil.errors import CallerError, MessageRefused, PolicyError
from quatrefoil.federation.messages import Job
from quatrefoil.state import MemoryState
from signed_messages import body_of, changed
from world import World

HUB = ("hub", "aggregator")


@pytest.fixture
def world() -> World:
    return World().begin()


# ------------------------------------------------------------------------------------------------- consent and start


def test_a_silo_signs_one_job_of_a_name() -> None:
    world = World()
    world.enrol()
    signed = world.enrolments.job()
    silo = world.silos["ambon"]
    silo.consent(signed)
    silo.consent(signed)
    other = changed(signed, Job, identity(*HUB), rounds=4)
    for again in (silo, world.make_silo("ambon")):
        with pytest.raises(MessageRefused, match="another job named test-job was signed before"):
            again.consent(other)
    silo.consent(changed(signed, Job, identity(*HUB), rounds=4, name="other-job"))


@pytest.mark.parametrize(
    ("silo", "problem"),
    [
        ({"samples": 99}, "ambon counts 100 samples, not 99 on the roster"),
        ({"aggregation": plain()}, "adds with additive-rlwe"),
    ],
    ids=["another count", "another scheme"],
)
def test_a_silo_signs_no_job_that_is_not_its_own(silo: dict[str, object], problem: str) -> None:
    world = World()
    world.enrol()
    with pytest.raises((MessageRefused, PolicyError), match=problem):
        world.make_silo("ambon", **silo).consent(world.enrolments.job())
    assert world.logged("consent") == []


def test_a_silo_signs_no_job_without_it_on_the_roster() -> None:
    world = World()
    world.enrol()
    roster = Job.decode(body_of(world.enrolments.job())).roster
    without = changed(world.enrolments.job(), Job, identity(*HUB), roster=roster[1:])
    with pytest.raises(MessageRefused, match="ambon is missing on the roster of job test-job"):
        world.silos["ambon"].consent(without)


def test_a_silo_starts_only_what_it_has_signed() -> None:
    world = World()
    encoded = world.agree().encoded
    fresh = world.make_silo("ambon", state=MemoryState())
    with pytest.raises(MessageRefused, match="this silo has not signed job test-job"):
        fresh.start(encoded, world.model_bytes)
    assert not fresh.started


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (np.ones(8).tobytes(), "the initial model is [0-9a-f]{16}, not"),
        (bytes(63) + b"\x01", "the initial model is [0-9a-f]{16}, not"),
        (b"", "model of 0 bytes arrived where 64 were agreed"),
    ],
    ids=["another", "one bit", "nothing"],
)
def test_a_silo_starts_only_from_the_agreed_model(model: bytes, problem: str) -> None:
    world = World()
    encoded = world.agree().encoded
    silo = world.silos["ambon"]
    with pytest.raises(MessageRefused, match=problem):
        silo.start(encoded, model)
    assert not silo.started
    silo.start(encoded, world.model_bytes)


def test_before_the_start_there_is_nothing_to_ask_for() -> None:
    silo = World().silos["ambon"]
    for ask in (lambda: silo.model, lambda: silo.job, lambda: silo.rounds_done, lambda: silo.check_offer(b"")):
        with pytest.raises(CallerError, match="no job has been started"):
            ask()


def test_starting_again_leaves_what_has_begun(world: World) -> None:
    world.run_round()
    silo = world.silos["ambon"]
    silo.start(world.aggregator.enrolled_job, world.model_bytes)
    assert silo.rounds_done == 1


def test_one_state_holds_one_job(world: World) -> None:
    other = World()
    other.enrolments = other.make_enrolments(other.terms(name="other-job"))
    other.silos["ambon"] = world.silos["ambon"]
    encoded = other.agree().encoded
    with pytest.raises(MessageRefused, match="job test-job is running on this state"):
        world.silos["ambon"].start(encoded, world.model_bytes)


def test_a_restarted_silo_goes_on(world: World) -> None:
    world.run_round()
    silo = world.make_silo("ambon")
    assert silo.started and silo.rounds_done == 1 and silo.job == world.aggregator.job
    with pytest.raises(PolicyError, match="under policy"):
        world.make_silo("ambon", policy=World(limits={"minimum_silos": 4}).policy)
