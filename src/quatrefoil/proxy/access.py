"""Who may use the local endpoint: programs of its own user, or whoever has its token. No web page may.

A browser sends requests of any page to ``127.0.0.1``, and a page whose name was pointed there afterwards ("DNS
rebinding") may even read the answers. What tells them from programs: a ``Host`` that is a name of somebody else,
``Origin``, and ``Sec-Fetch-Site`` (Fetch Metadata).
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import stat
from collections.abc import Callable
from pathlib import Path

from quatrefoil.errors import CallerError, HostError, RequestRefused
from quatrefoil.proxy import fields, local_users
from quatrefoil.web.guard import Scope

SHORTEST_TOKEN, LONGEST_TOKEN = 32, 512


def require_loopback(host: str) -> None:
    """Refuse to listen where other machines could connect: the endpoint speaks plain HTTP."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise CallerError(
            f"{host} is no loopback address, and this endpoint is not encrypted",
            hint="Listen on 127.0.0.1 or [::1]; another machine runs a proxy of its own",
        )


def load_token(file: Path) -> bytes:
    """The token in ``file``: 32 to 512 printable characters without spaces, in a file that only its owner reads."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            token = opened.read(LONGEST_TOKEN + 2).strip()
    except OSError as error:
        raise HostError(
            f"{file} cannot be read ({error.strerror})", hint="Make it: openssl rand -hex 32, for your eyes only"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise CallerError(f"{file} is not only its owner's", hint=f"Make a new token, and chmod 600 {file}")
    if not (SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN and all(0x21 <= byte < 0x7F for byte in token)):
        raise CallerError(
            f"{file} holds no token of {SHORTEST_TOKEN} to {LONGEST_TOKEN} characters",
            hint="Make one: openssl rand -hex 32",
        )
    return token


class Access:
    """What a request has to show before anything else of it is looked at."""

    def __init__(
        self,
        host: str,
        *,
        token: bytes | None,
        user: int | None = None,
        user_of: Callable[[tuple[str, int], tuple[str, int]], int | None] = local_users.user_of,
    ) -> None:
        """``host``: the loopback address listened on. With ``token`` whoever has it is let in; without, programs of
        ``user`` (by default the one of this process) are."""
        require_loopback(host)
        if token is None and not local_users.available():
            raise CallerError("this machine does not say whose program a connection is from", hint="Give --token FILE")
        literal = f"[{host}]" if ":" in host else host
        self._names = {name.encode() for name in ("localhost", literal)}
        self._token = token
        self._user = os.getuid() if user is None else user
        self._user_of = user_of

    def require(self, scope: Scope) -> None:
        """``RequestRefused`` with status 401 or 403 where the request of an ASGI ``scope`` is not let in."""
        headers: fields.Fields = list(scope["headers"])
        self._require_name(headers, scope["server"][1])
        self._require_no_page(headers)
        if self._token is not None:
            self._require_token(headers, self._token)
        elif self._user_of(tuple(scope["client"]), tuple(scope["server"])) != self._user:
            raise RequestRefused(
                "the connection is from a program of another user",
                hint="Run a proxy of your own, or have this one started with --token",
                status=403,
            )

    def _require_name(self, headers: fields.Fields, port: int) -> None:
        host = (fields.one(headers, b"host") or b"").lower()
        allowed = {b"%s:%d" % (name, port) for name in self._names}
        if port == 80:
            allowed |= self._names
        if host not in allowed:
            raise RequestRefused(
                "the Host field is not this endpoint's",
                hint="Connect to it by the address that it printed, or by localhost, with the port",
                status=403,
            )

    def _require_no_page(self, headers: fields.Fields) -> None:
        site = fields.one(headers, b"sec-fetch-site")
        if fields.one(headers, b"origin") is not None or site not in (None, b"none"):
            raise RequestRefused(
                "the request is from a web page", hint="Ask from a program: no page may use this endpoint", status=403
            )

    def _require_token(self, headers: fields.Fields, token: bytes) -> None:
        scheme, _, shown = (fields.one(headers, b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(shown.strip(), token):
            raise RequestRefused(
                "the request does not have this endpoint's token",
                hint="Send the content of the --token file as Authorization: Bearer (as api_key, with openai)",
                status=401,
            )


__all__ = ["Access", "load_token", "require_loopback"]
