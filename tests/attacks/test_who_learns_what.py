"""The rows of SECURITY.md's table that other tests do not show: what each group of parties can work out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from quatrefoil.contracts import SumShape
from quatrefoil.errors import CiphertextRefused, MessageRefused, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import FinishedRound
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.messages import KeyRequest, RoundOffer, RoundResult
from quatrefoil.federation.silo import next_model
from quatrefoil.federation.state import MemoryState
from quatrefoil.federation.vectors import model_digest
from quatrefoil.transport.envelope import SUITE, Binding, Envelope
from world import SAMPLES, UPDATES, World, body_of, changed, identity, speaking_as

SURE = 1e-3
"""Closer than this to an update is knowing it; updates differ by a hundred times as much."""


def weighted(names: tuple[str, ...], updates: Mapping[str, float] = UPDATES) -> float:
    return sum(SAMPLES[name] * updates[name] for name in names)


def sum_of(finished: FinishedRound) -> float:
    """The sum of a round weighted by sample counts, as everybody has it: the mean is published."""
    mean = np.frombuffer(parts.split(finished.result, 2)[1], "<f8")
    return float(mean.mean()) * sum(SAMPLES[name] for name in finished.contributors)


def shape(world: World, offer: bytes) -> SumShape:
    return shape_of(RoundOffer.decode(world.hub_security.verify(offer).body).context)


def test_the_key_of_the_sum_opens_no_single_contribution() -> None:
    """The aggregator, with all that it receives in an honest round."""
    world = World().begin()
    offer = world.open()
    messages = {name: world.contribution(name, offer) for name in world.names}
    for name, message in messages.items():
        world.aggregator.receive(name, message)
    answer = world.keeper.answer(world.aggregator.key_request())
    key = parts.split(answer, 2)[1]
    for message in messages.values():
        with pytest.raises(CiphertextRefused):
            world.aggregation().decrypt(parts.split(message, 3)[2], key, shape=shape(world, offer), count=1)
    assert abs(sum_of(world.aggregator.finish(answer)) - weighted(world.names)) < SURE * sum(SAMPLES.values())


def test_the_keeper_receives_no_ciphertext() -> None:
    """It holds every key, and nothing that they open: not in a message, on its disk or in its log."""
    world = World().begin()
    offer = world.open()
    ciphertexts = []
    for name in world.names:
        message = world.contribution(name, offer)
        ciphertexts.append(parts.split(message, 3)[2])
        world.aggregator.receive(name, message)
    request = world.aggregator.key_request()
    world.keeper.answer(request)
    kept = [request, world.aggregator.enrolled_job]
    kept += [world.states["keeper"].get(name) or b"" for name in world.states["keeper"].names("")]
    kept.append(repr(world.log.entries()).encode())
    assert len(KeyRequest.decode(world.hub_security.verify(request).body).contributions) == len(world.names)
    for ciphertext in ciphertexts:
        for start in range(128, 4096, 512):
            assert not any(ciphertext[start : start + 16] in held for held in kept)


def test_the_keeper_and_the_aggregator_learn_every_update() -> None:
    """The keeper keeps a copy of every key that it opens."""
    world = World().begin()
    offer = world.open()
    taken: dict[str, bytes] = {}
    combine = world.keeper._aggregation.combine_keys

    def copying(keys: Sequence[bytes | bytearray]) -> bytes:
        taken.update(zip(sorted(world.names), map(bytes, keys), strict=True))
        return combine(keys)

    world.keeper._aggregation.combine_keys = copying  # type: ignore[method-assign]
    messages = {name: world.contribution(name, offer) for name in world.names}
    for name, message in messages.items():
        world.aggregator.receive(name, message)
    world.keeper.answer(world.aggregator.key_request())
    for name, message in messages.items():
        key = world.aggregation().combine_keys([taken[name]])
        alone = world.aggregation().decrypt(parts.split(message, 3)[2], key, shape=shape(world, offer), count=1)
        found = alone.values.mean() * max(SAMPLES[name] for name in world.names) / SAMPLES[name]
        assert abs(found - UPDATES[name]) < 10 * SURE


@pytest.mark.parametrize("known", ["x25519", "both"])
def test_a_recorded_key_opens_only_to_who_breaks_both_halves(known: str) -> None:
    """A sealed key as it crosses the network. X25519 is what a quantum computer computes from the public key."""
    ml_kem, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    public = ml_kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    silo = identity("ambon", "silo")
    recorded = Envelope.decode(body_of(speaking_as(silo).seal(public, b"a round's key", context=b"a round")))
    info = Binding(SUITE, recorded.recipient, recorded.context, silo.fingerprint).encode()
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    guessed = ml_kem if known == "both" else mlkem.MLKEM768PrivateKey.generate()
    attacker = hpke.MLKEM768X25519PrivateKey(guessed, curve)
    if known == "both":
        assert suite.decrypt(recorded.sealed, attacker, info) == b"a round's key"
    else:
        with pytest.raises(InvalidTag):
            suite.decrypt(recorded.sealed, attacker, info)


@pytest.mark.parametrize(("difference", "wins"), [(1, True), (3, False)])
def test_two_rosters_that_differ_by_one_silo_give_its_update(difference: int, wins: bool) -> None:
    """The intersection attack. Training here moves alike from any model, as a slow training nearly does."""
    world = World(limits={"difference": difference}).begin()
    first = world.run_round()
    world.send(world.open(), ("ambon", "bari", "cusco"))
    if not wins:
        with pytest.raises(PolicyError, match="only in dakar"):
            world.finish()
        return
    found = (sum_of(first) - sum_of(world.finish())) / SAMPLES["dakar"]
    assert abs(found - UPDATES["dakar"]) < 10 * SURE


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


def test_all_silos_but_one_and_the_aggregator_learn_its_update() -> None:
    world = World().begin()
    others = tuple(name for name in world.names if name != "cusco")
    found = (sum_of(world.run_round()) - weighted(others)) / SAMPLES["cusco"]
    assert abs(found - UPDATES["cusco"]) < SURE


def test_a_silo_with_another_model_takes_no_part_in_the_next_round() -> None:
    """The aggregator shows one silo another mean: it is taken, and shows when the keeper opens the next round."""
    world = World(limits={"difference": 3}).begin()
    world.send(world.open())
    finished = world.finish()
    signed, mean = parts.split(finished.result, 2)
    other = (np.frombuffer(mean, "<f8") + 0.25).astype("<f8").tobytes()
    victim = world.silos["bari"]
    moved = model_digest(next_model(world.initial, other, world.enrolments.agreed()), world.layout)
    forged = changed(signed, RoundResult, identity("hub", "aggregator"), mean=sha256(other), model=moved)
    victim.accept(finished.offer, finished.release, parts.join([forged, other]))
    for name in world.names:
        if name != "bari":
            world.silos[name].accept(finished.offer, finished.release, finished.result)
    offer = world.open()
    with pytest.raises(MessageRefused, match="model of the round"):
        world.contribution("bari", offer)
    world.contribution("cusco", offer)


def test_the_limit_an_old_disk_of_the_keeper_gives_a_second_roster() -> None:
    """A backup from before the answer forgets the answer and its roster. Started on it, the keeper voids the attempt
    that it had answered, the silos take the void, and the second sum is without one of them, whatever
    ``minimum_roster_group`` says. The aggregator withholds the first result."""
    world = World(limits={"difference": 3}).begin()
    offer = world.open()
    keeper, hub = world.states["keeper"], world.states["hub"]
    assert isinstance(keeper, MemoryState) and isinstance(hub, MemoryState)
    old_keeper, old_hub = keeper.copy(), hub.copy()
    world.send(offer)
    first = world.finish()

    world.states |= {"keeper": old_keeper, "hub": old_hub}
    world.keeper = world.make_keeper()
    job = world.make_enrolments().agreed()
    assert job is not None
    world.aggregator = world.make_aggregator(job)
    world.void()
    world.send(world.open(), ("ambon", "bari", "cusco"))
    second = world.finish()

    assert set(first.contributors) - set(second.contributors) == {"dakar"}
    found = (sum_of(first) - sum_of(second)) / SAMPLES["dakar"]
    assert abs(found - UPDATES["dakar"]) < 10 * SURE
