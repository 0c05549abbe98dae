"""Rounds with proofs: what every party agrees on, what honest silos do, and what is kept of it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import bounded_updates, plain
from quatrefoil.errors import MessageRefused, ParametersRefused, PolicyError, UpdateRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Contribution, ProofBinding
from quatrefoil.federation.proving import JobProofs, Subject
from quatrefoil.federation.vectors import euclidean_norm, scaled_down
from signed_messages import body_of
from world import NAMES, World, expected_mean

PROVEN: dict[str, object] = {"proofs": True, "update_norm": 3.0}


def world(**limits: object) -> World:
    return World(limits={**PROVEN, **limits}).begin()


def test_a_job_with_proofs_trains_as_one_without() -> None:
    found = world()
    for _ in range(2):
        finished = found.run_round()
    assert found.moved() == pytest.approx(2 * expected_mean(), abs=2 * finished.error_bound + 1e-6)
    assert found.aggregator.job.proofs == "bounded-update/v1/sum-256-w16" and found.aggregator.job.update_norm == 3.0
    assert [len(body["proofs"]) for body in found.logged("round-finished")] == [4, 4]
    assert "refusal" not in found.kinds()


def test_the_log_names_proofs_by_digest() -> None:
    found = world()
    offer = found.open()
    sent = {name: parts.split(found.contribution(name, offer), 4) for name in NAMES}
    found.send(offer)
    found.finish()
    (entry,) = found.logged("round-finished")
    assert entry["proofs"] == [sha256(sent[name][3]).hex() for name in entry["contributors"]]
    for name in NAMES:
        (claim,) = Contribution.decode(body_of(sent[name][0])).claims
        assert claim.proof == sha256(sent[name][3])


def test_a_proven_contribution_is_sent_again_byte_for_byte() -> None:
    found = world()
    offer = found.open()
    sent = found.contribution("ambon", offer)
    found.silos["ambon"] = found.make_silo("ambon")
    assert found.contribution("ambon", offer, 0.7) == sent
    found.aggregator.receive("ambon", sent)
    found.aggregator.receive("ambon", sent)
    assert found.aggregator.received == ["ambon"]


def test_a_silo_wipes_what_it_proved_with() -> None:
    found = world()
    silo, seeds = found.silos["ambon"], []
    inner = silo._aggregation.encrypt_for_proof

    def watched(*arguments: object, **named: object) -> object:
        encrypted, hidden = inner(*arguments, **named)
        seeds.extend([encrypted.key, hidden.key, hidden.noise])
        return encrypted, hidden

    silo._aggregation.encrypt_for_proof = watched  # type: ignore[method-assign]
    found.contribution("ambon", found.open())
    assert len(seeds) == 3 and all(seed == bytes(32) for seed in seeds)
    assert found.silos["bari"]._proofs.scheme  # others are as they were


# ------------------------------------------------------------------------------------------------------------ the norm


@pytest.mark.parametrize("proofs", [True, False])
def test_an_update_over_the_norm_is_refused_where_the_policy_says_so(proofs: bool) -> None:
    found = world(proofs=proofs, update_norm=1.0)
    offer = found.open()
    with pytest.raises(UpdateRefused, match=r"a Euclidean norm of 2\.37171, over the 1 of round 1"):
        found.contribution("dakar", offer)
    assert found.contribution("dakar", offer, 0.3)


@pytest.mark.parametrize("proofs", [True, False])
def test_or_scaled_down_to_it_and_logged(proofs: bool) -> None:
    found = world(proofs=proofs, update_norm=1.0, on_excess="clip")
    finished = found.run_round()
    cut = {name: min(1.0, 1.0 / (abs(value) * 10**0.5)) * value for name, value in MOVES.items()}
    exact = sum(cut[name] * SAMPLE[name] for name in NAMES) / sum(SAMPLE.values())
    assert found.moved() == pytest.approx(exact, abs=finished.error_bound + 1e-6)
    assert found.logged("clipped") == [{"round": 1, "update_norm": 1.0}] * 2


MOVES = {"ambon": 0.25, "bari": -0.5, "cusco": 0.125, "dakar": 0.75}
SAMPLE = {"ambon": 100, "bari": 50, "cusco": 200, "dakar": 10}


def test_values_are_cut_before_the_norm_is_taken() -> None:
    found = world(update_norm=3.5, on_excess="clip")
    offer = found.open()
    found.contribution("ambon", offer, 40.0)
    (entry,) = found.logged("clipped")
    assert entry == {"round": 1, "values": 10, "clip": 1.0}  # 10 values of 1.0: a norm of 3.16


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.floats(1e-3, 1e3), st.sampled_from([np.float32, np.float64]), st.integers(0, 1 << 32))
def test_what_is_scaled_down_is_within_the_norm_and_hardly_less(
    length: int, norm: float, kind: type, seed: int
) -> None:
    vector = np.random.default_rng(seed).standard_normal(length).astype(kind) * kind(10 * norm) + kind(norm)
    scaled = scaled_down(vector, norm)
    assert scaled.dtype == kind
    assert norm * (1 - 1e-4) < euclidean_norm(scaled) <= norm


# ------------------------------------------------------------------------------------------------------------ the terms


def test_a_party_whose_policy_names_the_threat_takes_part_in_no_job_without_proofs() -> None:
    found = world()
    for make in (lambda: found.make_silo("ambon"), found.make_keeper, found.make_enrolments):
        with pytest.raises(PolicyError, match="names byzantine-silo, and this party has no proofs"):
            found.proofs = lambda: None  # type: ignore[method-assign]
            make()


def test_proofs_without_a_norm_prove_nothing() -> None:
    with pytest.raises(PolicyError, match="bounds no norm that could be proven"):
        JobProofs(bounded_updates(), World().policy)


def test_a_party_without_the_proofs_of_the_job_refuses_it() -> None:
    """Its policy is the same to the byte: it was put together wrongly."""
    unnamed = World(limits={"update_norm": 3.0})
    job = unnamed.agree()
    with pytest.raises(PolicyError, match=r"asks for no proofs up to a norm of 3\.0, this party for bounded-update/v1"):
        JobProofs(bounded_updates(), unnamed.policy).check_job(job.job)
    with pytest.raises(PolicyError, match="Every party of a job loads the same policy file"):
        JobProofs(None, unnamed.policy).check_job(dataclasses.replace(job.job, update_norm=math.inf))
    JobProofs(None, unnamed.policy).check_job(job.job)


def test_nothing_is_proven_of_sums_in_the_clear() -> None:
    with pytest.raises(ParametersRefused, match="sums in the clear cannot be proven"):
        plain().encrypt_for_proof(np.zeros(1), weight=1.0, shape=None)  # type: ignore[arg-type]


def test_the_binding_covers_each_part() -> None:
    found = world()
    offer = found.open()
    context = found.aggregator._current_attempt().context
    assert offer
    subject = found.aggregator._job.subject(context, "ambon")
    binding = subject.binding(bytes(32))
    assert binding == ProofBinding(context.digest(), subject.fingerprint, bytes(32), 0.5).digest()
    others = (
        found.aggregator._job.subject(context, "bari").binding(bytes(32)),
        subject.binding(b"\x01" * 32),
        dataclasses.replace(subject, weight=0.25).binding(bytes(32)),
        dataclasses.replace(subject, shape=dataclasses.replace(subject.shape, context=bytes(32))).binding(bytes(32)),
    )
    assert len({binding, *others}) == 5
    with pytest.raises(MessageRefused, match="elba is not on the roster"):
        found.aggregator._job.subject(context, "elba")
    assert isinstance(subject, Subject)


# ------------------------------------------------------------------------------------------------- an attempt that ends


def test_a_proof_that_is_verified_too_late_is_not_added_to_another_attempt() -> None:
    """It is verified beside the round: meanwhile the attempt may be void, or its roster closed."""
    found = world()
    offer = found.open()
    arrived = found.aggregator.examine("ambon", found.contribution("ambon", offer))
    assert arrived is not None
    found.void()
    with pytest.raises(MessageRefused, match="no round is open"):
        found.aggregator.admit(arrived, arrived.verify)
    second = found.open()
    with pytest.raises(MessageRefused, match="the attempt that ambon contributed to has ended meanwhile"):
        found.aggregator.admit(arrived, arrived.verify)
    assert found.aggregator.is_awaited("ambon")
    late = found.aggregator.examine("ambon", found.contribution("ambon", second))
    assert late is not None
    found.send(second, NAMES[1:])
    found.propose()
    with pytest.raises(MessageRefused, match="ambon comes after the roster was closed"):
        found.aggregator.admit(late, late.verify)
    assert found.finish().contributors == NAMES[1:]


def test_a_silo_that_is_offered_the_attempt_is_awaited_although_it_was_refused_before() -> None:
    """While its contribution is trained or verified, the others must not go on without it."""
    found = world()
    old = found.contribution("ambon", found.open())
    found.void()
    found.open()
    with pytest.raises(MessageRefused, match="ambon contributes to another round or attempt"):
        found.aggregator.receive("ambon", old)
    assert not found.aggregator.is_awaited("ambon")
    found.aggregator.offered("ambon")
    assert found.aggregator.is_awaited("ambon") and not found.aggregator.refused


def test_the_same_contribution_verified_twice_is_added_once() -> None:
    found = world()
    message = found.contribution("ambon", found.open())
    both = [found.aggregator.examine("ambon", message) for _ in range(2)]
    for arrived in both:
        assert arrived is not None
        found.aggregator.admit(arrived, arrived.verify)
    assert found.aggregator.received == ["ambon"] and not found.aggregator.refused
    assert found.aggregator.examine("ambon", message) is None
