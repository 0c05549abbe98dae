"""Proofs that were promised: a sample of every server's receipts that is as large as was said. Check promised.

Promised by a serving policy or a plan that the auditor gives, or in the server's own log. What such a sample draws the
check proofs then wants proven.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from quatrefoil.audit.checks.samples import SampleFacts
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.serving_log import INFERENCE, KEYS
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.errors import CallerError

NAME = "promised"
PROMISED = "proofs-promised"
"""Kind of the entry in which a server says what its serving policy promises."""

_MOST = 256
"""Promises, and pairs of a log and the policy that it served under, that are followed."""


@dataclass(frozen=True)
class Promise:
    """``share``: of all receipts of a server that has some under ``digest``, a "policy" or a "plan" by ``named``, so
    many at least are drawn, and their answers proven."""

    named: str
    digest: bytes
    share: Fraction

    @classmethod
    def of(cls, named: str, digest: bytes, share: float) -> Promise:
        """``CallerError`` where nothing is promised."""
        if not share:
            raise CallerError(f"the {named} promises no proofs of answers", hint="Leave it out")
        return cls(named, digest, Fraction(repr(share)))

    def __str__(self) -> str:
        return f"the {_SPOKEN[self.named]} {self.digest.hex()[:16]} promises {100 * float(self.share):g} % proven"


_SPOKEN = {"policy": "serving policy", "plan": "plan"}


class Promises:
    """Follows the entries of all logs; ``given``: by the auditor."""

    def __init__(self, given: Sequence[Promise]) -> None:
        self._given = tuple(given)
        self._logged: list[Promise] = []
        self._served: dict[tuple[str, str, str], None] = {}
        """(party, "policy" or "plan", digest) under which there are receipts."""
        self._receipts: Counter[str] = Counter()
        self._unreadable = self._let_go = False

    def follow(self, party: str, entry: Entry) -> None:
        if entry.kind == KEYS:
            for named in _SPOKEN:
                self._keep((party, named, str(entry.body[named])[:64]))
        elif entry.kind == INFERENCE:
            self._receipts[party] += 1
        elif entry.kind == PROMISED:
            try:
                share, digest = Fraction(str(entry.body["share"])[:40]), bytes.fromhex(str(entry.body["policy"]))
            except (ValueError, ZeroDivisionError):
                self._unreadable = True
                return
            self._unreadable |= not 0 < share <= 1 or len(digest) != 32
            found = Promise("policy", digest, share)
            if found not in self._logged:
                self._let_go |= len(self._logged) == _MOST
                self._logged = [*self._logged, found][:_MOST]

    def _keep(self, pair: tuple[str, str, str]) -> None:
        if pair not in self._served and len(self._served) == _MOST:
            self._let_go = True
            return
        self._served[pair] = None

    @property
    def any(self) -> bool:
        return bool(self._given or self._logged or self._unreadable)

    @property
    def demanded(self) -> bool:
        """Whether the auditor gave one: then nothing about it is left unchecked."""
        return bool(self._given)

    @property
    def said(self) -> str:
        return "; ".join(map(str, dict.fromkeys((*self._given, *self._logged))))

    def check(self, samples: Sequence[SampleFacts] | None, findings: Findings) -> None:
        """``samples``: that are what their terms draw; None where no terms were given."""
        if self._unreadable:
            findings.problem(NAME, "a log promises proofs of a share that is none")
        if self._let_go:
            findings.not_run(NAME, f"the logs name over {_MOST} policies")
        held, drawn_from = 0, list[str]()
        for promise in dict.fromkeys((*self._given, *self._logged)):
            parties = [
                party
                for party, named, digest in self._served
                if (named, digest) == (promise.named, promise.digest.hex())
            ]
            if promise in self._given and not parties:
                findings.problem(NAME, f"{promise}, and no log has receipts under it")
            for party in parties:
                newest = self._held(promise, party, samples, findings)
                held += newest is not None
                if newest is not None:
                    drawn_from.append(
                        f"{party}: drawn from {newest.population:,} of {self._receipts[party]:,} receipts in the log"
                    )
        told = f"{count(held, 'promise')} of proofs kept by a sample that is large enough"
        findings.say(NAME, "; ".join([told, *dict.fromkeys(drawn_from)]))

    @staticmethod
    def _held(
        promise: Promise, party: str, samples: Sequence[SampleFacts] | None, findings: Findings
    ) -> SampleFacts | None:
        """The newest sample of the party's receipts, where it keeps the promise: an older one may be of fewer."""
        if samples is None:
            findings.problem(NAME, f"{promise}, and no terms were given by which a sample of {party} is judged")
            return None
        of_party = [one for one in samples if one.party == party]
        if not of_party:
            findings.problem(NAME, f"{promise}, and no sample of the receipts of {party} holds")
            return None
        newest = max(of_party, key=lambda one: one.size)
        wanted = ceil(promise.share * newest.population)
        if newest.drawn < wanted:
            findings.problem(
                NAME,
                f"{promise}: {wanted:,} of {newest.population:,} receipts of {party}, and {newest.drawn:,} are drawn",
            )
            return None
        if newest.lacking:
            findings.problem(NAME, f"{promise}, and {newest.lacking:,} drawn receipts of {party} are not")
            return None
        return newest


__all__ = ["NAME", "PROMISED", "Promise", "Promises"]
