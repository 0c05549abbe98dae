"""Whether what a log says happened can have happened: checks rounds, contributors and voids.

A log is followed entry by entry. Parties repeat an entry where they were killed between logging and storing; the same
said again is no second event. Remembered are the attempt that is under way in each job, and the newest contexts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quatrefoil.audit.checks.statements import Attested, Said
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.verdict import Findings, count

MOST_JOBS = 1024
MOST_CONTEXTS = 4096
_LONGEST = 80


class Unreadable(Exception):
    """A field is not of the type that its kind has."""


@dataclass(frozen=True)
class Attempt:
    """An attempt at a round by its numbers and its context (hex)."""

    round: int
    attempt: int
    context: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Attempt:
        return cls(number(body, "round"), number(body, "attempt"), text(body, "context"))

    def __str__(self) -> str:
        return f"attempt {self.attempt} at round {self.round}"


@dataclass
class _Job:
    """How far a job has come. ``done``: the newest round that is finished or accepted, and what was said of it."""

    open: Attempt | None = None
    answered: Attempt | None = None
    void: tuple[int, int] = (0, -1)
    done: int = 0
    finished: tuple[str, ...] = ()


class Story:
    """Follows one party's log. ``role``: the owner's, "" where it is not known."""

    def __init__(self, findings: Findings, role: str) -> None:
        self._findings = findings
        self._role = role
        self._jobs: dict[str, _Job] = {}
        self._job = ""
        self._accounts = Accounts(lambda problem: findings.problem("contributors", problem), MOST_CONTEXTS)
        self.finished = 0
        self.voided = 0
        self.repeated = 0

    def follow(self, entry: Entry) -> None:
        if (step := _STEPS.get(entry.kind)) is None:
            return
        try:
            step(self, entry)
            self._accounts.follow("it", entry)
        except Unreadable as error:
            self._findings.problem("entries", f"entry {entry.index} ({entry.kind}): {error}")

    def attested(self, entry: Entry, said: Sequence[Attested]) -> None:
        """Hold what signed statements say of contributors to what the entries say."""
        for one in said:
            if isinstance(one, Said):
                self._accounts.attested("it", entry, one)

    def end(self) -> None:
        said = f"{count(self.finished, 'round')} finished or accepted"
        if self.repeated:
            said += f"; {self.repeated} entries say again what was said, as after a restart"
        self._findings.say("rounds", said)
        self._findings.say("voids", f"{count(self.voided, 'attempt')} voided")
        self._findings.say("contributors", f"{count(self._accounts.compared, 'statement')} compared")

    # --------------------------------------------------------------------------------------------------------- steps

    def _named(self, entry: Entry) -> None:
        self._job = text(entry.body, "job")

    def _of(self, entry: Entry) -> _Job:
        name = text(entry.body, "job") if "job" in entry.body else self._job
        if name not in self._jobs and len(self._jobs) == MOST_JOBS:
            for check in ("rounds", "contributors", "voids"):
                self._findings.not_run(check, f"the log names over {MOST_JOBS} jobs")
            return _Job()
        return self._jobs.setdefault(name, _Job())

    def _opened(self, entry: Entry) -> None:
        job, new = self._of(entry), Attempt.of(entry.body)
        if new == job.open:
            self.repeated += 1
            return
        if (new.round, new.attempt) == job.void:
            self._findings.problem("voids", f"entry {entry.index} opens {new}, which was voided")
        elif job.open is not None and (new.round, new.attempt) == (job.open.round, job.open.attempt):
            # A keeper logs a key before it gives it out; killed in between, it makes another for the same attempt.
            if self._role == "keeper" and job.open != job.answered:
                self.repeated += 1
            else:
                self._findings.problem("rounds", f"entry {entry.index} opens {new} under a second context")
        elif job.open is not None and (new.round, new.attempt) < (job.open.round, job.open.attempt):
            self._findings.problem("rounds", f"entry {entry.index} opens {new} after {job.open}")
        elif new.round <= job.done:
            self._findings.problem("rounds", f"entry {entry.index} opens {new}, and round {job.done} is finished")
        job.open = new

    def _finished(self, entry: Entry) -> None:
        job, ended = self._of(entry), Attempt.of(entry.body)
        said = (str(ended), ended.context, *names(entry.body, "contributors"), text(entry.body, "model"))
        if ended.round == job.done and said == job.finished:
            self.repeated += 1
            return
        if ended.round <= job.done:
            self._findings.problem("rounds", f"entry {entry.index} finishes round {ended.round} a second time")
        elif (ended.round, ended.attempt) == job.void:
            self._findings.problem("voids", f"entry {entry.index} finishes {ended}, which was voided")
        elif ended != job.open:
            self._findings.problem(
                "rounds", f"entry {entry.index} finishes {ended}, which was not opened under its context"
            )
        elif ended.round != job.done + 1:
            self._findings.problem("rounds", f"entry {entry.index} finishes round {ended.round} after {job.done}")
        refused = entry.body.get("refused", {})
        if type(refused) is not dict:
            raise Unreadable("refused is no map of names")
        for name in sorted(set(refused) & set(said[2:-1])):
            self._findings.problem("contributors", f"{name[:_LONGEST]} was refused in {ended}, and contributed")
        job.done, job.finished = max(job.done, ended.round), said
        self.finished += 1

    def _released(self, entry: Entry) -> None:
        """A keeper's answer. One that was voided after may stand: the keeper logs before it answers."""
        job, answered = self._of(entry), Attempt.of(entry.body)
        if (answered.round, answered.attempt) == job.void:
            self._findings.problem("voids", f"entry {entry.index} answers {answered}, which was voided")
        elif answered != job.open:
            self._findings.problem(
                "rounds", f"entry {entry.index} answers {answered}, which was not opened under its context"
            )
        job.answered = answered

    def _voided(self, entry: Entry) -> None:
        job = self._of(entry)
        place = number(entry.body, "round"), number(entry.body, "attempt")
        if place == job.void:
            self.repeated += 1
            return
        if place[0] <= job.done:
            self._findings.problem("voids", f"entry {entry.index} voids an attempt at round {place[0]}, after its end")
        elif place < job.void:
            self._findings.problem("voids", f"entry {entry.index} voids attempt {place[1]} after a later one")
        job.void = max(job.void, place)
        self.voided += 1

    def _accepted(self, entry: Entry) -> None:
        job, done = self._of(entry), number(entry.body, "round")
        said = (text(entry.body, "context"), *names(entry.body, "contributors"), text(entry.body, "model"))
        if done == job.done and said == job.finished:
            self.repeated += 1
            return
        if done <= job.done:
            self._findings.problem("rounds", f"entry {entry.index} accepts round {done} after round {job.done}")
        job.done, job.finished = max(job.done, done), said
        self.finished += 1

    def _sent(self, entry: Entry) -> None:
        """A contribution: one context for each attempt, and none to a round that is over."""
        job, sent = self._of(entry), Attempt.of(entry.body)
        if sent.round <= job.done:
            self._findings.problem("rounds", f"entry {entry.index} is a contribution to round {sent.round}, after it")

    def _said(self, entry: Entry) -> None:
        Attempt.of(entry.body)


