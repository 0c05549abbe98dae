"""One request and its answer without I/O: sealed to the attested key, opened, and held to the receipt.

A request that is sent again is sealed again: :class:`Asked` is what is asked, an exchange is one time that it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quatrefoil import ohttp
from quatrefoil.audit.inference_receipts import AnswerCommitment, commit_answer, commit_request
from quatrefoil.client.answers import Answer, Headers
from quatrefoil.client.pinning import Pinned
from quatrefoil.client.receipts import Exchanged, Receipt, Verifier, without_receipt
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.exchange import ServingPolicy
from quatrefoil.ohttp import Content, Request, RequestHead, ResponseHead, Trailers
from quatrefoil.ohttp.messages import Fields
from quatrefoil.transport import Clock

HEADS = 256 << 10
"""Bytes beside an answer's content that an answer may have: field sections, framing."""


@dataclass(frozen=True, repr=False)
class Asked:
    """A request as its caller means it. ``path`` is with its query; ``Date`` is added each time that it is sent."""

    method: bytes
    authority: bytes
    path: bytes
    fields: Fields
    content: bytes

    def encoded(self, policy: ServingPolicy, now: datetime) -> bytes:
        """The binary message, padded; ``CallerError`` where it is none, or over the policy's limit."""
        if len(self.content) > policy.limits.request_bytes:
            raise CallerError(
                f"a request of {len(self.content)} bytes is over the policy's {policy.limits.request_bytes}",
                hint="Send less at once",
            )
        date = (b"date", ohttp.http_date(now).encode())
        head = RequestHead(self.method, b"https", self.authority, self.path, (*self.fields, date))
        return ohttp.encode_request(Request(head, self.content), padding=policy.request_padding)

    def commitment(self, salt: bytes) -> bytes:
        return commit_request(salt, self.method, self.path, self.content)


class WholeExchange:
    """A request whose answer comes in one piece."""

    def __init__(self, asked: Asked, pinned: Pinned, policy: ServingPolicy, clock: Clock) -> None:
        self._pinned, self._policy, self._clock = pinned, policy, clock
        self._begun = clock()
        self.body, self._response = ohttp.seal_request(pinned.configuration, asked.encoded(policy, self._begun))
        """``body``: what to send."""
        self._asked = asked
        self._request: bytes | None = None

    def commit(self) -> bytes:
        """The commitment to the request, which the receipt has to name. It is made once: best while the answer is
        awaited."""
        if self._request is None:
            self._request = self._asked.commitment(self._response.salt)
        return self._request

    def opened(self, sealed: bytes, verifier: Verifier) -> Answer:
        """The answer, with its receipt verified; ``MessageRefused`` or ``EvidenceRejected``. Wipes the keys."""
        try:
            content = ohttp.open_response(self._response, sealed, limit=opened_limit(self._policy))
        finally:
            self.wipe()
        answer = ohttp.decode_response(content, ohttp.Limits(content=self._policy.limits.answer_bytes))
        status, salt = answer.head.status, self._response.salt
        receipt = verifier.verify(
            answer.head.fields,
            Exchanged(
                self._pinned,
                salt,
                self.commit(),
                commit_answer(salt, status, answer.content),
                status,
                self._begun,
                self._clock(),
            ),
        )
        return Answer(status, Headers(without_receipt(answer.head.fields)), answer.content, receipt)

    def wipe(self) -> None:
        """Give it up: no answer opens any more."""
        self._response.wipe()


class StreamExchange:
    """A request whose answer comes in parts. What :meth:`feed` gives is authentic and in its place, and it is the whole
    answer only once :meth:`finish` has returned."""

    def __init__(self, asked: Asked, pinned: Pinned, policy: ServingPolicy, clock: Clock) -> None:
        self._pinned, self._clock = pinned, clock
        self._begun = clock()
        encoded = asked.encoded(policy, self._begun)
        sealer = ohttp.RequestSealer(pinned.configuration)
        self.body = sealer.finish(encoded)
        """What to send."""
        self._salt = sealer.response.salt
        self._request = asked.commitment(self._salt)
        self._opener = ohttp.ResponseOpener(sealer.response, limit=opened_limit(policy))
        self._decoder = ohttp.ResponseDecoder(ohttp.Limits(content=policy.limits.answer_bytes))
        self._answer: AnswerCommitment | None = None
        self._trailers: Fields | None = None
        self.head: ResponseHead | None = None
        """Of the answer, once it is there."""

    def feed(self, data: bytes) -> list[bytes]:
        """The content that ``data`` completes; ``MessageRefused`` where it is not what comes next."""
        found: list[bytes] = []
        for plain in self._opener.feed(data):
            self._take(self._decoder.feed(plain), found)
        return found

    def finish(self, verifier: Verifier) -> tuple[list[bytes], Receipt]:
        """The last content, and the receipt over all of it: the outer message is complete. ``MessageRefused`` where it
        was cut off, ``EvidenceRejected`` where its receipt does not hold."""
        found: list[bytes] = []
        last = self._opener.finish()
        if last:
            self._take(self._decoder.feed(last), found)
        self._take(self._decoder.finish(), found)
        if self.head is None or self._answer is None or self._trailers is None:
            raise MessageRefused("the answer has no head", hint="Have it sent again")
        seen = Exchanged(
            self._pinned,
            self._salt,
            self._request,
            self._answer.digest(),
            self.head.status,
            self._begun,
            self._clock(),
        )
        return found, verifier.verify(self._trailers, seen)

    def wipe(self) -> None:
        """Give it up: nothing more of the answer opens."""
        self._opener.wipe()

    def _take(self, events: list[ohttp.decoder.Event], found: list[bytes]) -> None:
        for event in events:
            if isinstance(event, Content):
                assert self._answer is not None  # the decoder gives heads first
                self._answer.update(event.data)
                found.append(event.data)
            elif isinstance(event, Trailers):
                self._trailers = event.fields
            elif isinstance(event, ResponseHead) and event.status >= 200:
                self.head = event
                self._answer = AnswerCommitment(self._salt, event.status)


def opened_limit(policy: ServingPolicy) -> int:
    """Bytes of an answer as a padded binary message: each part of a stream's content may have a length of its own."""
    return policy.answer_padding.padded(10 * policy.limits.answer_bytes + HEADS)


def sealed_limit(policy: ServingPolicy) -> int:
    """Bytes of an encapsulated answer: each part of it may be a chunk of its own, with length and tag."""
    return 3 * opened_limit(policy)


__all__ = ["Asked", "StreamExchange", "WholeExchange", "opened_limit", "sealed_limit"]
