"""A sample of inference receipts: drawn from a log at a witnessed checkpoint, written to a file, drawn again to check.

The file is signed by nobody and needs no signature: whoever has the log draws the same one, to the byte.
docs/audit-sampling.md is the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar

from quatrefoil.audit import json_form
from quatrefoil.audit.json_form import said_as
from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.sampling import rule
from quatrefoil.audit.sampling.population import Population, Progress, find, read_population
from quatrefoil.audit.sampling.rule import Terms
from quatrefoil.audit.verdict import count
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog import Note, SignedCheckpoint, read_checkpoint

LARGEST_SAMPLE = 1 << 25
"""Bytes of a file."""

_HINT = "Draw it from the log yourself, and ask whoever made the file"


@dataclass(frozen=True)
class EndedKeyset:
    """A keyset that is drawn from. ``begun`` and ``ended``: its entries in the log. ``last``: digest of its last
    receipt, of the keyset where there is none. ``attested``: the end is signed by the code that held the keyset."""

    keyset: bytes
    model: bytes
    begun: int
    ended: int
    receipts: int
    last: bytes
    attested: bool


@dataclass(frozen=True)
class OpenKeyset:
    """A keyset that had not ended: it is drawn from at a later checkpoint."""

    keyset: bytes
    model: bytes
    begun: int
    receipts: int


@dataclass(frozen=True)
class DrawnReceipt:
    """``entry``: its place in the log. ``digest``: SHA-256 of the encoded receipt."""

    keyset: bytes
    sequence: int
    entry: int
    digest: bytes


@dataclass(frozen=True)
class Sample:
    """``checkpoint``: the signed note, with the signatures that count and no other. ``witnesses``: their keys (vkeys).
    ``drawn``: in the order in which they were. The rest are the terms, see :class:`Terms`."""

    FORMAT: ClassVar[str] = "quatrefoil.audit-sample/1"

    format: str
    checkpoint: str
    witnesses: tuple[str, ...]
    after: int
    seed: bytes
    population: int
    keysets: tuple[EndedKeyset, ...]
    open: tuple[OpenKeyset, ...]
    drawn: tuple[DrawnReceipt, ...]
    not_before: datetime | None = said_as("none")  # noqa: RUF009 (a field, not a value)
    challenge: bytes | None = said_as("none")

    def encode(self) -> bytes:
        """Canonical JSON (:mod:`quatrefoil.audit.json_form`) and a line feed."""
        return json_form.encode(self) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Sample:
        """Parse strictly; what it says has still to be verified."""
        if not data.endswith(b"\n"):
            raise _refused("does not end with a line feed")
        found = json_form.decode(cls, data[:-1], "the sample", limit=LARGEST_SAMPLE)
        if found.format != cls.FORMAT:
            raise _refused(f"is of the format {found.format[:64]!r}, not {cls.FORMAT!r}")
        return found


def draw(log: PartyLog, checkpoint: bytes, terms: Terms, progress: Progress) -> Sample:
    """The sample of ``terms`` at a checkpoint of ``log`` that every witness has cosigned; ``log`` may have grown since.

    ``EvidenceRejected`` where the checkpoint is not of this log, is not witnessed, or its receipts do not hold;
    ``CallerError`` where there are fewer receipts than are to be drawn.
    """
    signed, note, population = _population(log, checkpoint, terms, progress)
    if terms.count > population.size:
        open_keysets = f"; {count(len(population.open), 'keyset')} not ended" if population.open else ""
        raise CallerError(
            f"{count(terms.count, 'receipt')} cannot be drawn from {population.size:,}{open_keysets}",
            hint="Ask for fewer, or sample at a checkpoint after more keysets have ended",
        )
    cosignatures = tuple(zip(terms.witnesses, note.signatures[len(log.owner.keys) :], strict=True))
    seed = rule.seed(signed.checkpoint, cosignatures, terms.challenge or b"")
    names = list(population.names(list(rule.places(seed, population.size, terms.count))))
    found = find(log, signed.checkpoint.size, population, frozenset(names), progress)
    return Sample(
        Sample.FORMAT,
        note.encode().decode(),
        tuple(key.encode() for key in terms.witnesses),
        terms.after,
        seed,
        population.size,
        _ended(population),
        _open(population),
        tuple(DrawnReceipt(*name, *found[name]) for name in names),
        terms.not_before,
        terms.challenge,
    )


def verify(data: bytes, log: PartyLog, terms: Terms, progress: Progress, *, checkpoint: bytes | None) -> Sample:
    """The sample in ``data``, which is what ``terms`` draw from ``log``; ``EvidenceRejected`` naming what differs.

    ``checkpoint``: the one that the auditor had agreed to or was shown by a witness; None takes that of the sample,
    which whoever made it has chosen. Its signatures may be others, since the log signs as often as it likes.
    """
    given = Sample.decode(data)
    note = given.checkpoint.encode()
    if checkpoint is not None:
        agreed = read_checkpoint(checkpoint, log.owner.keys).checkpoint
        if read_checkpoint(note, log.owner.keys).checkpoint != agreed:
            raise _refused(f"is of another checkpoint than the one given, of {agreed.size:,} entries")
    made = draw(log, note, terms, progress)
    if given != made:
        raise _refused(_difference(given, made))
    return made


def population_size(log: PartyLog, checkpoint: bytes, terms: Terms, progress: Progress) -> int:
    """How many receipts :func:`draw` would draw from, whatever the count; it raises what that does."""
    return _population(log, checkpoint, terms, progress)[2].size


def _population(
    log: PartyLog, checkpoint: bytes, terms: Terms, progress: Progress
) -> tuple[SignedCheckpoint, Note, Population]:
    signed = _read(log, checkpoint, terms)
    note = rule.counted(signed, terms, log.owner.keys)
    moments = [said.at for key in terms.witnesses if (said := signed.by(key)) is not None and said.at is not None]
    return signed, note, read_population(log, signed.checkpoint.size, terms.after, min(moments), progress)


def _read(log: PartyLog, content: bytes, terms: Terms) -> SignedCheckpoint:
    signed = read_checkpoint(content, (*log.owner.keys, *terms.witnesses))
    signed.require(log.owner.keys)
    checkpoint = signed.checkpoint
    if checkpoint.origin != log.owner.origin:
        raise EvidenceRejected(
            f"the checkpoint is of {checkpoint.origin}, and the log of {log.owner.origin}",
            hint="Give a checkpoint of this log",
            check="checkpoint",
        )
    if checkpoint.size > log.size:
        raise EvidenceRejected(
            f"the checkpoint has {checkpoint.size:,} entries, and the log here {log.size:,}",
            hint="Ask for the log as it is now: witnesses have seen more of it",
            check="checkpoint",
        )
    if log.reader.root_at(checkpoint.size) != checkpoint.root:
        raise EvidenceRejected(
            f"the {checkpoint.size:,} entries of the checkpoint are not the beginning of this log",
            hint="Keep both: the log's keys have signed two histories",
            check="checkpoint",
        )
    return signed


def _ended(population: Population) -> tuple[EndedKeyset, ...]:
    return tuple(
        EndedKeyset(digest, one.served.terms.model, one.begun, one.ended or 0, one.receipts, one.last, one.attested)
        for digest, one in population.ended.items()
    )


def _open(population: Population) -> tuple[OpenKeyset, ...]:
    return tuple(
        OpenKeyset(digest, one.served.terms.model, one.begun, one.receipts) for digest, one in population.open.items()
    )


def _difference(given: Sample, made: Sample) -> str:
    """What of a sample is not what its rule gives, in words."""
    for at, (said, right) in enumerate(zip(given.drawn, made.drawn, strict=False)):
        if given.seed == made.seed and given.keysets == made.keysets and said != right:
            return (
                f"has receipt {said.sequence} of keyset {said.keyset.hex()[:16]} in place {at}, and the rule draws "
                f"receipt {right.sequence} of keyset {right.keyset.hex()[:16]} with digest {right.digest.hex()[:16]}"
            )
    name = next(field.name for field in fields(Sample) if getattr(given, field.name) != getattr(made, field.name))
    return f"has another {_NAMED.get(name, name)} than its terms and the log give{_sizes(given, made, name)}"


_NAMED: dict[str, str] = {
    "not_before": "agreed time",
    "after": "beginning",
    "population": "number of receipts to draw from",
    "open": "list of keysets that have not ended",
    "drawn": "number of receipts",
}


def _sizes(given: Sample, made: Sample, name: str) -> str:
    said: Any
    said, right = getattr(given, name), getattr(made, name)
    return f" ({len(said)} and {len(right)})" if isinstance(said, tuple) and len(said) != len(right) else ""


def _refused(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"the sample {problem}", hint=_HINT, check="sample")
