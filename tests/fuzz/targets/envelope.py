"""Statements and envelopes: from nobody in particular, and from a member who signs whatever it likes."""

from __future__ import annotations

from functools import cache

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.transport import envelope, statement, system_clock
from quatrefoil.transport.envelope import Envelope, SealingKey


@cache
def key() -> SealingKey:
    return SealingKey(rooms.trust(), clock=system_clock)


def seeds() -> list[bytes]:
    sealed = envelope.seal(key().public, b"seed", context=b"fuzz", sender=rooms.member())
    body = statement.Signed.decode(sealed).body
    return [b"\0" + sealed, b"\1" + body, b"\1" + body[:-1], b"\2" + key().public]


def one(data: bytes) -> None:
    """By the first byte: a signed statement, a body to be signed by a member, or a public key to seal to."""
    how, content = data[:1], data[1:]
    if how == b"\2":
        refused_or(lambda: envelope.seal(content, b"seed", context=b"fuzz", sender=rooms.member()))
        return
    signed = statement.sign(content, rooms.member()) if how == b"\1" else content
    verified = refused_or(lambda: statement.verify(signed, rooms.trust(), clock=system_clock))
    if verified is not None:
        assert (verified.signer, verified.role) == ("north", "silo")
        refused_or(lambda: Envelope.decode(verified.body))
    opened = refused_or(lambda: key().open(signed, context=b"fuzz"))
    if opened is not None:
        assert bytes(opened.plaintext) == b"seed"
