"""Keys of a server: judged before they are in force, rotated while requests run, refused and wiped in time."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from test_gateway import INPUT

import attesting
from quatrefoil import ohttp
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, KeyUnknown, MessageRefused
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import HybridKey
from quatrefoil.serving.metrics import Metrics
from quatrefoil.serving.rotation import keep_rotating
from serving_parts import INFER, SnpMachine, serving_policy
from serving_world import World, started


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_evidence_that_clients_would_refuse_puts_no_key_in_force() -> None:
    world = World(machine=SnpMachine(measurement=bytes(48)))
    with pytest.raises(EvidenceRejected, match="accepted-measurement"):
        world.keys.rotate()
    assert not world.keys.current
    assert world.receipts.begun == []
    with pytest.raises(HostError, match="no key is in force"):
        _ = world.keys.configurations
    with pytest.raises(HostError, match="no keyset"):
        world.keys.attest(b"")


def test_a_log_that_takes_nothing_puts_no_key_in_force() -> None:
    world = World()

    def refuses(*_: object) -> None:
        raise HostError("the disk is full", hint="Free some")

    world.receipts.begin = refuses
    with pytest.raises(HostError, match="disk is full"):
        world.keys.rotate()
    assert not world.keys.current


def test_the_keyset_is_good_until_the_last_receipt_under_it() -> None:
    policy = serving_policy(keys__rotate_s=100, keys__overlap_s=50, limits__stream_seconds=30)
    clock = Clock()
    world = World(policy, clock=clock)
    held = world.keys.rotate()
    now = int(clock().timestamp())
    assert held.until == now + 150
    assert held.keyset.expires == now + 181
    assert held.keyset.not_before == now - 300
    assert 99 < world.keys.rotate_in <= 100
    clock.forward(101)
    assert world.keys.rotate_in == 0 and world.keys.current
    clock.forward(50)
    assert not world.keys.current


def test_the_last_key_serves_during_the_overlap_and_is_wiped_after_it() -> None:
    async def run() -> None:
        clock = Clock()
        policy = serving_policy(keys__rotate_s=100, keys__overlap_s=50)
        async with started(policy, clock=clock) as world:
            first = await world.attest()
            old = world.receipts.begun[0][0]
            clock.forward(101)
            world.keys.retire()
            world.keys.rotate()
            listed = ohttp.decode_list(world.keys.configurations)
            assert len(listed) == 2 and listed[1] == protocol.configuration(first.keyset)
            assert (await world.ask(world.request(INFER, INPUT))).receipt.keyset == first.keyset.digest()
            clock.forward(50)
            world.keys.retire()
            assert world.receipts.ended == [first.keyset]
            assert old.gateway.configurations == ()
            sealed = await world.sealed(world.request(INFER, INPUT))
            unknown = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            assert unknown.problem["type"].endswith("#ohttp-key")
            world.accepted = None
            assert (await world.ask(world.request(INFER, INPUT))).status == 200

    asyncio.run(run())


def test_a_receipt_key_outlives_its_sealing_key_while_a_request_is_answered() -> None:
    clock = Clock()
    world = World(serving_policy(keys__rotate_s=100, keys__overlap_s=50), clock=clock)
    held = world.keys.rotate()
    with world.keys.opening(held.key_id) as used:
        assert used is held
        clock.forward(151)
        world.keys.retire()
        assert held.gateway.configurations  # it is being opened
        with pytest.raises(KeyUnknown), world.keys.opening(held.key_id):
            pass
    assert held.gateway.configurations == ()
    assert world.receipts.ended == []
    world.keys.answered(held)
    assert world.receipts.ended == [held.keyset]
    world.keys.answered(held)


def test_no_two_keys_in_force_share_an_identifier() -> None:
    made = [HybridKey.generate() for _ in range(3)]
    twin = made[0]
    offered = itertools.chain([made[0], twin, made[1], made[2]])
    world = World()
    world.keys._new_key = lambda: next(offered)
    first, second = world.keys.rotate(), world.keys.rotate()
    assert first.key_id != second.key_id
    assert len({one.key_id for one in ohttp.decode_list(world.keys.configurations)}) == 2


def test_closed_keys_are_gone() -> None:
    world = World()
    held = world.keys.rotate()
    world.keys.close()
    assert world.receipts.ended == [held.keyset]
    assert not world.keys.current
    with pytest.raises(CallerError, match="closed"):
        world.keys.rotate()
    with pytest.raises(KeyUnknown), world.keys.opening(held.key_id):
        pass


def test_no_request_fails_while_keys_rotate() -> None:
    async def run() -> None:
        async with started(serving_policy(limits__queued=1000, limits__concurrent=4)) as world:
            running = True

            async def rotating() -> None:
                while running:
                    await asyncio.sleep(0.1)
                    await asyncio.to_thread(world.keys.rotate)
                    world.keys.retire()

            async def client(number: int) -> None:
                for turn in range(12):
                    if turn % 3 == 0:
                        world.accepted = None
                    answer = await world.ask(
                        world.request(INFER, INPUT), chunked=bool(turn % 2), party=f"client-{number % 3}"
                    )
                    assert answer.status == 200

            task = asyncio.ensure_future(rotating())
            await asyncio.gather(*(client(number) for number in range(24)))
            running = False
            await task
            assert len(world.receipts.begun) > 2
            assert len(world.receipts.receipts) == 24 * 12

    asyncio.run(run())


def test_a_rotation_that_fails_is_tried_again_and_the_end_of_the_last_key_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quatrefoil.serving.rotation.TICK_S", 0.001)
    monkeypatch.setattr("quatrefoil.serving.rotation.FIRST_PAUSE_S", 0.001)

    async def run() -> None:
        clock = Clock()
        world = World(serving_policy(keys__rotate_s=100, keys__overlap_s=50), clock=clock)
        world.keys.rotate()
        metrics, said = Metrics(), list[str]()
        task = asyncio.ensure_future(keep_rotating(world.keys, metrics, said.append))
        world.machine.fails = HostError("the device is away", hint="Look at it")
        clock.forward(101)
        while not metrics.value("rotations", "refused"):
            await asyncio.sleep(0.001)
        world.machine.fails = None
        while not metrics.value("rotations", "made"):
            await asyncio.sleep(0.001)
        world.machine.changes = {"measurement": bytes(48)}
        clock.forward(151)
        with pytest.raises((EvidenceRejected, HostError)):
            await task
        assert any("the device is away" in line for line in said)

    asyncio.run(run())


def test_a_key_opens_nothing_beyond_its_overlap_whoever_is_late_to_retire_it() -> None:
    async def run() -> None:
        clock = Clock()
        async with started(serving_policy(keys__rotate_s=100, keys__overlap_s=50), clock=clock) as world:
            await world.attest()
            clock.forward(151)
            assert not world.keys.current
            sealed = await world.sealed(world.request())
            outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            assert outer.status == 400 and outer.problem["type"].endswith("#ohttp-key")
            with pytest.raises(HostError, match="no key is in force"):
                _ = world.keys.configurations

    asyncio.run(run())


def test_keys_are_retired_in_time_while_a_rotation_waits_to_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.serving.rotation.TICK_S", 0.001)
    monkeypatch.setattr("quatrefoil.serving.rotation.FIRST_PAUSE_S", 3600.0)
    monkeypatch.setattr("quatrefoil.serving.rotation.LONGEST_PAUSE_S", 3600.0)

    async def run() -> None:
        clock = Clock()
        world = World(serving_policy(keys__rotate_s=100, keys__overlap_s=50), clock=clock)
        world.keys.rotate()
        metrics = Metrics()
        world.machine.fails = HostError("the device is away", hint="Look at it")
        clock.forward(101)
        task = asyncio.ensure_future(keep_rotating(world.keys, metrics, lambda _: None))
        while not metrics.value("rotations", "refused"):
            await asyncio.sleep(0.001)
        clock.forward(151)
        with pytest.raises(HostError, match="the device is away"):
            await asyncio.wait_for(task, 30)
        assert world.receipts.ended  # wiped, and not only out of use

    asyncio.run(run())


def test_attestation_is_for_challenges_of_this_purpose_only() -> None:
    async def run() -> None:
        async with started() as world:
            from quatrefoil.attested import Challenge

            kind = protocol.ATTESTATION_TYPE
            other = Challenge(bytes(32), "broker release").encode()
            for content, status in ((other, 400), (b"junk", 400), (b"x" * 2000, 413), (b"", 400)):
                refused = await world.outer("POST", protocol.ATTESTATION_PATH, content, kind=kind)
                assert refused.status == status
            challenge = Challenge(bytes(32), protocol.PURPOSE).encode()
            assert (await world.outer("POST", protocol.ATTESTATION_PATH, challenge, kind="text/plain")).status == 415
            world.machine.fails = HostError("/dev/secret-path is away", hint="Look")
            failed = await world.outer("POST", protocol.ATTESTATION_PATH, challenge, kind=kind)
            assert failed.status == 503 and b"secret-path" not in failed.content
            world.machine.fails = None
            asked = len(world.machine.asked)
            many = await asyncio.gather(
                *(world.outer("POST", protocol.ATTESTATION_PATH, challenge, kind=kind) for _ in range(20))
            )
            assert {one.content for one in many} == {many[0].content}
            assert len(world.machine.asked) == asked + 1

    asyncio.run(run())


def test_one_party_cannot_keep_others_from_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.serving.challenges.WAITING", 4)

    async def run() -> None:
        import threading

        from quatrefoil.attested import Challenge

        gate = threading.Event()
        async with started() as world:
            collect = world.machine.collect

            def slow(report_data: bytes) -> object:
                gate.wait(30)
                return collect(report_data)

            world.machine.collect = slow  # type: ignore[method-assign,assignment]
            path, kind = protocol.ATTESTATION_PATH, protocol.ATTESTATION_TYPE

            def ask(number: int, party: str) -> asyncio.Task[object]:
                challenge = Challenge(bytes([number]) * 32, protocol.PURPOSE).encode()
                return asyncio.ensure_future(world.outer("POST", path, challenge, kind=kind, party=party))

            greedy = [ask(number, "greedy") for number in range(20)]
            await asyncio.sleep(0.01)
            modest = ask(100, "modest")
            await asyncio.sleep(0.01)
            assert not modest.done()
            gate.set()
            assert (await modest).status == 200  # type: ignore[attr-defined]
            statuses = [one.status for one in await asyncio.gather(*greedy)]  # type: ignore[attr-defined]
            assert statuses.count(200) == 5 and statuses.count(503) == 15

    asyncio.run(run())


def test_evidence_for_another_nonce_is_no_answer() -> None:
    async def run() -> None:
        async with started() as world:
            accepted = await world.attest()
            assert accepted.keyset.receipt and not accepted.keyset.tls
            assert accepted.verdict.claims.report_data[:32] != attesting.REPORT_DATA[:32]
            with pytest.raises(MessageRefused):
                world.keys.attest(b"\x00")

    asyncio.run(run())
