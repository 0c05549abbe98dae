"""How a job comes to be: invitations, enrolments, one job, consents; and everything that must not make one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from identities import STRANGER, identity, renewed, speaking_as
from quatrefoil.errors import CallerError, MessageRefused, ParametersRefused, PolicyError
from quatrefoil.federation.agreement import statement_digest
from quatrefoil.federation.enrolment import INVITATION_LIFE
from quatrefoil.federation.messages import Consent, EnrolledJob, Enrolment, Invitation, Job
from signed_messages import body_of, changed
from world import NAMES, World


@pytest.fixture
def world() -> World:
    return World()


def enrolment(world: World, name: str, holder_name: str | None = None, **changes: object) -> bytes:
    """The enrolment of ``name`` with its own invitation, signed by whoever is named."""
    given = world.silos[name].enrol(world.enrolments.invite(name))
    return changed(given, Enrolment, identity(holder_name or name, "silo"), **changes)


# ---------------------------------------------------------------------------------------------------------- the way in


def test_a_job_is_agreed_when_everybody_has_signed(world: World) -> None:
    assert world.enrolments.missing() == list(NAMES)
    assert world.enrolments.agreed() is None
    world.enrol()
    assert world.enrolments.missing() == []
    signed = world.enrolments.job()
    for name in NAMES[:3]:
        assert world.enrolments.consent(world.silos[name].consent(signed)) == name
        assert world.enrolments.agreed() is None
    world.enrolments.consent(world.silos["dakar"].consent(signed))
    job = world.enrolments.agreed()
    assert job is not None
    assert [(m.name, m.samples) for m in job.job.roster] == [
        ("ambon", 100), ("bari", 50), ("cusco", 200), ("dakar", 10),
    ]  # fmt: skip
    assert job.job.policy == world.policy.digest()
    assert job.digest == job.job.digest()
    assert world.kinds().count("enrolment") == world.kinds().count("consent") == 8  # both sides write


def test_everything_accepted_survives_a_restart(world: World) -> None:
    invitation = world.enrolments.invite("ambon")
    world.enrol()
    signed = world.enrolments.job()
    world.enrolments.consent(world.silos["ambon"].consent(signed))
    world.enrolments = world.make_enrolments()
    assert world.enrolments.invite("ambon") == invitation
    assert world.enrolments.missing() == []
    assert world.enrolments.job() == signed
    for name in NAMES[1:]:
        world.enrolments.consent(world.silos[name].consent(signed))
    assert world.enrolments.agreed() is not None


def test_asking_again_changes_nothing(world: World) -> None:
    world.enrol()
    world.enrol()  # every silo signs anew, with the same content
    signed = world.enrolments.job()
    for _ in range(2):
        for silo in world.silos.values():
            world.enrolments.consent(silo.consent(signed))
    assert world.enrolments.agreed() is not None
    assert len({entry["silo"] for entry in world.logged("enrolment") if "silo" in entry}) == 4
    assert len([entry for entry in world.logged("enrolment") if "silo" in entry]) == 4


@pytest.mark.parametrize("silos", [(), ("ambon", "ambon")], ids=["none", "one twice"])
def test_whom_to_invite_must_make_sense(world: World, silos: tuple[str, ...]) -> None:
    with pytest.raises(CallerError, match="none, or one of them twice"):
        world.make_enrolments(world.terms(silos=silos))


# --------------------------------------------------------------------------------------------------------- invitations


def test_only_named_silos_are_invited(world: World) -> None:
    with pytest.raises(MessageRefused, match="elba is not invited to job test-job"):
        world.enrolments.invite("elba")


def test_a_silo_refuses_the_invitation_of_another(world: World) -> None:
    with pytest.raises(MessageRefused, match="the invitation is for bari, not ambon"):
        world.silos["ambon"].enrol(world.enrolments.invite("bari"))


def test_a_silo_refuses_an_expired_invitation(world: World) -> None:
    invitation = world.enrolments.invite("ambon")
    world.clock.now += INVITATION_LIFE
    with pytest.raises(MessageRefused, match="invitation to job test-job has expired"):
        world.silos["ambon"].enrol(invitation)


def test_a_silo_refuses_an_invitation_under_another_policy(world: World) -> None:
    other = World(limits={"minimum_silos": 4})
    with pytest.raises(MessageRefused, match=r"under policy .*, this silo's is"):
        world.silos["ambon"].enrol(other.enrolments.invite("ambon"))


@pytest.mark.parametrize(("name", "role"), [("bari", "silo"), ("keeper", "keeper")])
def test_a_silo_refuses_an_invitation_by_anyone_but_an_aggregator(world: World, name: str, role: str) -> None:
    forged = changed(world.enrolments.invite("ambon"), Invitation, identity(name, role))
    with pytest.raises(MessageRefused, match=f"signed by {role} {name}, not by an aggregator"):
        world.silos["ambon"].enrol(forged)


def test_a_silo_refuses_an_invitation_from_another_consortium(world: World) -> None:
    forged = changed(world.enrolments.invite("ambon"), Invitation, identity("hub", "aggregator", STRANGER))
    with pytest.raises(MessageRefused, match="no trusted root"):
        world.silos["ambon"].enrol(forged)


def test_a_refused_invitation_is_not_logged_as_an_enrolment(world: World) -> None:
    with pytest.raises(MessageRefused):
        world.silos["ambon"].enrol(world.enrolments.invite("bari"))
    assert world.kinds() == ["refusal"]


# ---------------------------------------------------------------------------------------------------------- enrolments


def test_an_uninvited_silo_cannot_enrol(world: World) -> None:
    given = enrolment(world, "ambon", "elba")
    with pytest.raises(MessageRefused, match="silo elba is not invited"):
        world.enrolments.enrol(given)


def test_a_party_in_another_role_cannot_enrol(world: World) -> None:
    given = world.silos["ambon"].enrol(world.enrolments.invite("ambon"))
    forged = changed(given, Enrolment, identity("ambon", "aggregator"))
    with pytest.raises(MessageRefused, match="aggregator ambon is not invited"):
        world.enrolments.enrol(forged)


def test_a_silo_cannot_use_anothers_invitation(world: World) -> None:
    given = enrolment(world, "ambon", "bari")
    for _ in range(2):  # before and after its own was issued
        with pytest.raises(MessageRefused, match="bari enrols with an invitation that was not issued to it"):
            world.enrolments.enrol(given)
        world.enrolments.invite("bari")


def test_an_invitation_to_another_job_does_not_count(world: World) -> None:
    other = World()
    other.enrolments = other.make_enrolments(other.terms(name="other-job"))
    world.enrolments.invite("ambon")
    with pytest.raises(MessageRefused, match="not issued to it"):
        world.enrolments.enrol(world.silos["ambon"].enrol(other.enrolments.invite("ambon")))


def test_an_invitation_expires_at_the_aggregator_too(world: World) -> None:
    given = enrolment(world, "ambon")
    world.clock.now += INVITATION_LIFE
    with pytest.raises(MessageRefused, match="the invitation of ambon has expired"):
        world.enrolments.enrol(given)


@pytest.mark.parametrize("samples", [0, 1001, 2**64 - 1])
def test_a_count_outside_the_policy_is_refused(world: World, samples: int) -> None:
    with pytest.raises(MessageRefused, match=f"ambon counts {samples} samples, outside 1 to 1000") as caught:
        world.enrolments.enrol(enrolment(world, "ambon", samples=samples))
    assert caught.value.party == "ambon"
    assert world.enrolments.missing() == list(NAMES)


def test_an_invitation_is_used_once_with_one_count(world: World) -> None:
    world.enrolments.enrol(enrolment(world, "ambon", samples=100))
    with pytest.raises(
        MessageRefused, match="ambon has enrolled already, with another certificate, count or commitment"
    ):
        world.enrolments.enrol(enrolment(world, "ambon", samples=101))


def test_an_invitation_is_used_once_with_one_certificate(world: World) -> None:
    given = enrolment(world, "ambon")
    world.enrolments.enrol(given)
    with pytest.raises(
        MessageRefused, match="ambon has enrolled already, with another certificate, count or commitment"
    ):
        world.enrolments.enrol(changed(given, Enrolment, renewed("ambon", "silo")))


def test_an_enrolment_is_not_a_consent(world: World) -> None:
    world.enrol()
    with pytest.raises(MessageRefused, match="expected urn:quatrefoil:consent, received 'urn:quatrefoil:enrolment'"):
        world.enrolments.consent(enrolment(world, "ambon"))


# ------------------------------------------------------------------------------------------------------------- the job


def test_there_is_no_job_before_all_have_enrolled(world: World) -> None:
    for name in NAMES[:3]:
        world.enrolments.enrol(enrolment(world, name))
    with pytest.raises(MessageRefused, match="still waiting for dakar to enrol"):
        world.enrolments.job()
    with pytest.raises(MessageRefused, match="still waiting for dakar to enrol"):
        world.enrolments.consent(b"")


@pytest.mark.parametrize(
    ("limits", "names", "problem"),
    [
        ({}, NAMES[:2], "2 silos are fewer than the policy's minimum of 3"),
        ({"rounds": 4}, NAMES, "5 rounds, the policy for 1.0 and at most 4"),
    ],
    ids=["too few silos", "too many rounds"],
)
def test_a_job_against_the_policy_is_not_made(limits: dict[str, object], names: tuple[str, ...], problem: str) -> None:
    world = World(limits=limits, names=names)
    world.enrol()
    with pytest.raises(PolicyError, match=problem):
        world.enrolments.job()


def test_a_roster_larger_than_the_scheme_holds_is_not_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol()
    scheme = dataclasses.replace(world.enrolments._aggregation.scheme, largest_roster=3)
    monkeypatch.setattr(type(world.enrolments._aggregation), "scheme", scheme)
    with pytest.raises(ParametersRefused, match="4 silos are more than the 3 that the aggregation scheme holds"):
        world.enrolments.job()


@pytest.mark.parametrize(
    "terms",
    [{"rounds": 6}, {"name": "other-job"}, {"plan": bytes(32)}, {"model": bytes(32)}, {"silos": NAMES[:3]}],
    ids=["rounds", "name", "plan", "model", "silos"],
)
def test_a_state_that_holds_another_job_is_not_used_for_this_one(world: World, terms: dict[str, object]) -> None:
    """An operator who changes the terms and restarts on the same state would otherwise run the old job."""
    world.enrol()
    world.enrolments.job()
    with pytest.raises(CallerError, match="this state holds job test-job"):
        world.make_enrolments(world.terms(**terms)).job()


# ------------------------------------------------------------------------------------------------------------ consents


@pytest.mark.parametrize(
    "changes",
    [{"rounds": 4}, {"clip": 2.0}, {"plan": bytes(32)}, {"model": bytes(32)}],
    ids=["rounds", "clip", "plan", "model"],
)
def test_a_consent_to_another_job_is_refused(world: World, changes: dict[str, object]) -> None:
    world.enrol()
    job = dataclasses.replace(Job.decode(body_of(world.enrolments.job())), **changes)
    with pytest.raises(MessageRefused, match="ambon signed another job than test-job"):
        world.enrolments.consent(speaking_as(identity("ambon", "silo")).sign(Consent(job.digest()).encode()))
    assert world.enrolments.agreed() is None


def test_a_consent_of_somebody_else_is_refused(world: World) -> None:
    world.enrol()
    consent = world.silos["ambon"].consent(world.enrolments.job())
    with pytest.raises(MessageRefused, match="elba is not on the roster"):
        world.enrolments.consent(changed(consent, Consent, identity("elba", "silo")))
    with pytest.raises(MessageRefused, match="signed by aggregator ambon, not by silo ambon"):
        world.enrolments.consent(changed(consent, Consent, identity("ambon", "aggregator")))
    with pytest.raises(MessageRefused, match="not by silo ambon with the agreed certificate"):
        world.enrolments.consent(changed(consent, Consent, renewed("ambon", "silo")))


def test_what_names_an_invitation_depends_on_who_signed_it(world: World) -> None:
    invitation = world.enrolments.invite("ambon")
    again = changed(invitation, Invitation, renewed("hub", "aggregator"))
    verify = world.hub_security.verify
    assert verify(invitation).body == verify(again).body
    assert statement_digest(verify(invitation)) != statement_digest(verify(again))


def test_the_initial_model_is_in_the_job(world: World) -> None:
    other = World(initial=[np.ones((3, 2)), np.zeros(4, np.float32)])
    world.enrol()
    other.enrol()
    ours, theirs = (Job.decode(body_of(w.enrolments.job())) for w in (world, other))
    assert ours.model != theirs.model and ours.digest() != theirs.digest()


def test_an_enrolled_job_reads_back(world: World) -> None:
    job = world.agree()
    assert len(EnrolledJob.decode(job.encoded).consents) == 4
