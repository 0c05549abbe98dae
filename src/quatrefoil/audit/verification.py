"""Evidence checked without trusting whoever made it: every check by name, each on after another failed.

Property: a valid verdict under roots that the auditor gave says that certified parties signed these logs, whole and in
this order, and that what they say fits together. What a party did not log, or showed to others, no log of its own can
tell; docs/audit.md names what is not covered. Memory does not grow with the logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from quatrefoil.appraisal.relied import Relied
from quatrefoil.audit.checks.content import Content
from quatrefoil.audit.checks.facts import Facts
from quatrefoil.audit.checks.identity import Introduction, introduce
from quatrefoil.audit.checks.inferences import NAME as INFERENCES
from quatrefoil.audit.checks.inferences import Inferences
from quatrefoil.audit.checks.measurements import NAME as MEASUREMENTS
from quatrefoil.audit.checks.measurements import Measurements
from quatrefoil.audit.checks.policies import NamedPolicies, check_policy
from quatrefoil.audit.checks.promises import NAME as KEPT
from quatrefoil.audit.checks.promises import Promise, Promises
from quatrefoil.audit.checks.samples import PROOFS, SAMPLES, Sampled, Sampling, check_samples
from quatrefoil.audit.checks.statements import Attested, Context, Said
from quatrefoil.audit.checks.story import Accounts, Story, Unreadable
from quatrefoil.audit.checks.witnesses import MOST_KNOWN, check_witnesses
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.evidence import Evidence
from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.trusted import Trusted
from quatrefoil.audit.verdict import CHECKS, OF_A_LOG, Findings, Head, NotMade, Verdict, count
from quatrefoil.audit.witnesses import KnownWitness
from quatrefoil.errors import EvidenceRejected, PolicyError
from quatrefoil.policy import Policy
from quatrefoil.tlog import Source

MOST_COMPARED = 1 << 16
"""Attempts of which several parties' logs can be compared."""


@dataclass
class _Log:
    """One log under check."""

    label: str
    source: Source
    findings: Findings = field(default_factory=Findings)
    found: Introduction | None = None


@dataclass(frozen=True)
class Examined:
    """A verdict, with what the logs say, for a report. ``trusted``: None where there is no root that can be used."""

    verdict: Verdict
    facts: tuple[Facts, ...]
    trusted: Trusted | None
    sampled: Sampled = field(default_factory=Sampled)


def verify(source: Source, trusted: Trusted | None, policy: Policy | None = None, *, at: datetime) -> Verdict:
    """The verdict on one party's log. ``at``: now; revocation is judged then."""
    evidence = Evidence({"": source}, None, None, None, None)
    return _Examination(evidence, trusted, policy, None, at).run().verdict


def examine(
    path: Path,
    *,
    trust: Path | None,
    policy: Policy | None,
    relied: Relied | None,
    at: datetime,
    sampling: Sampling | None = None,
    promised: Sequence[Promise] = (),
) -> Examined:
    """The verdict on a folder or a bundle. ``trust``: the auditor's root certificate; None: what lies beside.
    ``relied``: what evidence of enclaves is held to, ``sampling``: what samples of receipts are; None: the
    verdict names the check as not made. ``promised``: proofs that servers have to have given, beside those that their
    own logs promise.

    A file that is no bundle has a verdict too: the check that failed, and that nothing else could be run.
    """
    try:
        evidence = Evidence.open(path)
    except EvidenceRejected as error:
        return _unopened(error)
    with evidence:
        findings = Findings()
        try:
            trusted = Trusted.found(evidence.roots, evidence.lists, trust)
        except EvidenceRejected as error:
            trusted = None
            findings.reject(error)
        return _Examination(evidence, trusted, policy, relied, at, findings, sampling, promised).run()


def _unopened(error: EvidenceRejected) -> Examined:
    findings = Findings()
    findings.reject(error)
    names = ("bundle", "trust", *OF_A_LOG, "policy")
    for name in names[1:]:
        findings.not_run(name, "the bundle could not be opened")
    return Examined(Verdict(tuple(findings.checks(names)), ()), (), None)


