"""Many receipts in batches, each proven by a process of its own; a run that stops goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from float_models import numbers
from identities import START
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused, ProofRejected
from quatrefoil.offline import Processes, Step, Task, run
from quatrefoil.proven import Logged, ModelFolder, ProofFile, Recorded, logged_answers, verify_answers
from quatrefoil.proven.tasks import CheckAnswers, ProveAnswers, counted_in, tasks_of


def test_what_is_there_and_holds_is_not_proven_again(tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 8, ward.identity, at=START)
    ward.state(folder.statement)
    records = [ward.answer(numbers(seed, 1, 6), number=seed) for seed in range(5)]
    log = ward.logged()
    logged = logged_answers(log, {one.receipt.digest() for one in records}, folder.committed)
    tasks = list(tasks_of(folder, records, logged, hidden=True, batch=2))
    assert [str(task) for task in tasks] == ["receipts 1 to 2", "receipts 3 to 4", "receipts 5 to 5"]
    check, steps = CheckAnswers(folder.commitment.root), list[Step]()

    def proven(some: list[Task]) -> dict[Task, Path]:
        prove = ProveAnswers(folder.folder, counted_in(folder.folder))
        return run(some, prove, tmp_path / "out", steps.append, check=check, executor=Processes(1)).require()

    first = proven(tasks[:1])
    assert folder.left == 6
    results = proven(tasks)
    assert folder.left == 4 and [one.what for one in steps] == ["done", "kept", "done", "done"]
    for task in tasks:
        found = verify_answers(results[task].read_bytes(), trust(), clock=clock, log=log)
        assert found.hidden and found.inference.model_root == folder.commitment.root
    refused(check, tasks, first[tasks[0]].read_bytes())
    with pytest.raises(CallerError, match="batches of 0"):
        list(tasks_of(folder, records, logged, hidden=True, batch=0))
    with pytest.raises(CallerError, match="the log has no receipt"):
        list(tasks_of(folder, records, replace(logged, places={}), hidden=True, batch=2))
    held_one_batch_at_a_time(folder, records, logged)
    a_copy_is_refused(folder, tasks[0], tmp_path / "copy")
    ward.close()


def held_one_batch_at_a_time(folder: ModelFolder, records: list[Recorded], logged: Logged) -> None:
    """Records are read when a task is asked for, and no further."""
    read = list[int]()

    def reading() -> Iterator[Recorded]:
        for number, one in enumerate(records):
            read.append(number)
            yield one

    tasks = tasks_of(folder, reading(), logged, hidden=True, batch=2)
    assert read == []
    next(tasks)
    assert read == [0, 1]
    assert len(list(tasks)) == 2 and read == [0, 1, 2, 3, 4]


def a_copy_is_refused(folder: ModelFolder, task: Task, copy: Path) -> None:
    """Whoever proves with a copy, here or on another machine, has forgotten which openings are used."""
    left, counted = folder.left, counted_in(folder.folder)
    shutil.copytree(folder.folder, copy)
    elsewhere = counted.replace(counted[:8], "00000000", 1)
    for prove in (ProveAnswers(copy, counted), ProveAnswers(folder.folder, elsewhere)):
        with pytest.raises(CallerError, match="counted on another machine, or in another folder"):
            prove(task)
    assert folder.left == left and ModelFolder(copy).left == left
    with pytest.raises(HostError, match="cannot be told"):
        counted_in(copy / "none")


def refused(check: CheckAnswers, tasks: list[Task], content: bytes) -> None:
    """Results of another task, of another commitment, altered, or none."""
    file = ProofFile.decode(content)
    check(tasks[0], content)
    with pytest.raises(EvidenceRejected, match="about other receipts"):
        check(tasks[1], content)
    with pytest.raises(EvidenceRejected, match="about other receipts"):
        CheckAnswers(bytes(32))(tasks[0], content)
    with pytest.raises(EvidenceRejected, match="about other receipts"):
        check(tasks[0], replace(file, origin="other").encode())
    with pytest.raises(ProofRejected):
        check(tasks[0], replace(file, proof=file.proof[:-1] + bytes([file.proof[-1] ^ 1])).encode())
    with pytest.raises(MessageRefused):
        check(tasks[0], b"")
