"""Where a server or a relay is, from the URL that a caller gives: https, a host, a port, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from quatrefoil.errors import CallerError
from quatrefoil.transport.profile import parse_host

_HINT = "Give it as https://HOST or https://HOST:PORT"


@dataclass(frozen=True)
class Place:
    """``origin``: what outer paths are appended to. ``authority``: as it stands in inner requests."""

    origin: str
    authority: bytes


def place(url: str, what: str = "the server's URL") -> Place:
    """``CallerError`` for anything but https: nothing falls back to a channel without a certified party at its end."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise CallerError(f"{what} is no URL", hint=_HINT) from None
    if parts.scheme != "https":
        raise CallerError(f"{what} is not of the form https://: nothing is sent in the clear", hint=_HINT)
    if not host or parts.username is not None or parts.path not in ("", "/") or "?" in url or "#" in url:
        raise CallerError(f"{what} has no host, or something beside host and port", hint=_HINT)
    try:
        parse_host(host)
    except CallerError as error:
        raise CallerError(f"{what} names no host: {error.problem}", hint=_HINT) from None
    named = f"[{host}]" if ":" in host else host
    authority = named if port in (None, 443) else f"{named}:{port}"
    return Place(f"https://{authority}", authority.encode("ascii"))


__all__ = ["Place", "place"]
