"""Bytes that nobody should send, and what is tried with those that somebody did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_gateway import INPUT
from test_serving_keys import Clock
from test_serving_streams import TOKENS, Speaker

from quatrefoil import ohttp
from quatrefoil.attested import RelyingParty
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import EvidenceRejected, KeyUnknown, MessageRefused
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import HybridKey, KeyConfiguration
from quatrefoil.ohttp.hpke_context import HYBRID
from quatrefoil.serving.opening import opened
from quatrefoil.transport import system_clock
from serving_exchanges import Sealed
from serving_parts import INFER
from serving_world import World, started

anything = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@anything
@given(st.binary(max_size=3000), st.booleans(), st.booleans())
def test_any_bytes_open_or_are_refused(data: bytes, chunked: bool, known: bool) -> None:
    world = World()
    held = world.keys.rotate()
    sealed = (bytes([held.key_id]) + HYBRID.identifiers if known else b"") + data
    with pytest.raises((KeyUnknown, MessageRefused)):
        opened(sealed, world.keys, world.policy, chunked=chunked)
    # Nothing is owed for it.
    assert all((use.opening, use.answering) == (0, 0) for use in world.keys._uses.values())


@anything
@given(st.binary(max_size=400), st.booleans())
def test_whatever_is_sealed_is_answered_inside(content: bytes, chunked: bool) -> None:
    async def run() -> None:
        async with started() as world:
            answer = await world.ask(content, chunked=chunked)
            assert 400 <= answer.status < 500

    asyncio.run(run())


@anything
@given(st.integers(0, 10**6), st.integers(1, 255), st.booleans())
def test_every_byte_of_a_request_counts(place: int, change: int, chunked: bool) -> None:
    async def run() -> None:
        async with started() as world:
            sealed = await world.sealed(world.request(INFER, INPUT), chunked=chunked)
            at = place % len(sealed.content)
            altered = bytearray(sealed.content)
            altered[at] ^= change
            outer = await world.outer("POST", protocol.GATEWAY_PATH, bytes(altered), kind=sealed.kind)
            assert outer.status == 400 and world.receipts.receipts == []

    asyncio.run(run())


def test_a_key_beside_the_evidence_is_no_key_of_the_server() -> None:
    """Whoever stands between lists a key of its own: the client takes the one that the evidence names."""

    async def run() -> None:
        async with started() as world:
            accepted = await world.attest()
            own = HybridKey.generate()
            beside = KeyConfiguration(protocol.key_id(own.public), own.public)
            assert protocol.configuration(accepted.keyset) != beside
            content, _ = ohttp.seal_request(beside, b"x")
            outer = await world.outer("POST", protocol.GATEWAY_PATH, content, kind="message/ohttp-req")
            assert outer.status == 400

    asyncio.run(run())


def test_an_attestation_answers_its_own_challenge_only() -> None:
    async def run() -> None:
        async with started() as world:
            party = RelyingParty(
                world.policy.attestation.appraisal, Collateral(), purpose=protocol.PURPOSE, clock=system_clock
            )
            kind = protocol.ATTESTATION_TYPE
            first = await world.outer("POST", protocol.ATTESTATION_PATH, party.challenge(), kind=kind)
            party.accept(first.content, b"")
            with pytest.raises(EvidenceRejected):
                party.accept(first.content, b"")
            other = RelyingParty(
                world.policy.attestation.appraisal, Collateral(), purpose="another", clock=system_clock
            )
            refused = await world.outer("POST", protocol.ATTESTATION_PATH, other.challenge(), kind=kind)
            assert refused.status == 400

    asyncio.run(run())


def test_the_answer_to_another_request_does_not_open() -> None:
    async def run() -> None:
        async with started() as world:
            first = await world.sealed(world.request(INFER, INPUT))
            second = await world.sealed(world.request(INFER, INPUT))
            outers = [
                await world.outer("POST", protocol.GATEWAY_PATH, one.content, kind=one.kind) for one in (first, second)
            ]
            with pytest.raises(MessageRefused):
                first.plain(outers[1])

    asyncio.run(run())


def test_a_stream_outlives_the_keys_that_it_began_under_and_others_do_not() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def waits() -> AsyncIterator[bytes]:
            yield TOKENS[0]
            await gate.wait()
            yield TOKENS[1]

        clock = Clock()
        async with started(handler=Speaker(waits), clock=clock) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            await asked.arrived.wait()
            old = world.receipts.begun[0][0]
            clock.forward(world.policy.keys.rotate_s)
            await asyncio.to_thread(world.keys.rotate)
            clock.forward(world.policy.keys.overlap_s + 1)
            world.keys.retire()
            assert old.gateway.configurations == ()  # its sealing key is wiped, and its receipt key is not
            assert world.receipts.ended == []
            late = Sealed.of(world.request(b"/v1/chat"), sealed.keyset, world.policy, chunked=False)
            refused = await world.outer("POST", protocol.GATEWAY_PATH, late.content, kind=late.kind)
            assert refused.problem["type"].endswith("#ohttp-key")
            gate.set()
            answer = sealed.open(await asked.answer())
            assert answer.content == TOKENS[0] + TOKENS[1]
            assert answer.receipt.keyset == old.keyset.digest()
            assert world.receipts.ended == [old.keyset]

    asyncio.run(run())
