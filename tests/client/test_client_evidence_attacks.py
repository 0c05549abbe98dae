"""Before anything is sent: evidence of other code, of before, for another purpose or key, and wrong clocks."""

from __future__ import annotations

import dataclasses

import pytest
from client_attacks import SECRET, answering, attack, refused
from client_world import Clock, Outer, Talker, Wire, client_of, encapsulated, site

import attesting
from quatrefoil import ohttp
from quatrefoil.attested import Attestation, Attester
from quatrefoil.errors import CallerError, DateRefused, EvidenceRejected, MessageRefused, PeerUnreachable
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import GatewayKeys, HybridKey
from serving_parts import SnpMachine, serving_policy


@pytest.mark.parametrize(
    ("machine", "check"),
    [
        (SnpMachine(measurement=bytes(48)), "accepted-measurement"),
        (SnpMachine(policy=attesting.POLICY | attesting.DEBUG), "refused-debug"),
        (SnpMachine(reported_tcb=bytes(8)), "certificate-tcb"),
    ],
)
def test_nothing_is_sent_to_other_code_or_another_platform(machine: SnpMachine, check: str) -> None:
    async def run() -> None:
        async with site() as here:
            machine.asked.clear()
            here.world.keys._attester = Attester(
                here.world.keys._newest.keyset, machine, purposes=[protocol.PURPOSE], clock=here.clock
            )
            await refused(here, EvidenceRejected, check=check)
            assert machine.asked
            assert encapsulated(here.wire) == [] and here.receipts.receipts == []

    attack(run)


def test_without_appraisal_the_other_code_would_be_believed() -> None:
    async def run() -> None:
        other = b"\x01" * 48
        rule = serving_policy().attestation.appraisal.rules[0]
        policy = serving_policy()
        loose = dataclasses.replace(
            policy.attestation.appraisal,
            rules=(
                dataclasses.replace(
                    rule,
                    measurements=(dataclasses.replace(rule.measurements[0], values=(other.hex(),)),),
                ),
            ),
        )
        policy = dataclasses.replace(policy, attestation=dataclasses.replace(policy.attestation, appraisal=loose))
        async with site(policy, machine=SnpMachine(measurement=other)) as here:
            assert (await here.client.request("GET", "/v2")).status == 200

    attack(run)


def test_an_honest_servers_evidence_beside_anothers_key_is_refused() -> None:
    async def run() -> None:
        async with site() as here:
            mine = HybridKey.generate()

            def swapped(challenge: bytes) -> bytes:
                honest = Attestation.decode(here.world.keys.attest(challenge))
                keyset = dataclasses.replace(honest.keyset, sealing=protocol.sealing_key(mine))
                return Attestation(honest.nonce, keyset, honest.evidence).encode()

            here.wire.instead = answering(swapped)
            await refused(here, EvidenceRejected, match="report-data")
            assert encapsulated(here.wire) == []

    attack(run)


def test_if_the_key_list_were_trusted_whoever_is_in_between_would_read_everything() -> None:
    """What the property is for: the list of RFC 9540 proves nothing, and the client never asks for it."""

    async def run() -> None:
        async with site() as here:
            mine = HybridKey.generate()
            keys = GatewayKeys({protocol.key_id(mine.public): mine})
            sealed, _ = ohttp.seal_request(keys.configurations[0], SECRET)
            assert ohttp.open_request(sealed, keys).content == SECRET
            await here.client.request("GET", "/v2")
            assert {one.path for one in here.wire.sent} == {protocol.ATTESTATION_PATH, protocol.GATEWAY_PATH}
            with pytest.raises(MessageRefused):
                keys_of_attacker = GatewayKeys({encapsulated(here.wire)[0][0]: mine})
                ohttp.open_request(encapsulated(here.wire)[0], keys_of_attacker)

    attack(run)


def test_a_relayed_attestation_is_harmless_the_relay_reads_nothing() -> None:
    async def run() -> None:
        async with site(handler=Talker([SECRET + b"\n\n"])) as here:
            relayed = here.again(relay="https://relay.example")
            async with relayed:
                answer = await relayed.request("POST", "/whole", content=SECRET)
                async with relayed.stream("POST", "/stream", content=SECRET) as stream:
                    assert SECRET in await stream.read()
            assert SECRET in answer.content
            assert {url.split("/")[2] for url in here.wire.urls} == {"relay.example"}
            sent = [one.content for one in here.wire.sent]
            answered = [one.content for one in here.wire.answers]
            assert sent and answered
            for content in (*sent, *answered):
                assert SECRET not in content and b"/whole" not in content

    attack(run)


