"""An old contribution sent again, by whoever has recorded it: what it would do, and what binds it to its attempt."""

from __future__ import annotations

import numpy as np
import pytest

from backends import additive
from identities import identity
from quatrefoil.contracts import SumShape
from quatrefoil.errors import CiphertextRefused, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.messages import Contribution, RoundOffer
from signed_messages import body_of, changed
from world import NAMES, World


def test_without_a_context_an_old_contribution_counts_again() -> None:
    """One context for two rounds: the old message adds to the new sum, and its key opens it."""
    scheme, shape = additive(), SumShape(length=4, clip=1.0, context=bytes(32))
    old = scheme.encrypt(np.full(4, 0.75), weight=1.0, shape=shape)
    new = scheme.encrypt(np.full(4, -0.25), weight=1.0, shape=shape)
    total = scheme.accumulator(shape=shape)
    for encrypted in (old, new):
        total.add(encrypted.ciphertext)
    found = scheme.decrypt(total.total(), scheme.combine_keys([old.key, new.key]), shape=shape, count=2)
    np.testing.assert_allclose(found.values, 0.5, atol=1e-4)


def test_the_ciphertext_itself_belongs_to_its_context() -> None:
    """Even with its header rewritten for another context, it does not add up: the common a is another one."""
    scheme = additive()
    shapes = [SumShape(length=4, clip=1.0, context=bytes([number]) * 32) for number in range(2)]
    old, new = (scheme.encrypt(np.full(4, 0.5), weight=1.0, shape=shape) for shape in shapes)
    total = scheme.accumulator(shape=shapes[1])
    with pytest.raises(CiphertextRefused, match="belongs to the round context 0000000000000000"):
        total.add(old.ciphertext)
    total.add(new.ciphertext)
    total.add(old.ciphertext.replace(bytes(32), b"\x01" * 32, 1))
    with pytest.raises(CiphertextRefused, match="key does not belong to this sum"):
        scheme.decrypt(total.total(), scheme.combine_keys([old.key, new.key]), shape=shapes[1], count=2)


@pytest.fixture
def replayed() -> tuple[World, bytes, bytes, bytes]:
    """A world in its second round, ambon's message of the first, and the offers of both."""
    world = World().begin()
    first = world.open()
    message = world.contribution("ambon", first)
    world.send(first)
    world.accept(world.finish())
    return world, message, first, world.open()


def test_the_aggregator_refuses_it(replayed: tuple[World, bytes, bytes, bytes]) -> None:
    world, message, _, _ = replayed
    with pytest.raises(MessageRefused, match="ambon contributes to another round or attempt"):
        world.aggregator.receive("ambon", message)
    assert world.logged("refusal")[-1]["silo"] == "ambon"


def test_nobody_else_can_send_it_for_ambon(replayed: tuple[World, bytes, bytes, bytes]) -> None:
    world, message, _, _ = replayed
    with pytest.raises(MessageRefused, match="signed by silo ambon, not by silo bari"):
        world.aggregator.receive("bari", message)
    assert world.aggregator.is_awaited("ambon")


def test_the_keeper_refuses_a_key_of_another_round_even_if_its_silo_signs_it(
    replayed: tuple[World, bytes, bytes, bytes],
) -> None:
    """Sealed to another key and under another context: a silo cannot save itself the work of a new key."""
    world, message, _, second = replayed
    signed, sealed, ciphertext, proof = parts.split(message, 4)
    context = RoundOffer.decode(body_of(second)).context
    fits = ciphertext[:56] + context.digest() + ciphertext[88:]
    shape = shape_of(context)
    world.aggregation().accumulator(shape=shape).add(fits)  # its header is right now
    again = changed(signed, Contribution, identity("ambon", "silo"), context=shape.context, ciphertext=sha256(fits))
    world.aggregator.receive("ambon", parts.join([again, sealed, fits, proof]))
    world.send(second, NAMES[1:])
    finished = world.finish()
    assert finished.contributors == NAMES[1:]
    assert "ambon sealed a key that cannot be used" in world.logged("refusal")[-1]["reason"]


def test_results_are_not_taken_twice_or_out_of_order() -> None:
    world = World().begin()
    finished = [world.run_round() for _ in range(2)]
    silo = world.make_silo("ambon")
    before = [array.copy() for array in silo.model]
    with pytest.raises(MessageRefused, match="the result of round 1 arrived, 3 is next"):
        silo.accept(finished[0].offer, finished[0].release, finished[0].result, finished[0].receipts.of("ambon"))
    silo.accept(finished[1].offer, finished[1].release, finished[1].result, finished[1].receipts.of("ambon"))
    assert all(np.array_equal(a, b) for a, b in zip(before, silo.model, strict=True))


def test_an_old_release_does_not_carry_a_new_result() -> None:
    world = World().begin()
    first = world.run_round()
    world.send(world.open())
    second = world.finish()
    receipts = second.receipts.of("ambon")
    with pytest.raises(MessageRefused, match="the key release belongs to another round"):
        world.silos["ambon"].accept(second.offer, first.release, second.result, receipts)
    with pytest.raises(MessageRefused, match="belongs to another round, release or sum"):
        world.silos["ambon"].accept(second.offer, second.release, first.result, receipts)
