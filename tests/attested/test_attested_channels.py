"""Attestation over real post-quantum channels: accepted from who made it, and from nobody who passes it on."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from attested_parties import (
    PURPOSE,
    Clock,
    SnpMachine,
    attester,
    keyset,
    leaf_digest,
    relying_party,
)
from tests.reference import binding as reference
from tests.transport.listening import dial, dial_async, dialer, listening

import attesting
from quatrefoil.attested import (
    LARGEST_ATTESTATION,
    Attestation,
    Attester,
    Challenge,
    RelyingParty,
    answer,
    answer_async,
    ask,
    ask_async,
    exported,
)
from quatrefoil.attested.channels import LABEL
from quatrefoil.attested.messages import LARGEST_CHALLENGE
from quatrefoil.errors import EvidenceRejected, MessageRefused, PeerUnreachable
from quatrefoil.transport import AsyncChannel, FixedCredentials
from support import Consortium

Handle = Callable[[AsyncChannel], Awaitable[None]]


def attesting_server(members: Consortium, other: Attester, **changes: Any) -> Any:
    """A server whose every channel is attested by ``other``, as often as it is asked."""

    async def handle(channel: AsyncChannel) -> None:
        while True:
            await answer_async(channel, other)

    return listening(members, handler=handle, **changes)


def hub_keyset(members: Consortium, **changes: Any) -> Any:
    return keyset(tls=leaf_digest(members.identity("hub", "aggregator")), **changes)


def test_a_server_is_accepted_by_a_blocking_client(members: Consortium, clock: Clock) -> None:
    party, keys = relying_party(clock), hub_keyset(members)
    with attesting_server(members, attester(clock, keys)) as server, dial(members, server.port) as channel:
        assert ask(channel, party).keyset == keys
        assert ask(channel, party).verdict.accepted
        assert party.recognise(leaf_digest(members.identity("hub", "aggregator"))).keyset == keys


def test_a_server_is_accepted_by_a_client_under_asyncio(members: Consortium, clock: Clock) -> None:
    async def run(port: int) -> Any:
        async with await dial_async(members, port) as channel:
            return await ask_async(channel, relying_party(clock))

    with attesting_server(members, attester(clock, hub_keyset(members))) as server:
        assert asyncio.run(run(server.port)).verdict.accepted


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "asyncio"])
def test_a_client_is_accepted_by_a_server(members: Consortium, clock: Clock, blocking: bool) -> None:
    seen: queue.Queue[Any] = queue.Queue()
    keys = keyset(tls=leaf_digest(members.identity("cleveland", "silo")))
    other = attester(clock, keys)

    async def handle(channel: AsyncChannel) -> None:
        seen.put(await ask_async(channel, relying_party(clock)))

    async def run(port: int) -> None:
        async with await dial_async(members, port) as channel:
            await answer_async(channel, other)

    with listening(members, handler=handle) as server:
        if blocking:
            with dial(members, server.port) as channel:
                answer(channel, other)
        else:
            asyncio.run(run(server.port))
        assert seen.get(timeout=10).keyset == keys


def test_both_ends_commit_to_what_the_specification_says(members: Consortium, clock: Clock) -> None:
    """The exporter's label and context, against the slow reference."""
    machine, nonce = SnpMachine(), b"n" * 32
    party = relying_party(clock, random=lambda size: nonce)
    keys = keyset()
    written = reference.keyset(keys.sealing, keys.tls, keys.receipt, keys.not_before, keys.expires)
    with attesting_server(members, attester(clock, keys, collector=machine)) as server:
        with dial(members, server.port) as channel:
            ask(channel, party)
            material = channel.exporter(b"EXPORTER-quatrefoil-attestation", reference.exporter_context(True, nonce), 32)
        assert machine.asked == [reference.report_data(written, nonce, material, PURPOSE)]


def test_channels_export_different_material(members: Consortium) -> None:
    """By connection, nonce and end; a resumed session as well."""
    with listening(members) as server:
        of = dialer(members, server.port)
        with of.connect() as one, dial(members, server.port) as two:
            found = {
                exported(channel, nonce, of_peer=of_peer)
                for channel in (one, two)
                for nonce in (b"n" * 32, b"m" * 32)
                for of_peer in (True, False)
            }
            first = exported(one, b"n" * 32, of_peer=True)
            assert len(found) == 8 and first != one.exporter(LABEL, b"n" * 32, 32)
        with of.connect() as again:
            assert again.resumed
            assert exported(again, b"n" * 32, of_peer=True) not in found


# -------------------------------------------------------------------------------------------------------------- relay


