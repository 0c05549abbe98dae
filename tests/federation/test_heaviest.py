"""Which sample count weighs 1: everybody computes it, and nobody takes another."""

from __future__ import annotations

import dataclasses

import pytest

from identities import identity, speaking_as
from quatrefoil.errors import MessageRefused, PolicyError
from quatrefoil.federation.agreement import open_job
from quatrefoil.federation.messages import Job
from quatrefoil.federation.proving import JobProofs
from quatrefoil.policy import Policy
from signed_messages import body_of
from world import NAMES, SAMPLES, World


def job_of(world: World) -> Job:
    world.enrol()
    return Job.decode(body_of(world.enrolments.job()))


def taken(world: World, job: Job) -> Job:
    return open_job(
        speaking_as(identity("hub", "aggregator")).sign(job.encode()),
        security=world.hub_security,
        policy=world.policy,
        aggregation=world.aggregation(),
        proofs=JobProofs(world.proofs(), world.policy),
    )


def test_it_is_the_largest_on_the_roster() -> None:
    world = World()
    job = job_of(world)
    assert (job.heaviest, job.upper) == (max(SAMPLES[name] for name in NAMES), b"")
    assert taken(world, job) == job


class Group(World):
    def make_policy(self) -> Policy:
        return dataclasses.replace(super().make_policy(), place="group")


def test_in_a_group_it_is_the_largest_that_the_policy_takes() -> None:
    world = Group()
    world.enrolments = world.make_enrolments(world.terms(upper=bytes(32)))
    job = job_of(world)
    assert (job.heaviest, job.upper) == (1000, bytes(32))
    assert taken(world, job) == job
    assert world.agree().weight("cusco") == 0.2


@pytest.mark.parametrize("number", [0, 1, 199, 201, 1000, (1 << 64) - 1])
def test_no_other_is_taken(number: int) -> None:
    world = World()
    job = dataclasses.replace(job_of(world), heaviest=number)
    with pytest.raises(MessageRefused, match="weighs a count"):
        taken(world, job)


@pytest.mark.parametrize("number", [0, 200, 999, 1001])
def test_no_other_is_taken_of_a_group(number: int) -> None:
    world = Group()
    world.enrolments = world.make_enrolments(world.terms(upper=bytes(32)))
    job = dataclasses.replace(job_of(world), heaviest=number)
    with pytest.raises(MessageRefused, match="weighs a count"):
        taken(world, job)


@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_an_upper_job_has_a_name_of_32_bytes(size: int) -> None:
    world = World()
    job = dataclasses.replace(job_of(world), heaviest=1000, upper=bytes(size))
    with pytest.raises(MessageRefused, match="upper job"):
        taken(world, job)


def test_no_job_goes_up_but_where_the_policy_says_so() -> None:
    """An aggregator alone cannot have the mean of a job come from others."""
    world = World()
    job = dataclasses.replace(job_of(world), heaviest=1000, upper=bytes(32))
    with pytest.raises(PolicyError, match="goes up to another job, and by policy test its place is 'alone'"):
        taken(world, job)
    with pytest.raises(PolicyError, match="goes up to another job"):
        world.silos["bari"].consent(speaking_as(identity("hub", "aggregator")).sign(job.encode()))


def test_no_job_stands_alone_where_the_policy_says_that_it_goes_up() -> None:
    world = Group()
    world.enrolments = world.make_enrolments(world.terms(upper=bytes(32)))
    job = dataclasses.replace(job_of(world), heaviest=200, upper=b"")
    with pytest.raises(PolicyError, match="stands alone, and by policy test its place is 'group'"):
        taken(world, job)
