"""How many threads NumPy's matrix products take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

WORTH_THREADS = 1 << 32
"""Products of two numbers, some 100 ms of one core, from which on all threads compute them."""


@contextmanager
def threads_for(products: int) -> Iterator[None]:
    """Few products are computed by the calling thread alone. A thread of OpenBLAS that has helped goes on asking for
    work for a tenth of a second, on a core that the proof could have: it takes longer than the products."""
    if products >= WORTH_THREADS:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    """Looks for the libraries once: NumPy's is loaded by then."""
    return ThreadpoolController()


__all__ = ["WORTH_THREADS", "threads_for"]
