"""What a check of evidence came to: named checks, each passed or not, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quatrefoil.errors import EvidenceRejected

CHECKS: dict[str, str] = {
    "bundle": "the file has the one form of bundles, is whole, and holds nothing that its logs do not need",
    "trust": "there is a root certificate to hold everything to: the auditor's own, or one that came along",
    "owner": "a certified party signed that the log and its keys are its own, and the log's entries say the same",
    "checkpoint": "both keys of the log signed its size and root, under its own origin",
    "witnesses": "cosignatures verify, and are as many as the policy demands",
    "leaves": "every leaf is there and has the hash that lies in the tree",
    "tiles": "every tile is there and is what the tiles below it make",
    "root": "the whole tree gives the root that was signed",
    "entries": "every leaf is an entry of a known kind, by a role that writes it, and time does not run backwards",
    "payloads": "everything that entries attach is there and has its digest",
    "policy": "every policy that the logs name is the one that was given or that came along, where one was",
    "rounds": "a round is finished at most once, after it was opened under the same context",
    "contributors": "roster, key release and result of an attempt name the same contributors, and nobody refused",
    "voids": "no attempt that was voided is opened again, answered or finished",
    "inferences": "receipts of answers are numbered without gaps, each names the one before, signatures cover them, "
    "and those of a model name one commitment to its weights",
    "samples": "every sample of receipts is what the terms that were given draw from a witnessed checkpoint of the log",
    "proofs": "proofs verify, and every receipt that was drawn is proven, unless there was no answer to prove",
    "promised": "of every server that promised proofs of a share of its answers, a sample is as large, and all that it "
    "draws is proven",
    "measurements": "the evidence of what held a job's keys is accepted by the appraisal policy that was given",
    "statements": "every signed statement that the log attaches verifies",
    "agreement": "the logs of several parties say the same of every attempt",
}
"""What each check shows where it passed. docs/audit.md prints this table."""

_OTHERS = ("bundle", "trust", "policy", "agreement", "measurements", "samples", "proofs", "promised")
OF_A_LOG = tuple(name for name in CHECKS if name not in _OTHERS)
"""Checks that every log of a bundle has of its own; where an appraisal policy is given, ``measurements`` as well."""

_TOLD = 3


@dataclass(frozen=True)
class Check:
    """``log``: whose log was looked at, where a check is of one of several."""

    name: str
    passed: bool
    detail: str
    log: str = ""


@dataclass(frozen=True)
class NotMade:
    """A check that takes more than the evidence, which the auditor did not give. A verdict says nothing of it."""

    name: str
    why: str


@dataclass(frozen=True)
class Head:
    """A log that was looked at. ``party`` and ``role`` are as its name in the bundle or its owner's statement has them;
    ``size`` and ``root`` (hex) are the checkpoint's, 0 and "" where there is none."""

    label: str
    party: str
    role: str
    certificate: str
    origin: str
    size: int
    root: str


@dataclass(frozen=True)
class Verdict:
    """Valid where every check passed. ``size`` and ``root`` (hex): of the first log."""

    checks: tuple[Check, ...]
    heads: tuple[Head, ...]
    not_made: tuple[NotMade, ...] = ()

    @property
    def valid(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def size(self) -> int:
        return self.heads[0].size if self.heads else 0

    @property
    def root(self) -> str:
        return self.heads[0].root if self.heads else ""

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    def by_name(self) -> dict[str, list[Check]]:
        """The checks of one name together, over all logs, in the order of :data:`CHECKS`."""
        found: dict[str, list[Check]] = {}
        for check in self.checks:
            found.setdefault(check.name, []).append(check)
        return found

    def require(self) -> None:
        """``EvidenceRejected`` naming the first check that did not pass, unless all did."""
        if failed := self.failed:
            others = f" ({len(failed) - 1} more checks did not pass)" if len(failed) > 1 else ""
            first = failed[0]
            where = f" of {first.log}" if first.log else ""
            raise EvidenceRejected(
                f"check {first.name}{where} did not pass: {first.detail}{others}",
                hint="Keep the evidence as it is, and ask whoever gave it to you",
                check=first.name,
            )


class Findings:
    """Collects what checks find, in bounded memory: of each check the first problems, and how many there were."""

    def __init__(self) -> None:
        self._problems: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._not_run: dict[str, str] = {}
        self._said: dict[str, str] = {}

    def problem(self, check: str, text: str) -> None:
        told = self._problems.setdefault(check, [])
        self._counts[check] = self._counts.get(check, 0) + 1
        if len(told) < _TOLD:
            told.append(text)

    def reject(self, error: EvidenceRejected) -> None:
        """A problem of the check that the error names."""
        self.problem(error.check, error.problem)

    def not_run(self, check: str, reason: str) -> None:
        """It could not be run, or not to its end: it counts as not passed."""
        self._not_run.setdefault(check, reason)

    def say(self, check: str, text: str) -> None:
        """What is worth knowing of a check that passed."""
        self._said[check] = text

    def passed(self, check: str) -> bool:
        return check not in self._problems and check not in self._not_run

    def checks(self, names: Iterable[str], log: str = "") -> list[Check]:
        return [Check(name, self.passed(name), self._detail(name), log) for name in names]

    def _detail(self, name: str) -> str:
        parts = list(self._problems.get(name, ()))
        if (more := self._counts.get(name, 0) - len(parts)) > 0:
            parts.append(f"and {more} more")
        if name in self._not_run:
            parts.append(f"could not be run: {self._not_run[name]}")
        if said := self._said.get(name):
            parts.append(said)
        return _one_line("; ".join(parts))


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _one_line(text: str) -> str:
    """Details quote what logs say: no line breaks, and nothing that moves a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
