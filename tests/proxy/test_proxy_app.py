"""What the proxy sends on, what it gives back, and what a client sees where something fails."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_asking import RECEIPT, ScriptedClient, ask, asked, made

from quatrefoil import errors
from quatrefoil.errors import HostError

JSON = (b"content-type", b"application/json")
STREAMING = b'{"model": "m", "stream": true}'


class Kept:
    """Receipts that are kept in a list, or refused as on a full disk."""

    def __init__(self, error: Exception | None = None) -> None:
        self.names, self.error = [], error

    def new_name(self) -> str:
        return "0123"

    def keep(self, name, receipt) -> None:
        if self.error:
            raise self.error
        assert receipt.encoded == RECEIPT
        self.names.append(name)


FULL = HostError("the disk is full", hint="Make room")


# ------------------------------------------------------------------------------------------------------- sent on


def test_a_request_goes_on_with_path_query_and_content_as_they_came():
    client = ScriptedClient()
    ask(made(client), path="/v2/models/m%20x/infer?a=1&b=%2F", headers=[JSON], body=[b"{", b"", b"}"])
    (one,) = client.asked
    assert (one.method, one.path, one.content) == ("POST", "/v2/models/m%20x/infer?a=1&b=%2F", b"{}")
    assert not one.streamed


def test_only_fields_of_the_request_go_on():
    client = ScriptedClient()
    stays = [
        (b"User-Agent", b"python/3.11 on a laptop"),
        (b"Authorization", b"Bearer sk-secret"),
        (b"X-Stainless-OS", b"Linux"),
        (b"OpenAI-Organization", b"org"),
        (b"Cookie", b"a=b"),
        (b"Accept-Encoding", b"gzip, br"),
        (b"Accept-Language", b"de"),
        (b"X-Forwarded-For", b"10.0.0.1"),
        (b"Connection", b"keep-alive"),
        (b"Content-Length", b"2"),
        (b"TE", b"trailers"),
        (b"X-Own", b"anything"),
    ]
    goes = [JSON, (b"Accept", b"application/json"), (b"Inference-Header-Content-Length", b"2")]
    ask(made(client), headers=[*stays, *goes])
    assert client.asked[0].headers == [(name.lower(), value) for name, value in goes]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "CONNECT", "TRACE", "PATCH"])
def test_other_methods_are_refused(method):
    client = ScriptedClient()
    assert ask(made(client), method).status == 405 and client.asked == []


@pytest.mark.parametrize("path", ["http://other.example/v1/models", "*", "", "//\x7f", "/a#b", "/é"])
def test_targets_that_are_no_path_are_refused(path):
    client = ScriptedClient()
    assert ask(made(client), "GET", path, body=b"").status == 400 and client.asked == []


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_a_compressed_request_goes_on_uncompressed(coding, pack):
    client = ScriptedClient()
    assert ask(made(client), headers=[(b"content-encoding", coding)], body=pack(b"[1, 2]")).status == 200
    assert client.asked[0].content == b"[1, 2]" and client.asked[0].headers == []


@pytest.mark.parametrize(
    ("status", "coding", "body"),
    [
        (415, b"br", b"x"),
        (415, b"gzip, gzip", b"x"),
        (400, b"gzip", b"not gzip"),
        (400, b"gzip", gzip.compress(b"cut off", mtime=0)[:-1]),
        (400, b"gzip", gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0)),
        (400, b"deflate", gzip.compress(b"another coding", mtime=0)),
        (400, b"gzip", b""),
        (413, b"gzip", gzip.compress(bytes(1001), mtime=0)),
        (413, b"gzip", gzip.compress(bytes(1 << 22), mtime=0)),
    ],
)
def test_what_does_not_decompress_within_the_limit_is_refused(status, coding, body):
    client = ScriptedClient()
    app = made(client, request_bytes=max(1000, len(body) if status == 413 and len(body) > 1000 else 0))
    assert ask(app, headers=[(b"content-encoding", coding)], body=body).status == status and client.asked == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], bytes(1001)),
        ([], [bytes(600), bytes(401)]),
        ([(b"content-length", b"1001")], [None]),
        ([(b"content-length", b"-1")], b""),
    ],
)
def test_a_request_over_the_limit_is_refused(headers, body):
    client = ScriptedClient()
    answered = ask(made(client), headers=headers, body=body)
    assert answered.status == 413 and client.asked == [] and answered.header(b"connection") == b"close"


def test_a_client_that_leaves_while_it_sends_is_answered_nothing():
    client = ScriptedClient()
    assert ask(made(client), body=[b"{", None]).status == 0 and client.asked == []


def test_the_limit_itself_is_taken():
    assert ask(made(), body=bytes(1000)).status == 200


# --------------------------------------------------------------------------------------------------- whole answers


def test_an_answer_comes_back_with_its_receipt():
    client = ScriptedClient(status=201, headers=[JSON, (b"Inference-Header-Content-Length", b"2")], pieces=[b"{}\0\0"])
    answered = ask(made(client))
    assert (answered.status, answered.content, answered.complete) == (201, b"{}\0\0", True)
    assert dict(answered.headers) == {
        b"content-type": b"application/json",
        b"inference-header-content-length": b"2",
        b"content-length": b"4",
        b"quatrefoil-receipt": base64.b64encode(RECEIPT),
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
    }


def test_nothing_of_an_answer_passes_that_a_browser_or_a_connection_obeys():
    names = (
        b"Set-Cookie Access-Control-Allow-Origin Location Connection Transfer-Encoding Alt-Svc Content-Length"
        b" Strict-Transport-Security Server Date Quatrefoil-Receipt Quatrefoil-Exchange Refresh Link"
    )
    client = ScriptedClient(headers=[JSON, *((name, b"1") for name in names.split())])
    kept = {name for name, value in ask(made(client)).headers if value == b"1"}
    assert kept == set()


def test_a_compressed_answer_is_refused():
    answered = ask(made(ScriptedClient(headers=[(b"content-encoding", b"gzip")])))
    assert answered.status == 502 and answered.header(b"quatrefoil-receipt") is None


def test_an_exchange_is_kept_before_it_is_answered():
    kept = Kept()
    assert ask(made(receipts=kept)).header(b"quatrefoil-exchange") == b"0123" and kept.names == ["0123"]


def test_an_answer_whose_receipt_cannot_be_kept_is_not_given():
    answered = ask(made(ScriptedClient(pieces=[b"the answer"]), receipts=Kept(FULL)))
    assert answered.status == 500 and b"the answer" not in answered.content and b"disk is full" in answered.content
    assert answered.header(b"x-should-retry") == b"false"


# ---------------------------------------------------------------------------------------------------------- streams


def test_a_stream_is_passed_on_piece_by_piece():
    async def check():
        steps = [asyncio.Event(), asyncio.Event()]
        client = ScriptedClient(pieces=[b"data: 1\n\n", steps[0], b"data: 2\n\n", steps[1], b"data: [DONE]\n\n"])
        seen = []

        def on_piece(piece):
            seen.append(piece)
            if len(seen) < 3:  # the next one is there only when this one has come out
                steps[len(seen) - 1].set()

        answered = await asked(made(client), path="/v1/chat/completions", body=STREAMING, on_piece=on_piece)
        assert answered.complete and len(seen) == 3 and client.closed == 1
        assert answered.header(b"content-length") is None and client.asked[0].streamed

    asyncio.run(check())


@pytest.mark.parametrize(
    ("headers", "body", "streamed"),
    [
        ([], STREAMING, True),
        ([], b'{"\\u0073tream": true}', True),
        ([(b"accept", b"text/event-stream")], b"{}", True),
        ([(b"Accept", b"application/json, Text/Event-Stream;q=0.9")], b"{}", True),
        ([], b'{"stream": false}', False),
        ([], b'{"stream": 1}', False),
        ([], b'{"stream": "true"}', False),
        ([], b'{"messages": [{"stream": true}]}', False),
        ([], b'["stream", true]', False),
        ([], b'{"stream": true', False),
        ([], b'{"stream": true} {}', False),
        ([], b'"stream"' + b"[" * 900, False),
        ([(b"accept", b"*/*")], b"{}", False),
    ],
)
def test_who_asks_for_a_stream_gets_one(headers, body, streamed):
    client = ScriptedClient()
    ask(made(client), path="/v1/completions", headers=headers, body=body)
    assert client.asked[0].streamed is streamed


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["stream", "a"]), x),
        max_leaves=8,
    )
)
def test_a_stream_is_what_the_outermost_member_says(document):
    client = ScriptedClient()
    ask(made(client, request_bytes=1 << 20), path="/v1/completions", body=json.dumps(document).encode())
    assert client.asked[0].streamed is (isinstance(document, dict) and document.get("stream") is True)


def test_a_get_is_never_a_stream():
    client = ScriptedClient()
    ask(made(client), "GET", "/v1/models", headers=[(b"accept", b"text/event-stream")], body=b"")
    assert not client.asked[0].streamed


def test_the_name_of_a_streams_receipt_is_said_before_there_is_one():
    kept = Kept()
    answered = ask(made(receipts=kept), body=STREAMING)
    assert answered.header(b"quatrefoil-exchange") == b"0123" and answered.header(b"quatrefoil-receipt") is None
    assert kept.names == ["0123"] and answered.complete


@pytest.mark.parametrize(
    "error",
    [
        errors.PeerUnreachable("the stream ended early", hint="Try again"),
        errors.EvidenceRejected("the receipt does not hold", hint="Do not believe it"),
        TimeoutError(),
        RuntimeError("with content"),
    ],
)
def test_a_stream_that_breaks_has_no_end(error):
    said = []
    client = ScriptedClient(pieces=[b"data: 1\n\n", error])
    answered = ask(made(client, on_refused=said.append), path="/v1/completions", body=STREAMING)
    assert answered.status == 200 and answered.pieces == [b"data: 1\n\n"] and not answered.complete
    assert len(said) == 1 and "content" not in said[0] and client.closed == 1


def test_a_stream_whose_receipt_cannot_be_kept_has_no_end():
    answered = ask(made(ScriptedClient(pieces=[b"data: 1\n\n"]), receipts=Kept(FULL)), body=STREAMING)
    assert answered.pieces == [b"data: 1\n\n"] and not answered.complete


def test_a_stream_that_is_refused_before_it_begins_is_an_error():
    client = ScriptedClient(error=errors.EvidenceRejected("its evidence is not accepted", hint="Ask"))
    answered = ask(made(client), path="/v1/completions", body=STREAMING)
    assert answered.status == 502 and answered.complete


@pytest.mark.parametrize("body", [STREAMING, b"{}"])
def test_an_answer_that_does_not_come_in_time_is_a_timeout(body):
    class Silent(ScriptedClient):
        async def request(self, *given, **more):
            await asyncio.Event().wait()

        @asynccontextmanager
        async def stream(self, *given, **more):
            await asyncio.Event().wait()
            yield

    answered = ask(made(Silent(), seconds=0.01), body=body)
    assert answered.status == 504 and b"in time" in answered.content and answered.complete


def test_no_stream_goes_to_a_reader_that_cannot_tell_its_end():
    client = ScriptedClient()
    assert ask(made(client), body=STREAMING, version="1.0").status == 505 and client.asked == []
    assert ask(made(client), body=b"{}", version="1.0").status == 200


@pytest.mark.parametrize("body", [STREAMING, b"{}"])
def test_what_nobody_waits_for_is_given_up(body):
    async def check():
        leaves, never = asyncio.Event(), asyncio.Event()
        client = ScriptedClient(pieces=[b"data: 1\n\n", never])
        asking = asyncio.create_task(asked(made(client), body=body, leaves=leaves))
        while not client.asked:
            await asyncio.sleep(0)
        leaves.set()
        answered = await asking
        assert not answered.complete and client.closed == (body == STREAMING)

    asyncio.run(check())


# ----------------------------------------------------------------------------------------------------------- errors

FAILURES = [
    (502, errors.EvidenceRejected("its evidence is not accepted", hint="Ask its operator"), "evidence_rejected"),
    (502, errors.ChannelRefused("another root", hint="Ask its operator"), "channel_refused"),
    (502, errors.MessageRefused("malformed", hint="Ask its operator"), "message_refused"),
    (502, errors.KeyUnknown("not in force", hint="Try again"), "key_unknown"),
    (502, errors.PolicyError("another policy", hint="Get the same"), "policy_error"),
    (503, errors.PeerUnreachable("nobody answers", hint="Try again"), "peer_unreachable"),
    (504, TimeoutError("after some time"), "timeout_error"),
    (413, errors.RequestRefused("too large", hint="Send less", status=413), "request_refused"),
    (400, errors.CallerError("not a message", hint="Correct it"), "caller_error"),
    (500, errors.HostError("the disk is full", hint="Make room"), "host_error"),
    (500, RuntimeError("with content"), "proxy_failed"),
]


@pytest.mark.parametrize(("status", "error", "code"), FAILURES, ids=lambda value: str(value)[:30])
def test_openai_clients_get_openais_errors(status, error, code):
    answered = ask(made(ScriptedClient(error=error)), path="/v1/chat/completions")
    document = json.loads(answered.content)
    assert answered.status == status and set(document) == {"error"}
    assert set(document["error"]) == {"message", "type", "param", "code"} and document["error"]["code"] == code
    assert document["error"]["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert "with content" not in document["error"]["message"] and answered.header(b"quatrefoil-receipt") is None


@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v2/health/ready", "/", "/v10"])
@pytest.mark.parametrize(("status", "error", "code"), FAILURES, ids=lambda value: str(value)[:30])
def test_others_get_the_inference_protocols(path, status, error, code):
    answered = ask(made(ScriptedClient(error=error)), path=path)
    document = json.loads(answered.content)
    assert answered.status == status and isinstance(document["error"], str) and set(document) == {"error"}
    if isinstance(error, errors.QuatrefoilError):
        assert error.problem in document["error"] and error.hint in document["error"]


def test_what_is_said_of_failures_holds_no_text_of_others():
    said = []
    ask(made(ScriptedClient(error=RuntimeError("with content")), on_refused=said.append))
    assert said == ["the proxy failed: RuntimeError"]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_nothing_but_http_is_spoken(kind):
    with pytest.raises(TypeError, match=kind):
        asyncio.run(made()({"type": kind}, None, None))
