"""Many receipts in batches, each proven by a process of its own; a run that stops goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from float_models import numbers
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused, ProofRejected
from quatrefoil.offline import Processes, Step, Task, run
from quatrefoil.proven import ModelFolder, ProofFile, logged_answers, verify_answers
from quatrefoil.proven.tasks import CheckAnswers, ProveAnswers, tasks_of
from world import START


def test_what_is_there_and_holds_is_not_proven_again(tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 8, ward.identity, at=START)
    ward.state(folder.statement)
    records = [ward.answer(numbers(seed, 1, 6), number=seed) for seed in range(5)]
    log = ward.logged()
    logged = logged_answers(log, {one.receipt.digest() for one in records}, folder.committed)
    tasks = tasks_of(folder, records, logged, hidden=True, batch=2)
    assert [str(task) for task in tasks] == ["receipts 1 to 2", "receipts 3 to 4", "receipts 5 to 5"]
    check, steps = CheckAnswers(folder.commitment.root), list[Step]()

    def proven(some: list[Task]) -> dict[Task, Path]:
        prove = ProveAnswers(folder.folder)
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
        tasks_of(folder, records, logged, hidden=True, batch=0)
    with pytest.raises(CallerError, match="the log has no receipt"):
        tasks_of(folder, records, replace(logged, places={}), hidden=True, batch=2)
    ward.close()


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
