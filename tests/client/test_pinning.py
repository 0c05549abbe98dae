"""When the client attests: before the first request, once for many, before keys end, and after they have gone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from client_world import Outer, Sent, Talker, attestations, encapsulated, site
from hypothesis import given
from hypothesis import strategies as st

import attesting
from quatrefoil.attested import Attester
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import EvidenceRejected, KeyUnknown, MessageRefused, PeerUnreachable
from quatrefoil.exchange import Keys, protocol
from serving_parts import SnpMachine, serving_policy

KEY_PROBLEM = b'{"type": "https://iana.org/assignments/http-problem-types#ohttp-key"}'


def no_key(sent: Sent) -> Outer | None:
    """Whoever is in between says that the key is not in force."""
    if sent.path != protocol.GATEWAY_PATH:
        return None
    return Outer(400, ((b"content-type", b"application/problem+json"),), [KEY_PROBLEM])


def test_many_requests_wait_for_one_attestation() -> None:
    async def run() -> None:
        async with site(serving_policy(limits__queued=100)) as here:
            answers = await asyncio.gather(*(here.client.request("GET", "/v2") for _ in range(40)))
            assert {answer.status for answer in answers} == {200} and attestations(here.wire) == 1
            assert sorted(answer.receipt.sequence for answer in answers) == list(range(40))
            assert here.client.attestation is not None and "sev-snp" in repr(here.client.attestation)

    asyncio.run(run())


def test_a_failed_attestation_fails_all_who_wait_and_is_tried_again_by_the_next() -> None:
    async def run() -> None:
        async with site() as here:
            here.wire.instead = lambda sent: Outer(503, (), [])
            found = await asyncio.gather(*(here.client.request("GET", "/v2") for _ in range(5)), return_exceptions=True)
            assert {type(one) for one in found} == {PeerUnreachable} and attestations(here.wire) == 1
            here.wire.instead = lambda sent: None
            assert (await here.client.request("GET", "/v2")).status == 200
            assert attestations(here.wire) == 2

    asyncio.run(run())


def test_it_is_relied_on_for_the_life_that_the_policy_gives_and_no_longer() -> None:
    async def run() -> None:
        async with site(serving_policy(attestation__life_s=100, keys__rotate_s=80000, keys__overlap_s=10)) as here:
            await here.client.request("GET", "/v2")
            here.clock.forward(80)
            await here.client.request("GET", "/v2")
            assert attestations(here.wire) == 1
            here.clock.forward(21)
            await here.client.request("GET", "/v2")
            assert attestations(here.wire) == 2

    asyncio.run(run())


@pytest.mark.parametrize("streamed", [False, True])
def test_keys_that_are_gone_are_attested_anew_and_the_request_is_sealed_again(streamed: bool) -> None:
    async def run() -> None:
        talker = Talker()
        async with site(handler=talker) as here:
            await here.client.request("GET", "/whole")
            before = here.client.attestation
            await here.rotate()
            here.world.keys._uses[next(iter(here.world.keys._uses))].over = True
            here.world.keys._wipe()
            if streamed:
                async with here.client.stream("GET", "/stream") as stream:
                    await stream.read()
                receipt = stream.receipt
            else:
                receipt = (await here.client.request("GET", "/whole")).receipt
            assert before is not None and receipt.keyset != before.keyset
            assert attestations(here.wire) == 2 and len(encapsulated(here.wire)) == 3
            assert len(set(encapsulated(here.wire))) == 3 and len(talker.asked) == 2

    asyncio.run(run())


def test_evidence_that_was_asked_for_before_the_keys_went_is_not_the_last_word() -> None:
    """A renewal that is under way then may still name the keyset that is gone."""

    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            gate, answered = asyncio.Event(), asyncio.Event()

            async def slowly(sent: Sent) -> Outer | None:
                if sent.path != protocol.ATTESTATION_PATH or answered.is_set():
                    return None
                kind = protocol.ATTESTATION_TYPE
                found = await here.world.outer("POST", sent.path, sent.content, kind=kind)
                answered.set()
                await gate.wait()
                return Outer(200, ((b"content-type", kind.encode()),), [found.content])

            here.wire.instead = slowly
            renewal = here.client._pins._task()
            await answered.wait()
            await here.rotate()
            here.world.keys._uses[next(iter(here.world.keys._uses))].over = True
            here.world.keys._wipe()
            asked = asyncio.ensure_future(here.client.request("GET", "/v2"))
            while len(encapsulated(here.wire)) < 2:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            gate.set()
            assert (await asked).status == 200
            await renewal
            assert attestations(here.wire) == 3

    asyncio.run(run())


def test_many_requests_to_keys_that_are_gone_attest_once() -> None:
    async def run() -> None:
        async with site(serving_policy(limits__queued=100)) as here:
            await here.client.request("GET", "/v2")
            await here.rotate()
            here.world.keys._uses[next(iter(here.world.keys._uses))].over = True
            here.world.keys._wipe()
            answers = await asyncio.gather(*(here.client.request("GET", "/v2") for _ in range(20)))
            assert {answer.status for answer in answers} == {200} and attestations(here.wire) == 2

    asyncio.run(run())


@pytest.mark.parametrize("streamed", [False, True])
def test_whoever_says_that_a_good_key_is_gone_gets_no_second_request(streamed: bool) -> None:
    """A relay that passes a request on, and says this, would have it done twice."""

    async def run() -> None:
        async with site(handler=Talker()) as here:
            await here.client.attest()
            here.wire.instead = no_key
            with pytest.raises(KeyUnknown):
                if streamed:
                    async with here.client.stream("GET", "/stream"):
                        pass
                else:
                    await here.client.request("GET", "/whole")
            assert attestations(here.wire) == 2 and len(encapsulated(here.wire)) == 1

    asyncio.run(run())


def test_it_is_sealed_again_once_and_not_forever() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.attest()
            await here.rotate()
            here.wire.instead = no_key
            with pytest.raises(KeyUnknown):
                await here.client.request("GET", "/v2")
            assert attestations(here.wire) == 2 and len(encapsulated(here.wire)) == 2

    asyncio.run(run())


def test_after_a_restart_another_key_may_have_the_identifier() -> None:
    """Then the request is not opened, and says so without naming the key."""

    async def run() -> None:
        async with site() as here:
            await here.client.attest()
            await here.rotate()
            first = True

            def not_opened(sent: Sent) -> Outer | None:
                nonlocal first
                if sent.path == protocol.GATEWAY_PATH and first:
                    first = False
                    return Outer(400, (), [])
                return None

            here.wire.instead = not_opened
            assert (await here.client.request("GET", "/v2")).status == 200
            first = True
            with pytest.raises(MessageRefused, match="400"):
                await here.client.request("GET", "/v2")

    asyncio.run(run())


def test_nothing_is_sent_again_after_it_may_have_been_taken() -> None:
    async def run() -> None:
        async with site(handler=Talker()) as here:
            await here.client.attest()
            for answer in (
                Outer(500, (), []),
                Outer(502, (), []),
                Outer(503, ((b"retry-after", b"0"),), []),
                Outer(200, ((b"content-type", b"message/ohttp-res"),), [bytes(200)]),
                Outer(200, ((b"content-type", b"message/ohttp-res"),), [], PeerUnreachable("broke", hint="x")),
            ):
                sent = len(encapsulated(here.wire))
                here.wire.after = lambda request, _, answer=answer: answer  # type: ignore[misc]
                with pytest.raises((PeerUnreachable, MessageRefused)):
                    await here.client.request("POST", "/whole")
                assert len(encapsulated(here.wire)) == sent + 1

    asyncio.run(run())


def test_the_next_keys_are_fetched_before_the_last_end_and_beside_the_requests() -> None:
    async def run() -> None:
        async with site(serving_policy(keys__rotate_s=1000, keys__overlap_s=500)) as here:
            first = await here.client.request("GET", "/v2")
            here.clock.forward(1260)  # within the overlap, after the latest time at which clients go over
            await here.rotate()
            held = asyncio.Event()

            async def slowly(sent: Sent) -> Outer | None:
                if sent.path == protocol.ATTESTATION_PATH:
                    await held.wait()
                return None

            here.wire.instead = slowly
            second = await here.client.request("GET", "/v2")  # not delayed by what is being fetched
            assert second.receipt.keyset == first.receipt.keyset and attestations(here.wire) == 2
            held.set()
            while here.client.attestation.keyset == first.receipt.keyset:  # type: ignore[union-attr]
                await asyncio.sleep(0.001)
            third = await here.client.request("GET", "/v2")
            assert third.receipt.keyset != first.receipt.keyset and attestations(here.wire) == 2

    asyncio.run(run())


def test_a_renewal_that_fails_is_tried_again_and_what_holds_still_holds() -> None:
    async def run() -> None:
        async with site(serving_policy(keys__rotate_s=1000, keys__overlap_s=500)) as here:
            await here.client.request("GET", "/v2")
            here.clock.forward(1260)
            here.wire.instead = lambda sent: Outer(503, (), []) if "attestation" in sent.path else None
            for _ in range(3):
                assert (await here.client.request("GET", "/v2")).status == 200
            assert attestations(here.wire) == 2
            here.clock.forward(6)
            await here.client.request("GET", "/v2")
            await asyncio.sleep(0)
            assert attestations(here.wire) == 3
            here.clock.forward(300)
            with pytest.raises(PeerUnreachable, match="503"):
                await here.client.request("GET", "/v2")

    asyncio.run(run())


def test_evidence_that_is_no_longer_accepted_in_mid_life_is_asked_for_again() -> None:
    """The collateral has been replaced by one that revokes the platform: what was accepted under the old one ends."""

    async def run() -> None:
        collateral = Collateral()
        async with site(client={"collateral": lambda: collateral}) as here:
            await here.client.request("GET", "/v2")
            here.clock.forward(31)
            await here.client.request("GET", "/v2")
            assert attestations(here.wire) == 1
            collateral = Collateral(revocation_lists=(attesting.crl("Milan", revoked=(0x10001,)),))
            await here.client.request("GET", "/v2")  # judged again every half minute at most
            here.clock.forward(31)
            sent = len(encapsulated(here.wire))
            with pytest.raises(EvidenceRejected):
                await here.client.request("GET", "/v2")
            assert attestations(here.wire) == 2 and len(encapsulated(here.wire)) == sent

    asyncio.run(run())


def test_a_server_that_was_replaced_by_other_code_is_refused_when_its_keys_are_new() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            await here.rotate()
            newest = here.world.keys._newest
            assert newest is not None
            here.world.keys._attester = Attester(
                newest.keyset, SnpMachine(measurement=bytes(48)), purposes=[protocol.PURPOSE], clock=here.clock
            )
            here.wire.instead = no_key
            with pytest.raises(EvidenceRejected, match="measurement"):
                await here.client.request("GET", "/v2")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sealing": b""}, "no key that requests can be sealed to"),
        ({"receipt": b""}, "signs receipts"),
        ({"receipt": b"not a key"}, "signs receipts"),
        ({"sealing": bytes.fromhex("002000010001") + b"k" * 32}, "no key that requests can be sealed to"),
    ],
)
def test_attested_keys_that_cannot_do_both_are_refused(changes: dict[str, bytes], said: str) -> None:
    async def run() -> None:
        async with site() as here:
            newest = here.world.keys._newest
            assert newest is not None
            keyset = replace(newest.keyset, **changes)
            here.world.keys._attester = Attester(keyset, SnpMachine(), purposes=[protocol.PURPOSE], clock=here.clock)
            with pytest.raises(EvidenceRejected, match=said):
                await here.client.request("GET", "/v2")
            assert encapsulated(here.wire) == []

    asyncio.run(run())


@given(
    life=st.integers(1, 100_000),
    rotate=st.integers(2, 100_000),
    part=st.floats(0.01, 1.0),
    spread=st.floats(0, 1),
)
def test_renewal_is_due_before_the_end_whatever_the_policy(life: int, rotate: int, part: float, spread: float) -> None:
    from datetime import UTC, datetime, timedelta

    from quatrefoil.attested import Attested
    from quatrefoil.client.pinning import Pins
    from quatrefoil.enclave.binding import Keyset

    now = datetime(2026, 6, 1, tzinfo=UTC)
    overlap = max(1, int(rotate * part))
    policy = serving_policy(attestation__life_s=life, keys=Keys(rotate, overlap))
    start = int(now.timestamp())
    keyset = Keyset(b"k" * 8, b"", b"", start - 300, start + rotate + overlap)
    expires = min(now + timedelta(seconds=life), datetime.fromtimestamp(keyset.expires, UTC))
    pins = Pins(None, policy, Collateral, clock=lambda: now, spread=lambda: spread)  # type: ignore[arg-type]
    until, due = pins._times(Attested(keyset, None, expires))  # type: ignore[arg-type]
    assert now < due < until <= expires
