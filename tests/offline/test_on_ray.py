"""The same runs on Ray, where it is installed."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import offline_tasks as made
import pytest
from offline_tasks import by_content, hashed, holds, task

from quatrefoil.errors import CallerError, DependencyMissing, HostError
from quatrefoil.offline import Step, on_ray, run
from quatrefoil.offline.on_ray import OnRay
from quatrefoil.offline.pools import pool
from quatrefoil.offline.task import cores, require_number


def test_ray_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyMissing, match=r"Ray is not installed\. pip install 'quatrefoil\[ray\]'"):
        run([task("a")], hashed, tmp_path, made.quiet, check=holds, executor=OnRay())
    assert run([], hashed, tmp_path, made.quiet, check=holds, executor=OnRay()).results == {}


@pytest.mark.parametrize("number", [0, -1, cores() + 1])
def test_threads_that_are_none(number: int) -> None:
    with pytest.raises(CallerError):
        OnRay(threads=number)


def loaded() -> Any:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: runs on it were not tried")
    return on_ray.load()


@pytest.fixture(scope="class")
def started() -> Iterator[None]:
    """A Ray that every test has: it takes long to start."""
    ray = loaded()
    with at_the_cluster():
        OnRay().start(ray)
        yield
        ray.shutdown()
        forget()


@contextmanager
def at_the_cluster() -> Iterator[None]:
    """Its processes find what they are to run as an installed module would be found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        yield


def forget() -> None:
    """Ray leaves processes that ended to the collector, which warns of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("started")
class TestRay:
    def test_calls_come_back_as_they_were(self) -> None:
        with pool("ray") as executor:
            values = [executor.submit(pow, one, 2) for one in range(9)]
            refused = executor.submit(require_number, 0, "threads")
            unfit = executor.submit(lambda: os)
            assert [one.result() for one in values] == [one * one for one in range(9)]
            with pytest.raises(CallerError, match="0 threads compute nothing"):
                refused.result()
            assert unfit.exception() is not None
            ended = executor.submit(os._exit, 3)
            with pytest.raises(HostError, match="the cluster has no answer"):
                ended.result()

    def test_results_are_the_same_and_failures_are_told(self, tmp_path: Path) -> None:
        contents = [f"good {number}" for number in range(6)]
        bad = {
            "raise it": "the witness does not fit",
            "wrong one": "of something else",
            "killed by it": "the cluster has no answer (WorkerCrashedError",
        }
        steps: list[Step] = []
        outcome = run(
            [task(one) for one in (*bad, *contents)], by_content, tmp_path, steps.append, check=holds, executor=OnRay()
        )
        assert set(outcome.results) == {task(one) for one in contents}
        assert {one.content.decode() for one in outcome.failed} == set(bad)
        for one, why in outcome.failed.items():
            assert bad[one.content.decode()] in why
        again = run([task(one) for one in contents], made.never, tmp_path, steps.append, check=holds, executor=OnRay())
        assert len(again.kept) == 6

    def test_threads_are_told(self, tmp_path: Path) -> None:
        executor = OnRay(threads=cores())
        outcome = run([task("a")], made.share, tmp_path, made.quiet, check=made.anything, executor=executor)
        assert outcome.results[task("a")].read_bytes() == b" ".join([str(cores()).encode()] * 3)

    def test_an_interrupt_ends_it(self, tmp_path: Path) -> None:
        import ray

        def interrupt(step: Step) -> None:
            raise KeyboardInterrupt

        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with pytest.raises(KeyboardInterrupt):
            tasks = [task(f"slow {number}") for number in range(4)]
            run(tasks, made.Slow(scratch, 0.2), tmp_path / "r", interrupt, check=holds, executor=OnRay())
        assert ray.is_initialized(), "who started it ends it"
        assert len(list((tmp_path / "r").glob("*.result"))) == 1


@pytest.mark.filterwarnings("default")
def test_a_ray_of_its_own_ends_with_the_run(tmp_path: Path) -> None:
    ray = loaded()
    with at_the_cluster():
        outcome = run([task("a")], hashed, tmp_path, made.quiet, check=holds, executor=OnRay())
    assert outcome.failed == {} and len(outcome.results) == 1
    assert not ray.is_initialized()
    forget()


class Absent:
    """A Ray that cannot be reached. The real one waits half a minute before it says so."""

    def is_initialized(self) -> bool:
        return False

    def init(self, **given: object) -> None:
        raise ConnectionError(f"nobody at {given['address']}")

    def shutdown(self) -> None:
        pass


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", Absent())
    with pytest.raises(HostError, match=r"Ray does not start \(ConnectionError: nobody at 127.0.0.1:1\)"):
        run([task("a")], hashed, tmp_path, made.quiet, check=holds, executor=OnRay("127.0.0.1:1"))
