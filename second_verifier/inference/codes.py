"""The codes of a proof of answers: runs, words and positions, and how many positions are enough
(docs/inference-proofs.md, Shape)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bounded_update.shape import CODES, SECURITY, log2

from .values import Refused, need


@dataclass(frozen=True)
class Parameters:
    """The numbers of the page. Others are toys: they prove nothing to anybody, and are there for tests."""

    codes: Mapping[int, tuple[int, int, int, int]] = field(default_factory=lambda: CODES)  # log2 of C, n, C2, n2
    security: int = SECURITY
    words: int = 124
    least_run: int = 11  # of c_W
    run_of_an_opening: int = 512
    least_omega: int = 12
    weights_words: int = 120
    largest_run: int = 19


REAL: Final = Parameters()


def least_queries(C: int, n: int, appended: int, security: int) -> int:
    """The least Q with ((n + C + appended Q) / 2n)^Q <= 2^-security, in exact integers."""
    Q = 1
    while (n + C + appended * Q) ** Q << security > (2 * n) ** Q:
        Q += 1
        need(C + appended * Q <= n, f"no number of positions is enough for runs of {C} in words of {n}")
    return Q


@dataclass(frozen=True)
class Code:
    """Runs of C entries with `appended` elements each, words of n, Q positions."""

    C: int
    n: int
    Q: int
    appended: int

    @property
    def K(self) -> int:
        return self.C + self.appended

    def to_numbers(self) -> tuple[int, int, int]:
        return log2(self.C), log2(self.n), self.Q


def _row_code(parameters: Parameters, log_C: int) -> Code:
    for run, _, row, length in parameters.codes.values():
        if run == log_C:
            C, n = 1 << row, 1 << length
            return Code(C, n, least_queries(C, n, 0, parameters.security), 0)
    raise Refused(f"no code of the table has runs of 2^{log_C}")


def opened_code(parameters: Parameters, codes: tuple[Code, Code]) -> Code:
    """That of the runs of two opened rows."""
    return _row_code(parameters, log2(max(code.C for code in codes)))


def column_code(parameters: Parameters, ell: int) -> Code:
    """That of columns of 2^ell entries."""
    run, length, _, _ = parameters.codes[ell]
    C, n = 1 << run, 1 << length
    Q = least_queries(C, n, 1, parameters.security)
    return Code(C, n, Q, Q)
