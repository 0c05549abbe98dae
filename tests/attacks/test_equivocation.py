"""A malicious aggregator tells different silos different things before the first round, and in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from identities import identity, renewed
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.messages import Consent, EnrolledJob, Job, Member, RoundOffer
from quatrefoil.state import MemoryState
from signed_messages import body_of, changed
from world import NAMES, World

HUB = ("hub", "aggregator")


@pytest.fixture
def world() -> World:
    world = World()
    world.enrol()
    return world


def shown(world: World, **changes: object) -> bytes:
    """The job with something changed, signed by the aggregator."""
    return changed(world.enrolments.job(), Job, identity(*HUB), **changes)


def recounted(world: World, name: str, samples: int) -> dict[str, Any]:
    """What is changed in the job to say another count of one silo, with the count that then weighs 1."""
    roster = Job.decode(body_of(world.enrolments.job())).roster
    told = tuple(dataclasses.replace(m, samples=samples) if m.name == name else m for m in roster)
    return {"roster": told, "heaviest": max(member.samples for member in told)}


def test_what_it_would_win_a_silos_weight_is_what_its_roster_says(world: World) -> None:
    """Told that all others are tiny, a silo sends its update at full weight; told that one is huge, almost nothing."""
    job = Job.decode(body_of(world.enrolments.job()))
    honest = AgreedJob(job, job.digest(), b"")
    told = dataclasses.replace(job, **recounted(world, "cusco", 1))
    assert honest.weight("dakar") == 0.05
    assert AgreedJob(told, told.digest(), b"").weight("dakar") == 0.1


def test_consents_to_two_jobs_make_none(world: World) -> None:
    """Each silo checks the consents of all to the very job that it signed."""
    one, other = shown(world), shown(world, **recounted(world, "cusco", 1000))
    consents = [world.silos[name].consent(one if name in NAMES[:2] else other) for name in ("ambon", "bari", "dakar")]
    with pytest.raises(MessageRefused, match="cusco counts 1000 samples, not 200"):
        world.silos["cusco"].consent(other)
    consents.insert(2, world.silos["cusco"].consent(one))
    for job in (one, other):
        enrolled = EnrolledJob(job, tuple(consents)).encode()
        for silo in world.silos.values():
            with pytest.raises(MessageRefused, match="signed another job than test-job"):
                silo.start(enrolled, world.model_bytes)
        with pytest.raises(MessageRefused, match="signed another job than test-job"):
            world.keeper.open_round(enrolled, b"")


@pytest.mark.parametrize(
    "changes", [{"rounds": 4}, {"model": bytes(32)}, {"plan": bytes(32)}], ids=lambda c: next(iter(c))
)
def test_a_silo_does_not_sign_a_second_version_of_a_job(world: World, changes: dict[str, object]) -> None:
    for name in NAMES[:2]:
        world.silos[name].consent(world.enrolments.job())
        with pytest.raises(MessageRefused, match="another job named test-job was signed before"):
            world.silos[name].consent(shown(world, **changes))


def test_a_silo_of_the_aggregators_own_making_is_on_everybodys_roster(world: World) -> None:
    """It cannot be hidden from the others; that it is the aggregator's, nobody can see. That is what
    ``colluding_silos`` is for."""
    extra = Member("zzz", identity("zzz", "silo").fingerprint, 1)
    job = shown(world, roster=(*Job.decode(body_of(world.enrolments.job())).roster, extra))
    for silo in world.silos.values():
        silo.consent(job)
    assert [body["roster"] for body in world.logged("consent")] == [[*NAMES, "zzz"]] * 4


def test_another_certificate_for_a_silo_does_not_pass_for_it(world: World) -> None:
    """A careless authority and the aggregator together: the certificate of the roster is the one that must sign."""
    roster = tuple(
        dataclasses.replace(m, fingerprint=renewed("bari", "silo").fingerprint) if m.name == "bari" else m
        for m in Job.decode(body_of(world.enrolments.job())).roster
    )
    job = shown(world, roster=roster)
    consents = tuple(silo.consent(job) for silo in world.silos.values())
    with pytest.raises(MessageRefused, match="not by silo bari with the agreed certificate"):
        world.silos["ambon"].start(EnrolledJob(job, consents).encode(), world.model_bytes)


def test_the_limit_with_a_second_certificate_the_authority_can_stand_in_for_a_silo(world: World) -> None:
    """The certified bari never hears of the job. Who holds the root key can be anybody: SECURITY.md says so."""
    roster = tuple(
        dataclasses.replace(m, fingerprint=renewed("bari", "silo").fingerprint) if m.name == "bari" else m
        for m in Job.decode(body_of(world.enrolments.job())).roster
    )
    job = shown(world, roster=roster)
    consents = [world.silos[name].consent(job) for name in NAMES]
    consents[1] = changed(consents[1], Consent, renewed("bari", "silo"))
    world.silos["ambon"].start(EnrolledJob(job, tuple(consents)).encode(), world.model_bytes)
    with pytest.raises(MessageRefused):
        world.silos["bari"].start(EnrolledJob(job, tuple(consents)).encode(), world.model_bytes[:-1])


def test_the_aggregator_cannot_make_offers_of_its_own() -> None:
    """With a sealing key of its own it would read every key: offers are the keeper's to sign."""
    world = World().begin()
    offer = world.open()
    own = world.hub_security.new_recipient()
    context = dataclasses.replace(RoundOffer.decode(body_of(offer)).context, sealing_key=own.public)
    forged = changed(offer, RoundOffer, identity(*HUB), context=context)
    with pytest.raises(MessageRefused, match="signed by aggregator hub, not by keeper keeper"):
        world.silos["ambon"].contribute(forged, world.silos["ambon"].model)
    assert "contribution" not in world.kinds()


def test_two_offers_of_one_attempt_get_one_update() -> None:
    """A keeper that shows two silos two keys splits the round; a silo that sees both encrypts for the first only."""
    world = World().begin()
    first = world.open()
    second = world.make_keeper(MemoryState()).open_round(world.aggregator.enrolled_job, world.aggregator.open_request())
    world.send(first, NAMES[:2])
    with pytest.raises(MessageRefused, match="already sent its update of round 1 under another context"):
        world.silos["ambon"].contribute(second, world.silos["ambon"].model)
    message = world.silos["cusco"].contribute(second, world.silos["cusco"].model)
    with pytest.raises(MessageRefused, match="cusco contributes to another round or attempt"):
        world.aggregator.receive("cusco", message)
