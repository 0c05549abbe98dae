"""Errors in the shape that the client's library reads: OpenAI's under ``/v1``, else the Open Inference Protocol's.

A refusal holds the problem and the hint of one of our errors, which never hold content, or a fixed text. It has no
``quatrefoil-receipt``: that tells it from an answer of the server.
"""

from __future__ import annotations

import re
from typing import Any

from quatrefoil import strict_json
from quatrefoil.errors import (
    CallerError,
    HostError,
    PeerError,
    PeerUnreachable,
    PolicyError,
    QuatrefoilError,
    RequestRefused,
)
from quatrefoil.proxy.fields import Fields

Answer = tuple[int, Fields, bytes]

_TYPES = {401: "authentication_error", 403: "permission_error"}
"""OpenAI's types of errors by status; other statuses below 500 are ``invalid_request_error``."""

_FIXED = {
    500: "the proxy failed. Try again, or tell who runs it",
    504: "the server did not answer in time. Try again, or ask for less at once",
}


def refusal(error: BaseException, path: bytes) -> Answer:
    """Status, fields and content for whoever asked for ``path``."""
    status = status_of(error)
    text = str(error) if isinstance(error, QuatrefoilError) else _FIXED[status]
    document: dict[str, Any] = {"error": text}
    if speaks_openai(path):
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        document = {"error": {"message": text, "type": kind, "param": None, "code": _code(error)}}
    headers = [(b"content-type", b"application/json")]
    if status in (500, 502):  # the openai package would ask twice more, and be refused twice more
        headers.append((b"x-should-retry", b"false"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 413:  # what is left of the content is not read
        headers.append((b"connection", b"close"))
    return status, headers, strict_json.canonical(document)


def status_of(error: BaseException) -> int:
    """502: the server was refused; 503: it cannot be reached; 504: it did not answer in time."""
    match error:
        case RequestRefused():
            return error.status
        case TimeoutError():
            return 504
        case PeerUnreachable():
            return 503
        case PeerError() | PolicyError():
            return 502
        case CallerError():
            return 400
        case HostError():
            return 500
    return 500


def speaks_openai(path: bytes) -> bool:
    return path == b"/v1" or path.startswith(b"/v1/")


def _code(error: BaseException) -> str:
    """``EvidenceRejected`` -> ``evidence_rejected``."""
    name = type(error).__name__ if isinstance(error, QuatrefoilError | TimeoutError) else "ProxyFailed"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


__all__ = ["Answer", "refusal", "speaks_openai", "status_of"]