@pytest.mark.parametrize("kept", [1, 2])
def test_evidence_of_before_is_refused(kept: int) -> None:
    """A nonce is taken once: neither the answer to another challenge nor the same answer again."""

    async def run() -> None:
        async with site() as here:
            await here.client.attest()
            (old,) = [one.content for one in here.wire.answers]
            here.wire.instead = answering(lambda challenge: old)
            async with here.again() as other:
                with pytest.raises(EvidenceRejected) as found:
                    await other.attest()
            assert found.value.check == "nonce"
            here.clock.forward(3601)
            with pytest.raises(EvidenceRejected) as found:
                await here.client.request("GET", "/v2")
            assert found.value.check == "nonce" and encapsulated(here.wire) == []

    attack(run)


def test_evidence_for_another_purpose_is_refused() -> None:
    async def run() -> None:
        async with site() as here:
            keyset = here.world.keys._newest.keyset
            other = Attester(keyset, SnpMachine(), purposes=["model release"], clock=here.clock)

            def elsewhere(challenge: bytes) -> bytes:
                from quatrefoil.attested import Challenge

                asked = Challenge(Challenge.decode(challenge).nonce, "model release")
                return other.answer(asked.encode(), b"")

            here.wire.instead = answering(elsewhere)
            await refused(here, EvidenceRejected, match="report-data")

    attack(run)


@pytest.mark.parametrize("ahead", [-3600.0, 3 * 3600.0])
def test_a_clock_that_is_wrong_is_named(ahead: float) -> None:
    async def run() -> None:
        async with site() as here:
            async with here.again(clock=Clock(ahead)) as off:
                with pytest.raises(EvidenceRejected, match="clock") as found:
                    await off.request("GET", "/v2")
            assert found.value.check == "keyset-validity" and encapsulated(here.wire) == []

    attack(run)


def test_a_clock_that_is_a_little_off_is_told_by_the_servers_date() -> None:
    async def run() -> None:
        async with site() as here:
            async with here.again(clock=Clock(900)) as off:
                with pytest.raises((DateRefused, EvidenceRejected), match=r"date|time") as found:
                    (await off.request("GET", "/v2")).raise_for_status()
            assert "clock" in str(found.value)

    attack(run)


@pytest.mark.parametrize(
    "url",
    [
        "http://model.example",
        "model.example",
        "https://",
        "https://u:p@model.example",
        "https://model.example/v2",
        "https://model.example?x",
        "https://model.example:x",
        "https://model.example#x",
        "https://mo del.example",
        "ftp://model.example",
    ],
)
def test_anything_but_https_is_no_server_and_no_relay(url: str) -> None:
    for given in ({"url": url}, {"relay": url}):
        with pytest.raises(CallerError, match="https"):
            client_of(Wire(None), **given)


def test_a_server_without_our_tls_identity_has_nobody_to_be() -> None:
    with pytest.raises(CallerError, match="identity and trust"):
        client_of(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outer", "error"),
    [
        (Outer(200, ((b"content-type", b"text/html"),), [b"<html>"]), EvidenceRejected),
        (Outer(200, ((b"content-type", b"application/cbor"),), [b"\xf6"]), EvidenceRejected),
        (Outer(200, ((b"content-type", b"application/cbor"),), []), EvidenceRejected),
        (Outer(503, ((b"retry-after", b"7"),), []), PeerUnreachable),
        (Outer(404, (), []), PeerUnreachable),
        (Outer(302, ((b"location", b"https://elsewhere"),), []), PeerUnreachable),
    ],
)
def test_what_is_no_attestation_is_refused(outer: Outer, error: type[Exception]) -> None:
    async def run() -> None:
        async with site() as here:
            here.wire.instead = lambda sent: outer if sent.path == protocol.ATTESTATION_PATH else None
            await refused(here, error)
            assert encapsulated(here.wire) == []

    attack(run)