class _Examination:
    def __init__(
        self,
        evidence: Evidence,
        trusted: Trusted | None,
        policy: Policy | None,
        relied: Relied | None,
        at: datetime,
        findings: Findings | None = None,
        sampling: Sampling | None = None,
        promised: Sequence[Promise] = (),
    ) -> None:
        self._evidence = evidence
        self._trusted = trusted
        self._given = policy
        self._relied = relied
        self._sampling = sampling
        self._at = at
        self._findings = findings or Findings()
        self._logs = [_Log(label, source) for label, source in evidence.logs.items()]
        self._shared = Accounts(lambda problem: self._findings.problem("agreement", problem), MOST_COMPARED)
        self._named = NamedPolicies()
        self._promised = Promises(promised)

    def run(self) -> Examined:
        self._trust()
        for log in self._logs:
            self._introduce(log)
        classical = self._receipt_keys()
        facts = tuple(self._read(log, classical) for log in self._logs)
        check_policy(self._named, self._evidence, self._given, self._relied, self._findings)
        self._agreement()
        sampled = self._samples()
        names = ["trust", "policy"] if self._sampling is None else ["trust", "policy", SAMPLES, PROOFS]
        if self._holds_to_promises:
            self._promised.check(None if self._sampling is None else sampled.samples, self._findings)
            names.append(KEPT)
        if self._evidence.bundle is not None:
            self._bundle()
            names.insert(0, "bundle")
        if len(self._logs) > 1:
            names.append("agreement")
        checks = self._findings.checks(names)
        for log in self._logs:
            checks += log.findings.checks(self._of_a_log(), log.label)
        order = {name: place for place, name in enumerate(CHECKS)}
        checks.sort(key=lambda check: order[check.name])
        verdict = Verdict(tuple(checks), tuple(map(_head, self._logs)), self._not_made())
        return Examined(verdict, facts, self._trusted, sampled)

    def _of_a_log(self) -> tuple[str, ...]:
        return OF_A_LOG if self._relied is None else (*OF_A_LOG, MEASUREMENTS)

    @property
    def _holds_to_promises(self) -> bool:
        return self._promised.any and (self._promised.demanded or self._sampling is not None)

    def _not_made(self) -> tuple[NotMade, ...]:
        left = []
        if self._promised.any and not self._holds_to_promises:
            left.append(NotMade(KEPT, f"{self._promised.said}; no terms were given by which samples are judged"))
        if self._relied is None:
            left.append(NotMade(MEASUREMENTS, "no appraisal policy was given to hold the evidence of enclaves to"))
        if self._sampling is None and (self._evidence.samples or self._evidence.proofs):
            why = "no terms were given by which samples are judged"
            left += [NotMade(SAMPLES, why), NotMade(PROOFS, why)]
        return tuple(left)

    def _samples(self) -> Sampled:
        if self._sampling is None:
            return Sampled()
        if self._trusted is None:
            for check in (SAMPLES, PROOFS):
                self._findings.not_run(check, "there is no root certificate to hold logs to")
            return Sampled()
        anchor, logs = self._trusted.anchor, dict[str, PartyLog]()
        for log in self._logs:
            try:
                found = PartyLog(log.source, anchor, clock=lambda: self._at)
            except EvidenceRejected:
                continue  # told of by the log's own checks
            if found.owner.role == "workload":
                logs[found.owner.origin] = found
        samples, proofs = self._evidence.samples, self._evidence.proofs
        samples, proofs = samples + self._sampling.samples, proofs + self._sampling.proofs
        return check_samples(self._sampling, samples, proofs, logs, anchor, self._at, self._findings)

    def _trust(self) -> None:
        if self._trusted is None:
            if self._findings.passed("trust"):
                self._findings.not_run("trust", "no root certificate was given")
            return
        self._findings.say("trust", self._trusted.describe())

    def _introduce(self, log: _Log) -> None:
        log.found = introduce(
            log.source,
            self._trusted,
            log.findings,
            at=self._at,
            label=log.label,
        )

    def _receipt_keys(self) -> dict[str, bytes]:
        owners = [log.found.owner for log in self._logs if log.found is not None]
        return {owner.name: owner.receipts for owner in owners if owner is not None and owner.role == "aggregator"}

    def _read(self, log: _Log, classical: Mapping[str, bytes]) -> Facts:
        assert log.found is not None
        facts, found = Facts(log.label), log.found
        role = found.owner.role if found.owner is not None else log.label.partition("-")[0]
        story, inferences = Story(log.findings, role), Inferences(log.findings)
        if found.signed is None:
            for check in ("rounds", "contributors", "voids", INFERENCES, "statements"):
                log.findings.not_run(check, "there is no checkpoint that can be read")
            log.findings.not_run(MEASUREMENTS, "there is no checkpoint that can be read")
            return facts
        context = None
        if self._trusted is not None:
            context = Context(self._trusted.anchor, self._at, found.owner, classical)
        who, known = log.label or "the log", list[KnownWitness]()

        def follow(entry: Entry, said: Sequence[Attested]) -> None:
            known.extend([one for one in said if isinstance(one, KnownWitness)][: MOST_KNOWN - len(known)])
            story.follow(entry)
            story.attested(entry, said)
            if context is not None:
                inferences.follow(entry, said)
            facts.follow(entry)
            self._named.follow(entry)
            self._promised.follow(found.owner.name if found.owner is not None else who, entry)
            if len(self._logs) > 1:
                self._compare(who, entry, said)

        measured = None if self._relied is None else Measurements(role, self._relied, log.findings)
        Content(log.source, found, log.findings, context, measured, follow).read(found.signed)
        if measured is not None:
            measured.end()
        check_witnesses(log.source, found, known, self._quorum(), log.findings)
        story.end()
        inferences.end()
        if context is None:
            log.findings.not_run(INFERENCES, "there is no root certificate to hold keysets to")
        if not log.findings.passed("entries"):
            for check in ("rounds", "contributors", "voids", INFERENCES, MEASUREMENTS):
                log.findings.not_run(check, "not every leaf is an entry that may be there")
        return facts

    def _quorum(self) -> int:
        """Cosignatures that the policy demands; one that cannot be read is told of by the check policy."""
        try:
            wanted = self._evidence.policy_or(self._given)
        except PolicyError:
            return 0
        return wanted.witnesses if wanted is not None else 0

    def _compare(self, who: str, entry: Entry, said: Sequence[Attested]) -> None:
        try:
            self._shared.follow(who, entry)
        except Unreadable:
            return  # told of by the log's own check
        for one in said:
            if isinstance(one, Said):
                self._shared.attested(who, entry, one)

    def _agreement(self) -> None:
        if self._shared.let_go:
            self._findings.not_run("agreement", f"the logs name over {MOST_COMPARED} attempts")
        if any(not log.findings.passed("entries") for log in self._logs):
            self._findings.not_run("agreement", "not every entry of every log could be read")
        self._findings.say("agreement", f"{count(self._shared.compared, 'statement')} compared")

    # -------------------------------------------------------------------------------------------------------- bundle

    def _bundle(self) -> None:
        bundle = self._evidence.bundle
        assert bundle is not None
        try:
            rest = bundle.read_rest()
        except EvidenceRejected as error:
            self._findings.reject(error)
            return
        whole = all(
            log.findings.passed(check) for log in self._logs for check in ("leaves", "tiles", "root", "entries")
        )
        if rest and whole:
            self._findings.problem("bundle", f"it holds {rest[0]} and {len(rest) - 1} more that no log needs")
        elif rest:
            self._findings.not_run("bundle", f"{len(rest)} members were not needed, as far as the logs could be read")
        self._findings.say("bundle", f"{count(bundle.members, 'file')} of {count(len(self._logs), 'log')}")


def _head(log: _Log) -> Head:
    assert log.found is not None
    role, _, party = log.label.partition("-")
    certificate = origin = ""
    if log.found.owner is not None:
        owner = log.found.owner
        party, role, certificate, origin = owner.name, owner.role, owner.fingerprint.hex(), owner.origin
    elif log.found.claimed is not None:
        origin = log.found.claimed.origin
    checkpoint = log.found.signed.checkpoint if log.found.signed is not None else None
    return Head(
        log.label,
        party,
        role,
        certificate,
        origin,
        checkpoint.size if checkpoint is not None else 0,
        checkpoint.root.hex() if checkpoint is not None else "",
    )
