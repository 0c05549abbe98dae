"""Samples of inference receipts that came along, and proofs of the answers drawn: checks samples and proofs.

Made where the auditor says by which terms samples are judged: a sample that named its own would be judged by whoever
made it. How one proof is verified is injected: a typed value, or it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import TypeAlias

from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.sampling import DrawnReceipt, Sample, Terms, answered, population_size
from quatrefoil.audit.sampling import verify as verify_sample
from quatrefoil.audit.sampling.rule import share_of
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.tlog import Checkpoint, Note
from quatrefoil.transport import TrustAnchor

SAMPLES, PROOFS = "samples", "proofs"

MOST_TOLD = 200
"""Receipts without a proof that are named one by one; what is beyond is counted."""


@dataclass(frozen=True)
class Extra:
    """A file beside the logs. ``read`` may raise ``EvidenceRejected``."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Proven:
    """What a proof that verified shows: the digests of the ``receipts`` whose answers ``model_root``, the name of
    committed weights, computes."""

    receipts: frozenset[bytes]
    model_root: bytes
    soundness_bits: float


VerifyProof: TypeAlias = Callable[[bytes, Mapping[str, PartyLog], TrustAnchor, datetime], Proven]
"""Of a file of a proof, servers' logs by origin, the consortium's roots, and now. ``QuatrefoilError`` where it does not
hold."""


@dataclass(frozen=True)
class Sampling:
    """What an auditor asks of samples. ``samples`` and ``proofs``: given beside what came along. ``checkpoint``: that
    the auditor had before the challenge; None takes each sample's own, which whoever made it has chosen. ``share``:
    instead of the terms' count, of the population at each sample's checkpoint."""

    terms: Terms
    verify_proof: VerifyProof
    samples: tuple[Extra, ...] = ()
    proofs: tuple[Extra, ...] = ()
    checkpoint: bytes | None = None
    share: Fraction | None = None

    def terms_at(self, log: PartyLog, checkpoint: bytes) -> Terms:
        """``QuatrefoilError`` where the checkpoint gives no population."""
        if self.share is None:
            return self.terms
        return replace(self.terms, count=share_of(self.share, population_size(log, checkpoint, self.terms, _quiet)))


@dataclass(frozen=True)
class SampleFacts:
    """A sample that is what its terms draw. ``unanswered``: receipts of answers that failed or broke off, of which
    there is nothing to prove; ``silent``: of code in audit mode, that say nothing of a computation.
    ``missing``: without a proof, the first :data:`MOST_TOLD`; ``lacking``: how many."""

    name: str
    party: str
    size: int
    population: int
    drawn: int
    proven: int
    unanswered: int
    silent: int
    missing: tuple[DrawnReceipt, ...]
    lacking: int
    seed: str
    challenged: bool
    checkpoint_given: bool


@dataclass(frozen=True)
class ProofFacts:
    """A proof that came along. ``problem``: why it does not hold; empty where it does."""

    name: str
    receipts: int
    model_root: str
    soundness_bits: float
    problem: str


@dataclass
class Sampled:
    """For the report."""

    samples: list[SampleFacts] = field(default_factory=list)
    proofs: list[ProofFacts] = field(default_factory=list)


