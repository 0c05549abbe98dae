"""What a silo has recorded to be sent: one message for an attempt, the same bytes whenever they are asked for.

A silo that would encrypt the same update under two contexts that both count lets them be subtracted: it sends for
another attempt only against the keeper's void of every attempt that it has sent to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from quatrefoil.errors import MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.messages import RoundContext
from quatrefoil.federation.receipt_checks import Recorded
from quatrefoil.state import State


class Outbox:
    """The recorded messages of one silo, in its state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def recorded(self, context: RoundContext) -> bytes | None:
        """The message for this attempt; None before there is one."""
        stored = self._state.get(_name(context))
        return None if stored is None else parts.split(stored, 2)[1]

    def record(self, context: RoundContext, message: bytes) -> bytes:
        """Record a message, durably; what was recorded for the attempt first is returned, and is what counts."""
        stored = self._state.put_once(_name(context), parts.join([context.digest(), message]))
        return parts.split(stored, 2)[1]

    def of_round(self, number: int) -> list[Recorded]:
        """What was recorded for attempts at a round."""
        found = []
        for name in self._state.names(_prefix(number)):
            stored = self._state.get(name)
            assert stored is not None
            context, message = parts.split(stored, 2)
            found.append((int(name.split("/")[2]), context, message))
        return found

    def require_voids(self, context: RoundContext, voided: Collection[bytes]) -> None:
        """Refuse an attempt that is ``voided``, or that comes while another that was sent to is not; both by the
        digests of their contexts."""
        for _, sent_to, _ in self.of_round(context.round):
            if sent_to == context.digest() and sent_to in voided:
                raise RoundVoided(
                    f"attempt {context.attempt} at round {context.round} is void", hint="Open the next attempt"
                )
            if sent_to != context.digest() and sent_to not in voided:
                raise MessageRefused(
                    f"this silo has already sent its update of round {context.round} under another context",
                    hint="Send the keeper's void of that attempt with the new offer",
                )

    def emptied(self) -> Mapping[str, bytes | None]:
        """The changes of state when a round's result is accepted: nothing of it will be sent again."""
        return dict.fromkeys(self._state.names("outbox/"))


def _prefix(number: int) -> str:
    return f"outbox/{number:08d}/"


def _name(context: RoundContext) -> str:
    return f"{_prefix(context.round)}{context.attempt:04d}/{context.digest().hex()}"


__all__ = ["Outbox"]
