"""A job is agreed when every check holds: each one broken by itself, as each party would see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from backends import additive, plain
from identities import STRANGER, identity, renewed, speaking_as
from job_policies import policy
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.errors import MessageRefused, ParametersRefused, PolicyError, QuatrefoilError
from quatrefoil.federation.agreement import AgreedJob, agree, check_job
from quatrefoil.federation.messages import Consent, EnrolledJob, Job, Member, RoundContext
from quatrefoil.federation.proving import JobProofs
from quatrefoil.transport import Identity
from signed_messages import body_of
from world import NAMES, PLAN, World

WORLD = World()
AGREED = WORLD.agree()
"""A good job; every test changes one thing of it."""


def enrolled(job: Job, *, hub: Identity | None = None, signers: dict[str, Identity] | None = None) -> bytes:
    """``job`` with the signatures that it needs."""
    signed = speaking_as(hub or identity("hub", "aggregator")).sign(job.encode())
    consent = Consent(job.digest()).encode()
    holders = [(signers or {}).get(m.name) or identity(m.name, "silo") for m in job.roster]
    return EnrolledJob(signed, tuple(speaking_as(holder).sign(consent) for holder in holders)).encode()


def agreed(encoded: bytes, **changes: object) -> AgreedJob:
    given = {"security": WORLD.hub_security, "policy": WORLD.policy, "aggregation": additive()}
    given = given | {"proofs": JobProofs(None, WORLD.policy)} | changes
    return agree(encoded, **given)


def with_roster(*members: Member) -> Job:
    counts = [member.samples for member in members]
    return dataclasses.replace(AGREED.job, roster=members, heaviest=max([1, *counts]))


def member(name: str, **changes: object) -> Member:
    return dataclasses.replace(AGREED.member(name), **changes)


def test_a_good_job_is_agreed_whoever_asks() -> None:
    assert agreed(AGREED.encoded).job == AGREED.job
    assert agreed(enrolled(AGREED.job)).digest == AGREED.digest, "the digest does not depend on signatures"


def test_weights_are_shares_of_the_largest_count() -> None:
    assert [AGREED.weight(name) for name in NAMES] == [0.5, 0.25, 1.0, 0.05]
    with pytest.raises(MessageRefused, match="elba is not on the roster of job test-job"):
        AGREED.weight("elba")


def test_the_plan_is_signed_with_the_rest() -> None:
    assert AGREED.job.plan == PLAN


# ------------------------------------------------------------------------------------------------- what a job may say

BAD_JOBS: dict[str, tuple[Job, type[QuatrefoilError], str]] = {
    "another policy": (
        dataclasses.replace(AGREED.job, policy=bytes(32)), PolicyError, "under policy 0000000000000000, this party's",
    ),
    "another clip bound": (dataclasses.replace(AGREED.job, clip=2.0), PolicyError, r"clip 2\.0 .* policy for 1\.0"),
    "a clip bound that is no number": (dataclasses.replace(AGREED.job, clip=float("nan")), PolicyError, "clip nan"),
    "no rounds": (dataclasses.replace(AGREED.job, rounds=0), PolicyError, "and 0 rounds"),
    "too many rounds": (dataclasses.replace(AGREED.job, rounds=21), PolicyError, "21 rounds, .* at most 20"),
    "another norm": (
        dataclasses.replace(AGREED.job, update_norm=2.0), PolicyError, r"no proofs up to a norm of 2\.0, .* up to inf",
    ),
    "proofs that nobody asked for": (
        dataclasses.replace(AGREED.job, proofs="bounded-update/v1/sum-256-w16"), PolicyError,
        "asks for bounded-update/v1/sum-256-w16 .* this party for none",
    ),
    "another scheme": (dataclasses.replace(AGREED.job, scheme="other"), PolicyError, "adds with other, this party"),
    "other parameters": (dataclasses.replace(AGREED.job, scheme_digest=bytes(32)), PolicyError, "adds with"),
    "nobody": (with_roster(), PolicyError, "0 silos are fewer than the policy's minimum of 3"),
    "too few silos": (with_roster(*AGREED.job.roster[:2]), PolicyError, "2 silos are fewer"),
    "a roster out of order": (with_roster(*AGREED.job.roster[::-1]), MessageRefused, "roster is not sorted"),
    "a silo twice": (with_roster(AGREED.job.roster[0], *AGREED.job.roster), MessageRefused, "names a silo .* twice"),
    "a certificate twice": (
        with_roster(*AGREED.job.roster[:3], member("dakar", fingerprint=member("ambon").fingerprint)),
        MessageRefused, "names a silo or certificate twice",
    ),
    "a silo without samples": (
        with_roster(*AGREED.job.roster[:3], member("dakar", samples=0)), PolicyError, "dakar counts 0 samples",
    ),
    "a silo with too many samples": (
        with_roster(*AGREED.job.roster[:3], member("dakar", samples=1001)), PolicyError, "dakar counts 1001 samples",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("job", "error", "problem"), BAD_JOBS.values(), ids=BAD_JOBS)
def test_a_job_against_the_policy_is_refused_however_well_it_is_signed(
    job: Job, error: type[QuatrefoilError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        agreed(enrolled(job))


def test_a_party_with_another_policy_refuses() -> None:
    for other in (policy(minimum_silos=4), policy(difference=2), policy(on_excess="clip"), policy("plain")):
        with pytest.raises(PolicyError, match="under policy"):
            agreed(AGREED.encoded, policy=other)


def test_a_party_with_another_scheme_refuses() -> None:
    wide = AdditiveAggregation(ParameterSet.named("sum-2048-w32"))
    with pytest.raises(PolicyError, match=r"adds with additive-rlwe/sum-256-w16, this party with insecure-plain"):
        agreed(AGREED.encoded, aggregation=plain())
    with pytest.raises(PolicyError, match=r"this party with additive-rlwe/sum-2048-w32"):
        agreed(AGREED.encoded, aggregation=wide)


def test_a_roster_larger_than_the_scheme_holds_is_refused() -> None:
    roster = tuple(Member(f"s{number:03}", number.to_bytes(32, "big"), 1) for number in range(257))
    check_job(with_roster(*roster[:256]), WORLD.policy, additive(), JobProofs(None, WORLD.policy))
    with pytest.raises(ParametersRefused, match="257 silos are more than the 256"):
        check_job(with_roster(*roster), WORLD.policy, additive(), JobProofs(None, WORLD.policy))


# ------------------------------------------------------------------------------------------------- who must have signed


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        (lambda: renewed("hub", "aggregator"), "not by aggregator hub with the agreed certificate"),
        (lambda: identity("other-hub", "aggregator"), "signed by aggregator other-hub, not by aggregator hub"),
        (lambda: identity("hub", "silo"), "signed by silo hub"),
        (lambda: identity("keeper", "keeper"), "signed by keeper keeper"),
        (lambda: identity("hub", "aggregator", STRANGER), "no trusted root"),
    ],
    ids=["another certificate", "another aggregator", "another role", "the keeper", "another consortium"],
)
def test_the_job_is_signed_by_the_aggregator_it_names(holder: Callable[[], Identity], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        agreed(enrolled(AGREED.job, hub=holder()))


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        (lambda: renewed("bari", "silo"), "not by silo bari with the agreed certificate"),
        (lambda: identity("ambon", "silo"), "signed by silo ambon, not by silo bari"),
        (lambda: identity("bari", "aggregator"), "signed by aggregator bari"),
        (lambda: identity("bari", "silo", STRANGER), "no trusted root"),
    ],
    ids=["another certificate", "another silo", "another role", "another consortium"],
)
def test_each_consent_is_signed_by_its_silo(holder: Callable[[], Identity], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        agreed(enrolled(AGREED.job, signers={"bari": holder()}))


@pytest.mark.parametrize("kept", [0, 3, 5])
def test_every_consent_is_there_and_no_other(kept: int) -> None:
    good = EnrolledJob.decode(enrolled(AGREED.job))
    consents = (*good.consents, good.consents[0])[:kept]
    with pytest.raises(MessageRefused, match=f"{kept} consents for a roster of 4"):
        agreed(EnrolledJob(good.job, consents).encode())


def test_consents_in_another_order_are_refused() -> None:
    good = EnrolledJob.decode(enrolled(AGREED.job))
    with pytest.raises(MessageRefused, match="signed by silo dakar, not by silo ambon"):
        agreed(EnrolledJob(good.job, good.consents[::-1]).encode())


def test_a_consent_to_another_job_does_not_count() -> None:
    other = EnrolledJob.decode(enrolled(dataclasses.replace(AGREED.job, rounds=4)))
    good = EnrolledJob.decode(enrolled(AGREED.job))
    mixed = (*good.consents[:2], other.consents[2], good.consents[3])
    with pytest.raises(MessageRefused, match="cusco signed another job than test-job"):
        agreed(EnrolledJob(good.job, mixed).encode())


def test_the_signed_job_and_its_consents_cannot_be_exchanged() -> None:
    signed = EnrolledJob.decode(enrolled(AGREED.job)).job
    with pytest.raises(MessageRefused, match="expected urn:quatrefoil:enrolled-job"):
        agreed(body_of(signed))
    with pytest.raises(MessageRefused):
        agreed(signed)


# ---------------------------------------------------------------------------------------------------------- the context


CONTEXT = RoundContext(
    job=AGREED.digest,
    round=1,
    attempt=0,
    model=AGREED.job.model,
    scheme_digest=AGREED.job.scheme_digest,
    length=AGREED.job.layout.length,
    clip=1.0,
    update_norm=2.0,
    direction=b"",
    sealing_key=bytes(1216),
)


def test_a_context_of_the_job_matches() -> None:
    AGREED.context_matches(CONTEXT)
    AGREED.context_matches(dataclasses.replace(CONTEXT, round=5, attempt=9))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"job": bytes(32)}, "contradicts job"),
        ({"scheme_digest": bytes(32)}, "contradicts job"),
        ({"length": 11}, "contradicts job"),
        ({"clip": 2.0}, "contradicts job"),
        ({"clip": float("nan")}, "contradicts job"),
        ({"round": 0}, "round 0 is outside 1 to 5"),
        ({"round": 6}, "round 6 is outside 1 to 5"),
    ],
)
def test_a_context_that_contradicts_the_job_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        AGREED.context_matches(dataclasses.replace(CONTEXT, **changes))


@pytest.mark.parametrize("norm", [1.9999999999999998, 2.0000000000000004, float("inf"), float("nan"), -2.0, 0.0])
def test_a_context_for_another_norm_is_refused_and_names_who_opened_the_round(norm: float) -> None:
    AGREED.norm_matches(CONTEXT, 2.0)
    with pytest.raises(MessageRefused, match="aggregator hub opened round 1 for a norm of"):
        AGREED.norm_matches(dataclasses.replace(CONTEXT, update_norm=norm), 2.0)


def test_every_field_of_the_context_is_in_its_digest() -> None:
    others = [
        {"job": bytes(32)}, {"round": 2}, {"attempt": 1}, {"model": bytes(32)}, {"scheme_digest": bytes(32)},
        {"length": 11}, {"clip": 0.5}, {"update_norm": 1.0}, {"direction": bytes(32)},
        {"sealing_key": bytes(1215) + b"\x01"},
    ]  # fmt: skip
    digests = {dataclasses.replace(CONTEXT, **changes).digest() for changes in others}
    assert len(digests | {CONTEXT.digest()}) == len(dataclasses.fields(RoundContext)) + 1


def test_the_layout_is_in_the_job() -> None:
    other = World(initial=[np.zeros((2, 3)), np.zeros(4, np.float32)])
    assert dataclasses.replace(AGREED.job, layout=other.layout).digest() != AGREED.digest
