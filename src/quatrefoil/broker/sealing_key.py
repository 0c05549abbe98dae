"""The key to which owners seal: made once, and at rest only under the root key.

A resource's key is sealed to it, so whoever has it reads every key that was ever registered. In the state it stands
wrapped under the root key (``root_key.py``), bound to the broker's name; in memory it is as long as the broker runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.broker.root_key import RootKey
from quatrefoil.errors import CallerError, HostError, MessageRefused, StateCorrupt
from quatrefoil.state import State
from quatrefoil.transport import sealed
from quatrefoil.transport.sealed import RecipientKey, Suite
from quatrefoil.wire import WireObject

NAME = "sealing-key"


@dataclass(frozen=True)
class WrappedKey(WireObject):
    """``public``: for whoever reads the state without the root key. ``wrapped``: both private keys."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:wrapped-key"

    broker: str
    public: bytes
    wrapped: bytes


@dataclass(frozen=True)
class KeyBinding(WireObject):
    """What the wrapping is bound to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:key-binding"

    broker: str
    public: bytes


def create(state: State, root: RootKey, *, broker: str, suite: Suite = sealed.HYBRID_768) -> bytes:
    """Make the sealing key of ``broker`` and store it wrapped; returns the public half. ``CallerError`` where the state
    has one already: what was sealed to it would be lost."""
    if state.get(NAME) is not None:
        raise CallerError("this state has a sealing key already", hint="Name a new folder for another broker")
    key = RecipientKey.generate(suite)
    public = key.recipient.public
    content = key.encoded()
    try:
        wrapped = root.wrap(content, KeyBinding(broker, public).encode())
    finally:
        content[:] = bytes(len(content))
    record = WrappedKey(broker, public, wrapped).encode()
    if state.put_once(NAME, record) != record:
        raise CallerError("this state got a sealing key meanwhile", hint="Use that one")
    return public


def load(state: State, root: RootKey, *, broker: str) -> RecipientKey:
    """The sealing key of ``broker``. ``HostError`` where there is none, ``StateCorrupt`` where it is another's, and
    whatever ``root`` raises where it does not unwrap."""
    stored = state.get(NAME)
    if stored is None:
        raise HostError("this state has no sealing key", hint="Make one with `quatrefoil broker new`")
    try:
        record = WrappedKey.decode(stored)
    except MessageRefused as damaged:
        raise StateCorrupt(
            f"the sealing key of the state does not read back: {damaged.problem}", hint="Restore it from a copy"
        ) from None
    if record.broker != broker:
        raise StateCorrupt(
            f"this state is of the broker {record.broker!r}, and the identity is of {broker!r}",
            hint="Start it with its own identity",
        )
    content = root.unwrap(record.wrapped, KeyBinding(broker, record.public).encode())
    try:
        key = RecipientKey.decode(content, "the sealing key of the state")
    finally:
        content[:] = bytes(len(content))
    if key.recipient.public != record.public:
        raise StateCorrupt("the sealing key of the state is not the one it names", hint="Restore it from a copy")
    return key
