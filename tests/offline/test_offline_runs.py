"""Runs of tasks in real processes: what is kept, what is computed, what fails, and what a killed run leaves."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import offline_tasks as made
import pytest
from offline_tasks import by_content, hashed, holds, quiet, task

from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.proving import Failed, Outcome, Processes, Step, Task, run, threads
from quatrefoil.proving.task import cores

TWO = Processes(2, 1)


def ran(tasks: Sequence[Task], folder: Path, **given: object) -> tuple[Outcome, list[Step]]:
    steps: list[Step] = []
    wanted = {"prove": by_content, "progress": steps.append, "check": holds, "executor": TWO, **given}
    return run(tasks, folder=folder, **wanted), steps  # type: ignore[arg-type]


def tasks_of(*contents: str) -> list[Task]:
    return [task(one) for one in contents]


# --------------------------------------------------------------------------------------------------------------- whole


def test_every_task_has_its_result(tmp_path: Path) -> None:
    tasks = tasks_of("a", "b", "c", "d", "e")
    outcome, steps = ran(tasks, tmp_path / "made" / "here")
    assert list(outcome.results) == tasks and outcome.failed == {} and outcome.kept == frozenset()
    assert all(file.read_bytes() == hashed(one) for one, file in outcome.require().items())
    assert [(step.what, step.done, step.failed, step.total) for step in steps] == [
        ("done", number, 0, 5) for number in range(1, 6)
    ]
    assert multiprocessing.active_children() == []


def test_results_are_named_by_what_they_are_of(tmp_path: Path) -> None:
    one, other = task("a"), task("a", "another label")
    assert one.name == other.name != task("b").name and len(one.name) == 64
    outcome, steps = ran([one, other], tmp_path)
    assert [step.total for step in steps] == [1], "the same content is one task"
    assert outcome.results[one] == outcome.results[other] == tmp_path / f"{one.name}.result"


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    ran(tasks_of("a", "b"), tmp_path)
    outcome, steps = ran(tasks_of("a", "b"), tmp_path, prove=made.never)
    assert outcome.kept == frozenset(tasks_of("a", "b")) and [step.what for step in steps] == ["kept"] * 2
    more, steps = ran(tasks_of("a", "b", "c"), tmp_path)
    assert [step.what for step in steps] == ["kept", "kept", "done"] and len(more.kept) == 2


def test_nothing_to_do(tmp_path: Path) -> None:
    assert ran([], tmp_path)[0] == Outcome({}, frozenset(), {})


# ------------------------------------------------------------------------------------------------------- what is shared


def test_threads_are_shared_out(tmp_path: Path) -> None:
    before = dict(os.environ)
    outcome, _ = ran(tasks_of("a", "b"), tmp_path, prove=made.share, check=made.anything, executor=Processes(2, 3))
    assert {file.read_bytes() for file in outcome.results.values()} == {b"3 3 3"}
    assert dict(os.environ) == before and threads() == cores(), "here nothing was shared out"


@pytest.mark.parametrize("available", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("tasks", [0, 1, 3, 1000])
def test_processes_by_threads_are_the_machine(available: int, tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.proving.processes.cores", lambda: available)
    for given in (Processes(), Processes(2), Processes(None, 2)):
        number, each = given.shared(tasks)
        assert 1 <= number <= max(1, tasks) and each >= 1
        assert number * each <= max(available, given.number or 1, given.threads or 1)
    number, each = Processes().shared(tasks)
    assert number * each > available - number, "and no core more than rounding is left"


# ------------------------------------------------------------------------------------------------------ what is refused

FOUND = {"corrupt": hashed(task("a"))[:-1], "empty": b"", "of another task": hashed(task("b"))}


@pytest.mark.parametrize("name", FOUND)
def test_a_result_that_does_not_hold_is_not_believed(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{task('a').name}.result").write_bytes(FOUND[name])
    outcome, steps = ran(tasks_of("a"), tmp_path)
    assert [step.what for step in steps] == ["refused", "done"] and "of something else" in steps[0].detail
    assert outcome.results[task("a")].read_bytes() == hashed(task("a")) and outcome.kept == frozenset()


def test_what_a_killed_writer_left_is_removed_and_what_is_not_ours_is_left(tmp_path: Path) -> None:
    left, other = tmp_path / f".{task('a').name}.result.{'0' * 16}", tmp_path / "notes.txt"
    for file in (left, other):
        file.write_bytes(b"half")
    ran(tasks_of("a"), tmp_path)
    assert not left.exists() and other.read_bytes() == b"half"


FAILS = {
    "raise it": "the witness does not fit. Quantise again",
    "divide it": "ZeroDivisionError: integer division or modulo by zero",
    "lines of it": "ValueError: one two [2J",
    "killed by it": "its process was ended by SIGKILL, as the kernel does where memory runs out",
    "exits with it": "its process ended with 3 and gave no answer",
    "leaves with it": "its process ended with 4 and gave no answer",
    "text of it": "it gave a str, and not bytes",
    "wrong one": "the result is of something else",
}


def test_a_task_that_fails_says_why_and_stops_no_other(tmp_path: Path) -> None:
    good = tasks_of(*(f"good {number}" for number in range(6)))
    bad = tasks_of(*FAILS)
    mixed = [one for pair in zip(bad, [*good, *good], strict=False) for one in pair]
    outcome, steps = ran(mixed, tmp_path)
    assert set(outcome.results) == set(good)
    assert {one.content.decode(): why for one, why in outcome.failed.items()}.keys() == FAILS.keys()
    for one, why in outcome.failed.items():
        assert FAILS[one.content.decode()] in why and why.isprintable()
        assert not (tmp_path / f"{one.name}.result").exists()
    assert (steps[-1].done, steps[-1].failed) == (6, 8)
    with pytest.raises(HostError, match=r"\(7 more failed\).*what is done is kept"):
        outcome.require()
    assert multiprocessing.active_children() == []


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    first, _ = ran(tasks_of("a", "wrong b"), tmp_path)
    again, steps = ran(tasks_of("a", "wrong b"), tmp_path, prove=hashed)
    assert len(first.failed) == 1 and again.failed == {} and [step.what for step in steps] == ["kept", "done"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    def second(step: Step) -> None:
        with pytest.raises(HostError, match="another run is at work"):
            ran(tasks_of("b"), tmp_path)

    assert len(ran(tasks_of("a"), tmp_path, progress=second)[0].results) == 1
    ran(tasks_of("b"), tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be used"):
        ran(tasks_of("a"), tmp_path / "file")


def test_what_cannot_be_given_to_a_process(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="cannot be given to another process"):
        ran(tasks_of("a"), tmp_path, prove=lambda task: b"")
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("given", [(0, None), (None, 0), (-1, 1)])
def test_no_processes_compute_nothing(given: tuple[int | None, int | None]) -> None:
    with pytest.raises(CallerError, match="compute nothing"):
        Processes(*given)


def test_an_executor_that_forgets_a_task_is_noticed(tmp_path: Path) -> None:
    class Forgetful:
        def answers(self, prove: object, tasks: Sequence[Task]):
            yield tasks[0], Failed("no")

    with pytest.raises(EvidenceRejected, match="gave no answer"):
        ran(tasks_of("a", "b"), tmp_path, executor=Forgetful())


# ---------------------------------------------------------------------------------------------- interrupted and killed


def test_an_interrupt_ends_every_process_and_leaves_whole_results(tmp_path: Path) -> None:
    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(KeyboardInterrupt):
        ran(
            tasks_of("a", "b", "c", "d"),
            tmp_path / "results",
            prove=made.Slow(scratch, 0.2),
            progress=interrupt,
        )
    assert multiprocessing.active_children() == []
    files = list((tmp_path / "results").glob("*.result"))
    assert [file.read_bytes() for file in files] == [hashed(one) for one in tasks_of("a", "b") if is_of(files, one)]
    assert len(files) == 1 and len(ran(tasks_of("a", "b", "c", "d"), tmp_path / "results")[0].kept) == 1


def is_of(files: list[Path], one: Task) -> bool:
    return any(one.name in file.name for file in files)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "results", tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen([sys.executable, made.__file__, str(folder), str(scratch)])
    try:
        until(lambda: len(list(folder.glob("*.result"))) >= 2, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    workers = [int(file.stem) for file in scratch.glob("*.pid")]
    assert workers
    until(lambda: not any(map(alive, workers)))  # nobody ended them: they saw for themselves
    kept = len(list(folder.glob("*.result")))
    assert 2 <= kept < 8
    (scratch / "computed").unlink()
    tasks = [task(f"slow {number}") for number in range(8)]
    outcome, steps = ran(tasks, folder, prove=made.Slow(scratch, 0.0))
    assert len(outcome.results) == 8 and len(outcome.kept) == kept
    assert [step.what for step in steps] == ["kept"] * kept + ["done"] * (8 - kept)
    assert len((scratch / "computed").read_text().splitlines()) == 8 - kept


def until(holds: object, process: subprocess.Popen[bytes] | None = None) -> None:
    for _ in range(1200):
        if holds():  # type: ignore[operator]
            return
        assert process is None or process.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def alive(number: int) -> bool:
    with contextlib.suppress(OSError):
        return b"\nState:\tZ" not in Path(f"/proc/{number}/status").read_bytes()
    return False


def test_progress_of_nobody(tmp_path: Path) -> None:
    assert ran(tasks_of("a"), tmp_path, progress=quiet)[0].failed == {}
