"""The one coalition that the encryption does not withstand, and what each of the two has without the other."""

from __future__ import annotations

import numpy as np
import pytest

from quatrefoil.errors import CiphertextRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.messages import RoundOffer
from signed_messages import body_of
from world import NAMES, SAMPLES, World

LENGTH = 8192
VALUES = np.random.default_rng(7).uniform(-1, 1, LENGTH)
BOUND = 5 / np.sqrt(LENGTH / 2)
"""Five deviations of a correlation over this many independent words."""


def begun(backend: str) -> tuple[World, bytes, bytes]:
    """A round that is open, its offer, and ambon's message with :data:`VALUES` as its update."""
    world = World(backend, initial=[np.zeros(LENGTH)]).begin()
    offer = world.open()
    return world, offer, world.silos["ambon"].contribute(offer, [VALUES])


def correlation(ciphertext: bytes) -> float:
    """Of the last words of a message with the update, two values to a word or one, whichever is more."""
    words = np.frombuffer(ciphertext[-LENGTH // 2 * 8 :], "<u8").astype(np.float64)
    floats = np.frombuffer(ciphertext[-LENGTH * 8 :], "<f8") if len(ciphertext) > LENGTH * 8 else words
    if len(floats) == LENGTH and np.isfinite(floats).all():
        return float(abs(np.corrcoef(floats, VALUES)[0, 1]))
    return max(float(abs(np.corrcoef(words, VALUES[half::2])[0, 1])) for half in (0, 1))


def test_without_encryption_the_aggregator_reads_an_update() -> None:
    _, _, message = begun("plain")
    assert correlation(parts.split(message, 4)[2]) > 0.999


def test_the_aggregator_alone_has_noise() -> None:
    _, _, message = begun("additive-rlwe")
    ciphertext = parts.split(message, 4)[2]
    assert correlation(ciphertext) < BOUND
    words = np.frombuffer(ciphertext[-LENGTH // 2 * 8 :], "<u8")
    assert abs(np.mean(words / (2**64 - 2**32 + 1)) - 0.5) < 5 * np.sqrt(1 / 12 / len(words))


def test_the_same_update_twice_is_not_recognised() -> None:
    world, offer, message = begun("additive-rlwe")
    void = world.void()
    again = world.silos["ambon"].contribute(world.open(), [VALUES], [void])
    one, other = (np.frombuffer(parts.split(m, 4)[2][-LENGTH // 2 * 8 :], "<u8") for m in (message, again))
    assert not (one == other).any()
    assert abs(np.corrcoef(one.astype(float), other.astype(float))[0, 1]) < BOUND
    assert offer


def test_the_keeper_alone_has_a_key_and_nothing_that_it_opens() -> None:
    """What it is sent is as long for a model of ten values: no ciphertext is in it."""
    world, offer, message = begun("additive-rlwe")
    signed, sealed, ciphertext, _ = parts.split(message, 4)
    world.aggregator.receive("ambon", message)
    for name in NAMES[1:]:
        world.aggregator.receive(name, world.silos[name].contribute(offer, [VALUES]))
    request = world.aggregator.key_request()
    assert signed in request and sealed in request
    assert ciphertext[200:264] not in request
    small = World().begin()
    small.send(small.open())
    assert abs(len(request) - len(small.aggregator.key_request())) < 100, "its size depends on the model"


@pytest.mark.parametrize("victim", NAMES)
def test_the_limit_together_they_read_every_update(victim: str) -> None:
    """No rule of the protocol stops it: the keeper opens the sealed key, the aggregator brings the ciphertext."""
    world, offer, _ = begun("additive-rlwe")
    update = VALUES * 0.5
    _, sealed, ciphertext, _ = parts.split(world.silos[victim].contribute(offer, [update]), 4)
    shape = shape_of(RoundOffer.decode(body_of(offer)).context)
    (attempt,) = world.keeper._open.values()
    key = attempt.recipient.open(sealed, context=attempt.context.digest()).plaintext
    scheme = world.aggregation()
    found = scheme.decrypt(ciphertext, scheme.combine_keys([key]), shape=shape, count=1)
    exact = (VALUES if victim == "ambon" else update) * (SAMPLES[victim] / max(SAMPLES[n] for n in NAMES))
    assert np.abs(found.values - exact).max() <= found.error_bound


def test_the_aggregator_with_the_key_of_a_sum_cannot_open_one_of_them() -> None:
    world, offer, message = begun("additive-rlwe")
    for name in NAMES[1:]:
        world.aggregator.receive(name, world.silos[name].contribute(offer, [VALUES]))
    world.aggregator.receive("ambon", message)
    key = bytearray(parts.split(world.answer(), 2)[1])
    shape = shape_of(RoundOffer.decode(body_of(offer)).context)
    key[12:16] = (1).to_bytes(4, "little")  # pretend that it sums one secret
    with pytest.raises(CiphertextRefused, match="key does not belong to this sum"):
        world.aggregation().decrypt(parts.split(message, 4)[2], bytes(key), shape=shape, count=1)
