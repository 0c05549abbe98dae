"""Nothing that a server says of itself, whatever goes wrong, shows what was asked or answered, or who asked."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback

import pytest
from test_gateway import INPUT
from told_handler import Does

from quatrefoil import ohttp
from quatrefoil.errors import EngineFailed
from quatrefoil.exchange import protocol
from quatrefoil.inference import InferRequest, InferResponse, OnnxEngine
from quatrefoil.ohttp import Request, Response
from quatrefoil.serving.faults import Sparing
from quatrefoil.serving.oip import OipHandler
from serving_parts import INFER, MODEL, serving_policy
from serving_world import World, started
from small_models import lookup

MARKER = "SECRET-MARKER-4711"


def _strings() -> bytes:
    return json.dumps(
        {
            "inputs": [
                {"name": "d", "shape": [1], "datatype": "BYTES", "data": [MARKER]},
                {"name": "i", "shape": [1], "datatype": "INT64", "data": [99]},
            ]
        }
    ).encode()


class Leaking(OnnxEngine):
    """An engine whose errors say what was asked."""

    def infer(self, request: InferRequest) -> InferResponse:
        raise ValueError(f"cannot compute {request.inputs}")


def test_nothing_that_is_asked_answered_or_goes_wrong_shows_in_texts_logs_and_counts(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    async def asked(world: World) -> None:
        path = f"/v2/models/{MODEL}/infer".encode()
        requests = [
            world.request(path, _strings()),
            world.request(path, MARKER.encode()),
            world.request(f"/{MARKER}".encode()),
            world.request(path, _strings(), fields=[(b"date", MARKER.encode())]),
            world.request(path, _strings(), fields=[(b"content-type", MARKER.encode())]),
            world.request(path, _strings(), method=MARKER.encode()),
            b"\x07" + MARKER.encode(),
        ]
        for request in requests:
            for chunked in (False, True):
                answer = await world.ask(request, chunked=chunked)
                if answer.status != 200:
                    assert MARKER.encode() not in answer.content
        broken = ohttp.seal_request(protocol.configuration((await world.attest()).keyset), MARKER.encode() * 99)[0]
        for cut in (len(broken) - 1, 1200):
            outer = await world.outer("POST", protocol.GATEWAY_PATH, broken[:cut], kind="message/ohttp-req")
            assert MARKER.encode() not in outer.content
        said = "\n".join(world.said) + world.gateway.metrics.text().decode()
        said += "".join(repr(one) for one in world.receipts.receipts)
        assert MARKER not in said

    async def run() -> None:
        policy = serving_policy(limits__request_bytes=100_000)
        for engine in (OnnxEngine(lookup(), name=MODEL), Leaking(lookup(), name=MODEL)):
            async with started(policy, handler=OipHandler(engine, policy)) as world:
                await asked(world)

        async def explodes(request: Request) -> Response:
            raise RuntimeError(request.content.decode())

        async def fails(request: Request) -> Response:
            try:
                raise ValueError(request.content.decode())
            except ValueError:
                raise EngineFailed("it failed", hint="Try again")  # noqa: B904 - with the context that it should not have

        for does in (explodes, fails):
            async with started(policy, handler=Does(does)) as world:
                await asked(world)

    asyncio.run(run())
    out, err = capfd.readouterr()
    for text in (caplog.text, out, err):
        assert MARKER not in text


def test_faults_are_told_by_their_class_and_place() -> None:
    async def run() -> None:
        async def explodes(_request: Request) -> Response:
            raise ZeroDivisionError(MARKER)

        async with started(handler=Does(explodes)) as world:
            assert (await world.ask(world.request())).status == 500
            (line,) = world.said
            assert "ZeroDivisionError" in line and "test_serving_discretion" in line and MARKER not in line

    asyncio.run(run())


def test_faults_do_not_fill_a_log() -> None:
    now, said = [0.0], list[str]()
    sparing = Sparing(said.append, now=lambda: now[0])
    for number in range(100):
        sparing(str(number))
    assert said == [str(number) for number in range(60)]
    now[0] = 60.0
    sparing("next")
    assert said[60:] == ["40 more lines were left out", "next"]


def test_counts_say_nothing_of_anybody() -> None:
    async def run() -> None:
        async with started() as world:
            await world.ask(world.request(INFER, INPUT), party="hospital-name")
            await world.ask(world.request(b"/nothing"), party="hospital-name")
            await world.outer("POST", protocol.GATEWAY_PATH, b"junk", kind="message/ohttp-req")
            text = world.gateway.metrics.text().decode()
            assert 'quatrefoil_serving_answers_total{status="200"} 1' in text
            assert 'quatrefoil_serving_answers_total{status="404"} 1' in text
            assert 'quatrefoil_serving_outer_total{status="400"} 1' in text
            assert 'quatrefoil_serving_answer_seconds_bucket{le="+Inf"} 2' in text
            assert "quatrefoil_serving_ready 1" in text
            assert "hospital" not in text and MODEL not in text

    asyncio.run(run())


def test_traces_of_refusals_are_not_chained_to_content() -> None:
    async def run() -> None:
        async with started() as world:
            sealed = await world.sealed(b"\x07" + MARKER.encode())
            from quatrefoil.serving.opening import opened

            found = opened(sealed.content, world.keys, world.policy, chunked=False)
            found.read(world.policy)
            assert found.fault is not None
            assert MARKER not in "".join(traceback.format_exception(found.fault))
            assert MARKER not in repr(found)
            world.keys.answered(found.held)

    asyncio.run(run())
