"""The estimate of collisions of the field hash: its bounds, its page, and what is known of other sizes."""

from __future__ import annotations

import json
from math import log, log2
from pathlib import Path

import pytest
from tests.docs.pages import rows

from quatrefoil import cli
from quatrefoil.aggregation.security import SIEVES, collision, field_hash_sets
from quatrefoil.aggregation.security.lattice import log_root_hermite_factor
from quatrefoil.aggregation.security.short_integers import Sis
from quatrefoil.cli.security_level import collision_cells

PAGE = Path(__file__).parents[2] / "docs" / "field-hash.md"
P = 2**64 - 2**32 + 1


@pytest.mark.parametrize("sis", field_hash_sets(), ids=lambda one: f"{one.rows} rows")
def test_every_set_has_128_bits_in_either_norm_and_against_lists(sis: Sis) -> None:
    found = collision(sis)
    for sieve in ("classical", "quantum"):
        assert found.bits(sieve) >= 128 and found.euclidean_bits(sieve) >= 128
    assert found.lists >= 128
    assert found.block_size >= found.euclidean, "no collision is longer than the Euclidean bound"


def test_fewer_rows_would_not_have_them() -> None:
    for one in field_hash_sets():
        assert collision(Sis(one.rows * 9 // 10, P, one.columns, one.bound)).euclidean_bits("quantum") < 128


def test_more_rows_a_smaller_bound_and_fewer_columns_cost_more() -> None:
    def blocks(*changed: Sis) -> list[int]:
        return [collision(one).euclidean for one in changed]

    for found in (
        blocks(*(Sis(n, P, 4000, 255) for n in (100, 150, 200))),
        blocks(*(Sis(152, P, 4000, bound) for bound in (65535, 255, 15))),
        blocks(*(Sis(152, P, columns, 255) for columns in (1 << 20, 1 << 14, 4000))),
    ):
        assert found == sorted(found) and found[0] < found[-1]


def test_the_length_is_that_of_the_closed_form() -> None:
    """2^(2 sqrt(n log2 q log2 delta)) in the best dimension: Micciancio and Regev, 2009."""
    sis = Sis(152, P, 1 << 20, 255)
    found = collision(sis)
    delta = log_root_hermite_factor(found.euclidean) / log(2)
    reached = 2 * (sis.rows * log2(P) * delta) ** 0.5
    assert reached == pytest.approx(log2(sis.bound) + log2(sis.columns) / 2, abs=0.02)


def test_the_page_and_the_command_hold_the_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = collision_cells([collision(one) for one in field_hash_sets()])
    assert rows(PAGE, "## Binding") == cells
    assert cli.main(["security-level", "--json", str(tmp_path / "level.json")]) == 0
    assert "Collisions of the field hash" in capsys.readouterr().out
    content = json.loads((tmp_path / "level.json").read_text())["field_hash"]
    assert [one["bits"]["classical"] for one in content] == [int(one[6]) for one in cells[::2]]
    assert set(content[0]["euclidean_bits"]) == set(SIEVES)
