"""What a reader has opened before, so that an older container of the same owner is refused: a rollback.

One durable value for each owner, kind and name: the highest serial, and the root that it had. A serial that comes with
two roots is refused whichever comes second: its owner has said two things.
"""

from __future__ import annotations

from dataclasses import replace

from quatrefoil.errors import MessageRefused, StateCorrupt
from quatrefoil.resources.container.front import Expected, Front
from quatrefoil.state import State

_SERIAL = 8


def expecting(state: State, expected: Expected) -> Expected:
    """``expected``, with at least the serial that was seen last."""
    serial, _root = _last(state, expected.owner, expected.kind, expected.name)
    return replace(expected, least_serial=max(serial, expected.least_serial))


def remember(state: State, front: Front) -> None:
    """Durable before it returns. ``MessageRefused`` for an older container, or another of the same serial."""
    resource, owner = front.owned.resource, front.owned.owner.signer
    serial, root = _last(state, owner, resource.kind, resource.name)
    if resource.serial < serial or (resource.serial == serial and root and root != front.root):
        other = "an older one" if resource.serial < serial else "another of the same number"
        raise MessageRefused(
            f"number {serial} of {resource.name!r} has been opened here, and this is {other}",
            hint="Ask its owner for the newest, or clear the state knowingly",
            party=owner,
        )
    state.replace({_name(owner, resource.kind, resource.name): resource.serial.to_bytes(_SERIAL, "big") + front.root})


def _last(state: State, owner: str, kind: str, name: str) -> tuple[int, bytes]:
    stored = state.get(_name(owner, kind, name))
    if stored is None:
        return 0, b""
    if len(stored) != _SERIAL + 32:
        raise StateCorrupt("what was opened last does not read back", hint="Restore the state from a copy")
    return int.from_bytes(stored[:_SERIAL], "big"), stored[_SERIAL:]


def _name(owner: str, kind: str, name: str) -> str:
    return f"opened/{kind}/{name}/{owner}"


__all__ = ["expecting", "remember"]
