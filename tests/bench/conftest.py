"""A page with every figure, drawn once for all tests that look at it."""

from __future__ import annotations

import pytest
from report_pages import filled, outcomes, page

from quatrefoil.bench.report.parts import PARTS
from quatrefoil.bench.report.whole import Outcome


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> list[Outcome]:
    """Every part with figures, none of them the same."""
    values = (1.0 + number / 7 for number in range(10_000))
    texts = (f"label {number}" for number in range(10_000))
    contents = {one.name: filled(one.name, values, texts) for one in PARTS}
    return outcomes(contents, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def whole_page(whole) -> str:
    return page(whole)
