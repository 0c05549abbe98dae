"""What everybody on the way sees: challenges and encapsulated requests over HTTP, and what may be made of statuses.

Nothing outside the encryption says what the server did. A status here may be the server's, or that of whoever is in
between: success counts only as bytes that open, and everything else is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from quatrefoil import strict_json
from quatrefoil.attested import LARGEST_ATTESTATION
from quatrefoil.errors import (
    EvidenceRejected,
    KeyUnknown,
    MessageRefused,
    PeerError,
    PeerUnreachable,
    RequestRefused,
)
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import chunked, encapsulation

OuterHeaders = Sequence[tuple[bytes, bytes]]

KEY_PROBLEM = "https://iana.org/assignments/http-problem-types#ohttp-key"
"""RFC 9458 section 5.3: sealed to a key that is not in force."""
PROBLEM_TYPE = "application/problem+json"

LARGEST_PROBLEM = 16 << 10
_LATER = "Try again later"


class WebAnswer(Protocol):
    """A whole answer."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> OuterHeaders: ...
    @property
    def content(self) -> bytes: ...


class WebStream(Protocol):
    """The head of an answer whose content comes in pieces."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> OuterHeaders: ...
    def pieces(self) -> AsyncIterator[bytes]: ...


class Web(Protocol):
    """What is needed of ``web.WebClient``."""

    async def request(
        self,
        method: str,
        url: str,
        headers: OuterHeaders,
        content: bytes,
        *,
        on_sent: Callable[[], object] = ...,
    ) -> WebAnswer: ...

    def stream(
        self, method: str, url: str, headers: OuterHeaders, content: bytes
    ) -> contextlib.AbstractAsyncContextManager[WebStream]: ...

    async def close(self) -> None: ...


class Unopened(MessageRefused):
    """A request that no key opened, or so it is said: after a restart another key may have the identifier."""


class Outer:
    """One server, or the relay before it."""

    def __init__(self, web: Web, origin: str) -> None:
        self._web = web
        self._origin = origin

    async def attestation(self, challenge: bytes) -> bytes:
        """The answer to ``challenge``, of which nothing is believed yet."""
        kind = protocol.ATTESTATION_TYPE.encode()
        url = self._origin + protocol.ATTESTATION_PATH
        answer = await self._web.request("POST", url, [(b"content-type", kind)], challenge)
        if answer.status != 200:
            raise PeerUnreachable(
                f"asked for evidence, the server or who is before it answers {answer.status}",
                hint=_later(answer.headers) or "Check the URL, and ask the server's operator",
            )
        if content_type(answer.headers) != protocol.ATTESTATION_TYPE or len(answer.content) > LARGEST_ATTESTATION:
            raise EvidenceRejected(
                "what came for evidence is of another media type, or too large",
                hint="Check that the URL is that of `quatrefoil serve`, or of a relay to it",
                check="format",
            )
        return answer.content

    async def whole(self, sealed: bytes, on_sent: Callable[[], object]) -> bytes:
        """The encapsulated answer to an encapsulated request, or what the status says as an error. ``on_sent``: as of
        ``WebClient.request``."""
        headers = [(b"content-type", encapsulation.REQUEST_TYPE.encode())]
        answer = await self._web.request("POST", self._origin + protocol.GATEWAY_PATH, headers, sealed, on_sent=on_sent)
        if answer.status != 200 or content_type(answer.headers) != encapsulation.RESPONSE_TYPE:
            raise outside(answer.status, answer.headers, answer.content)
        return answer.content

    @contextlib.asynccontextmanager
    async def stream(self, sealed: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of an encapsulated answer in chunks. They end where the outer message does, and raise where it
        breaks; leaving the context closes the connection where there are more."""
        headers = [(b"content-type", chunked.REQUEST_TYPE.encode()), (b"incremental", b"?1")]
        url = self._origin + protocol.GATEWAY_PATH
        async with self._web.stream("POST", url, headers, sealed) as answer:
            if answer.status != 200 or content_type(answer.headers) != chunked.RESPONSE_TYPE:
                raise outside(answer.status, answer.headers, await _beginning(answer.pieces()))
            yield answer.pieces()


def outside(status: int, headers: OuterHeaders, content: bytes) -> PeerError:
    """What an answer outside the encryption is. None of its text is passed on: it is nobody's word."""
    kind = _problem(headers, content)
    if status == 400 and kind == KEY_PROBLEM:
        return KeyUnknown(
            "the server or who is before it says that the attested key is not in force",
            hint="Fresh evidence was asked for, and did not help: try again, and if it stays so, without the relay",
        )
    if status == 400:
        return Unopened(
            "the request was not opened: the server or who is before it says 400",
            hint="Check that both sides have one version and one policy; somebody may be in between",
        )
    if status == 408 or status >= 500 or status == 429:
        return PeerUnreachable(
            f"there is no answer: the server or who is before it says {status}",
            hint=_later(headers) or _LATER,
        )
    if status == 413:
        return RequestRefused("the request is too large for the server", hint="Send less at once", status=413)
    if 200 <= status < 300:
        return MessageRefused(
            f"the answer ({status}) came outside of the encryption: it is nobody's, and was not taken",
            hint="Check that the URL is that of `quatrefoil serve`, or of a relay to it; somebody may be in between",
        )
    return MessageRefused(
        f"the request was not taken: the server or who is before it says {status}",
        hint="Check the URL, and that both sides have one version and one policy; somebody may be in between",
    )


def content_type(headers: OuterHeaders) -> str:
    """The media type without parameters; empty where there is none, or several."""
    found = [value for name, value in headers if name.lower() == b"content-type"]
    return found[0].partition(b";")[0].strip().lower().decode("latin-1") if len(found) == 1 else ""


def _problem(headers: OuterHeaders, content: bytes) -> str:
    """The type of problem details (RFC 9457), or empty."""
    if content_type(headers) != PROBLEM_TYPE:
        return ""
    try:
        said = strict_json.parse(content, "the problem", limit=LARGEST_PROBLEM)
    except EvidenceRejected:
        return ""
    kind = said.get("type") if isinstance(said, dict) else None
    return kind if isinstance(kind, str) else ""


def _later(headers: OuterHeaders) -> str:
    """A hint from Retry-After in seconds."""
    found = [value for name, value in headers if name.lower() == b"retry-after"]
    return f"Try again in {int(found[0])} s" if len(found) == 1 and found[0].isdigit() and len(found[0]) < 8 else ""


async def _beginning(pieces: AsyncIterator[bytes]) -> bytes:
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) > LARGEST_PROBLEM:
            return b""
    return bytes(held)


__all__ = ["Outer", "Unopened", "Web", "content_type", "outside"]
