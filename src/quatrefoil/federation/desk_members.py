"""The members of a committee as their aggregator sees them: what each has given in the attempt that is open, and who is
silent in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quatrefoil.audit import Log
from quatrefoil.errors import CiphertextRefused, MessageRefused, PeerError
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.committee_messages import Complaint, MemberAnswer
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.messages import Member, OpenRound, RoundContext


@dataclass
class Asked:
    """What members have given in one attempt. ``accepted``: by member, the contributions that it accepts;
    ``complaints``: by contribution and member, each with the report that has it; ``tried``: how many answers, from
    the first on, the last trial was of."""

    opening: OpenRound
    offer: bytes | None = None
    keys: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, set[bytes]] = field(default_factory=dict)
    complaints: dict[tuple[bytes, str], tuple[Complaint, bytes]] = field(default_factory=dict)
    shown: dict[tuple[bytes, str], bytes] = field(default_factory=dict)
    answers: dict[str, tuple[bytes, bytes, MemberAnswer]] = field(default_factory=dict)
    tried: int = 0
    failed: CiphertextRefused | None = None
    void_request: bytes | None = None
    voids: dict[str, bytes] = field(default_factory=dict)
    unwilling: set[str] = field(default_factory=set)
    shows_nothing: set[str] = field(default_factory=set)


class AskedMembers:
    """``gathering`` gives the contributions of the attempt that is open; ``now`` is what was given in it, None before
    the first is opened."""

    def __init__(self, job: AgreedJob, log: Log, gathering: Callable[[], Gathering]) -> None:
        assert job.threshold is not None
        self._job = job
        self._threshold = job.threshold
        self._log = log
        self.gathering = gathering
        self.names = job.job.members
        self.now: Asked | None = None

    @property
    def recovery(self) -> int:
        """How many members must answer, or void an attempt."""
        return self._threshold.recovery

    def current(self) -> Asked:
        """What was given in the attempt that is open; ``MessageRefused`` where there is none."""
        if self.now is None:
            raise MessageRefused("no attempt is open", hint="Ask for the next offer")
        return self.now

    def member(self, name: str) -> Member:
        """The entry of the roster; ``MessageRefused`` for who is no member of the committee."""
        if name not in self.names:
            raise MessageRefused(f"{name} is no member of the committee", hint="Ask its members", party=name)
        return self._job.member(name)

    def named(self, number: int) -> str:
        """The member of this number."""
        if not 1 <= number <= len(self.names):
            raise MessageRefused(f"there is no member {number}", hint="Count from 1 to the size of the committee")
        return self.names[number - 1]

    def number(self, name: str) -> int:
        """Of a member, from 1 on."""
        return self.names.index(name) + 1

    def is_silent(self, name: str, reason: str) -> None:
        """A member says, or shows, that nothing more of it comes in this attempt."""
        now = self.current()
        if name in self.names and name not in now.silent and name not in now.answers:
            now.silent[name] = reason
            self._log.append("refusal", {**numbers(now.opening), "silo": name, "reason": f"is silent: {reason}"})

    def declines(self, name: str, what: str, reason: str) -> None:
        """A silo has nothing to say to what it was asked for: ``key``, ``shares``, ``show``, ``answer`` or ``void``."""
        now = self.current()
        if what == "show":
            now.shows_nothing.add(name)
        elif what == "void":
            now.unwilling.add(name)
        else:
            self.is_silent(name, reason)

    @property
    def usable(self) -> list[str]:
        """Members that have a key in the attempt and are not silent, sorted."""
        now = self.current()
        return sorted(name for name in now.keys if name not in now.silent)

    @property
    def is_hopeless(self) -> bool:
        """Whether too few members are left to answer: the attempt can only be voided."""
        return self.current().offer is not None and len(self.usable) < self.recovery

    def refusing(self, name: str) -> _Refusing:
        """A context in which what is refused of a silo is logged."""
        return _Refusing(self._log, numbers(self.current().opening), name)


class _Refusing:
    """Logs what is refused of a silo inside."""

    def __init__(self, log: Log, attempt: Mapping[str, object], name: str) -> None:
        self._log = log
        self._attempt = attempt
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PeerError):
            self._log.append("refusal", {**self._attempt, "silo": self._name, "reason": error.problem})


def where(context: RoundContext) -> dict[str, object]:
    """An attempt in entries of the log, where it was offered."""
    return {"round": context.round, "attempt": context.attempt, "context": context.digest().hex()}


def numbers(opening: OpenRound) -> dict[str, object]:
    """An attempt in entries of the log, offered or not."""
    return {"round": opening.round, "attempt": opening.attempt}


__all__ = ["Asked", "AskedMembers", "numbers", "where"]
