"""Work on chunks in threads, results in order, a bounded number of them in memory.

AES-GCM and SHA-256 leave the interpreter's lock while they run over a chunk, so that two threads keep two cores busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from quatrefoil.errors import CallerError

MOST_THREADS = 256

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_order(work: Callable[[Given], Made], items: Iterable[Given], threads: int) -> Iterator[Made]:
    """``work`` of each item, in the order of the items; at most ``threads + 1`` are begun and not yet taken.

    The first error ends it. One thread means: in the caller's own.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise CallerError(f"{threads} threads", hint=f"Use 1 to {MOST_THREADS}")
    if threads == 1:
        yield from map(work, items)
        return
    begun: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) > threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for left in begun:
                left.cancel()


__all__ = ["in_order"]
