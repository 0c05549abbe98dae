"""What a tree of aggregators shows to whom, and what those in it can do. docs/scale.md, "A tree of aggregators"."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation
from quatrefoil.errors import CiphertextRefused, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.group_sums import TAIL
from quatrefoil.federation.messages import RoundOffer
from signed_messages import body_of
from trees import GRAIN, VALUES, Tree
from world import SAMPLES

NORTH, SOUTH, WEST = ("ambon", "bari", "cusco"), ("dakar", "elba"), ("faro", "graz")
GROUPS = {"north": NORTH, "south": SOUTH, "west": WEST}
ALL = NORTH + SOUTH + WEST


def updates(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: 128 * generator.integers(-200, 200, VALUES) for name in ALL}


def sum_of(sent: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return sum(SAMPLES[name] * sent[name] for name in names) // 256


class Spying:
    """Remembers what an upper silo encrypted its contribution with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[bytes] = []
        real = AdditiveAggregation.encrypt

        def encrypt(backend, values, **given):
            encrypted = real(backend, values, **given)
            if given["shape"].length == VALUES + TAIL:
                self.keys.append(bytes(encrypted.key))
            return encrypted

        monkeypatch.setattr(AdditiveAggregation, "encrypt", encrypt)


def test_who_adds_groups_sees_the_sum_of_all_and_none_of_theirs(monkeypatch) -> None:
    tree, spied, sent = Tree(GROUPS, rounds=1), Spying(monkeypatch), updates()
    received: dict[str, bytes] = {}
    real = tree.upper.aggregator.receive

    def receive(name: str, message: bytes) -> None:
        received[name] = message
        real(name, message)

    tree.upper.aggregator.receive = receive
    tree.run_round(sent)
    backend = tree.upper.aggregation()
    released = backend.combine_keys(spied.keys)
    ciphertext = parts.split(received["north"], 4)[2]
    shape = shape_of(RoundOffer.decode(body_of(tree.upper.offer)).context)
    with pytest.raises(CiphertextRefused):
        backend.decrypt(ciphertext, released, shape=shape, count=1)
    # With the group's own key, which only the upper keeper gets: the limit of the next row.
    mine = backend.decrypt(ciphertext, backend.combine_keys(spied.keys[:1]), shape=shape, count=1).values
    assert mine[:VALUES].tolist() == sum_of(sent, NORTH).tolist()


def test_the_aggregator_of_a_group_sees_its_sum_and_no_update() -> None:
    tree, sent = Tree(GROUPS, rounds=1), updates()
    opened = tree.gather("north", sent)
    found = np.rint(opened.values / GRAIN).astype(int)
    assert found.tolist() == sum_of(sent, NORTH).tolist()
    assert all(found.tolist() != sum_of(sent, (name,)).tolist() for name in NORTH)


def test_the_limit_a_group_that_lies_of_its_sum_moves_every_groups_mean() -> None:
    tree, sent = Tree(GROUPS, rounds=1), updates()
    opened = {name: tree.gather(name, sent) for name in GROUPS}
    lie = dataclasses.replace(opened["south"], values=opened["south"].values + 1000.0)
    offer = tree.upper.open()
    for name, one in {**opened, "south": lie}.items():
        tree.upper.aggregator.receive(name, tree.nodes[name].contribute(one, offer))
        tree.upper.silos[name].acknowledged(tree.upper.silos[name].check_offer(offer))
    done = tree.upper.finish()
    told = (done.offer, done.release, done.result, done.receipts.of("north"))
    tree.groups["north"].accept(tree.nodes["north"].finish(opened["north"], *told))
    weight = sum(SAMPLES[name] for name in ALL) / 256
    moved = tree.groups["north"].aggregator.model[0] - sum_of(sent, ALL) * GRAIN / weight
    assert np.allclose(moved, 1000.0 / weight)


def test_a_group_cannot_send_what_another_sent() -> None:
    tree, sent = Tree(GROUPS, rounds=1), updates()
    offer = tree.upper.open()
    message = tree.nodes["north"].contribute(tree.gather("north", sent), offer)
    with pytest.raises(MessageRefused, match="not by silo south"):
        tree.upper.aggregator.receive("south", message)


def test_a_group_cannot_send_the_sum_of_an_earlier_round() -> None:
    tree, sent = Tree(GROUPS, rounds=2), updates()
    messages: list[bytes] = []
    real = tree.upper.aggregator.receive
    tree.upper.aggregator.receive = lambda name, message: (messages.append(message), real(name, message))
    tree.run_round(sent)
    tree.upper.open()
    with pytest.raises(MessageRefused, match="another round or attempt"):
        real("north", messages[0])


def test_a_group_contributes_one_sum_to_an_attempt() -> None:
    tree, sent = Tree(GROUPS, rounds=1), updates()
    opened = tree.gather("north", sent)
    offer = tree.upper.open()
    first = tree.nodes["north"].contribute(opened, offer)
    lie = dataclasses.replace(opened, values=opened.values * 2)
    assert tree.nodes["north"].contribute(lie, offer) == first
