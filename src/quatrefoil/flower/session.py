"""A session between an aggregator and one silo over a carrier that both distrust: who speaks, and under which key.

Flower delivers messages and is believed in nothing. The aggregator of a run says hello to a node: a statement that it
signs, with a key made for the run. The silo draws a secret, seals it to that key and signs the envelope. From then on
both seal each message with it: AES-256-GCM under a key derived for that one message (HKDF-SHA-384, a random salt of 32
bytes), bound to the hello, the direction, the number and the kind of the message. docs/flower.md specifies it.

Nobody else reads or alters what is carried, and nothing of one run, node or direction is taken for another. Whoever
carries can lose, delay and repeat: an earlier message to the silo is one that it has answered before, and an earlier
answer is refused by its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quatrefoil.contracts import Recipient, TransportSecurity
from quatrefoil.errors import DateRefused, MessageRefused
from quatrefoil.state import State
from quatrefoil.wire import WireObject

SECRET_BYTES = 32
_SALT_BYTES = 32
_NONCE = bytes(12)
"""Always the same: each key seals one message."""

VALID = 3600
"""Seconds for which a hello is valid: a node may be busy, and a SuperLink holds messages for it."""

CLOCK_SKEW = 300
"""Seconds by which the clocks of aggregator and silo may differ."""

_STORED = "flower/session/"
_NEWEST = "flower/newest-hello"
_HINT = "Start the run again; if it goes on, somebody between SuperLink and SuperNode alters messages"


@dataclass(frozen=True)
class Hello(WireObject):
    """What an aggregator signs for one node of one run. ``key``: what the silo seals the session's secret to. ``made``
    and ``until``: microseconds of Unix time; it is answered from the first to the second."""

    TYPE: ClassVar[str] = "urn:quatrefoil:flower-hello"
    VERSION: ClassVar[int] = 2

    run: int
    node: int
    key: bytes
    nonce: bytes
    made: int
    until: int


class Session:
    """Seals what one side sends and opens what it receives. ``secret`` is wiped by :meth:`wipe`."""

    def __init__(self, secret: bytes, hello: bytes, *, aggregator: bool, random: Callable[[int], bytes]) -> None:
        """``hello``: its digest."""
        self._secret = bytearray(secret)
        self.hello = hello
        self._sends, self._receives = (b"\x00", b"\x01") if aggregator else (b"\x01", b"\x00")
        self._random = random

    def seal(self, plaintext: bytes, *, number: int, kind: str) -> bytes:
        """``plaintext`` for the other side only, as message ``number`` of this kind."""
        salt = self._random(_SALT_BYTES)
        context = self._context(self._sends, number, kind)
        return salt + AESGCM(self._key(salt, context)).encrypt(_NONCE, plaintext, context)

    def open(self, sealed: bytes, *, number: int, kind: str) -> bytes:
        """What the other side sealed as message ``number`` of this kind, or ``MessageRefused``."""
        salt, ciphertext = sealed[:_SALT_BYTES], sealed[_SALT_BYTES:]
        context = self._context(self._receives, number, kind)
        try:
            return AESGCM(self._key(salt, context)).decrypt(_NONCE, ciphertext, context)
        except (InvalidTag, ValueError):
            raise MessageRefused(
                f"message {number} ({kind}) was altered on its way, or is another one", hint=_HINT
            ) from None

    def wipe(self) -> None:
        """Forget the secret."""
        self._secret[:] = bytes(len(self._secret))

    def _context(self, direction: bytes, number: int, kind: str) -> bytes:
        return b"quatrefoil/flower/v1\x00" + self.hello + direction + number.to_bytes(8, "big") + kind.encode()

    def _key(self, salt: bytes, context: bytes) -> bytes:
        return HKDF(SHA384(), 32, salt, context).derive(bytes(self._secret))

    def __repr__(self) -> str:
        return f"Session(hello={self.hello.hex()[:16]}, secret=<{len(self._secret)} bytes>)"


# ----------------------------------------------------------------------------------------------------- the aggregator


def greet(
    security: TransportSecurity, key: Recipient, run: int, node: int, nonce: bytes, *, at: datetime
) -> tuple[bytes, bytes]:
    """A signed :class:`Hello` for a node of a run, made ``at`` this time, and its digest."""
    made = _microseconds(at)
    hello = Hello(run, node, key.public, nonce, made, made + VALID * 1_000_000)
    return security.sign(hello.encode()), hello.digest()


def greeted(key: Recipient, hello: bytes, answer: bytes, random: Callable[[int], bytes]) -> tuple[str, Session]:
    """The silo that answered the hello with this digest, and the session with it; or ``MessageRefused``."""
    opened = key.open(answer, context=hello)
    try:
        if opened.sender.role != "silo" or len(opened.plaintext) != SECRET_BYTES:
            raise MessageRefused(
                f"{opened.sender.role} {opened.sender.signer} answers a hello as no silo does",
                hint="Give the SuperNode the identity of a silo",
                party=opened.sender.signer,
            )
        return opened.sender.signer, Session(bytes(opened.plaintext), hello, aggregator=True, random=random)
    finally:
        opened.plaintext[:] = bytes(len(opened.plaintext))


# ----------------------------------------------------------------------------------------------------------- the silo


def answer_hello(
    signed: bytes,
    *,
    security: TransportSecurity,
    state: State,
    aggregator: str,
    run: int,
    node: int,
    random: Callable[[int], bytes],
    at: datetime,
) -> bytes:
    """The envelope with the secret of a session, for the aggregator of this name alone, at this time.

    The secret is durable before it is given, the same for the same hello, and takes the place of earlier ones: a new
    ServerApp begins a new session. ``DateRefused`` for a hello that is not valid now, and for one that was made before
    another that this silo has answered: who has stolen the key of a run has no use for its old hellos.
    """
    said = security.verify(signed)
    hello = Hello.decode(said.body)
    if (said.role, said.signer) != ("aggregator", aggregator):
        raise MessageRefused(
            f"{said.role} {said.signer} says hello, this silo answers aggregator {aggregator} only",
            hint="Name the aggregator in the silo's file, or find out who started this run",
            party=said.signer,
        )
    if (hello.run, hello.node) != (run, node):
        raise MessageRefused(
            f"the hello is for node {hello.node} of run {hello.run}, this is node {node} of run {run}", hint=_HINT
        )
    _require_valid(hello, at)
    name = _STORED + hello.digest().hex()
    if (secret := state.get(name)) is None:
        newest = int.from_bytes(state.get(_NEWEST) or b"", "big")
        if hello.made <= newest:
            raise DateRefused(
                f"the hello was made {(newest - hello.made) / 1e6:.6f} s before one that this silo has answered",
                hint=_HINT,
            )
        secret = random(SECRET_BYTES)
        changes: dict[str, bytes | None] = {name: secret, _NEWEST: hello.made.to_bytes(8, "big")}
        state.replace(dict.fromkeys(state.names(_STORED)) | changes)
    return security.seal(hello.key, secret, context=hello.digest())


def _require_valid(hello: Hello, at: datetime) -> None:
    now, skew = _microseconds(at), CLOCK_SKEW * 1_000_000
    if hello.until - hello.made > VALID * 1_000_000 or not hello.made - skew <= now <= hello.until + skew:
        lasts, age = (hello.until - hello.made) / 1e6, (now - hello.made) / 1e6
        raise DateRefused(
            f"the hello is valid for {lasts:.0f} s and was made {age:.0f} s ago, by the clock of this silo",
            hint=f"Set the clocks of both sides; else somebody repeats old messages. A hello is valid for {VALID} s",
        )


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def kept_session(state: State, hello: bytes, random: Callable[[int], bytes]) -> Session:
    """The silo's session under the hello with this digest, or ``MessageRefused``."""
    secret = state.get(_STORED + hello.hex())
    if secret is None:
        raise MessageRefused("this silo has no such session", hint="Say hello first")
    return Session(secret, hello, aggregator=False, random=random)


def forget_sessions(state: State) -> None:
    """Forget every secret: the job is over. When the newest hello was made is still known."""
    state.replace(dict.fromkeys(state.names(_STORED)))


__all__ = [
    "SECRET_BYTES",
    "Hello",
    "Session",
    "answer_hello",
    "forget_sessions",
    "greet",
    "greeted",
    "kept_session",
]
