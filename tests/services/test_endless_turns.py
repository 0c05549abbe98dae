"""An aggregator that has a silo do one thing after the other, and gives no result: what it fills a silo's log with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from loopback import signing_of, trained

from committee_world import CommitteeWorld
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.messages import RoundContext
from quatrefoil.services import silo as service
from quatrefoil.services.silo import SiloService, Training
from world import NAMES, World

MOST = 12


class Peer:
    name = "hub"


class Endless:
    """A channel to an aggregator that gives ``told`` whenever it is asked what is next, and takes everything."""

    due, group, peer = False, "", Peer()

    def __init__(self, *told: bytes) -> None:
        self.turns = 0
        self._told = told
        self._answer = b""

    def send(self, frame: bytes) -> None:
        head, _ = parts.split(frame, 2)
        given = b""
        if head == b"next":
            given = self._told[self.turns % len(self._told)]
            self.turns += 1
        self._answer = parts.join([b"ok", given])

    def receive(self, limit: int) -> bytes:
        return self._answer

    def close(self) -> None:
        pass


def told(kind: bytes, *content: bytes) -> bytes:
    return parts.join([kind, parts.join(list(content))])


def run(world: World, channel: Endless) -> None:
    machine = world.silos["bari"]
    SiloService(machine, signing_of(machine), lambda: channel, witness=None, give_up=5.0, report=lambda _: None).run(
        lambda model: trained("bari", model)
    )


def entries(world: World) -> int:
    return len(list(world.log.entries()))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_TURNS", MOST)


@pytest.mark.parametrize("what", ["its own key", "bytes that are nothing", "a roster", "a result that it has"])
def test_a_silo_ends_when_it_is_given_more_to_do_than_there_is(what: str) -> None:
    world: World
    if what in ("its own key", "bytes that are nothing"):
        world = CommitteeWorld()
        world.begin()
        endless = Endless(told(b"key", world.aggregator.open_request() if what == "its own key" else b""))
    elif what == "a roster":
        world = World().begin()
        offer = world.open()
        world.send(offer)
        endless = Endless(told(b"confirm", offer, world.propose(), parts.join([])))
    else:
        world = World().begin()
        finished = world.run_round()
        content = (finished.offer, finished.release, finished.result, finished.receipts.of("bari"))
        endless = Endless(told(b"result", *content))
    before = entries(world)
    with pytest.raises(MessageRefused, match=f"aggregator hub gave this silo {MOST} things to do after round") as error:
        run(world, endless)
    assert error.value.party == "hub" and endless.turns == MOST
    assert entries(world) - before <= 2 * MOST


def test_what_a_silo_waits_for_itself_is_nothing_that_it_was_given_to_do() -> None:
    """A group's silo is offered the attempt again and again while its sum is not there: for hours, in a long round."""
    world = World().begin()
    machine = world.silos["bari"]
    endless = Endless(told(b"offer", world.open(), parts.join([]), parts.join([])))

    class Late(Training):
        waited = 0

        def contribute(self, context: RoundContext, offer: bytes, voids: Sequence[bytes]) -> bytes | None:
            self.waited += 1
            return None if self.waited <= 5 * MOST else super().contribute(context, offer, voids)

    work, before = Late(machine, lambda model: trained("bari", model)), entries(world)
    with pytest.raises(MessageRefused, match=f"gave this silo {MOST} things to do"):  # once it has sent, each counts
        SiloService(
            machine, signing_of(machine), lambda: endless, witness=None, give_up=5.0, report=lambda _: None
        ).drive(work)
    assert work.waited == 5 * MOST + 1 and endless.turns == 6 * MOST
    assert entries(world) - before <= 2 * MOST


def test_every_result_begins_the_count_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of more rounds than that, of which a silo that comes late is given the results."""
    monkeypatch.setattr(service, "MOST_TURNS", 1)
    world = World(rounds=3).begin()
    others = [name for name in NAMES if name != "bari"]
    results = []
    for _ in range(3):
        world.send(world.open(), others)
        finished = world.finish(others)
        for name in others:
            world.silos[name].accept(finished.offer, finished.release, finished.result, finished.receipts.of(name))
        content = (finished.offer, finished.release, finished.result, finished.receipts.of("bari"))
        results.append(told(b"result", *content))
    run(world, Endless(*results, told(b"done", parts.join([]))))
    assert world.silos["bari"].rounds_done == 3
