"""What a silo does of its own accord in a job with a committee, when the aggregator says that it is its turn."""

from __future__ import annotations

from collections.abc import Callable

from quatrefoil.contracts import LARGEST_COMMITTEE
from quatrefoil.errors import MessageRefused, PeerError, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.federation.silo import Silo

KINDS = frozenset({b"key", b"shares", b"show", b"answer", b"void"})
"""Of what there is next, what is for a member of the committee, or for a dealer that is complained of."""


class Seat:
    """``ask``: a question to the aggregator, asked until there is an answer."""

    def __init__(self, silo: Silo, ask: Callable[[str, bytes], bytes], report: Callable[[str], None]) -> None:
        self._silo = silo
        self._ask = ask
        self._report = report

    def take(self, kind: bytes, content: bytes) -> None:
        """Do what is next, and say so; or say why there is nothing to say."""
        what = kind.decode()
        try:
            answer = self._answer(kind, content)
        except (PeerError, PolicyError) as error:
            self._report(f"nothing to say to {what}: {error.problem}")
            self._ask("silent", parts.join([kind, error.problem.encode()[:LONGEST_REASON]]))
            return
        try:
            self._ask(what, answer)
        except PeerError as error:  # the attempt may have ended meanwhile; what comes next says so
            self._report(f"the aggregator refused what this silo says to {what} ({error.problem})")

    def _answer(self, kind: bytes, content: bytes) -> bytes:
        if kind == b"key":
            return self._silo.member_key(*parts.split(content, 1))
        offer, request = parts.split(content, 2)
        if kind == b"shares":
            return self._silo.check_shares(offer, request)
        if kind == b"show":
            return self._silo.open_shares(offer, parts.split_list(request, LARGEST_COMMITTEE))
        if kind == b"answer":
            return self._silo.member_answer(offer, request)
        if kind == b"void":
            return self._silo.member_void(offer, request)
        raise MessageRefused(f"the aggregator sent {kind[:20]!r}", hint="Check its version")


__all__ = ["KINDS", "Seat"]
