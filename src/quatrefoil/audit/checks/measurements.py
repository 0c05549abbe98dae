"""The check measurements: evidence of what held the keys of a job, verified again and held to an appraisal policy.

It is made only where the auditor gives that policy, with collateral of the time: each evidence is judged as of its
entry. Without, the verdict names the check as not made. In the log of a keeper, evidence stands before every attempt
that it opens; in that of a silo, before every contribution; in that of a server, beside every keyset that begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from quatrefoil.appraisal import Relied, measurement_of
from quatrefoil.audit import serving_log
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.enclave import binding
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.errors import QuatrefoilError

NAME = "measurements"
KIND = "measurement"
EVIDENCE = "evidence"
"""What an entry of this kind attaches."""

_MEASURED_BEFORE = {"keeper": "round-opened", "silo": "contribution"}
"""Role -> entries for which keys are made, or used, and before which evidence has to stand."""

_ProblemOf: TypeAlias = Callable[[Entry, Mapping[str, bytes]], str]
"""What is wrong with the evidence beside an entry; empty if nothing is."""


class Measurements:
    """Follows one log. ``role``: of its owner."""

    def __init__(self, role: str, relied: Relied, findings: Findings) -> None:
        self._wanted = _MEASURED_BEFORE.get(role)
        self._relied = relied
        self._findings = findings
        self._last = ""
        self._accepted = 0

    def follow(self, entry: Entry, attached: Mapping[str, bytes]) -> None:
        """Take in an entry, with what of its attachments could be read."""
        if entry.kind == self._wanted and entry.body["context"] != self._last:
            self._findings.problem(NAME, f"entry {entry.index} ({entry.kind}) has no evidence before it")
        if entry.kind == serving_log.KEYS:
            self._judge(entry, attached, self._problem_of_keys)
        if entry.kind != KIND:
            return
        # Whatever becomes of it, this context has evidence, and a problem of its own is enough.
        self._last = _text(entry.body["context"])
        self._judge(entry, attached, self._problem)

    def _judge(self, entry: Entry, attached: Mapping[str, bytes], problem_of: _ProblemOf) -> None:
        try:
            problem = problem_of(entry, attached)
        except (QuatrefoilError, ValueError) as error:
            problem = getattr(error, "problem", "its context is not hexadecimal")
        if problem:
            self._findings.problem(NAME, f"entry {entry.index}: {problem}")
        else:
            self._accepted += 1

    def end(self) -> None:
        policy = self._relied.policy
        self._findings.say(
            NAME, f"{count(self._accepted, 'measurement')} accepted under {policy.name}, {policy.digest().hex()}"
        )

    def _problem(self, entry: Entry, attached: Mapping[str, bytes]) -> str:
        body = entry.body
        if EVIDENCE not in attached:
            return "its evidence is not there"
        if body["enclave"] == "software":
            return "the keeper is software, and gave no evidence of what it runs on"
        evidence = Evidence.decode(attached[EVIDENCE])
        report_data = bytes.fromhex(_text(body["context"]))
        verdict = self._relied.appraise(evidence, report_data, datetime.fromisoformat(entry.time))
        found = verdict.require()
        if (body["enclave"], body["isolation"]) != (found.kind, found.isolation):
            return f"it is {found.kind} evidence, isolation {found.isolation}, and the entry says otherwise"
        if body.get("appraisal", found.policy.hex()) != found.policy.hex():
            return f"the log's owner held it to another appraisal policy, {_text(body['appraisal'])[:64]}"
        return ""

    def _problem_of_keys(self, entry: Entry, attached: Mapping[str, bytes]) -> str:
        """Evidence of a server: bound to the keyset that begins, and of the code that receipts under it will name."""
        if not {serving_log.EVIDENCE, serving_log.KEYSET} <= attached.keys():
            return "its keyset or the evidence of that is not there"
        served = serving_log.served_from(entry.body, attached[serving_log.KEYSET])
        bound = binding.report_data(served.keyset, served.nonce, b"", served.purpose)
        evidence = EvidenceSet.decode(attached[serving_log.EVIDENCE])
        verdict = self._relied.appraise_set(evidence, bound, datetime.fromisoformat(entry.time))
        if measurement_of(verdict, self._relied.policy) != served.terms.measurement:
            return "receipts under its keyset name other code than its evidence shows, under this appraisal policy"
        return ""


def _text(value: Any) -> str:
    return str(value)


__all__ = ["EVIDENCE", "KIND", "NAME", "Measurements"]
