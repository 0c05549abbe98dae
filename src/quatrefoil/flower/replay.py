"""A silo's conversation that goes on over many short-lived processes: each message carries the answers so far.

A node of Flower runs its app once for each message and may be killed in any of them; a silo asks question after
question over one channel. So the service of the silo runs anew for each message, from its state, and its channel is
:class:`CarriedChannel`: a question to which the message brings the answer is answered; the first one without ends the
run (:class:`Unanswered`) and is what the node replies. Everything that a silo does before a question is idempotent or
durable, because every question may be asked again after a lost connection (docs/protocol.md, "Questions and answers").

Answers are kept until the silo has done with them: when it asks ``next`` again it has stored whatever came of the one
before, and all that was answered is forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.services.rpc import Named

MOST_ANSWERS = 64

AT_ONCE = 8
"""Answers as long as a model that a message may have: ``start``, or results that the silo has missed."""

_TELLING = frozenset({b"next", b"checkpoint"})
"""Questions whose bodies say how far the silo is: an answer to another body is to another question."""


@dataclass(frozen=True)
class Answered:
    """A question and the response to it: ``digest`` is SHA-256 of the request where its body counts, else empty."""

    method: bytes
    digest: bytes
    response: bytes

    @classmethod
    def to(cls, request: bytes, response: bytes) -> Answered:
        """The response to a request."""
        method = method_of(request)
        return cls(method, _digest(method, request), response)


def method_of(request: bytes) -> bytes:
    """What is asked for."""
    return parts.split(request, 2)[0]


def encode_answers(answers: Sequence[Answered]) -> bytes:
    return parts.join([parts.join([one.method, one.digest, one.response]) for one in answers])


def decode_answers(data: bytes) -> list[Answered]:
    return [Answered(*parts.split(one, 3)) for one in parts.split_list(data, MOST_ANSWERS)]


class Unanswered(BaseException):
    """The silo waits for the answer to ``request``. No ``except Exception`` on the way may take it for a failure."""

    def __init__(self, request: bytes) -> None:
        super().__init__("a question without an answer")
        self.request = request


class CarriedChannel:
    """What :class:`~quatrefoil.services.silo.SiloService` sees of a channel: the answers that a message brought."""

    due = False
    """Whether it is time for a new channel: a session lasts for a run."""

    group = "X25519+ML-KEM-768 or as the policy says, sealed in Flower's messages"

    def __init__(self, answers: Sequence[Answered], peer: Named) -> None:
        self.peer = peer
        self._open = list(enumerate(answers))
        self._used: list[int] = []
        self._methods: set[bytes] = set()
        self.done: list[int] = []
        """Answers, by position, that are needed no more."""
        self._request = b""

    def send(self, request: bytes) -> None:
        """Ask."""
        self._request = request

    def receive(self, limit: int) -> bytes:
        """The answer of at most ``limit`` bytes; :class:`Unanswered` where the message brought none."""
        method = method_of(self._request)
        if method == b"next":
            self._begin_anew()
        wanted = (method, _digest(method, self._request))
        for place, (position, answer) in enumerate(self._open):
            if (answer.method, answer.digest) == wanted:
                del self._open[place]
                self._used.append(position)
                self._methods.add(method)
                if len(answer.response) > limit:
                    raise MessageRefused(
                        f"an answer of {len(answer.response)} bytes, over {limit}",
                        hint="Check the other side's version",
                    )
                return answer.response
        raise Unanswered(self._request)

    def close(self) -> None:
        """Nothing to say goodbye to."""

    def _begin_anew(self) -> None:
        if self._methods & {b"next", b"start"}:
            # What was answered before the last of them and not asked for will not be: the silo has gone another way.
            skipped = [position for position, _ in self._open if position < max(self._used)]
            self._open = [one for one in self._open if one[0] not in skipped]
            self.done += sorted(self._used + skipped)
            self._used, self._methods = [], set()


def _digest(method: bytes, request: bytes) -> bytes:
    return hashlib.sha256(request).digest() if method in _TELLING else b""


__all__ = [
    "AT_ONCE",
    "Answered",
    "CarriedChannel",
    "Unanswered",
    "decode_answers",
    "encode_answers",
    "method_of",
]
