"""What is told of errors that nobody expected: never what they say, since that may be content; and not without end."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_A_MINUTE = 60


def described(error: BaseException) -> str:
    """Class and place of an error, without what it says: that may be content."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__module__}.{type(error).__qualname__}{where}"


class Sparing:
    """Passes on ``MOST_A_MINUTE`` lines; the next minute's first says how many were left out. Requests can cause
    them, and a log that anybody can fill is none."""

    def __init__(self, report: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._now = now
        self._minute = now()
        self._told = 0

    def __call__(self, text: str) -> None:
        if self._now() - self._minute >= 60:
            left_out = max(0, self._told - MOST_A_MINUTE)
            self._minute, self._told = self._now(), 0
            if left_out:
                self._report(f"{left_out} more lines were left out")
        self._told += 1
        if self._told <= MOST_A_MINUTE:
            self._report(text)


__all__ = ["Sparing", "described"]
