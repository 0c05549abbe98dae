"""What comes to a web server of ours before anything of it is believed: HTTP/1.1, in whatever pieces it comes."""

from __future__ import annotations

from typing import Any

import h11

from quatrefoil.web.limits import WebLimits
from quatrefoil.web.parsing import StrictConnection

LIMITS = WebLimits(header_bytes=512, body_bytes=64)
MOST_EVENTS = 1000


def seeds() -> list[bytes]:
    get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    post = b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    odd = [
        get.replace(b"\r\n", b"\n"),
        get.replace(b"Host: a", b"Host: a\r\n b"),
        post.replace(b"5", b"5, 5"),
        post.replace(b"5\r\n\r\n", b"5\r\nContent-Length: 6\r\n\r\n"),
        chunked.replace(b"Host: a", b"Host: a\r\nContent-Length: 3"),
        post.replace(b"5", b"99999999999999999999"),
        get.replace(b"GET", b"CONNECT"),
        get.replace(b"1.1", b"1.0"),
        get.replace(b"Host: a", b"Host: a\r\nX: " + b"x" * 600),
    ]
    return [bytes([step]) + one for one in (get + get, post + get, chunked + post, *odd) for step in (1, 7, 255)]


def one(data: bytes) -> None:
    """The first byte says how many come at a time. Requests, bodies and refusals do not depend on it."""
    step, stream = max(1, data[0] if data else 1), data[1:]
    whole, refused = _read(stream, len(stream) or 1)
    found, also = _read(stream, step)
    assert found == whole and (refused is None) == (also is None), "pieces make another request of it"
    for request, _ in found:
        names = [name for name, _ in request.headers]
        assert names.count(b"content-length") <= 1 and request.http_version == b"1.1"
        assert not {b"content-length", b"transfer-encoding"} <= set(names), "a body with two lengths"


def _read(stream: bytes, step: int) -> tuple[list[tuple[h11.Request, bytes]], int | None]:
    """Requests with their bodies, and the status of the refusal where there was one."""
    connection = StrictConnection(LIMITS, busy=False)
    found: list[tuple[Any, bytearray, list[bool]]] = []
    at = 0
    for _ in range(MOST_EVENTS + len(stream)):
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            assert 400 <= connection.refusal < 600
            return _ended(found), connection.refusal
        if event is h11.NEED_DATA:
            if at >= len(stream):
                break
            connection.receive_data(stream[at : at + step])
            at += step
        elif event is h11.PAUSED:
            # It has been answered: the next one comes.
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                break
            connection.start_next_cycle()
        elif isinstance(event, h11.Request):
            found.append((event, bytearray(), []))
        elif isinstance(event, h11.Data):
            found[-1][1].extend(event.data)
            assert len(found[-1][1]) <= LIMITS.body_bytes
        elif isinstance(event, h11.EndOfMessage):
            found[-1][2].append(True)
        else:
            break
    return _ended(found), None


def _ended(found: list[tuple[Any, bytearray, list[bool]]]) -> list[tuple[h11.Request, bytes]]:
    return [(request, bytes(body)) for request, body, end in found if end]