def relaying(members: Consortium, port: int) -> Handle:
    """A certified party that stands between: it passes challenges on to the server at ``port``, and answers back."""

    async def handle(channel: AsyncChannel) -> None:
        async with await dial_async(members, port, identity=members.identity("middle", "silo")) as onward:
            while True:
                await onward.send(await channel.receive(LARGEST_CHALLENGE))
                await channel.send(await onward.receive(LARGEST_ATTESTATION))

    return handle


@pytest.mark.parametrize("named", [True, False], ids=["tls key named", "no tls key"])
def test_an_attestation_that_is_relayed_from_another_channel_is_rejected(
    members: Consortium, clock: Clock, named: bool
) -> None:
    keys = hub_keyset(members) if named else keyset()
    middle = members.identity("middle", "aggregator")
    with (
        attesting_server(members, attester(clock, keys)) as server,
        listening(members, handler=relaying(members, server.port), identity=middle) as between,
        dial(members, between.port) as channel,
        pytest.raises(EvidenceRejected) as refused,
    ):
        ask(channel, relying_party(clock))
    assert refused.value.check == ("tls-key" if named else "report-data")
    assert refused.value.party == "middle"


def test_a_relay_that_has_the_servers_tls_key_is_rejected_all_the_same(members: Consortium, clock: Clock) -> None:
    """Certificate and key of the attested server were copied: the channel still ends somewhere else."""
    with (
        attesting_server(members, attester(clock, hub_keyset(members))) as server,
        listening(members, handler=relaying(members, server.port)) as between,
        dial(members, between.port) as channel,
        pytest.raises(EvidenceRejected) as refused,
    ):
        ask(channel, relying_party(clock))
    assert refused.value.check == "report-data"


def test_without_the_exporter_the_relay_succeeds(members: Consortium, clock: Clock) -> None:
    """Why the exporter is bound: the same relay, between two parties that leave it out, is not noticed."""
    other, party = attester(clock, keyset()), relying_party(clock)

    async def unbound(channel: AsyncChannel) -> None:
        await channel.send(other.answer(await channel.receive(LARGEST_CHALLENGE), b""))

    middle = members.identity("middle", "aggregator")
    with (
        listening(members, handler=unbound) as server,
        listening(members, handler=relaying(members, server.port), identity=middle) as between,
        dial(members, between.port) as channel,
    ):
        channel.send(party.challenge())
        assert channel.peer.name == "middle"
        assert party.accept(channel.receive(LARGEST_ATTESTATION), b"").verdict.accepted


def test_an_answer_of_an_earlier_channel_is_rejected(members: Consortium, clock: Clock) -> None:
    """The same two ends and an answer that nobody has seen yet, on the next channel."""
    party = relying_party(clock)
    with attesting_server(members, attester(clock)) as server:
        with dial(members, server.port) as channel:
            challenge = party.challenge()
            channel.send(challenge)
            kept = channel.receive(LARGEST_ATTESTATION)
        with dial(members, server.port) as channel, pytest.raises(EvidenceRejected) as refused:
            party.accept(kept, exported(channel, Challenge.decode(challenge).nonce, of_peer=True))
    assert refused.value.check == "report-data"


def test_nobody_can_send_our_own_evidence_back(members: Consortium, clock: Clock) -> None:
    """A client that attests and asks: the server answers its challenge with what the client itself says to it."""
    own, party = attester(clock), relying_party(clock)

    async def reflect(channel: AsyncChannel) -> None:
        challenge = await channel.receive(LARGEST_CHALLENGE)
        await channel.send(challenge)
        await channel.send(await channel.receive(LARGEST_ATTESTATION))

    with listening(members, handler=reflect) as server, dial(members, server.port) as channel:
        challenge = party.challenge()
        channel.send(challenge)
        answer(channel, own)
        reflected = channel.receive(LARGEST_ATTESTATION)
        nonce = Challenge.decode(challenge).nonce
        with pytest.raises(EvidenceRejected) as refused:
            party.accept(reflected, exported(channel, nonce, of_peer=True))
    assert refused.value.check == "report-data"


# ----------------------------------------------------------------------------------------------- keys of the channel


def test_a_tls_key_that_was_swapped_is_rejected(members: Consortium, clock: Clock) -> None:
    """Honest evidence on this very channel, of a keyset that names the key of somebody else."""
    keys = keyset(tls=leaf_digest(members.identity("other", "aggregator")))
    with (
        attesting_server(members, attester(clock, keys)) as server,
        dial(members, server.port) as channel,
        pytest.raises(EvidenceRejected, match="another TLS key") as refused,
    ):
        ask(channel, relying_party(clock))
    assert refused.value.check == "tls-key"


