"""What goes wrong with a request, as problem details (RFC 9457): outside the encryption, and the date inside it.

Texts are of this package and say nothing of content. Outer problems are for whoever carries the request too: they say
what the carrier could see anyway.
"""

from __future__ import annotations

import json

from quatrefoil.errors import QuatrefoilError
from quatrefoil.ohttp import Response, ResponseHead
from quatrefoil.serving import asgi
from quatrefoil.serving.asgi import Send
from quatrefoil.serving.metrics import Metrics

PROBLEM_TYPE = b"application/problem+json"
KEY_PROBLEM = "https://iana.org/assignments/http-problem-types#ohttp-key"
"""RFC 9458 section 5.3: sealed to a key that is not in force."""
DATE_PROBLEM = "https://iana.org/assignments/http-problem-types#date"
"""RFC 9458 section 6.5.2."""
BLANK = "about:blank"

_TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def document(status: int, error: QuatrefoilError, *, kind: str = BLANK) -> bytes:
    """The problem as JSON."""
    title = _TITLES[status] if kind == BLANK else error.problem
    return json.dumps({"type": kind, "title": title, "status": status, "detail": str(error)}).encode()


async def outside(
    send: Send, metrics: Metrics, status: int, error: QuatrefoilError, *, kind: str = BLANK, pause_s: int = 0
) -> None:
    """Answer outside the encryption. ``pause_s``: when to come again."""
    metrics.count("outer", str(status))
    pause = ((b"retry-after", b"%d" % pause_s),) if pause_s else ()
    await asgi.reply(send, status, PROBLEM_TYPE, document(status, error, kind=kind), pause)


def of_date(error: QuatrefoilError, now: bytes) -> Response:
    """The inner answer to a request outside the window, with the server's date, so that a client may tell its own."""
    return Response(
        ResponseHead(400, ((b"content-type", PROBLEM_TYPE), (b"date", now))), document(400, error, kind=DATE_PROBLEM)
    )


__all__ = ["DATE_PROBLEM", "KEY_PROBLEM", "PROBLEM_TYPE", "document", "of_date", "outside"]
