"""Binary HTTP messages as they arrive (RFC 9292), of known or indeterminate length: events out of bytes.

One state machine for whole messages and streams, written as a generator that waits for bytes. It is total: any bytes
give events or ``MessageRefused``. No refusal shows anything of the message. What is given out before
:meth:`Decoder.finish` has returned belongs to a message that may still be refused (section 4).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import varint
from quatrefoil.ohttp.messages import (
    Fields,
    RequestHead,
    ResponseHead,
    problem_of_fields,
    problem_of_length,
    problem_of_request,
    problem_of_response,
)
from quatrefoil.wire import LARGEST_MESSAGE


@dataclass(frozen=True)
class Limits:
    """Bytes and counts that a message stays within.

    ``control``: each part of a request's control data. ``section``, ``fields``: a header or trailer section.
    ``content``: all of it. ``chunks``: of content of indeterminate length, since each costs time however small.
    ``padding``: zeros at the end. ``informational``: responses before the final one.
    """

    control: int = 8 << 10
    section: int = 64 << 10
    fields: int = 256
    content: int = LARGEST_MESSAGE
    chunks: int = 1 << 18
    padding: int = LARGEST_MESSAGE
    informational: int = 16


LIMITS = Limits()


@dataclass(frozen=True)
class Content:
    """Some of the content, never empty. Where it is cut means nothing."""

    data: bytes


@dataclass(frozen=True)
class Trailers:
    """The trailer section, once, at the end; it may be empty."""

    fields: Fields


Event: TypeAlias = RequestHead | ResponseHead | Content | Trailers
Waiting: TypeAlias = Generator[None, None, None]


class Decoder:
    """Base of both: feed bytes, then finish. Heads come first, then content, then trailers."""

    _INDICATORS: tuple[int, int]
    """Of known and of indeterminate length (section 3.3)."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._held = bytearray()
        self._complete = False  # nothing comes after what is held
        self._over = False
        self._events: list[Event] = []
        self._content: list[bytes] = []  # of this piece: many small chunks make one event
        self._parsing = self._message()

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes."""
        if self._over or self._complete:
            raise CallerError("this message has ended, or was refused", hint="Begin a new one")
        self._held += data
        return self._run()

    def finish(self) -> list[Event]:
        """The last events: the message ends here. ``MessageRefused`` if it does so in a wrong place.

        Only call this where the end is authentic: after the final chunk of the encryption.
        """
        if self._over or self._complete:
            raise CallerError("this message has ended, or was refused", hint="Begin a new one")
        self._complete = True
        return self._run()

    def _run(self) -> list[Event]:
        try:
            next(self._parsing, None)
        except BaseException:
            self._over = True
            self._held.clear()
            self._events.clear()
            self._content.clear()
            raise
        self._flush()
        events, self._events = self._events, []
        return events

    def _flush(self) -> None:
        if self._content:
            self._events.append(Content(b"".join(self._content)))
            self._content.clear()

    # ---------------------------------------------------------------------------------------------- the message

    def _message(self) -> Waiting:
        indicator = yield from self._integer()
        if indicator not in self._INDICATORS:
            refuse("it begins with another framing indicator")
        known = indicator == self._INDICATORS[0]
        head = yield from self._head(known)
        size = yield from (self._known_content() if known else self._chunks())
        hold(problem_of_length(head, size))
        trailers = yield from self._section(known, optional=True)
        hold(problem_of_fields(trailers, trailers=True))
        self._flush()
        self._events.append(Trailers(trailers))
        yield from self._zeros()

    def _head(self, known: bool) -> Generator[None, None, RequestHead | ResponseHead]:
        raise NotImplementedError

    def _known_content(self) -> Generator[None, None, int]:
        if (yield from self._at_end()):
            return 0
        size = yield from self._integer()
        self._check_content(size)
        yield from self._some_content(size)
        return size

    def _chunks(self) -> Generator[None, None, int]:
        total = count = 0
        while total or not (yield from self._at_end()):
            size = yield from self._integer()
            if size == 0:
                break
            count += 1
            if count > self._limits.chunks:
                refuse("its content has too many chunks")
            total += size
            self._check_content(total)
            yield from self._some_content(size)
        return total

    def _some_content(self, size: int) -> Waiting:
        """``size`` bytes of content, as far as they are there each time."""
        while size:
            taken = yield from self._bytes(min(size, max(1, len(self._held))))
            size -= len(taken)
            self._content.append(taken)

    def _section(self, known: bool, *, optional: bool = False) -> Generator[None, None, Fields]:
        """A field section; one that is ``optional`` may be left out where the message ends (sections 3.1 and 3.8)."""
        if optional and (yield from self._at_end()):
            return ()
        left = self._limits.section
        if known:
            left = yield from self._integer()
            if left > self._limits.section:
                refuse("a field section is over the limit")
        found: list[tuple[bytes, bytes]] = []
        while not (known and left == 0):
            (name, read) = yield from self._prefixed(left)
            left -= read
            if not name:
                if known:
                    refuse("a field has no name")
                break
            (value, read) = yield from self._prefixed(left)
            left -= read
            found.append((name, value))
            if len(found) > self._limits.fields:
                refuse("a section has too many fields")
        return tuple(found)

    def _zeros(self) -> Waiting:
        """Padding, to the end."""
        count = 0
        while not (yield from self._at_end()):
            count += len(self._held)
            if count > self._limits.padding or self._held.count(0) != len(self._held):
                refuse("what follows it is not padding, or is over the limit")
            self._held.clear()

    def _check_content(self, size: int) -> None:
        if size > self._limits.content:
            refuse("its content is over the limit")

    # ------------------------------------------------------------------------------------------------ the bytes

    def _prefixed(self, left: int) -> Generator[None, None, tuple[bytes, int]]:
        """Bytes after their length, and how many both have: at most ``left``, which is checked before they are
        awaited."""
        size, of_size = yield from self._sized()
        if of_size + size > left:
            refuse("a length is over what holds it, or over the limit")
        content = yield from self._bytes(size)
        return content, of_size + size

    def _integer(self) -> Generator[None, None, int]:
        value, _ = yield from self._sized()
        return value

    def _sized(self) -> Generator[None, None, tuple[int, int]]:
        """An integer, and its own number of bytes."""
        yield from self._wait(1)
        size = varint.size_of(self._held[0])
        encoded = yield from self._bytes(size)
        return varint.value_of(encoded), size

    def _bytes(self, size: int) -> Generator[None, None, bytes]:
        yield from self._wait(size)
        with memoryview(self._held) as view:
            taken = bytes(view[:size])  # copied once: a slice of the array would be another copy
        del self._held[:size]
        return taken

    def _wait(self, size: int) -> Waiting:
        while len(self._held) < size:
            if self._complete:
                refuse("it ends inside one of its parts")
            yield

    def _at_end(self) -> Generator[None, None, bool]:
        """Whether nothing more comes: waits until that is known."""
        while not self._held:
            if self._complete:
                return True
            yield
        return False


class RequestDecoder(Decoder):
    """Events: ``RequestHead``, ``Content`` ..., ``Trailers``."""

    _INDICATORS = (0, 2)

    def _head(self, known: bool) -> Generator[None, None, RequestHead]:
        method = yield from self._control()
        scheme = yield from self._control()
        authority = yield from self._control()
        path = yield from self._control()
        head = RequestHead(method, scheme, authority, path, (yield from self._section(known, optional=True)))
        hold(problem_of_request(head))
        self._events.append(head)
        return head

    def _control(self) -> Generator[None, None, bytes]:
        part, _ = yield from self._prefixed(self._limits.control)
        return part


class ResponseDecoder(Decoder):
    """Events: ``ResponseHead`` (those below 200 first, and one that is not), ``Content`` ..., ``Trailers``."""

    _INDICATORS = (1, 3)

    def _head(self, known: bool) -> Generator[None, None, ResponseHead]:
        for _ in range(self._limits.informational + 1):
            status = yield from self._integer()
            head = ResponseHead(status, (yield from self._section(known, optional=status >= 200)))
            hold(problem_of_response(head))
            self._events.append(head)
            if status >= 200:
                return head
        refuse("too many informational responses come before it")


def hold(problem: str) -> None:
    """``MessageRefused`` where there is a problem."""
    if problem:
        refuse(problem)


def refuse(problem: str) -> NoReturn:
    """``MessageRefused``: ``problem`` is of this package, and nothing of the message is in it."""
    raise MessageRefused(f"the binary HTTP message is refused: {problem}", hint="Have it made as RFC 9292 has it")