class Accounts:
    """What was said of each context: contributors, and the model that came out. The first to say it is compared with
    all after. Of more than ``most`` contexts the oldest are let go, and ``let_go`` counts them."""

    def __init__(self, problem: Callable[[str], None], most: int) -> None:
        self._problem = problem
        self._most = most
        self._said: OrderedDict[tuple[str, str], tuple[str, object]] = OrderedDict()
        self.compared = 0
        self.let_go = 0

    def follow(self, who: str, entry: Entry) -> None:
        if entry.kind not in _COMPARED:
            return
        context = text(entry.body, "context")
        if "contributors" in entry.body:
            found = names(entry.body, "contributors")
            if not found or list(found) != sorted(set(found)):
                self._problem(f"entry {entry.index} names contributors that are none, not sorted, or there twice")
            self._compare(who, entry, context, "contributors", found)
        if entry.kind in ("round-finished", "round-accepted"):
            self._compare(who, entry, context, "model", text(entry.body, "model"))

    def attested(self, who: str, entry: Entry, said: Said) -> None:
        self._compare(who, entry, said.context, "contributors", said.contributors)
        if said.model:
            self._compare(who, entry, said.context, "model", said.model)

    def _compare(self, who: str, entry: Entry, context: str, what: str, value: object) -> None:
        key = (context, what)
        where = f"entry {entry.index} of {who}" if who != "it" else f"entry {entry.index}"
        if key not in self._said:
            self._said[key] = (f"{where} ({entry.kind})", value)
            if len(self._said) > 2 * self._most:
                self._said.popitem(last=False)
                self.let_go += 1
            return
        self.compared += 1
        first, said = self._said[key]
        if said != value:
            self._problem(f"{where} ({entry.kind}) names another {what} of context {context[:16]} than {first}")


_COMPARED = frozenset({"roster", "confirmation", "key-release", "member-answer", "round-finished", "round-accepted"})

_STEPS: dict[str, Callable[[Story, Entry], None]] = {
    "job": Story._named,
    "consent": Story._named,
    "round-opened": Story._opened,
    "round-finished": Story._finished,
    "key-release": Story._released,
    "round-void": Story._voided,
    "round-accepted": Story._accepted,
    "contribution": Story._sent,
    "confirmation": Story._said,
    "roster": Story._said,
    "member-answer": Story._said,
}


def number(body: Mapping[str, Any], name: str) -> int:
    value = body[name]
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise Unreadable(f"{name} is no number")
    return value


def text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if type(value) is not str:
        raise Unreadable(f"{name} is no text")
    return value


def names(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if type(value) is not list or any(type(one) is not str for one in value):
        raise Unreadable(f"{name} is no list of names")
    return tuple(value)
