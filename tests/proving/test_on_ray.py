"""The same runs on Ray, where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import offline_tasks as made
import pytest
from offline_tasks import by_content, hashed, holds, task

from quatrefoil.errors import CallerError, DependencyMissing, HostError
from quatrefoil.proving import Step, run
from quatrefoil.proving.on_ray import OnRay
from quatrefoil.proving.task import cores


def test_ray_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyMissing, match=r"Ray is not installed\. pip install 'quatrefoil\[ray\]'"):
        run([task("a")], hashed, tmp_path, made.quiet, check=holds, executor=OnRay())
    assert run([], hashed, tmp_path, made.quiet, check=holds, executor=OnRay()).results == {}


@pytest.mark.parametrize("number", [0, -1, cores() + 1])
def test_threads_that_are_none(number: int) -> None:
    with pytest.raises(CallerError):
        OnRay(threads=number)


@pytest.mark.filterwarnings("default")
class TestRay:
    @pytest.fixture(autouse=True)
    def ray(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ray", reason="Ray is not installed: runs on it were not tried")
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE"):
            monkeypatch.setenv(name, "")  # put back after

    def test_results_are_the_same_and_failures_are_told(self, tmp_path: Path) -> None:
        contents = [f"good {number}" for number in range(6)]
        bad = {"raise it": "the witness does not fit", "wrong one": "of something else", "killed by it": "is gone"}
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
        assert not ray.is_initialized()
        assert len(list((tmp_path / "r").glob("*.result"))) == 1

    def test_a_cluster_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(HostError, match="Ray does not start"):
            run([task("a")], hashed, tmp_path, made.quiet, check=holds, executor=OnRay("127.0.0.1:1"))
