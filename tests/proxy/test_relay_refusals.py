"""What the relay carries not: other paths, methods and media types, and answers that are no gateway's."""

from __future__ import annotations

import json

import pytest
from relay_world import CHALLENGE, MARKER, WHOLE, World, visiting

from quatrefoil.exchange import protocol


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v2/models/m/infer", 404),
        ("POST", "/v1/chat/completions", 404),
        ("GET", protocol.METRICS_PATH, 404),
        ("GET", protocol.LIVE_PATH, 404),
        ("GET", protocol.READY_PATH, 404),
        ("POST", protocol.GATEWAY_PATH + "/", 404),
        ("POST", protocol.GATEWAY_PATH + "?who=cleveland", 404),
        ("GET", protocol.GATEWAY_PATH + "?who=cleveland", 404),
        ("POST", "/.well-known/./ohttp-gateway", 404),
        ("POST", "/.well-known/%6fhttp-gateway", 405),
        ("POST", "//evil.example" + protocol.GATEWAY_PATH, 404),
        ("PUT", protocol.GATEWAY_PATH, 405),
        ("DELETE", protocol.GATEWAY_PATH, 405),
        ("HEAD", protocol.GATEWAY_PATH, 405),
        ("OPTIONS", protocol.GATEWAY_PATH, 405),
        ("GET", protocol.ATTESTATION_PATH, 405),
    ],
)
def test_other_paths_and_methods_reach_nobody(consortium, method, path, status):
    async def visit(made: World) -> None:
        answer = await made.ask(WHOLE, method=method, path=path, content=b"x" if method == "POST" else b"")
        assert answer.status == status
        assert answer.header(b"content-type") == b"application/problem+json"
        if method != "HEAD":
            assert json.loads(answer.content)["status"] == status
        assert made.gateway.scopes == []

    visiting(consortium, visit)


@pytest.mark.parametrize("path", [protocol.GATEWAY_PATH, protocol.ATTESTATION_PATH])
@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"content-type", b"application/json")],
        [(b"content-type", b"message/ohttp-res")],
        [(b"content-type", b"message/ohttp-req; who=cleveland")],
        [WHOLE, WHOLE],
        [WHOLE, CHALLENGE],
    ],
    ids=["none", "JSON", "an answer's", "with a parameter", "twice", "two"],
)
def test_other_media_types_reach_nobody(consortium, path, fields):
    async def visit(made: World) -> None:
        assert (await made.ask(*fields, path=path, content=b"x")).status == 415
        assert made.gateway.scopes == []

    visiting(consortium, visit)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, b"text/html"),
        (201, b"message/ohttp-res"),
        (302, b"message/ohttp-res"),
        (404, b"text/plain"),
        (200, b"application/ohttp-keys"),
        (200, b"application/problem+json"),
        (500, b"message/ohttp-res"),
    ],
)
def test_an_answer_that_is_no_gateways_is_not_passed_on(consortium, status, kind):
    async def visit(made: World) -> None:
        made.gateway.instead = status, [(b"content-type", kind)], MARKER
        answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=b"x")
        assert answer.status == 502 and MARKER not in answer.content

    visiting(consortium, visit)


@pytest.mark.parametrize("status", [400, 413, 415, 429, 503])
def test_a_gateways_refusal_is(consortium, status):
    async def visit(made: World) -> None:
        kind = (b"content-type", b"application/problem+json")
        made.gateway.instead = status, [kind, (b"retry-after", b"7")], b'{"type":"about:blank"}'
        answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=b"x")
        assert (answer.status, answer.content) == (status, b'{"type":"about:blank"}')
        assert answer.header(b"retry-after") == b"7"

    visiting(consortium, visit)
