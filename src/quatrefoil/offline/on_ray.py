"""Tasks on a Ray cluster, or on this machine through Ray: the extra ``ray``.

Whoever runs the cluster sees tasks and results, and everything that ``prove`` holds: use one of your own. A result is
believed no more than any other: the caller's check decides.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from quatrefoil.errors import CallerError, DependencyMissing, HostError
from quatrefoil.offline.task import Answer, Failed, Prove, Task, cores, one_line, reason, require_number, share_threads
from quatrefoil.offline.task import thread_variables as variables

_AHEAD = 2
"""Tasks that wait at the cluster for each that it can compute."""


@dataclass(frozen=True)
class OnRay:
    """``address``: of a cluster, as ``ray.init`` takes it; None: a Ray of its own on this machine, which ends with the
    run. ``threads``: for each task, which the cluster counts as so many CPUs."""

    address: str | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        require_number(self.threads, "threads")
        if self.address is None and self.threads > cores():
            raise CallerError(
                f"{self.threads} threads are more than the {cores()} cores here", hint="Give fewer, or an address"
            )

    def answers(self, prove: Prove, tasks: Sequence[Task]) -> Generator[Answer, None, None]:
        if not tasks:
            return
        ray = load()
        own = not ray.is_initialized()
        if own:
            self.start(ray)
        try:
            yield from self._answers(ray, prove, tasks)
        finally:
            if own:
                ray.shutdown()

    def start(self, ray: Any) -> None:
        """Connect to the cluster, or start a Ray here; ``HostError`` where that fails."""
        given: dict[str, Any] = {"address": self.address}
        if self.address is None:
            given = {"num_cpus": cores(), "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(log_to_driver=False, **given)
        except Exception as error:  # it raises bare ones, of a start that took too long for example
            ray.shutdown()
            raise HostError(
                f"Ray does not start ({reason(error)})", hint="Check the address, or leave it out"
            ) from None

    def _answers(self, ray: Any, prove: Prove, tasks: Sequence[Task]) -> Generator[Answer, None, None]:
        # A task is not tried again by itself: one that takes all memory would take it twice.
        remote = ray.remote(_work).options(
            num_cpus=self.threads, max_retries=0, runtime_env={"env_vars": variables(self.threads)}
        )
        held = ray.put(prove)
        waiting, begun = deque(tasks), dict[Any, Task]()
        most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)) // self.threads)
        try:
            while waiting or begun:
                while waiting and len(begun) < most:
                    task = waiting.popleft()
                    begun[remote.remote(held, task, self.threads)] = task
                ready, _ = ray.wait(list(begun), num_returns=1)
                for one in ready:
                    yield begun.pop(one), _answer(ray, one)
        finally:
            for one in begun:
                ray.cancel(one, force=True)


def _answer(ray: Any, one: Any) -> bytes | Failed:
    try:
        found = ray.get(one)
    except ray.exceptions.RayError as error:
        # The last line of what Ray says is the cause; before it, where in the cluster.
        *_, cause = str(error).strip().splitlines() or [""]
        return Failed(one_line(f"the cluster has no answer ({type(error).__name__}: {cause.strip()})"))
    return found if isinstance(found, bytes | Failed) else Failed("it gave no bytes")


def _work(prove: Prove, task: Task, threads: int) -> bytes | Failed:
    """At the cluster."""
    share_threads(threads)
    try:
        return prove(task)
    except Exception as error:
        return Failed(reason(error))


def load() -> Any:
    """Ray, set up as it has to be before it is loaded; ``DependencyMissing`` where it is not installed.

    It reports its use to its makers unless it is told not to. Whoever reaches one without a token runs code in it: the
    token is of this process alone, since Ray would keep its own in the user's folder, for others to read.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ModuleNotFoundError:
        raise DependencyMissing("Ray is not installed", hint="pip install 'quatrefoil[ray]'") from None
    return ray
