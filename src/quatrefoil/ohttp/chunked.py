"""Messages in chunks: ``message/ohttp-chunked-req`` and ``-res`` (draft-ietf-ohai-chunked-ohttp-08, sections 4 to 6).

    request  = key_id || KEM || KDF || AEAD || enc || chunk ... || final
    response = response_nonce || chunk ... || final
    chunk    = length as a variable-length integer || Seal("", 1 to 16,384 bytes)
    final    = 00 || Seal("final", 0 to 16,384 bytes)

Both directions have nonces that count (``sequence.py``), so chunks open in their order only; the associated data of the
last one says that it is the last, so that a beginning is never taken for the whole. The last one ends where the outer
message ends: whatever follows it is part of it, and makes it refuse to open.

Sealers and openers do no I/O. What an opener gives out is authentic and in its place, and it is the whole message only
once :meth:`ChunkOpener.finish` has returned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import response_keys, varint
from quatrefoil.ohttp.encapsulation import RandomBytes, request_info
from quatrefoil.ohttp.gateway_keys import HEADER_BYTES, GatewayKeys
from quatrefoil.ohttp.hpke_context import HpkeContext, setup_sender
from quatrefoil.ohttp.key_configuration import KeyConfiguration
from quatrefoil.ohttp.response_keys import ResponseKeys, fresh_nonce, nonce_bytes
from quatrefoil.ohttp.sequence import TAG_BYTES, Sequence

REQUEST_TYPE = "message/ohttp-chunked-req"
RESPONSE_TYPE = "message/ohttp-chunked-res"
REQUEST_LABEL = b"message/bhttp chunked request"

LARGEST_CHUNK = 1 << 14
"""Bytes of plaintext in a chunk: what every receiver has to take (section 3), and the most that we take."""

FINAL = b"final"
_AGAIN = "Have the whole message sent again, newly encrypted"


class ChunkSealer:
    """Chunks of one message, in order. ``prefix`` goes before the first."""

    def __init__(self, prefix: bytes, sequence: Sequence) -> None:
        self._prefix = prefix
        self._sequence = sequence
        self._finished = False

    def seal(self, content: bytes) -> bytes:
        """What to send for ``content``, in as many chunks as it takes; nothing for nothing, but for the prefix."""
        self._check_open()
        view = memoryview(content)
        chunks = [self._chunk(bytes(view[at : at + LARGEST_CHUNK])) for at in range(0, len(view), LARGEST_CHUNK)]
        return self._take_prefix() + b"".join(chunks)

    def finish(self, content: bytes = b"") -> bytes:
        """The end of the message, with its last ``content``. Wipes the keys."""
        self._check_open()
        whole = max(0, len(content) - 1) // LARGEST_CHUNK * LARGEST_CHUNK
        before = self.seal(content[:whole])
        last = varint.encode(0) + self._sequence.seal(content[whole:], FINAL)
        self.wipe()
        return before + last

    def wipe(self) -> None:
        """Overwrite the keys; without :meth:`finish` the other end refuses the message as cut off."""
        self._finished = True
        self._sequence.wipe()

    def _chunk(self, content: bytes) -> bytes:
        return varint.prefixed(self._sequence.seal(content))

    def _take_prefix(self) -> bytes:
        prefix, self._prefix = self._prefix, b""
        return prefix

    def _check_open(self) -> None:
        if self._finished:
            raise CallerError("this message has ended", hint="Begin a new one")


class RequestSealer(ChunkSealer):
    """A request at the client. ``response`` opens what comes back, once; it can be given to a ``ResponseOpener``
    early."""

    def __init__(self, configuration: KeyConfiguration) -> None:
        info = request_info(REQUEST_LABEL, configuration.header)
        enc, self._context = setup_sender(configuration.suite, configuration.public, info)
        super().__init__(configuration.header + enc, self._context.messages)
        self.response = ResponseKeys(configuration.suite, self._context, enc, response_keys.CHUNKED)

    def wipe(self) -> None:
        super().wipe()
        self._context.wipe()


class ResponseSealer(ChunkSealer):
    """A response at the gateway, to the request that ``response`` is of."""

    def __init__(self, response: ResponseKeys, *, random: RandomBytes = os.urandom) -> None:
        nonce = fresh_nonce(response.suite, random)
        super().__init__(nonce, response.sequence(nonce))


class ChunkOpener:
    """Chunks as they arrive, in whatever pieces. Holds one chunk at a time.

    After a refusal nothing more is taken, and what was given out belongs to a message that nobody has sent.
    """

    def __init__(self, prefix_bytes: int, limit: int) -> None:
        """``prefix_bytes``: what comes before the first chunk. ``limit``: bytes of plaintext in the whole message."""
        self._prefix_bytes = prefix_bytes
        self._left = limit
        self._limit = limit
        self._held = bytearray()
        self._sequence: Sequence | None = None
        self._final = False
        self._ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """The plaintext of every chunk that is complete with ``data``, or ``MessageRefused``."""
        self._check_open()
        try:
            self._held += data
            return list(self._chunks())
        except BaseException:
            self.wipe()
            raise

    def finish(self) -> bytes:
        """The plaintext of the last chunk: the outer message has ended. ``MessageRefused`` if it was cut off.

        Only call this where the outer protocol says that its message is complete, not where a connection broke.
        """
        self._check_open()
        try:
            if self._sequence is None or not self._final:
                raise MessageRefused("the message ends before its last chunk: it was cut off", hint=_AGAIN)
            last = self._open(self._held, FINAL)
        except BaseException:
            self.wipe()
            raise
        self._end()
        return last

    def wipe(self) -> None:
        """Give the message up: overwrite the keys, and take nothing more."""
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._held.clear()
        if self._sequence is not None:
            self._sequence.wipe()

    def _begin(self, prefix: bytes) -> Sequence:
        raise NotImplementedError

    def _chunks(self) -> Iterator[bytes]:
        if self._sequence is None:
            if len(self._held) < self._prefix_bytes:
                return
            self._sequence = self._begin(self._pop(self._prefix_bytes))
        while not self._final and self._held:
            first = varint.size_of(self._held[0])
            if len(self._held) < first:
                return
            length = varint.value_of(self._held[:first])
            if length == 0:
                self._pop(first)
                self._final = True
                break
            if not TAG_BYTES < length <= LARGEST_CHUNK + TAG_BYTES:
                raise MessageRefused(f"a chunk of {length} bytes is empty, or over the limit", hint=_AGAIN)
            if len(self._held) < first + length:
                return
            self._pop(first)
            yield self._open(self._pop(length), b"")
        if self._final and len(self._held) > LARGEST_CHUNK + TAG_BYTES:
            raise MessageRefused("the last chunk is over the limit, or something follows it", hint=_AGAIN)

    def _open(self, sealed: bytes | bytearray, aad: bytes) -> bytes:
        assert self._sequence is not None
        self._left -= len(sealed) - TAG_BYTES
        if self._left < 0:
            raise MessageRefused(f"the message holds more than {self._limit} bytes", hint="Send less at once")
        return self._sequence.open(bytes(sealed), aad)

    def _pop(self, size: int) -> bytes:
        with memoryview(self._held) as view:
            taken = bytes(view[:size])
        del self._held[:size]
        return taken

    def _check_open(self) -> None:
        if self._ended:
            raise CallerError("this message has ended, or was refused", hint="Begin a new one")


class RequestOpener(ChunkOpener):
    """A request at the gateway. ``enc``, ``key_id`` and ``response`` are there once a first chunk has been given out.

    Raises ``KeyUnknown`` where the header names no key in force. Ask ``replay.py`` before anything is done for it.
    """

    def __init__(self, keys: GatewayKeys, *, limit: int) -> None:
        super().__init__(HEADER_BYTES + keys.suite.kem.encapsulated_bytes, limit)
        self._keys = keys
        self._context: HpkeContext | None = None
        self._enc = b""
        self._key_id = -1
        self._response: ResponseKeys | None = None

    @property
    def enc(self) -> bytes:
        self._check_begun()
        return self._enc

    @property
    def key_id(self) -> int:
        self._check_begun()
        return self._key_id

    @property
    def response(self) -> ResponseKeys:
        """What makes the response; the caller wipes it when there will be none other."""
        self._check_begun()
        assert self._response is not None
        return self._response

    def wipe(self) -> None:
        super().wipe()
        if self._response is not None:
            self._response.wipe()

    def _end(self) -> None:
        super()._end()
        if self._context is not None:
            self._context.wipe()

    def _begin(self, prefix: bytes) -> Sequence:
        header, self._enc, self._key_id = prefix[:HEADER_BYTES], prefix[HEADER_BYTES:], prefix[0]
        self._context = self._keys.context(header, self._enc, request_info(REQUEST_LABEL, header))
        self._response = ResponseKeys(self._keys.suite, self._context, self._enc, response_keys.CHUNKED)
        return self._context.messages

    def _check_begun(self) -> None:
        """Before a chunk has opened, nothing shows that the header is of anyone."""
        if self._context is None or self._context.messages.number == 0:
            raise CallerError("no chunk of this request has opened yet", hint="Feed it until one has")


class ResponseOpener(ChunkOpener):
    """The response to one's own request, once: it takes ``response`` over, and wipes it."""

    def __init__(self, response: ResponseKeys, *, limit: int) -> None:
        super().__init__(nonce_bytes(response.suite), limit)
        self._response = response

    def _end(self) -> None:
        super()._end()
        self._response.wipe()

    def _begin(self, prefix: bytes) -> Sequence:
        return self._response.sequence(prefix)
