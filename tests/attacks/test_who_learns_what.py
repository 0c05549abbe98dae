"""The rows of SECURITY.md's table that other tests do not show: what each group of parties can work out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from forged_messages import reissued
from identities import identity, speaking_as
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import RoundResult
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.vectors import model_digest, next_model
from quatrefoil.transport.envelope import Binding, Envelope
from quatrefoil.transport.suites import HYBRID_768
from signed_messages import body_of, changed
from world import SAMPLES, UPDATES, World

SURE = 1e-3
"""Closer than this to an update is knowing it; updates differ by a hundred times as much."""


def weighted(names: tuple[str, ...], updates: Mapping[str, float] = UPDATES) -> float:
    return sum(SAMPLES[name] * updates[name] for name in names)


def sum_of(finished: FinishedRound) -> float:
    """The sum of a round weighted by sample counts, as everybody has it: the mean is published."""
    mean = np.frombuffer(parts.split(finished.result, 2)[1], "<f8")
    return float(mean.mean()) * sum(SAMPLES[name] for name in finished.contributors)


@pytest.mark.parametrize("known", ["x25519", "both"])
def test_a_recorded_key_opens_only_to_who_breaks_both_halves(known: str) -> None:
    """A sealed key as it crosses the network. X25519 is what a quantum computer computes from the public key."""
    ml_kem, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    public = ml_kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    silo = identity("ambon", "silo")
    recorded = Envelope.decode(body_of(speaking_as(silo).seal(public, b"a round's key", context=b"a round")))
    info = Binding(HYBRID_768.identifiers, recorded.recipient, recorded.context, silo.fingerprint).encode()
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    guessed = ml_kem if known == "both" else mlkem.MLKEM768PrivateKey.generate()
    attacker = hpke.MLKEM768X25519PrivateKey(guessed, curve)
    if known == "both":
        assert suite.decrypt(recorded.sealed, attacker, info) == b"a round's key"
    else:
        with pytest.raises(InvalidTag):
            suite.decrypt(recorded.sealed, attacker, info)


def test_the_limit_a_poisoned_update_within_the_clip_bound_is_added() -> None:
    """Three silos agree that the model should move up; the fourth moves it down, and nobody can tell which."""
    honest, poisoned = World().begin(), World().begin()
    for world, value in ((honest, 0.05), (poisoned, -1.0)):
        offer = world.open()
        for name in world.names:
            world.aggregator.receive(name, world.contribution(name, offer, value if name == "cusco" else 0.05))
        world.finish()
    assert honest.moved() > 0 > poisoned.moved()
    assert "refusal" not in poisoned.kinds()


def test_one_silo_learns_the_sum_of_the_others() -> None:
    world = World().begin()
    others = tuple(name for name in world.names if name != "dakar")
    rest = sum_of(world.run_round()) - SAMPLES["dakar"] * UPDATES["dakar"]
    assert abs(rest - weighted(others)) < SURE * sum(SAMPLES.values())


def test_of_two_silos_each_learns_the_others_update() -> None:
    """``colluding_silos = 0`` says that no silo is curious: one that is needs no aggregator."""
    names = ("ambon", "bari")
    world = World(names=names, limits={"minimum_silos": 2, "colluding_silos": 0}).begin()
    found = (sum_of(world.run_round()) - weighted(("ambon",))) / SAMPLES["bari"]
    assert abs(found - UPDATES["bari"]) < SURE


def test_colluding_silos_within_the_limit_and_the_aggregator_cannot_tell_the_others_apart() -> None:
    """Two different worlds with the same sum of the honest silos look alike to everybody else."""
    colluder = "dakar"
    views = []
    for updates in ({"ambon": 0.5, "bari": 0.0, "cusco": 0.0}, {"ambon": 0.0, "bari": 1.0, "cusco": 0.0}):
        world = World().begin()
        offer = world.open()
        for name in world.names:
            value = UPDATES[colluder] if name == colluder else updates[name]
            world.aggregator.receive(name, world.contribution(name, offer, value))
        views.append(sum_of(world.finish()) - SAMPLES[colluder] * UPDATES[colluder])
    assert abs(views[0] - views[1]) < SURE * sum(SAMPLES.values())
    assert abs(views[0] - SAMPLES["ambon"] * 0.5) < SURE * sum(SAMPLES.values())


def test_a_silo_with_another_model_takes_no_part_in_the_next_round() -> None:
    """The aggregator shows one silo another mean: it is taken, and shows when the keeper opens the next round."""
    world = World(limits={"difference": 3}).begin()
    world.send(world.open())
    finished = world.finish()
    signed, mean = parts.split(finished.result, 2)
    other = (np.frombuffer(mean, "<f8") + 0.25).astype("<f8").tobytes()
    victim = world.silos["bari"]
    moved = model_digest(next_model(world.initial, other, world.layout), world.layout)
    forged = changed(signed, RoundResult, identity("hub", "aggregator"), mean=sha256(other), model=moved)
    receipts = reissued(world, "bari", finished.receipts.of("bari"), result=sha256(forged))
    victim.accept(finished.offer, finished.release, parts.join([forged, other]), receipts)
    for name in world.names:
        if name != "bari":
            world.silos[name].accept(finished.offer, finished.release, finished.result, finished.receipts.of(name))
    offer = world.open()
    with pytest.raises(MessageRefused, match="model of the round"):
        world.contribution("bari", offer)
    world.contribution("cusco", offer)