def check_samples(
    sampling: Sampling,
    samples: Sequence[Extra],
    proofs: Sequence[Extra],
    logs: Mapping[str, PartyLog],
    anchor: TrustAnchor,
    at: datetime,
    findings: Findings,
) -> Sampled:
    """``logs``: of servers, by origin. Every sample has to be what the terms draw, and every receipt drawn proven."""
    found = Sampled()
    held = [one for extra in samples if (one := _held(extra, sampling, logs, findings)) is not None]
    if not samples:
        findings.problem(SAMPLES, "no sample came along, and terms of one were given")
    own = "" if sampling.checkpoint is not None else "; at the checkpoint that the sample names: none was given"
    signed = (
        f", from a checkpoint that {count(len(sampling.terms.witnesses), 'witness', 'witnesses')} cosigned"
        if held
        else ""
    )
    findings.say(SAMPLES, f"{count(len(held), 'sample')} as the terms draw it{signed}{own}")
    proven = _verified(proofs, sampling.verify_proof, logs, anchor, at, findings, found)
    for extra, sample, log in held:
        found.samples.append(
            _compared(extra.name, sample, log, proven, findings, given=sampling.checkpoint is not None)
        )
    if not held:
        findings.not_run(PROOFS, "no sample holds that would say what has to be proven")
    drawn, shown = sum(one.drawn for one in found.samples), sum(one.proven for one in found.samples)
    unanswered = sum(one.unanswered for one in found.samples)
    silent = sum(one.silent for one in found.samples)
    said = f"{shown:,} of {count(drawn, 'receipt')} drawn are proven"
    said += f"; {unanswered:,} have no answer to prove" if unanswered else ""
    findings.say(PROOFS, said + (f"; {silent:,} say nothing of a computation" if silent else ""))
    return found


def _held(
    extra: Extra, sampling: Sampling, logs: Mapping[str, PartyLog], findings: Findings
) -> tuple[Extra, Sample, PartyLog] | None:
    try:
        content = extra.read()
        checkpoint = Sample.decode(content).checkpoint.encode()
        origin = Checkpoint.parse(Note.decode(checkpoint).text).origin
        if origin not in logs:
            raise EvidenceRejected(f"is of {origin}, and no such log of a server is here", hint="Ask for that log")
        log = logs[origin]
        terms = sampling.terms_at(log, checkpoint)
        return extra, verify_sample(content, log, terms, _quiet, checkpoint=sampling.checkpoint), log
    except QuatrefoilError as error:
        findings.problem(SAMPLES, f"{extra.name}: {error.problem}")
        return None


def _verified(
    proofs: Sequence[Extra],
    verify: VerifyProof,
    logs: Mapping[str, PartyLog],
    anchor: TrustAnchor,
    at: datetime,
    findings: Findings,
    found: Sampled,
) -> set[bytes]:
    """Digests of all receipts that a proof shows, one proof in memory at a time."""
    proven = set[bytes]()
    for extra in proofs:
        try:
            shown = verify(extra.read(), logs, anchor, at)
        except QuatrefoilError as error:
            findings.problem(PROOFS, f"{extra.name}: {error.problem}")
            found.proofs.append(ProofFacts(extra.name, 0, "", 0.0, error.problem))
            continue
        proven |= shown.receipts
        found.proofs.append(
            ProofFacts(extra.name, len(shown.receipts), shown.model_root.hex(), shown.soundness_bits, "")
        )
    return proven


def _compared(
    name: str, sample: Sample, log: PartyLog, proven: set[bytes], findings: Findings, *, given: bool
) -> SampleFacts:
    left = answered(log, sample.drawn)
    missing = [one for one in left.provable if one.digest not in proven]
    for one in missing:
        findings.problem(
            PROOFS,
            f"receipt {one.sequence} of keyset {one.keyset.hex()[:16]}, entry {one.entry}, is drawn and not proven",
        )
    return SampleFacts(
        name,
        log.owner.name,
        Checkpoint.parse(Note.decode(sample.checkpoint.encode()).text).size,
        sample.population,
        len(sample.drawn),
        len(left.provable) - len(missing),
        left.failed,
        left.silent,
        tuple(missing[:MOST_TOLD]),
        len(missing),
        sample.seed.hex(),
        sample.challenge is not None,
        given,
    )


def _quiet(done: int, total: int) -> None:
    """Verdicts are reached without progress."""


__all__ = [
    "PROOFS",
    "SAMPLES",
    "Extra",
    "ProofFacts",
    "Proven",
    "SampleFacts",
    "Sampled",
    "Sampling",
    "VerifyProof",
    "check_samples",
]
