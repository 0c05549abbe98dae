"""Whole messages: ``message/ohttp-req`` and ``message/ohttp-res`` (RFC 9458 sections 4.3 and 4.4).

    request  = key_id || KEM || KDF || AEAD || enc || HPKE.Seal("", content)
    response = response_nonce || AEAD.Seal(key, nonce, "", content)

The content is a binary HTTP message; nothing here looks into it. For content that comes in parts, see ``chunked.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import response_keys
from quatrefoil.ohttp.gateway_keys import HEADER_BYTES, GatewayKeys
from quatrefoil.ohttp.hpke_context import setup_sender
from quatrefoil.ohttp.key_configuration import KeyConfiguration
from quatrefoil.ohttp.response_keys import ResponseKeys, fresh_nonce, nonce_bytes
from quatrefoil.ohttp.sequence import TAG_BYTES
from quatrefoil.wire import LARGEST_MESSAGE

REQUEST_TYPE = "message/ohttp-req"
RESPONSE_TYPE = "message/ohttp-res"
REQUEST_LABEL = b"message/bhttp request"

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True)
class OpenedRequest:
    """A request at the gateway. ``enc`` names it: see ``replay.py``; nothing may be done for it before that is
    asked."""

    content: bytes
    key_id: int
    enc: bytes
    response: ResponseKeys


def seal_request(configuration: KeyConfiguration, content: bytes) -> tuple[bytes, ResponseKeys]:
    """The encapsulated request, and what opens its response. A request that is sent again must be sealed again."""
    if len(content) > LARGEST_MESSAGE:
        raise CallerError(f"a request of {len(content)} bytes is over {LARGEST_MESSAGE}", hint="Send it in chunks")
    info = request_info(REQUEST_LABEL, configuration.header)
    enc, context = setup_sender(configuration.suite, configuration.public, info)
    try:
        sealed = configuration.header + enc + context.messages.seal(content)
        return sealed, ResponseKeys(configuration.suite, context, enc, response_keys.WHOLE)
    finally:
        context.wipe()


def open_request(sealed: bytes, keys: GatewayKeys, *, limit: int = LARGEST_MESSAGE) -> OpenedRequest:
    """The request in ``sealed``, of at most ``limit`` bytes.

    Raises ``KeyUnknown`` where its header names no key in force, and otherwise ``MessageRefused``.
    """
    enc_end = HEADER_BYTES + keys.suite.kem.encapsulated_bytes
    check_size(len(sealed), enc_end + TAG_BYTES, limit, "encapsulated request")
    header, enc = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:enc_end]
    context = keys.context(header, enc, request_info(REQUEST_LABEL, header))
    try:
        content = context.messages.open(memoryview(sealed)[enc_end:])
        return OpenedRequest(content, header[0], enc, ResponseKeys(keys.suite, context, enc, response_keys.WHOLE))
    finally:
        context.wipe()


def seal_response(response: ResponseKeys, content: bytes, *, random: RandomBytes = os.urandom) -> bytes:
    """The encapsulated response. The gateway wipes ``response`` when it will make no other."""
    nonce = fresh_nonce(response.suite, random)
    sequence = response.sequence(nonce)
    try:
        return nonce + sequence.seal(content)
    finally:
        sequence.wipe()


def open_response(response: ResponseKeys, sealed: bytes, *, limit: int = LARGEST_MESSAGE) -> bytes:
    """The content of the response to one's request, or ``MessageRefused``. Wipes ``response``: there is one answer."""
    nonce_end = nonce_bytes(response.suite)
    check_size(len(sealed), nonce_end + TAG_BYTES, limit, "encapsulated response")
    sequence = response.sequence(sealed[:nonce_end])
    try:
        content = sequence.open(memoryview(sealed)[nonce_end:])
        response.wipe()
        return content
    finally:
        sequence.wipe()


def request_info(label: bytes, header: bytes) -> bytes:
    """HPKE's ``info`` (section 4.3): it binds the request to the key identifier and the algorithms in its header."""
    return label + b"\x00" + header


def check_size(size: int, least: int, limit: int, what: str) -> None:
    if size < least:
        raise MessageRefused(f"an {what} of {size} bytes is cut off", hint="Have it sent again, whole")
    if size - least > limit:
        raise MessageRefused(f"an {what} holds more than {limit} bytes", hint="Send less at once, or in chunks")
