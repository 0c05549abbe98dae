"""The limits and datatypes on the page are those of the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from quatrefoil.inference import Bounds, Limits
from quatrefoil.inference.datatypes import DTYPES

PAGE = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()


def test_every_limit_is_on_the_page_with_its_value() -> None:
    stated = {name: int(value) for name, value in re.findall(r"^\| `(\w+\.\w+)`[^|]*\| (\d+) \|", PAGE, re.M)}
    assert stated == {
        f"{kind.__name__}.{field.name}": field.default
        for kind in (Limits, Bounds)
        for field in dataclasses.fields(kind)
    }


def test_every_datatype_is_on_the_page_and_no_other() -> None:
    table = PAGE.partition("## Datatypes")[2].partition("`BF16`")[0]
    cells = "".join(re.findall(r"^\| (`[A-Z].*?) \|", table, re.M))
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted(DTYPES)
