"""From the bytes of an encapsulated request to the request in it: sizes, keys, decryption, binary HTTP.

What fails before something has opened is answered outside the encryption, since nobody is known to read an answer
inside; what fails after that, inside (RFC 9458 section 5.2).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from quatrefoil import ohttp
from quatrefoil.errors import MessageRefused, RequestRefused
from quatrefoil.exchange import ServingPolicy
from quatrefoil.ohttp import OpenedRequest, Request, RequestOpener, ResponseKeys
from quatrefoil.ohttp.chunked import REQUEST_TYPE as CHUNKED_TYPE
from quatrefoil.ohttp.encapsulation import REQUEST_TYPE as WHOLE_TYPE
from quatrefoil.serving.keys import InForce, ServingKeys

HEAD_BYTES = 160 << 10
"""What control data and two field sections may have beside the content: the limits of ``ohttp.Limits``."""
OVERHEAD_BYTES = 2 << 10
"""Header, ``enc`` and tag of an encapsulated request."""

CHUNKS_IN_THREAD = 64 << 10
PIECES_IN_THREAD = 4 << 10
"""Bytes from which on a request in chunks, and a message in pieces, leave the event loop: each may have one byte, and
takes as long as a large one."""
KNOWN_LENGTH = b"\0"
"""What a message of known length begins with (RFC 9292 section 3.1): its content is one piece."""

TYPES = {WHOLE_TYPE.encode(): False, CHUNKED_TYPE.encode(): True}
"""Media type of an encapsulated request -> whether it comes in chunks."""


@dataclass(repr=False)
class Opened:
    """A request that its key has opened. ``request``: there once it was read, where the content is a binary HTTP
    message; ``fault`` says what of it is refused. ``commitment``: to the request, being made. ``party``: who sent
    it."""

    held: InForce
    enc: bytes
    response: ResponseKeys
    chunked: bool
    content: bytes
    request: Request | None = None
    fault: MessageRefused | RequestRefused | None = None
    commitment: asyncio.Future[bytes] | None = None
    party: str = ""

    @property
    def in_pieces(self) -> bool:
        """Whether its content may be cut into pieces of any size."""
        return self.content[:1] != KNOWN_LENGTH

    def read(self, policy: ServingPolicy) -> None:
        """Read the message in ``content``."""
        self.request, self.fault = _read(self.content, policy)


def most_sealed(policy: ServingPolicy, *, chunked: bool) -> int:
    """Bytes that an encapsulated request may have: content of the limit with padding, and room for chunks' framing."""
    plain = most_opened(policy)
    return OVERHEAD_BYTES + plain + (plain // 4 if chunked else 0)


def most_opened(policy: ServingPolicy) -> int:
    """Bytes of the padded binary HTTP message."""
    return policy.request_padding.padded(policy.limits.request_bytes + HEAD_BYTES)


def opened(sealed: bytes, keys: ServingKeys, policy: ServingPolicy, *, chunked: bool) -> Opened:
    """The request in ``sealed``, not read yet; the caller owes ``keys.answered`` and ``response.wipe``.

    ``KeyUnknown``, or ``MessageRefused`` where nothing has opened; then nothing is owed.
    """
    if not sealed:
        raise MessageRefused("the encapsulated request is empty", hint="Send it again, whole")
    held: InForce | None = None
    try:
        with keys.opening(sealed[0]) as held:
            if chunked:
                content, enc, response = _chunks(sealed, held, most_opened(policy))
            else:
                whole: OpenedRequest = ohttp.open_request(sealed, held.gateway, limit=most_opened(policy))
                content, enc, response = whole.content, whole.enc, whole.response
    except BaseException:
        if held is not None:
            keys.answered(held)
        raise
    return Opened(held, enc, response, chunked, content)


def _chunks(sealed: bytes, held: InForce, limit: int) -> tuple[bytes, bytes, ResponseKeys]:
    opener = RequestOpener(held.gateway, limit=limit)
    try:
        pieces = opener.feed(sealed)
        pieces.append(opener.finish())
        return b"".join(pieces), opener.enc, opener.response
    except BaseException:
        opener.wipe()
        raise


def _read(content: bytes, policy: ServingPolicy) -> tuple[Request | None, MessageRefused | RequestRefused | None]:
    try:
        found = ohttp.decode_request(content)
        request = Request(found.head, found.content)  # trailers are dropped
    except MessageRefused as refusal:
        return None, MessageRefused(refusal.problem, hint=refusal.hint)
    limit = policy.limits.request_bytes
    if len(request.content) > limit:
        return request, RequestRefused(f"the request is over the limit of {limit} bytes", hint="Send less", status=413)
    return request, None


__all__ = ["CHUNKS_IN_THREAD", "PIECES_IN_THREAD", "TYPES", "Opened", "most_sealed", "opened"]
