"""Threads of NumPy's matrix products: few products take none but the caller's."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from quatrefoil.quantised.blas import WORTH_THREADS, threads_for


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_few_products_are_the_callers_alone_and_others_get_their_threads_back():
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with threads_for(WORTH_THREADS - 1):
            assert blas_threads() == {1}
        assert blas_threads() == before
        with threads_for(WORTH_THREADS):
            assert blas_threads() == before


def test_threads_come_back_after_a_failure():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(ZeroDivisionError), threads_for(0):
            raise ZeroDivisionError
        assert blas_threads() == before
