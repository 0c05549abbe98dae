"""That a member of a committee lied, as anybody can repeat it from what the aggregator has logged.

Answers of members are signed, and name the sums that came with them; of these sums, so many as must answer give the sum
of a roster's keys, whose coefficients are small. Other sets give others, all but surely: so the sums tell who of those
that answered gave another one than the rest (docs/committee.md). They are public: docs/committee.md, section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.aggregation import sharing
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.wire import WireObject

_HINT = "Keep it as evidence, and ask the log's owner: a member is accused of what does not show"


@dataclass(frozen=True)
class MemberAnswer(WireObject):
    """A member to all: its one answer in an attempt. ``proposal``: the digest of the roster; ``sum``: SHA-256 of the
    sum of its shares of that roster, which travels beside it, to the aggregator only."""

    TYPE: ClassVar[str] = "urn:quatrefoil:member-answer"
    context: bytes
    proposal: bytes
    member: int
    sum: bytes


@dataclass(frozen=True)
class TriedAnswers(WireObject):
    """Of one attempt, all answers that were put together: signed, each with its sum. Not signed itself."""

    TYPE: ClassVar[str] = "urn:quatrefoil:tried-answers"
    answers: tuple[bytes, ...]
    sums: tuple[bytes, ...]


def require_liar(tried: TriedAnswers, who: str, context: str, read: Callable[[bytes], VerifiedStatement]) -> None:
    """Nothing, if these answers show that the member called ``who`` lied in the attempt of this context (hex): else
    ``EvidenceRejected``. ``read`` verifies what was signed."""
    if len(tried.answers) != len(tried.sums):
        raise _rejected(who, f"there are {len(tried.answers)} answers and {len(tried.sums)} sums")
    numbers: dict[int, str] = {}
    sums: dict[int, bytes] = {}
    proposals = set()
    for signed, total in zip(tried.answers, tried.sums, strict=True):
        said = read(signed)
        answer = MemberAnswer.decode(said.body)
        if said.role != "silo" or answer.context.hex() != context or answer.sum != hashlib.sha256(total).digest():
            raise _rejected(who, f"what {said.role} {said.signer} signed is no answer of this attempt with that sum")
        if answer.member in numbers or said.signer in numbers.values():
            raise _rejected(who, f"{said.signer} is there twice")
        numbers[answer.member], sums[answer.member] = said.signer, total
        proposals.add(answer.proposal)
    if len(proposals) != 1:
        raise _rejected(who, "the answers are for different rosters")
    if who not in (found := [numbers[member] for member in _liars(who, sums)]):
        raise _rejected(who, f"the sums name {', '.join(found) or 'nobody'}")


def _liars(who: str, sums: dict[int, bytes]) -> Iterable[int]:
    try:
        return sharing.liars(sums)
    except QuatrefoilError as error:
        raise _rejected(who, error.problem) from None


def _rejected(who: str, problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the aggregator accuses {who[:64]} of a lie, and its own evidence does not show one: {problem}",
        hint=_HINT,
        check="statements",
    )


__all__ = ["MemberAnswer", "TriedAnswers", "require_liar"]
