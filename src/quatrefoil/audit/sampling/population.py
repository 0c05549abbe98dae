"""The receipts that a sample is drawn from: all of the keysets that ended in a log up to a checkpoint.

Property: of every keyset here each receipt is there, by number, each names the one before by its digest, signatures of
its receipt key cover them, and the end has their number and the last digest: the check ``inferences`` of a log. None
can be left out or put in without the keyset's own signatures, or its log, being contradicted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from quatrefoil.audit import serving_log
from quatrefoil.audit.checks.inferences import NAME as INFERENCES
from quatrefoil.audit.checks.inferences import Inferences
from quatrefoil.audit.entries import Entry
from quatrefoil.audit.inference_receipts import LONGEST_ANSWER, MOST_AHEAD
from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.serving_log import ENDED, INFERENCE, KEYS, KEYSET, Served
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.errors import EvidenceRejected

MOST_KEYSETS = 1 << 16
"""In one log up to a checkpoint."""

Progress = Callable[[int, int], None]
"""Told how many of how many entries have been read, now and then."""

_HINT = "Nothing is drawn from it: keep the log as evidence, and ask its owner"


@dataclass
class ReadKeyset:
    """A keyset as the log has it. ``begun`` and ``ended``: its entries, the latter None where it has not ended.
    ``attested``: the attested code itself signed the end, and not only the log's owner, after the code was killed."""

    served: Served
    begun: int
    receipts: int
    last: bytes
    ended: int | None = None
    attested: bool = False


@dataclass(frozen=True)
class Population:
    """``ended``: what is drawn from, and ``open``: what is not yet, both by digest and in the order of it."""

    ended: dict[bytes, ReadKeyset]
    open: dict[bytes, ReadKeyset]

    @property
    def size(self) -> int:
        return sum(one.receipts for one in self.ended.values())

    def names(self, places: Collection[int]) -> Iterator[tuple[bytes, int]]:
        """Keyset and number of the receipts at these places: keysets in their order, receipts by number."""
        digests = list(self.ended)
        ends = list(accumulate(one.receipts for one in self.ended.values()))
        for place in places:
            at = bisect_right(ends, place)
            yield digests[at], place - (ends[at - 1] if at else 0)


def read_population(log: PartyLog, size: int, after: int, at: datetime, progress: Progress) -> Population:
    """Of the first ``size`` entries of a log, every keyset that ended at entry ``after`` or later. ``at``: when the
    earliest witness signed. ``EvidenceRejected`` for a chain that does not hold, and for a keyset that is over and that
    the log does not end: its receipts would be in no population."""
    findings = Findings()
    chains, known = Inferences(findings), dict[bytes, ReadKeyset]()
    for entry in _first(log, size, progress):
        if entry.kind == KEYS:
            served = _begin(log, entry, known)
            chains.follow(entry, [served])
        elif entry.kind in (INFERENCE, ENDED):
            chains.follow(entry, [])
            # What the check did not accept is told of below, and not counted.
            if findings.passed(INFERENCES):
                _follow(entry, known)
    chains.end()
    (check,) = findings.checks([INFERENCES])
    if not check.passed:
        raise EvidenceRejected(f"the receipts in the log do not hold: {check.detail}", hint=_HINT, check=INFERENCES)
    ordered = dict(sorted(known.items()))
    unended = {digest: one for digest, one in ordered.items() if one.ended is None}
    _require_in_time(unended, at)
    return Population(
        {digest: one for digest, one in ordered.items() if one.ended is not None and one.ended >= after}, unended
    )


def find(
    log: PartyLog, size: int, population: Population, wanted: Collection[tuple[bytes, int]], progress: Progress
) -> dict[tuple[bytes, int], tuple[int, bytes]]:
    """Entry and digest of each of these receipts, by keyset and number: a second reading of the same log, held to the
    same checkpoint, so that memory grows with what is drawn and not with what it is drawn from."""
    found: dict[tuple[bytes, int], tuple[int, bytes]] = {}
    as_logged = {(digest.hex(), str(sequence)): (digest, sequence) for digest, sequence in wanted}
    for entry in _first(log, size, progress):
        if entry.kind != INFERENCE:
            continue
        name = as_logged.get((str(entry.body["keyset"]), str(entry.body["sequence"])))
        if name is not None:
            receipt = serving_log.receipt_from(entry.body, population.ended[name[0]].served)
            found[name] = entry.index, receipt.digest()
    return found


def _first(log: PartyLog, size: int, progress: Progress) -> Iterator[Entry]:
    """The first ``size`` entries; the rest is read too, because the root is compared last."""
    for entry in log.entries():
        if entry.index % 1024 == 0:
            progress(entry.index, log.size)
        if entry.index < size:
            yield entry
    progress(log.size, log.size)


def _begin(log: PartyLog, entry: Entry, known: dict[bytes, ReadKeyset]) -> Served:
    attached = entry.attached.get(KEYSET)
    if attached is None:
        raise EvidenceRejected(f"entry {entry.index} attaches no keyset", hint=_HINT, check=INFERENCES)
    served = serving_log.served_from(entry.body, log.payload(KEYSET, attached))
    digest = served.keyset.digest()
    if served.terms.issuer != log.owner.name:
        raise EvidenceRejected(
            f"entry {entry.index} begins a keyset of {served.terms.issuer[:64]}, and the log is of {log.owner.name}",
            hint=_HINT,
            check=INFERENCES,
        )
    if digest in known:
        raise EvidenceRejected(f"entry {entry.index} begins a keyset again", hint=_HINT, check=INFERENCES)
    if len(known) == MOST_KEYSETS:
        raise EvidenceRejected(
            f"the log has over {MOST_KEYSETS:,} keysets up to the checkpoint",
            hint="Sample at an earlier checkpoint",
            check=INFERENCES,
        )
    known[digest] = ReadKeyset(served, entry.index, 0, digest)
    return served


def _follow(entry: Entry, known: dict[bytes, ReadKeyset]) -> None:
    one = known[bytes.fromhex(entry.body["keyset"])]
    if entry.kind == INFERENCE:
        one.receipts += 1
        return
    ending = serving_log.ending_from(entry.body)
    one.last, one.ended, one.attested = ending.last, entry.index, entry.body["signature"] != ""


def _require_in_time(unended: dict[bytes, ReadKeyset], at: datetime) -> None:
    for digest, one in unended.items():
        latest = timedelta(seconds=one.served.keyset.expires) + LONGEST_ANSWER + MOST_AHEAD
        if timedelta(seconds=at.timestamp()) > latest:
            raise EvidenceRejected(
                f"keyset {digest.hex()[:16]} with {count(one.receipts, 'receipt')} is over, and the log does not end "
                "it: no sample would ever have them",
                hint="Have the server started again, which ends it, and sample at a later checkpoint",
                check=INFERENCES,
            )
