"""What one connection may take of a server, and how long a client waits: docs/web.md explains every number."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from quatrefoil.errors import CallerError


@dataclass(frozen=True)
class WebLimits:
    """Of a server. Bytes, and seconds; ``CallerError`` where one is not positive and finite."""

    connections: int = 1024
    """At once, those in a handshake among them. A few more are told 503; others find the connection closed."""
    handshake_seconds: float = 10.0
    header_bytes: int = 16 << 10
    """Request line and header fields of a request, and its trailers."""
    header_seconds: float = 10.0
    """From the first byte of a request, or from the connection, until its header fields are complete."""
    body_bytes: int = 66 << 20
    body_seconds: float = 120.0
    """From the header fields until the body is complete, not counting the time in which the application takes none."""
    body_rate: int = 1 << 10
    """Bytes a second that a body comes at, on average, once ``header_seconds`` have passed."""
    idle_seconds: float = 60.0
    """That a connection stays open between two requests."""
    write_bytes: int = 256 << 10
    """Of an answer that wait for its reader. The application waits when there are more."""
    write_seconds: float = 30.0
    """In which a reader takes so much of what waits that the application can go on, and takes the rest at the end."""
    drain_idle_seconds: float = 0.5
    """That an idle connection stays open when the server drains: a request may be on its way."""

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True)
class ClientLimits:
    """Of a client. Bytes, and seconds; ``CallerError`` where one is not positive and finite."""

    connections: int = 64
    """At once. Who needs one more waits, for ``connect_seconds`` at most."""
    connect_seconds: float = 15.0
    """For a free connection: name, TCP and handshake."""
    answer_seconds: float = 120.0
    """From the end of the request until the answer's header fields are complete."""
    idle_seconds: float = 60.0
    """Of silence within an answer, or in which the server takes nothing of a streamed request."""
    total_seconds: float = 3600.0
    """For a request and its answer."""
    reuse_seconds: float = 15.0
    """In which an idle connection may be used again: less than servers keep theirs open."""
    header_bytes: int = 16 << 10
    """Of one header field of an answer, of which there are at most 64."""
    answer_bytes: int = 66 << 20
    """Of an answer's body."""

    def __post_init__(self) -> None:
        _require_positive(self)


def _require_positive(limits: WebLimits | ClientLimits) -> None:
    for field in fields(limits):
        value = getattr(limits, field.name)
        if not 0 < value < math.inf:
            raise CallerError(f"{field.name} is {value}, and no limit", hint="Give a positive number")


__all__ = ["ClientLimits", "WebLimits"]
