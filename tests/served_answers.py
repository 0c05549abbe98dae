"""A server "ward" whose answers are on record, its model's commitment, and a proof of the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from float_models import numbers
from identities import START
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.audit import PartyLog
from quatrefoil.proven import (
    Logged,
    ModelFolder,
    ProofFile,
    Recorded,
    VerifiedAnswers,
    logged_answers,
    prove_answers,
    verify_answers,
)

OPENINGS = 8


@dataclass
class Served:
    ward: Ward
    folder: ModelFolder
    records: list[Recorded]
    log: PartyLog
    logged: Logged
    file: ProofFile

    def prove(self, records: list[Recorded], folder: ModelFolder | None = None, **changes: bool) -> ProofFile:
        return prove_answers(folder or self.folder, records, self.logged, **changes)

    def check(self, file: ProofFile) -> VerifiedAnswers:
        return verify_answers(file.encode(), trust(), clock=clock, log=self.log)


@contextmanager
def served_in(folder: Path) -> Iterator[Served]:
    ward = Ward(folder, small_graph())
    committed = ModelFolder.create(folder / "committed", ward.model, OPENINGS, ward.identity, at=START)
    ward.state(committed.statement)
    records = [ward.answer(2 * numbers(seed, 2, 6), number=seed) for seed in range(4)]
    log = ward.logged()
    logged = logged_answers(log, {one.receipt.digest() for one in records}, committed.committed)
    file = prove_answers(committed, records[:3], logged)
    yield Served(ward, committed, records, log, logged, file)
    ward.close()


class Free:
    """An opening of a test that throws its commitment away."""

    def use(self) -> None:
        pass
