"""What silos of a job with a committee bring to its aggregator: as members, and as dealers that are complained of.

What comes late changes nothing. What is refused of a silo ends what is waited for of it in the attempt.
"""

from __future__ import annotations

from collections.abc import Callable

from quatrefoil.errors import MessageRefused, PeerError
from quatrefoil.federation import parts
from quatrefoil.federation.desk import Desk
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.services.rpc import Method
from quatrefoil.services.standing import Standing
from quatrefoil.services.waiting import wake


class MemberQuestions:
    """Answers ``key``, ``shares``, ``show``, ``answer`` and ``void``, and ``silent`` (parts: to which of these a silo
    has nothing to say, and why)."""

    def __init__(self, standing: Standing, report: Callable[[str], None]) -> None:
        self._standing = standing
        self._report = report

    @property
    def methods(self) -> dict[str, Method]:
        return {
            **{"key": self._taking("key"), "shares": self._taking("shares"), "show": self._taking("show")},
            **{"answer": self._taking("answer"), "void": self._taking("void"), "silent": self._silent},
        }

    def _taking(self, what: str) -> Method:
        async def taken(silo: str, body: bytes) -> bytes:
            desk = self._desk()
            if self._is_waited_for(desk, what, silo):
                try:
                    _TAKES[what](desk)(silo, body)
                except PeerError as error:
                    self._declines(desk, silo, what, error.problem)
                    raise
                finally:
                    await wake(self._standing.for_rounds)
                await wake(self._standing.for_silos)  # what one has said may be a question to another
            return b""

        return taken

    async def _silent(self, silo: str, body: bytes) -> bytes:
        what, reason = parts.split(body, 2)
        if (name := what.decode("utf-8", "replace")) not in _TAKES:
            raise MessageRefused(f"{silo} has nothing to say to {name[:20]!r}", hint="Check its version")
        desk = self._desk()
        if self._is_waited_for(desk, name, silo):
            self._declines(desk, silo, name, reason.decode("utf-8", "replace")[:LONGEST_REASON])
            await wake(self._standing.for_rounds)
        return b""

    def _declines(self, desk: Desk, silo: str, what: str, reason: str) -> None:
        desk.members.declines(silo, what, reason)
        self._report(f"{silo}: {reason}")

    def _is_waited_for(self, desk: Desk, what: str, silo: str) -> bool:
        if what in ("shares", "show", "answer") and self._standing.offer is None:
            return False
        return _WANTS[what](desk)(silo)

    def _desk(self) -> Desk:
        if (desk := self._standing.running().desk) is None:
            raise MessageRefused("the job has a keeper, and no committee", hint="Ask for `next`")
        return desk


_TAKES: dict[str, Callable[[Desk], Callable[[str, bytes], None]]] = {
    "key": lambda desk: desk.opening.take_key,
    "shares": lambda desk: desk.shares.take_report,
    "show": lambda desk: desk.shares.take_shown,
    "answer": lambda desk: desk.answers.take,
    "void": lambda desk: desk.voids.take,
}
_WANTS: dict[str, Callable[[Desk], Callable[[str], bool]]] = {
    "key": lambda desk: desk.opening.wants_key,
    "shares": lambda desk: desk.shares.wants_report,
    "show": lambda desk: desk.shares.is_complained_of,
    "answer": lambda desk: desk.answers.wants,
    "void": lambda desk: desk.voids.wants,
}

__all__ = ["MemberQuestions"]