def test_keys_rotate_with_the_channel(members: Consortium, clock: Clock) -> None:
    """A new keyset with a new TLS key is refused on the channel of the old key, and accepted on a new one."""
    party, other = relying_party(clock), attester(clock, hub_keyset(members))
    renewed = members.identity("hub-renewed", "aggregator")
    with attesting_server(members, other) as server, dial(members, server.port) as channel:
        before = ask(channel, party)
        other.rotate(keyset(tls=leaf_digest(renewed)))
        with pytest.raises(EvidenceRejected, match="may have been replaced"):
            ask(channel, party)
    with attesting_server(members, other, identity=renewed) as server, dial(members, server.port) as channel:
        after = ask(channel, party)
    assert after.keyset != before.keyset
    assert party.recognise(leaf_digest(renewed)) is after


def test_a_peer_that_was_attested_is_recognised_on_the_next_channel(members: Consortium, clock: Clock) -> None:
    party, machine = relying_party(clock, life_seconds=100), SnpMachine()
    key = leaf_digest(members.identity("hub", "aggregator"))
    with attesting_server(members, attester(clock, hub_keyset(members), collector=machine)) as server:
        with dial(members, server.port) as channel:
            first = ask(channel, party)
        assert party.recognise(key) is first and len(machine.asked) == 1
        clock.forward(100)
        with pytest.raises(EvidenceRejected, match="was good until"):
            party.recognise(key)
        with dial(members, server.port) as channel:
            assert ask(channel, party).expires > first.expires


# -------------------------------------------------------------------------------------------------------- bad manners


def test_an_attester_ends_the_channel_of_who_asks_for_another_purpose(members: Consortium, clock: Clock) -> None:
    with attesting_server(members, attester(clock, purposes=["something else"])) as server:
        with dial(members, server.port) as channel, pytest.raises(PeerUnreachable):
            ask(channel, relying_party(clock))
        assert "for which there is none here" in str(server.refusal())


@pytest.mark.parametrize("said", [b"", b"challenge", b"x" * (LARGEST_CHALLENGE + 1)], ids=["empty", "text", "long"])
def test_an_attester_ends_the_channel_of_who_sends_no_challenge(members: Consortium, clock: Clock, said: bytes) -> None:
    with attesting_server(members, attester(clock)) as server:
        with dial(members, server.port) as channel:
            channel.send(said)
            with pytest.raises(PeerUnreachable):
                channel.receive(LARGEST_ATTESTATION)
        assert isinstance(server.refusal(), MessageRefused)


@pytest.mark.parametrize("part", ["nonce", "evidence", "keyset"])
def test_an_answer_that_is_altered_by_its_sender_is_rejected(members: Consortium, clock: Clock, part: str) -> None:
    other = attester(clock)
    changes: dict[str, Any] = {
        "nonce": {"nonce": bytes(32)},
        "evidence": {"evidence": attesting.evidence().encode()},
        "keyset": {"keyset": keyset(receipt=b"mine")},
    }

    async def handle(channel: AsyncChannel) -> None:
        challenge = await channel.receive(LARGEST_CHALLENGE)
        material = exported(channel, Challenge.decode(challenge).nonce, of_peer=False)
        honest = Attestation.decode(other.answer(challenge, material))
        await channel.send(replace(honest, **changes[part]).encode())

    with (
        listening(members, handler=handle) as server,
        dial(members, server.port) as channel,
        pytest.raises(EvidenceRejected) as refused,
    ):
        ask(channel, relying_party(clock))
    assert refused.value.check == {"nonce": "nonce", "evidence": "format", "keyset": "report-data"}[part]


def test_a_server_that_is_asked_and_refused_serves_others(members: Consortium, clock: Clock) -> None:
    """One client in debug mode is refused by a server that asks; the next is served."""
    party: RelyingParty = relying_party(clock)
    seen: queue.Queue[Any] = queue.Queue()

    async def handle(channel: AsyncChannel) -> None:
        seen.put(await ask_async(channel, party))

    bad = attester(clock, collector=SnpMachine(policy=attesting.POLICY | attesting.DEBUG))
    with listening(members, handler=handle, credentials=_hub(members)) as server:
        with dial(members, server.port) as channel:
            answer(channel, bad)
            assert "refused-debug" in str(server.refusal())
        with dial(members, server.port) as channel:
            answer(channel, attester(clock))
            assert seen.get(timeout=10).verdict.accepted


def _hub(members: Consortium) -> FixedCredentials:
    return FixedCredentials(members.identity("hub", "aggregator"), members.trust)
