"""The four hospitals are the pinned ones, their gaps are counted, and any other file is refused."""

import subprocess
import sys

import numpy as np
import pytest

from quatrefoil.demo import data, encoding
from quatrefoil.errors import CallerError, DependencyMissing, HostError

ROW = {
    "age": "55", "sex": "Male", "dataset": "Hungary", "cp": "asymptomatic", "trestbps": "140", "chol": "350",
    "fbs": "FALSE", "restecg": "normal", "thalch": "135", "exang": "TRUE", "oldpeak": "2", "slope": "flat",
    "ca": "0", "thal": "normal", "num": "2",
}  # fmt: skip


def as_csv(*rows):
    return "\n".join([",".join(ROW), *(",".join(row.values()) for row in rows)])


def feature(row, name):
    return encoding.encode(row)[encoding.FEATURES.index(name)]


def test_the_four_hospitals_have_their_patients(hospitals):
    found = {name: (one.patients, one.positives) for name, one in hospitals.items()}
    assert found == {
        "cleveland": (304, 139),
        "hungary": (293, 106),
        "switzerland": (123, 115),
        "va-long-beach": (200, 149),
    }


def test_features_are_finite_and_in_range(hospitals):
    for one in hospitals.values():
        assert one.features.shape == (one.patients, len(encoding.FEATURES))
        assert one.features.min() >= 0 and one.features.max() <= 1
        assert set(np.unique(one.labels)) <= {0.0, 1.0}


def test_missing_values_are_counted_with_the_impossible_zeros(hospitals):
    assert hospitals["switzerland"].missing["chol"] == 123  # all written as 0
    assert hospitals["va-long-beach"].missing["chol"] == 7 + 49
    assert hospitals["va-long-beach"].missing["trestbps"] == 56 + 1
    assert hospitals["hungary"].missing["ca"] == 290
    assert hospitals["cleveland"].missing["chol"] == 0
    rows = {row["hospital"]: row for row in data.summary(hospitals)}
    assert rows["Switzerland"]["positives"] == 115 and rows["Switzerland"]["thal"] == 52


def test_a_missing_value_is_replaced_by_a_constant_and_marked():
    row = {**ROW, "chol": "0", "thalch": "", "thal": ""}
    assert feature(row, "chol") == pytest.approx((200 - 80) / 540)
    assert feature(row, "thalch") == pytest.approx((220 - 55 - 50) / 170)
    assert [feature(row, f"{column}: missing") for column in ("chol", "thalch", "thal", "slope")] == [1, 1, 1, 0]
    assert [feature(row, f"thal: {category}") for category in encoding.CATEGORIES["thal"]] == [0, 0, 0]


def test_one_patient_does_not_change_another(hospitals):
    """Nothing is learned from the data: a row encodes the same alone as among all."""
    alone = data.parse(as_csv(*({**ROW, "dataset": title} for title in data.HOSPITALS.values())))
    assert np.array_equal(alone["hungary"].features[0], encoding.encode(ROW))


def test_loading_does_not_import_the_package():
    code = "import sys; from quatrefoil.demo import data; data.load_hospitals(); print('pandas' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_another_file_is_refused(tmp_path):
    other = tmp_path / "heart.csv"
    other.write_bytes(data.installed_file().read_bytes() + b"\n")
    with pytest.raises(HostError, match=r"SHA-256 .* expected 574f2fa2"):
        data.load_hospitals(other)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(HostError, match=r"nowhere\.csv cannot be read \(No such file"):
        data.load_hospitals(tmp_path / "nowhere.csv")


def test_an_absent_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(data, "PACKAGE", "no_such_package_here")
    with pytest.raises(DependencyMissing, match=r"quatrefoil\[demo\]"):
        data.load_hospitals()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("chol", "high"), ("age", ""), ("age", "nan"), ("oldpeak", "inf"), ("sex", ""), ("sex", "male"), ("fbs", "1"),
        ("cp", ""), ("thal", "reversible defect"), ("num", ""), ("num", "5"),
    ],
)  # fmt: skip
def test_an_unknown_value_is_refused_by_column(column, value):
    with pytest.raises(HostError, match=f"'{column}'.*{value!r}"):
        data.parse(as_csv({**ROW, "dataset": "Cleveland", column: value}))


def test_an_unknown_or_absent_hospital_is_refused():
    with pytest.raises(HostError, match="'Budapest'"):
        data.parse(as_csv({**ROW, "dataset": "Budapest"}))
    with pytest.raises(HostError, match="no patient of Cleveland"):
        data.parse(as_csv(ROW))


def test_a_split_is_stratified_complete_and_repeatable(hospitals):
    for one in hospitals.values():
        parts = data.split(one, seed=3)
        assert len(parts.train[1]) + len(parts.test[1]) == one.patients
        assert abs(parts.test[1].mean() - one.labels.mean()) < 0.02
        again = data.split(one, seed=3)
        assert np.array_equal(parts.test[0], again.test[0])
        assert not np.array_equal(parts.test[0], data.split(one, seed=4).test[0])
    assert (data.split(hospitals["switzerland"], seed=0).test[1] == 0).sum() == 2


def test_a_split_that_cannot_be_stratified_is_refused(hospitals):
    swiss = hospitals["switzerland"]
    sick = data.Hospital("sick", "Sick only", swiss.features[swiss.labels == 1], swiss.labels[swiss.labels == 1], {})
    with pytest.raises(CallerError, match=r"Sick only has 0 patient\(s\) with label 0"):
        data.split(sick, seed=0)
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(CallerError, match="held-out share"):
            data.split(swiss, seed=0, test_share=share)
