"""Whoever is on the way, or runs the server, and what the client makes of it. Each attack is made for real."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from client_world import (
    INFER,
    Clock,
    Outer,
    Sent,
    Site,
    Talker,
    Wire,
    client_of,
    encapsulated,
    site,
)
from cryptography.hazmat.primitives.asymmetric import mldsa

import attesting
from quatrefoil import ohttp
from quatrefoil.attested import Attestation, Attester
from quatrefoil.client import Receipt
from quatrefoil.client.receipts import Sequences
from quatrefoil.errors import (
    CallerError,
    DateRefused,
    EvidenceRejected,
    MessageRefused,
    PeerUnreachable,
    RequestRefused,
)
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import GatewayKeys, HybridKey, chunked
from serving_world import SnpMachine, serving_policy

X = np.ones((1, 3), dtype=np.float32)
SECRET = b"what the patient has"
OHTTP_RES = (b"content-type", b"message/ohttp-res")


def attack(run: Callable[[], Any]) -> None:
    asyncio.run(run())


async def refused(here: Site, error: type[Exception], *, match: str = "", check: str = "") -> Any:
    """A request, and what it raises. Nothing that was asked is in the text."""
    with pytest.raises(error, match=match or None) as found:
        await here.client.request("POST", INFER, content=SECRET)
    assert SECRET.decode() not in str(found.value)
    if check:
        assert found.value.check == check
    return found.value


# ------------------------------------------------------------------------------------------------- before it is sent


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


def answering(make: Callable[[bytes], bytes]) -> Callable[[Sent], Outer | None]:
    """Whoever is in between gives its own answer to challenges."""

    def instead(sent: Sent) -> Outer | None:
        if sent.path != protocol.ATTESTATION_PATH:
            return None
        return Outer(200, ((b"content-type", b"application/cbor"),), [make(sent.content)])

    return instead


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
            for seen in (*here.wire.sent, *here.wire.answers):
                assert SECRET not in seen.content and b"/whole" not in seen.content

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


# ---------------------------------------------------------------------------------------------------- what comes back


def on_answers(change: Callable[[Outer], Outer]) -> Callable[[Sent, Outer], Outer]:
    return lambda sent, answer: change(answer) if sent.path == protocol.GATEWAY_PATH else answer


@pytest.mark.parametrize(
    "outer",
    [
        Outer(200, ((b"content-type", b"application/json"),), [b'{"outputs": []}']),
        Outer(200, (), [b""]),
        Outer(204, (), []),
        Outer(206, (OHTTP_RES,), [b"x" * 100]),
        Outer(200, (OHTTP_RES, OHTTP_RES), [b"x" * 100]),
        Outer(200, (OHTTP_RES,), [b"x" * 100]),
        Outer(200, (OHTTP_RES,), [b""]),
        Outer(200, ((b"content-type", b"message/ohttp-chunked-res"),), [b"x" * 100]),
        Outer(302, ((b"location", b"http://elsewhere"),), []),
        Outer(403, (), [b"no"]),
    ],
)
def test_success_outside_the_encryption_is_no_answer(outer: Outer) -> None:
    async def run() -> None:
        async with site() as here:
            here.wire.after = on_answers(lambda _: outer)
            await refused(here, MessageRefused)
            assert len(encapsulated(here.wire)) == 1  # it was not sent again

    attack(run)


@pytest.mark.parametrize(
    ("outer", "error", "said"),
    [
        (Outer(503, ((b"retry-after", b"9"),), []), PeerUnreachable, "Try again in 9 s"),
        (Outer(429, ((b"retry-after", b"x"),), []), PeerUnreachable, "later"),
        (Outer(500, (), [SECRET]), PeerUnreachable, "500"),
        (Outer(413, (), []), RequestRefused, "too large"),
        (Outer(400, ((b"content-type", b"application/problem+json"),), [b"{}"]), MessageRefused, "400"),
        (Outer(400, ((b"content-type", b"application/problem+json"),), [b"{" * 50]), MessageRefused, "400"),
    ],
)
def test_a_failure_outside_is_an_error_without_a_word_of_its_text(
    outer: Outer, error: type[Exception], said: str
) -> None:
    async def run() -> None:
        async with site() as here:
            here.wire.after = on_answers(lambda _: outer)
            found = await refused(here, error)
            assert said in str(found) and len(encapsulated(here.wire)) == 1

    attack(run)


def test_an_answer_to_another_request_does_not_open() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            first = here.wire.answers[-1]
            here.wire.after = on_answers(lambda _: first)
            await refused(here, MessageRefused)
            here.wire.after = lambda sent, answer: answer
            assert (await here.client.request("GET", "/v2")).status == 200

    attack(run)


def test_answers_swapped_between_two_requests_open_for_neither() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.attest()
            held: list[Outer] = []
            both = asyncio.Event()

            async def crossed(sent: Sent) -> Outer | None:
                if sent.path != protocol.GATEWAY_PATH:
                    return None
                world_answer = await here.world.outer("POST", sent.path, sent.content, kind="message/ohttp-req")
                own = len(held)
                held.append(Outer(200, (OHTTP_RES,), [world_answer.content]))
                if len(held) == 2:
                    both.set()
                await both.wait()
                return held[1 - own]

            here.wire.instead = crossed
            found = await asyncio.gather(
                *(here.client.request("GET", path) for path in ("/v2", "/v2/models/linear")), return_exceptions=True
            )
            assert [type(one) for one in found] == [MessageRefused, MessageRefused]

    attack(run)


@pytest.mark.parametrize("at", [0, 40, -1])
def test_an_answer_that_was_changed_does_not_open(at: int) -> None:
    async def run() -> None:
        async with site() as here:

            def flipped(answer: Outer) -> Outer:
                content = bytearray(answer.content)
                content[at] ^= 1
                return Outer(200, answer.headers, [bytes(content)])

            here.wire.after = on_answers(flipped)
            await refused(here, MessageRefused)

    attack(run)


# ----------------------------------------------------------------------------------------------------------- receipts

OTHER = bytes(range(32, 64))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"model": OTHER}, "model"),
        ({"policy": OTHER}, "policy"),
        ({"plan": OTHER}, "plan"),
        ({"measurement": "sev-snp.measurement=00"}, "measurement"),
        ({"request": OTHER}, "request"),
        ({"answer": OTHER}, "answer"),
        ({"status": 201}, "status"),
        ({"complete": False}, "complete"),
        ({"keyset": OTHER}, "keyset"),
        ({"time": 0}, "time"),
    ],
)
def test_a_receipt_of_anything_else_is_refused(changes: dict[str, Any], check: str, streamed: bool) -> None:
    async def run() -> None:
        given: list[Receipt] = []
        async with site(handler=Talker(), client={"on_receipt": given.append}) as here:
            here.receipts.changes = changes
            if streamed:
                async with here.client.stream("POST", "/stream", content=SECRET) as stream:
                    parts = []
                    with pytest.raises(EvidenceRejected) as found:
                        async for part in stream.iter_bytes():
                            parts.append(part)
                    assert not stream.whole and b"".join(parts) == b"data: one\n\ndata: two\n\n"
                    with pytest.raises(CallerError, match="not whole"):
                        _ = stream.receipt
            else:
                with pytest.raises(EvidenceRejected) as found:
                    await here.client.request("POST", "/whole", content=SECRET)
            assert found.value.check == check and given == []

    attack(run)


def test_a_receipt_signed_by_another_key_is_refused() -> None:
    async def run() -> None:
        async with site() as here:
            here.receipts.key = mldsa.MLDSA44PrivateKey.generate()
            await refused(here, EvidenceRejected)

    attack(run)


def test_the_receipt_of_the_answer_before_is_refused() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            old = here.receipts.signed[0]
            issue = here.receipts.issue
            here.receipts.issue = lambda *given, **more: issue(*given, **more) and old  # type: ignore[method-assign]
            with pytest.raises(EvidenceRejected) as found:
                await here.client.request("GET", "/v2")
            assert found.value.check == "request"

    attack(run)


def test_a_number_that_was_given_before_is_refused() -> None:
    """A server that keeps two logs gives one number to two answers."""

    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            here.receipts.changes = {"sequence": 0}
            await refused(here, EvidenceRejected, check="sequence")
            here.receipts.changes = {"sequence": 5, "issuer": "another"}
            await refused(here, EvidenceRejected, check="issuer")

    attack(run)


def test_an_answer_of_another_history_is_refused() -> None:
    """A server that keeps a second log branches off somewhere: what it signs does not follow what it has signed."""

    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            here.receipts.changes = {"previous": bytes(32)}
            await refused(here, EvidenceRejected, check="history")

    attack(run)


def test_numbers_may_come_in_any_order_and_are_bounded() -> None:
    numbers = Sequences(most=4)
    for sequence in (3, 1, 2, 7, 9):
        numbers.take(b"a", sequence)
    numbers.take(b"b", 3)
    for again in (3, 9, 1, 0):
        with pytest.raises(EvidenceRejected):
            numbers.take(b"a", again)
    numbers.take(b"a", 4)
    for many in range(100):
        numbers.take(b"k%d" % many, 0)
    assert len(numbers._keysets) <= 64


def test_the_certified_name_of_the_server_is_held_to_its_receipts() -> None:
    async def run() -> None:
        async with site(client={"server": "somebody"}) as here:
            await refused(here, EvidenceRejected, check="issuer")
        async with site(client={"server": "server"}) as here:
            assert (await here.client.request("GET", "/v2")).status == 200

    attack(run)


@pytest.mark.parametrize("how", ["none", "two", "no base64", "long"])
def test_an_answer_without_one_receipt_is_no_answer(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from quatrefoil.serving import sealing

    made = {
        "none": lambda fields, line: fields,
        "two": lambda fields, line: (*fields, line, line),
        "no base64": lambda fields, line: (*fields, (line[0], b"*" + line[1])),
        "long": lambda fields, line: (*fields, (line[0], line[1] * 8)),
    }[how]
    encode = ohttp.encode_response

    def changed(response: Any, **more: Any) -> bytes:
        *fields, line = response.head.fields
        head = dataclasses.replace(response.head, fields=tuple(made(tuple(fields), line)))
        return encode(dataclasses.replace(response, head=head), **more)

    monkeypatch.setattr(sealing.ohttp, "encode_response", changed)

    async def run() -> None:
        async with site() as here:
            await refused(here, EvidenceRejected, check="receipt")

    attack(run)


def test_client_and_server_of_different_policies_refuse_each_other() -> None:
    """A policy that asks for less padding, or another limit, is another policy."""

    async def run() -> None:
        async with site() as here:
            for other in (serving_policy(padding__requests="none"), serving_policy(limits__answer_bytes=1 << 20)):
                async with here.again(policy=other) as client:
                    with pytest.raises(EvidenceRejected) as found:
                        await client.request("GET", "/v2")
                assert found.value.check == "policy"

    attack(run)


# ------------------------------------------------------------------------------------------------------------ streams


def chunks_of(content: bytes) -> list[bytes]:
    """Nonce, then each chunk with its length, then the final one."""
    from quatrefoil.ohttp import varint

    at, found = 32, [content[:32]]
    while at < len(content):
        size = varint.size_of(content[at])
        length = varint.value_of(content[at : at + size])
        end = len(content) if length == 0 else at + size + length
        found.append(content[at:end])
        at = end
    return found


async def tampered(
    here: Site, change: Callable[[list[bytes]], list[bytes]], breaks: BaseException | None = None
) -> Any:
    """A stream whose chunks ``change`` rearranges: what was given out, and the stream."""

    async def instead(sent: Sent) -> Outer | None:
        if sent.path != protocol.GATEWAY_PATH:
            return None
        answer = await here.world.outer("POST", sent.path, sent.content, kind=chunked.REQUEST_TYPE)
        parts = change(chunks_of(answer.content))
        return Outer(200, ((b"content-type", chunked.RESPONSE_TYPE.encode()),), parts, breaks)

    here.wire.instead = instead
    parts: list[bytes] = []
    async with here.client.stream("POST", "/stream", content=SECRET) as stream:
        async for part in stream.iter_bytes():
            parts.append(part)
    return parts, stream


CHUNK_ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "cut before the last": lambda parts: parts[:-1],
    "cut in the last": lambda parts: [*parts[:-1], parts[-1][:-1]],
    "cut in the middle": lambda parts: parts[:3],
    "cut to the head": lambda parts: parts[:2],
    "nothing": lambda parts: [],
    "swapped": lambda parts: [*parts[:2], parts[3], parts[2], *parts[4:]],
    "repeated": lambda parts: [*parts[:3], parts[2], *parts[3:]],
    "left out": lambda parts: [*parts[:2], *parts[3:]],
    "appended": lambda parts: [*parts, b"x"],
    "a chunk as the last": lambda parts: [*parts[:3], b"\0" + parts[3][1:]],
}


@pytest.mark.parametrize("attack_name", CHUNK_ATTACKS)
def test_a_stream_that_was_tampered_with_raises_and_is_not_whole(attack_name: str) -> None:
    async def run() -> None:
        async with site(handler=Talker([b"data: %d\n\n" % one for one in range(4)])) as here:
            whole, stream = await tampered(here, lambda parts: parts)
            assert len(whole) == 4 and stream.whole
            with pytest.raises(MessageRefused):
                await tampered(here, CHUNK_ATTACKS[attack_name])

    attack(run)


def test_a_stream_whose_connection_breaks_is_not_whole() -> None:
    async def run() -> None:
        async with site(handler=Talker([b"data: %d\n\n" % one for one in range(4)])) as here:
            broke = PeerUnreachable("the connection broke", hint="Try again")
            with pytest.raises(PeerUnreachable):
                await tampered(here, lambda parts: parts[:3], broke)

    attack(run)


def test_an_upstream_that_breaks_off_ends_the_stream_with_an_error() -> None:
    async def run() -> None:
        async with site(handler=Talker(breaks=True)) as here:
            async with here.client.stream("POST", "/stream") as stream:
                with pytest.raises((MessageRefused, PeerUnreachable), match="cut"):
                    await stream.read()
                assert not stream.whole
            assert [one.complete for one in here.receipts.receipts] == [False]

    attack(run)


def test_a_stream_answered_outside_the_encryption_is_refused() -> None:
    async def run() -> None:
        async with site(handler=Talker()) as here:
            here.wire.instead = lambda sent: (
                Outer(200, ((b"content-type", b"text/event-stream"),), [b"data: hello\n\n"])
                if sent.path == protocol.GATEWAY_PATH
                else None
            )
            with pytest.raises(MessageRefused, match="outside of the encryption"):
                async with here.client.stream("POST", "/stream"):
                    raise AssertionError

    attack(run)
