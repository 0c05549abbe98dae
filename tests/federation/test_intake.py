"""Many contributions at a time: the same sum and the same refusals, wherever proofs are verified."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from quatrefoil.errors import CallerError, PeerError, ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.intake import Intake
from quatrefoil.offline.pools import pool
from signed_messages import damaged
from world import NAMES, World


class _Backwards(Executor):
    """Verifies nothing until it is told to, and then the last first."""

    def __init__(self) -> None:
        self.calls = []

    def submit(self, fn, /, *args, **kwargs) -> Future:
        future = Future()
        self.calls.append((future, fn))
        if len(self.calls) == 3:
            self.run()
        return future

    def run(self) -> None:
        for future, fn in reversed(self.calls):
            try:
                future.set_result(fn())
            except PeerError as error:
                future.set_exception(error)
        self.calls.clear()


def proven() -> World:
    return World(rounds=1, limits={"proofs": True, "update_norm": 4.0}).begin()


class Heard:
    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.refused: dict[str, PeerError] = {}

    def intake(self, world: World, executor: Executor, most: int = 8) -> Intake:
        return Intake(
            world.aggregator,
            executor,
            most=most,
            on_admitted=self.admitted.append,
            on_refused=self.refused.__setitem__,
        )


def with_damaged_proof(message: bytes) -> bytes:
    signed, sealed, ciphertext, proof = parts.split(message, 4)
    return parts.join([signed, sealed, ciphertext, damaged(proof, 200)])


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_sum_and_its_refusals_are_the_same_wherever_proofs_are_verified(kind: str) -> None:
    world, heard = proven(), Heard()
    offer = world.open()
    with pool(kind, 2) as executor:
        intake = heard.intake(world, executor)
        for name in NAMES:
            message = world.contribution(name, offer)
            intake.take(name, with_damaged_proof(message) if name == "bari" else message)
        intake.finish()
    assert heard.admitted == ["ambon", "cusco", "dakar"]
    assert isinstance(heard.refused["bari"], ProofRejected) and heard.refused["bari"].party == "bari"
    assert "another proof than it signed" in heard.refused["bari"].problem
    assert world.finish().contributors == ("ambon", "cusco", "dakar")


def test_contributions_are_admitted_in_the_order_in_which_they_came() -> None:
    world, heard = proven(), Heard()
    offer = world.open()
    intake = heard.intake(world, executor := _Backwards())
    for name in ("dakar", "ambon", "cusco"):
        intake.take(name, world.contribution(name, offer))
    executor.run()
    intake.finish()
    assert heard.admitted == ["dakar", "ambon", "cusco"]


def test_no_more_than_so_many_are_held() -> None:
    world, heard = proven(), Heard()
    offer = world.open()
    held, most_held, lock = 0, 0, threading.Lock()

    class Counting(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            nonlocal held, most_held
            with lock:
                held += 1
                most_held = max(most_held, held - len(heard.admitted))
            return super().submit(fn, *args, **kwargs)

    with Counting(2) as executor:
        intake = heard.intake(world, executor, most=2)
        for name in NAMES:
            intake.take(name, world.contribution(name, offer))
        intake.finish()
    assert most_held <= 2 and heard.admitted == list(NAMES)


def test_the_same_again_is_in_and_another_is_refused() -> None:
    world, heard = World(rounds=1).begin(), Heard()
    offer = world.open()
    with pool("threads", 1) as executor:
        intake = heard.intake(world, executor)
        message = world.contribution("ambon", offer)
        intake.take("ambon", message)
        intake.finish()
        intake.take("ambon", message)
        intake.take("bari", message)
        intake.finish()
    assert heard.admitted == ["ambon", "ambon"]
    assert "not by silo bari" in heard.refused["bari"].problem


@pytest.mark.parametrize("most", [0, -1])
def test_none_at_a_time_is_refused(most: int) -> None:
    world = World(rounds=1).begin()
    with pytest.raises(CallerError, match="are none"):
        Heard().intake(world, _Backwards(), most)
