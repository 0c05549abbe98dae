"""Receipts that are not of this answer, by this server, once: none is taken, and neither is the answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from client_attacks import SECRET, attack, refused
from client_world import Talker, site
from cryptography.hazmat.primitives.asymmetric import mldsa

from quatrefoil import ohttp
from quatrefoil.client import Receipt
from quatrefoil.client.receipts import Sequences
from quatrefoil.errors import CallerError, EvidenceRejected
from serving_parts import serving_policy

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
            here.receipts.changes = {"sequence": 6, "commitment": b"o" * 32}
            await refused(here, EvidenceRejected, check="commitment")

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
