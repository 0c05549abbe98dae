"""The report says everything in words, in 100 columns, and the JSON has the keys that scripts rely on."""

import io
import json

import pytest
from rich.console import Console

from quatrefoil.demo import report
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.baselines import Score
from quatrefoil.demo.inversion import Match
from quatrefoil.demo.leakage import VIEWS, Leakage
from quatrefoil.demo.result import Channel, DemoResult, LayerCost, ModelResult, PhaseFollowed, Trainings


def trainings(base: float) -> Trainings:
    return Trainings(*(Score(base + step / 1000, base + 0.05, 0.55) for step in range(4)))


def result(**changed) -> DemoResult:
    hospitals = {name: trainings(0.8) for name in ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")}
    model = ModelResult("MLP, 16 hidden", hospitals, together=trainings(0.81), anywhere=trainings(0.7))
    values = {
        "headline": "mlp",
        "models": {"logistic": model, "mlp": model},
        "data": [
            {"hospital": "Switzerland", "patients": 123, "positives": 115, "chol": 123, "fbs": 75, "ca": 118, "thal": 5}
        ],
        "splits": 10,
        "rounds": 15,
        "differing_predictions": 0,
        "predictions": 4600,
        "weight_difference": 1.2e-5,
        "weight_bound": 4.6e-4,
        "attack": Leakage({view: Match(9.0, 7.0) for view in VIEWS}, 16),
        "channels": [Channel("cleveland -> aggregator", "X25519MLKEM768")],
        "costs": [LayerCost("additive encryption", 1.5, 0.01, 32_768, 2_180)],
        "plan": [PhaseFollowed("collect", ["transport", "aggregation"], ["curious aggregator"])],
        "unprotected": ["a silo that poisons the model"],
        "insecure": ["software keeper [unattested]"],
        "seconds": 12.3,
    }
    return DemoResult(**{**values, **changed})


def rendered(width: int, **changed) -> str:
    stream = io.StringIO()
    report.render(Console(file=stream, width=width, highlight=False, color_system=None), result(**changed))
    return stream.getvalue()


@pytest.mark.parametrize("width", [100, 120])
def test_everything_fits_and_nothing_is_cut(width):
    text = rendered(width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for words in (
        "Cleveland",
        "X25519MLKEM768",
        "curious aggregator",
        "32,768",
        "0 of 4600 predictions differ",
        *VIEWS.values(),
    ):
        assert words in text, words


def test_stand_ins_and_threats_come_before_any_figure():
    text = rendered(100)
    assert text.index("INSECURE stand-in used: software keeper [unattested]") < text.index("Accuracy")
    assert text.index("UNPROTECTED: a silo that poisons the model") < text.index("Accuracy")


def test_without_stand_ins_none_is_named():
    text = rendered(100, insecure=[], unprotected=[])
    assert "INSECURE" not in text
    assert "UNPROTECTED" not in text


def test_the_end_says_who_is_not_protected():
    text = " ".join(rendered(100).split())
    assert "updates, from keeper and aggregator together" in text
    assert "Nothing of this is audited" in text


def test_json_has_the_keys_that_scripts_rely_on():
    content = json.loads(json.dumps(result().as_json(), allow_nan=False))
    for figure in ("accuracy", "auc"):
        assert {"alone", "pooled", "federated", "encrypted"} <= set(content[figure])
    assert content["accuracy"]["alone"] == pytest.approx(0.7)
    assert content["accuracy"]["alone_own_patients"] == pytest.approx(0.81)
    names = ("gradient", "update", "ciphertext", "sum", "chance")
    assert {f"{name}_psnr_db" for name in names} <= set(content["attack"])
    assert content["channels"] == [{"peer": "cleveland -> aggregator", "group": "X25519MLKEM768"}]
    assert content["insecure"] == ["software keeper [unattested]"]
    assert (content["rounds"], content["differing_predictions"]) == (15, 0)


def test_an_unstopped_attack_says_so():
    stream = io.StringIO()
    outcome = Outcome(
        "poison", "proofs", {"accuracy": 0.5}, {"accuracy": 0.5, "refused": False}, False, "Nothing protects"
    )
    report.render_outcome(Console(file=stream, width=100, color_system=None), outcome)
    assert "Nothing protects" in stream.getvalue()
    assert "refused" in stream.getvalue()
