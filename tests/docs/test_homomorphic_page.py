"""docs/homomorphic.md against the code: the table of parameter sets, and the sizes it names."""

from __future__ import annotations

import json

from pages import ROOT, rows

from quatrefoil import cli
from quatrefoil.cli.score import SET_COLUMNS, set_cells

PAGE = ROOT / "docs" / "homomorphic.md"


def test_the_table_of_sets_is_what_the_command_prints(capsys) -> None:
    assert [list(row) for row in rows(PAGE, "## Parameter sets")] == set_cells()
    assert f"| {' | '.join(SET_COLUMNS)} |" in PAGE.read_text()
    assert cli.main(["score", "--sets", "--json", "-"]) == 0
    for one in json.loads(capsys.readouterr().out)["sets"]:
        if one["public_error"]:  # 0 in BGV: exact
            assert f"{one['public_error']:.1e} in `{one['set']}`" in " ".join(PAGE.read_text().split())
    assert cli.main(["score", "--sets"]) == 0
    assert "ckks-product-8192" in capsys.readouterr().out
