"""Requests through the gateway, as a client makes them: whole and in chunks, and everything outside the encryption."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from quatrefoil import ohttp
from quatrefoil.errors import HostError
from quatrefoil.exchange import protocol
from serving_parts import INFER, MODEL, serving_policy
from serving_world import started
from small_models import B, W

X = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
INPUT = json.dumps({"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": X}]}).encode()


@pytest.mark.parametrize("chunked", [False, True])
def test_the_model_answers_and_signs_what_it_answered(chunked: bool) -> None:
    async def run() -> None:
        async with started() as world:
            answer = await world.ask(world.request(INFER, INPUT), chunked=chunked)
            assert answer.status == 200
            assert np.allclose(np.reshape(answer.json["outputs"][0]["data"], (2, 2)), np.array(X) @ W + B)
            assert answer.receipt.model == world.policy.model.root
            assert answer.receipt.policy == world.policy.digest()
            metadata = await world.ask(world.request(f"/v2/models/{MODEL}".encode()), chunked=chunked)
            assert metadata.json["name"] == MODEL
            assert [one.sequence for one in world.receipts.receipts] == [0, 1]

    asyncio.run(run())


def test_answers_have_the_sizes_of_the_policy() -> None:
    async def run() -> None:
        policy = serving_policy(padding__answers="power-of-two")
        async with started(policy) as world:
            for chunked in (False, True):
                sealed = await world.sealed(world.request(INFER, INPUT), chunked=chunked)
                outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
                size = len(sealed.plain(outer))
                assert size & (size - 1) == 0

    asyncio.run(run())


def test_what_is_outside_holds_no_content() -> None:
    async def run() -> None:
        async with started() as world:
            assert (await world.outer("GET", protocol.LIVE_PATH)).content == b"live\n"
            assert (await world.outer("GET", protocol.READY_PATH)).status == 200
            listed = ohttp.decode_list((await world.outer("GET", protocol.GATEWAY_PATH)).content)
            accepted = await world.attest()
            assert listed[0] == protocol.configuration(accepted.keyset)
            assert (await world.outer("GET", "/nothing")).status == 404
            assert (await world.outer("GET", protocol.METRICS_PATH)).status == 404
            assert (await world.outer("PUT", protocol.GATEWAY_PATH)).status == 405
            assert (await world.outer("POST", protocol.GATEWAY_PATH, b"x", kind="text/plain")).status == 415
            assert (await world.outer("POST", protocol.GATEWAY_PATH, b"x")).status == 415
            world.gateway.stop_taking()
            assert (await world.outer("GET", protocol.READY_PATH)).status == 503
            stopped = await world.outer("POST", protocol.GATEWAY_PATH, b"x", kind="message/ohttp-req")
            assert (stopped.status, stopped.headers[b"retry-after"]) == (503, b"5")

    asyncio.run(run())


def test_an_unknown_key_and_what_does_not_open_are_refused_outside() -> None:
    async def run() -> None:
        async with started() as world:
            for chunked in (False, True):
                sealed = await world.sealed(world.request(INFER, INPUT), chunked=chunked)
                other = bytes([sealed.content[0] ^ 1]) + sealed.content[1:]
                unknown = await world.outer("POST", protocol.GATEWAY_PATH, other, kind=sealed.kind)
                assert unknown.status == 400
                assert unknown.problem["type"] == "https://iana.org/assignments/http-problem-types#ohttp-key"
                flipped = sealed.content[:-1] + bytes([sealed.content[-1] ^ 1])
                for broken in (flipped, sealed.content[:-1], sealed.content[:300], b""):
                    refused = await world.outer("POST", protocol.GATEWAY_PATH, broken, kind=sealed.kind)
                    assert (refused.status, refused.problem["type"]) == (400, "about:blank"), len(broken)
                wrong = "message/ohttp-req" if chunked else "message/ohttp-chunked-req"
                assert (await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=wrong)).status == 400
            assert world.receipts.receipts == []

    asyncio.run(run())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_comes_twice_is_done_once(chunked: bool) -> None:
    async def run() -> None:
        async with started() as world:
            sealed = await world.sealed(world.request(INFER, INPUT), chunked=chunked)
            first, second = await asyncio.gather(
                *(world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind) for _ in range(2))
            )
            assert sorted((first.status, second.status)) == [200, 400]
            assert len(world.receipts.receipts) == 1

    asyncio.run(run())


@pytest.mark.parametrize("date", [None, "Sun, 06 Nov 1994 08:49:37 GMT", "yesterday", "Sat, 06 Nov 2094 08:49:37 GMT"])
def test_a_date_outside_the_window_is_a_problem_inside(date: str | None) -> None:
    async def run() -> None:
        async with started() as world:
            fields = [] if date is None else [(b"date", date.encode())]
            answer = await world.ask(world.request(INFER, INPUT, fields=fields))
            assert answer.status == 400
            assert answer.json["type"] == "https://iana.org/assignments/http-problem-types#date"
            assert answer.field(b"date")

    asyncio.run(run())


def test_errors_inside_have_receipts_too() -> None:
    async def run() -> None:
        async with started(serving_policy(limits__request_bytes=1000)) as world:
            cases = [
                (world.request(b"/nothing"), 404),
                (world.request(b"/v2/models/other/infer", INPUT), 404),
                (world.request(INFER), 405),
                (world.request(INFER, b"{"), 400),
                (world.request(INFER, b"x" * 1001), 413),
                (b"\x07no binary http", 400),
            ]
            for request, status in cases:
                for chunked in (False, True):
                    answer = await world.ask(request, chunked=chunked)
                    assert answer.status == answer.receipt.status == status
                    assert set(answer.json) == {"error"}

    asyncio.run(run())


def test_a_body_over_the_limit_is_refused_unread() -> None:
    async def run() -> None:
        async with started(serving_policy(limits__request_bytes=1000)) as world:
            announced = [(b"content-length", b"100000000")]
            refused = await world.outer("POST", protocol.GATEWAY_PATH, b"", kind="message/ohttp-req", headers=announced)
            assert refused.status == 413
            parts = [b"x" * 65536] * 40
            asked = world.asked("POST", protocol.GATEWAY_PATH, parts, kind="message/ohttp-req")
            assert (await asked.answer()).status == 413
            assert asked._parts

    asyncio.run(run())


def test_without_a_receipt_there_is_no_answer() -> None:
    async def run() -> None:
        async with started() as world:
            sealed = await world.sealed(world.request(INFER, INPUT))
            world.receipts.fails = HostError("the disk is full", hint="Free some")
            outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            assert outer.status == 500
            assert any("disk is full" in line for line in world.said)

    asyncio.run(run())
