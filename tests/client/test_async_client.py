"""The client before a real gateway: what is asked, what comes back, in which form."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import numpy as np
import pytest
from client_world import INFER, Clock, Outer, Sent, Talker, Wire, attestations, client_of, encapsulated, site
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.client import Receipt
from quatrefoil.client.streams import Lines
from quatrefoil.errors import (
    CallerError,
    DateRefused,
    EvidenceRejected,
    HostError,
    MessageRefused,
    PeerUnreachable,
    RequestRefused,
)
from quatrefoil.exchange import protocol
from serving_parts import serving_policy
from small_models import B, W

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32)


def test_it_infers_and_every_answer_has_a_verified_receipt() -> None:
    async def run() -> None:
        async with site() as here:
            first = await here.client.infer({"x": X})
            assert np.allclose(first["y"], X @ W + B)
            assert first.receipt.sequence == 0 and first.receipt.fields.model == here.world.policy.model.root
            plain = await here.client.infer({"x": X.tolist()}, ["y"])
            assert np.array_equal(plain["y"], first["y"])
            assert plain.receipt.sequence == 2  # the signature was asked for between
            one = await here.client.infer({"x": X[0].tolist()})
            assert np.array_equal(one["y"], first["y"][:1]) and one.receipt.sequence == 3
            assert attestations(here.wire) == 1
            assert "model 00010203" in first.receipt.line() and "sev-snp.measurement=" in repr(first)

    asyncio.run(run())


def test_any_request_goes_in_the_manners_of_http() -> None:
    async def run() -> None:
        async with site() as here:
            metadata = (await here.client.request("GET", "/v2/models/linear")).raise_for_status()
            assert metadata.json()["name"] == "linear" and '"linear"' in metadata.text and metadata.is_success
            assert metadata.headers["Content-Type"] == "application/json" and "content-type" in metadata.headers
            assert protocol.RECEIPT_FIELD.decode() not in metadata.headers
            inputs = [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]
            answer = await here.client.request("POST", INFER, json={"inputs": inputs})
            assert answer.json()["outputs"][0]["name"] == "y" and len(answer.content) > 10
            lines = await here.client.request("POST", INFER, headers=[(b"a", b"b")], content=b"{")
            assert lines.status == 400 and lines.receipt.fields.status == 400

    asyncio.run(run())


def test_what_the_server_refuses_is_an_error_with_its_status() -> None:
    async def run() -> None:
        async with site() as here:
            with pytest.raises(RequestRefused, match="datatype") as found:
                await here.client.infer({"x": X.astype(np.float64)})
            assert found.value.status == 400
            with pytest.raises(RequestRefused) as found:
                (await here.client.request("GET", "/elsewhere")).raise_for_status()
            assert found.value.status == 404
            for path in ("/v2/models/other", "/v2/models/linear/versions/7"):
                answer = await here.client.request("GET", path)
                assert answer.status == 404 and not answer.is_success

    asyncio.run(run())


def test_what_cannot_be_sent_is_the_callers_error_and_nothing_is_sent() -> None:
    async def run() -> None:
        async with site(serving_policy(limits__request_bytes=1000)) as here:
            cases: list[tuple[Any, str]] = [
                ({"x": np.zeros((100, 3), dtype="f4")}, "over the policy"),
                ({"x": np.zeros(3, dtype="c8")}, "does not have"),
                ({"x": [[1, 2], [3]]}, "uneven"),
                ({"x": [["a", "b", "c"]]}, "not FP32"),
                ({"x": [[1e300, 0, 0]]}, "not FP32"),
                ({"z": [1]}, "has no input 'z'"),
                ({"x": X, "z": object()}, "has no input 'z'"),
            ]
            for inputs, said in cases:
                before = [one.status for one in here.receipts.receipts]
                with pytest.raises(CallerError, match=said):
                    await here.client.infer(inputs)
                assert [one.status for one in here.receipts.receipts] in (before, [*before, 200])
            for method, path, more in (
                ("GET", "v2", {}),
                ("GET", "/v 2", {}),
                ("CONNECT", "/v2", {}),
                ("GET", "/v2", {"headers": {"date": "today"}}),
                ("GET", "/v2", {"headers": {"connection": "close"}}),
                ("GET", "/v2", {"headers": {"x-name": "\u20ac"}}),
                ("GET", "/v2", {"headers": {"x-number": 5}}),
                ("GET", "/v2", {"headers": [("x-name", "text")]}),
                ("GET", "/\u20ac", {}),
                ("G\u20acT", "/v2", {}),
                ("POST", "/v2", {"content": b"a", "json": 1}),
                ("POST", "/v2", {"json": float("nan")}),
                ("POST", "/v2", {"json": object()}),
                ("POST", "/v2", {"content": bytes(1001)}),
                ("GET", "/v2", {"timeout": 0}),
            ):
                sent = len(encapsulated(here.wire))
                with pytest.raises(CallerError):
                    await here.client.request(method, path, **more)
                assert len(encapsulated(here.wire)) == sent

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nothing", "400"),
        (b'{"error": "bad \\n news"}', "bad   news"),
        (b'{"error": {"message": "as OpenAI says", "type": "x"}}', "as OpenAI says"),
        (b'{"detail": "a problem"}', "a problem"),
        (b'{"error": 7}', "400"),
        (b"[1]", "400"),
    ],
)
def test_the_reason_is_shown_in_one_line(content: bytes, said: str) -> None:
    from quatrefoil.client.answers import Headers, refused

    assert said in str(refused(400, Headers(()), content))
    assert "Try again in 7 s" in str(refused(503, Headers(((b"retry-after", b"7"),)), content))
    assert "ask the server's operator" in str(refused(500, Headers(()), content))


def test_a_date_that_the_server_does_not_take_is_named_with_the_servers() -> None:
    from quatrefoil.client.answers import Headers, refused

    kind = b'{"type": "https://iana.org/assignments/http-problem-types#date"}'
    fields = ((b"content-type", b"application/problem+json"), (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"))
    found = refused(400, Headers(fields), kind)
    assert isinstance(found, DateRefused) and "06 Nov 1994" in str(found)


def test_what_is_no_json_is_refused_without_quoting_it() -> None:
    async def run() -> None:
        async with site(handler=Talker([b"secret, and no json"])) as here:
            answer = await here.client.request("GET", "/whole")
            with pytest.raises(MessageRefused) as found:
                answer.json()
            assert "secret" not in str(found.value) and found.value.__context__ is None
            assert "secret" not in repr(answer)

    asyncio.run(run())


def test_requests_have_the_sizes_of_the_policy() -> None:
    async def run() -> None:
        async with site(serving_policy(padding__requests="power-of-two")) as here:
            for size in (1, 100, 1000, 5000):
                await here.client.request("POST", INFER, content=bytes(size))
            overhead = 7 + 1120 + 16
            sizes = [len(one) - overhead for one in encapsulated(here.wire)]
            assert sizes == [256, 256, 2048, 8192]

    asyncio.run(run())


def test_receipts_are_told_before_the_answer_is_given_out() -> None:
    async def run() -> None:
        told: list[Receipt] = []
        async with site(handler=Talker(), client={"on_receipt": told.append}) as here:
            answer = await here.client.request("GET", "/whole")
            assert told == [answer.receipt]
            async with here.client.stream("GET", "/stream") as stream:
                await stream.read()
                assert told[1:] == [stream.receipt]

        def full(receipt: Receipt) -> None:
            raise HostError("the disk is full", hint="Make room")

        async with site(handler=Talker(), client={"on_receipt": full}) as here:
            with pytest.raises(HostError):
                await here.client.request("GET", "/whole")
            async with here.client.stream("GET", "/stream") as stream:
                with pytest.raises(HostError):
                    await stream.read()
                assert not stream.whole

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------------------ streams


def test_a_stream_is_read_as_it_comes_and_whole_at_its_end() -> None:
    async def run() -> None:
        talker = Talker([b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"])
        talker.go = asyncio.Semaphore(0)
        async with site(handler=talker) as here, here.client.stream("POST", "/chat", json={"stream": True}) as stream:
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
            assert stream.is_success and stream.raise_for_status() is stream and not stream.whole
            lines = stream.iter_lines()
            found = []
            for _ in range(3):
                talker.go.release()
                found += [await anext(lines), await anext(lines)]
                with pytest.raises(CallerError, match="to the end"):
                    _ = stream.receipt
            assert found == ["data: one", "", "data: two", "", "data: [DONE]", ""]
            assert [line async for line in lines] == []
            assert stream.whole and stream.receipt.fields.complete and "whole" in repr(stream)
            with pytest.raises(CallerError, match="Iterate once"):
                await stream.read()

    asyncio.run(run())


@pytest.mark.parametrize("how", ["bytes", "lines", "read"])
def test_a_stream_that_was_left_is_never_read_as_if_it_had_ended(how: str) -> None:
    """An iteration that ends without raising is of a whole answer."""

    async def run() -> None:
        talker = Talker([b"data: %d\n\n" % one for one in range(1000)])
        talker.go = asyncio.Semaphore(3)
        async with site(handler=talker) as here:
            async with here.client.stream("POST", "/chat") as stream:
                pieces = stream.iter_lines() if how == "lines" else stream.iter_bytes()
                if how != "read":
                    await anext(pieces)
            with pytest.raises(CallerError, match="not whole"):
                if how == "read":
                    await stream.read()
                else:
                    _ = [piece async for piece in pieces]
            assert not stream.whole

    asyncio.run(run())


def test_leaving_early_stops_the_server_and_is_not_whole() -> None:
    async def run() -> None:
        talker = Talker([b"data: %d\n\n" % one for one in range(1000)])
        talker.go = asyncio.Semaphore(3)
        async with site(handler=talker) as here:
            async with here.client.stream("POST", "/chat") as stream:
                async for _ in stream.iter_bytes():
                    break
            await asyncio.wait_for(talker.stopped.wait(), 10)
            assert here.wire.left == 1 and not stream.whole
            await here.world.gateway.idle()
            assert [one.complete for one in here.receipts.receipts] == [False]
            talker.go = None
            async with here.client.stream("POST", "/chat") as second:
                await second.read()
            assert second.whole

    asyncio.run(run())


def test_a_refusal_of_a_stream_is_read_like_any_other() -> None:
    async def run() -> None:
        async with site() as here, here.client.stream("POST", INFER, content=b"{") as stream:
            assert stream.status == 400
            with pytest.raises(RequestRefused, match=r"400\. "):
                stream.raise_for_status()
            assert b"error" in await stream.read() and await stream.read() == await stream.read()
            with pytest.raises(RequestRefused, match="JSON"):
                stream.raise_for_status()
            assert stream.receipt.fields.status == 400

    asyncio.run(run())


def test_events_that_pad_are_content_and_the_receipt_holds_over_them() -> None:
    async def run() -> None:
        async with site(serving_policy(stream__event_bytes=64), handler=Talker()) as here:
            async with here.client.stream("POST", "/chat") as stream:
                content = await stream.read()
            assert stream.whole and len(content) == 128

    asyncio.run(run())


@given(st.text(alphabet="ab\r\né€", max_size=40), st.lists(st.integers(0, 80), max_size=8))
def test_lines_do_not_depend_on_where_pieces_are_cut(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    lines = Lines()
    found = [line for a, b in itertools.pairwise(edges) for line in lines.feed(data[a:b])]
    found += lines.finish()
    expected = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert found == (expected if expected[-1] else expected[:-1])


def test_lines_of_what_is_no_text_are_refused_without_quoting_it() -> None:
    lines = Lines()
    with pytest.raises(MessageRefused, match="UTF-8") as found:
        list(lines.feed(b"\xff"))
    assert found.value.__context__ is None


# ------------------------------------------------------------------------------------------------ time, loops, endings


def test_without_an_answer_in_time_it_is_unreachable() -> None:
    async def run() -> None:
        talker = Talker()
        async with site(handler=talker) as here:
            await here.client.attest()
            never = asyncio.Event()

            async def silent(sent: Sent) -> Outer | None:
                await never.wait()
                return None

            here.wire.instead = silent
            with pytest.raises(PeerUnreachable, match=r"0\.05 s"):
                await here.client.request("GET", "/whole", timeout=0.05)
            with pytest.raises(PeerUnreachable, match=r"0\.05 s"):
                async with here.client.stream("GET", "/whole", timeout=0.05):
                    pass
            assert talker.asked == []

    asyncio.run(run())


def test_a_stream_that_outlasts_the_policy_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.client.aio.MARGIN_S", -29.9)

    async def run() -> None:
        talker = Talker()
        talker.go = asyncio.Semaphore(0)
        async with site(handler=talker, client={"timeout": 5}) as here:
            async with here.client.stream("GET", "/chat") as stream:
                with pytest.raises(PeerUnreachable, match="not ended"):
                    await stream.read()
            assert not stream.whole

    asyncio.run(run())


def test_a_request_that_is_cancelled_leaves_the_others_alone() -> None:
    async def run() -> None:
        async with site() as here:
            first = asyncio.ensure_future(here.client.request("GET", "/v2"))
            second = asyncio.ensure_future(here.client.request("GET", "/v2"))
            await asyncio.sleep(0)
            first.cancel()
            assert (await second).status == 200 and attestations(here.wire) == 1
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(run())


def test_it_is_of_one_loop_and_refuses_when_it_is_closed() -> None:
    wire = Wire(None)
    client = client_of(wire)

    async def one() -> None:
        client._check()

    asyncio.run(one())
    with pytest.raises(CallerError, match="event loop"):
        asyncio.run(one())
    asyncio.run(client.close())
    asyncio.run(client.close())
    assert wire.closed
    with pytest.raises(CallerError, match="closed"):
        asyncio.run(client.request("GET", "/v2"))
    assert "https://model.example" in repr(client)


def test_metadata_that_are_none_are_refused() -> None:
    async def run() -> None:
        for content in (b"[]", b"{}", b'{"name": "x", "platform": "y", "inputs": [{}], "outputs": []}', b"{"):
            async with site(handler=Talker([content])) as here:
                with pytest.raises(MessageRefused):
                    await here.client.metadata()
        async with site() as here:
            assert [spec.name for spec in (await here.client.metadata()).inputs] == ["x"]
            await here.client.metadata()
            assert len(encapsulated(here.wire)) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "error"),
    [({"model_name": "other"}, MessageRefused), ({}, RequestRefused), ({"model_name": 7}, RequestRefused)],
)
def test_an_answer_of_another_model_or_of_no_protocol_is_refused(said: dict[str, Any], error: type[Exception]) -> None:
    outputs = [{"name": "y", "shape": [1], "datatype": "FP32", "data": [1]}]

    async def run() -> None:
        talker = Talker([json.dumps({"outputs": outputs, **said}).encode()], kind=b"application/json")
        async with site(handler=talker) as here:
            with pytest.raises(error):
                await here.client.infer({"x": X})

    asyncio.run(run())


def test_a_clock_beside_the_window_is_no_reason_to_fail() -> None:
    async def run() -> None:
        async with site() as here, here.again(clock=Clock(200)) as other:
            assert (await other.request("GET", "/v2")).status == 200

    asyncio.run(run())


def test_collateral_that_is_asked_for_is_asked_each_time() -> None:
    async def run() -> None:
        from quatrefoil.enclave.collateral import Collateral

        asked = []

        def collateral() -> Collateral:
            asked.append(True)
            if len(asked) > 1:
                raise EvidenceRejected("the folder is empty", hint="Fetch it", check="collateral")
            return Collateral()

        async with site(client={"collateral": collateral}) as here:
            await here.client.attest()
            here.clock.forward(3700)
            with pytest.raises(EvidenceRejected, match="folder is empty"):
                await here.client.attest()

    asyncio.run(run())
