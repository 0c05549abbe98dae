"""Where heavy calls of a service run while it goes on: threads, processes, or a Ray cluster, as one kind of executor.

Threads are the choice for whatever the kernel computes, which lets go of the interpreter: nothing is copied. Processes
pay a copy of every argument, and are for what holds the interpreter. Ray is for more work than one host does. Whatever
runs a call returns its value or raises what it raised.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from quatrefoil.errors import CallerError, HostError
from quatrefoil.offline.on_ray import OnRay, load
from quatrefoil.offline.task import cores, require_number, share_threads

KINDS = ("threads", "processes", "ray")


@contextmanager
def pool(kind: str, number: int | None = None, *, address: str | None = None) -> Iterator[Executor]:
    """An executor of this ``kind`` with ``number`` workers of one thread each (default: as many as there are cores;
    on Ray, as many as the cluster has CPUs).

    ``address``: of a Ray cluster; None for a Ray of its own here. Calls that have begun are waited for at the end. To
    processes and to Ray a call goes as bytes: what cannot be pickled is a ``CallerError`` of its future.
    """
    require_number(number, "workers")
    if kind not in KINDS:
        raise CallerError(f"there is no executor {kind!r}", hint=f"Choose one of {', '.join(KINDS)}")
    if address is not None and kind != "ray":
        raise CallerError(f"{kind} have no address", hint="Leave it out, or choose ray")
    if number is not None and kind == "ray":
        raise CallerError("a cluster counts its own CPUs, and a number is given", hint="Leave it out")
    workers = number or cores()
    if kind == "threads":
        with ThreadPoolExecutor(workers, thread_name_prefix="proofs") as threads:
            yield threads
    elif kind == "processes":
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=share_threads, initargs=(1,)) as processes:
            yield _Pickling(processes)
    else:
        yield from _ray_pool(address)


class _Pickling(Executor):
    """Pickles a call before it is queued: the fault of what cannot be is its caller's, and shows in its own future."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return _submit_bytes(lambda call: self._inner.submit(_called, call), fn, args, kwargs)


class _Ray(Executor):
    """``remote``: a Ray function of the bytes of a call."""

    def __init__(self, ray: Any, remote: Any) -> None:
        self._ray = ray
        self._remote = remote
        self._running: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return _submit_bytes(self._submit, fn, args, kwargs)

    def _submit(self, call: bytes) -> Future[Any]:
        answered: Future[Any] = Future()
        answered.set_running_or_notify_cancel()
        inner: Future[Any] = self._remote.remote(call).future()

        def answer(done: Future[Any]) -> None:
            try:
                worked, value = pickle.loads(done.result())  # noqa: S301 - Ray has unpickled it already
            except self._ray.exceptions.RayError as error:
                *_, cause = str(error).strip().splitlines() or [""]
                worked, value = (
                    False,
                    HostError(
                        f"the cluster has no answer ({type(error).__name__}: {cause.strip()})",
                        hint="Look at its workers; the same call may be made again",
                    ),
                )
            self._running.discard(answered)
            if worked:
                answered.set_result(value)
            else:
                answered.set_exception(value)

        self._running.add(answered)
        inner.add_done_callback(answer)
        return answered

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as its base has it
        for one in tuple(self._running) if wait else ():
            one.exception()


def _ray_pool(address: str | None) -> Iterator[Executor]:
    ray = load()
    cluster = OnRay(address)
    own = not ray.is_initialized()
    if own:
        cluster.start(ray)
    try:
        # A call that takes all memory would take it twice if it were tried again by itself.
        remote = ray.remote(_outcome).options(num_cpus=1, max_retries=0)
        with _Ray(ray, remote) as executor:
            yield executor
    finally:
        if own:
            ray.shutdown()


def _submit_bytes(
    submit: Callable[[bytes], Future[Any]], fn: Callable[..., Any], args: Any, kwargs: Any
) -> Future[Any]:
    try:
        call = pickle.dumps((fn, args, kwargs), pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        refused: Future[Any] = Future()
        refused.set_exception(
            CallerError(
                f"what is to be run cannot be given to another process ({error})",
                hint="Give a function of a module and arguments that can be pickled, or use threads",
            )
        )
        return refused
    return submit(call)


# ---------------------------------------------------------------------------------------------- in the other process


def _called(call: bytes) -> Any:
    fn, args, kwargs = pickle.loads(call)  # noqa: S301 - it comes from the process that submitted it
    return fn(*args, **kwargs)


def _outcome(call: bytes) -> bytes:
    """Pickled: whether it worked, and the value or the error. Ray would raise errors of its own in their place."""
    try:
        return pickle.dumps((True, _called(call)))
    except Exception as error:
        return pickle.dumps((False, error))


__all__ = ["KINDS", "pool"]
