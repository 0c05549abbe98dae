"""The report says everything in words, in 100 columns, and claims of the plan what the plan claims and no more."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from quatrefoil.demo import job, protection, report
from quatrefoil.demo.baselines import Score
from quatrefoil.demo.fidelity import Fidelity
from quatrefoil.demo.inversion import Match
from quatrefoil.demo.leakage import VIEWS, Leakage
from quatrefoil.demo.result import Channel, DemoResult, LayerCost, ModelResult, Poisoned, PoisonedTraining, Trainings
from quatrefoil.planner import plan
from quatrefoil.planner.host import availability
from quatrefoil.policy import THREATS


@pytest.fixture(scope="module")
def chosen(policy, costs):
    """The plan of the demo's own policy."""
    return plan(job.workload_for(job.initial()), policy, costs, availability())


@pytest.fixture(scope="module")
def in_the_clear(policy, costs):
    """A plan whose aggregation is the stand-in."""
    clear = replace(
        policy,
        name="clear",
        threats=("network", "recorder"),
        allow=replace(policy.allow, aggregation=("plain",)),
        accept_insecure=("plain-aggregation", "software-keeper"),
    )
    return plan(job.workload_for(job.initial()), clear, costs, availability())


def trainings(base: float) -> Trainings:
    return Trainings(*(Score(base + step / 1000, base + 0.05, 0.55) for step in range(4)))


def result(chosen, **changed) -> DemoResult:
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
        "fidelity": Fidelity(2.9e-5, 4.0e-5, 1.2e-4, 6.1e-4),
        "clipped_values": 0,
        "attack": Leakage({view: Match(9.0, 7.0) for view in VIEWS}, 16),
        "poisoned": Poisoned(
            "cleveland",
            PoisonedTraining(Score(0.496, 0.313, 0.55), ()),
            PoisonedTraining(Score(0.787, 0.859, 0.55), ("cleveland",)),
        ),
        "channels": [Channel("cleveland", "X25519MLKEM768")],
        "costs": [LayerCost("aggregation: encrypt, add, decrypt", 1.5, 0.01, 32_768, 2_180)],
        "plan": chosen,
        "seconds": 12.3,
    }
    return DemoResult(**{**values, **changed})


def rendered(one: DemoResult, width: int = 100) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    report.render_opening(console, one.plan)
    report.render(console, one)
    return stream.getvalue()


def words_of(one: DemoResult) -> str:
    return " ".join(rendered(one).split())


@pytest.mark.parametrize("width", [100, 120])
def test_everything_fits_and_nothing_is_cut(chosen, in_the_clear, width):
    for one in (chosen, in_the_clear):
        text = rendered(result(one), width)
        assert max(len(line) for line in text.splitlines()) <= width
        assert "…" not in text
        for words in ("Cleveland", "X25519MLKEM768", "32,768", "0 of 4600 predictions differ", *VIEWS.values()):
            assert words in text, words


def test_titles_stand_on_one_line(chosen):
    lines = rendered(result(chosen)).splitlines()
    for title in (
        "UNPROTECTED: threats that the policy does not name and that nothing answers",
        "Poison: cleveland sends -10 times its update, encrypted, in every round",
        "Channels of the aggregator",
        "Cost of one round, all parties together, beside the same in the clear",
    ):
        assert title in [line.strip() for line in lines], title


def test_poison_is_shown_without_proofs_and_with_them(chosen):
    shown = words_of(result(chosen))
    assert "without proofs 0.496 (0.313) nobody" in shown and "with proofs 0.787 (0.859) cleveland" in shown
    assert "within that norm would still be added" in shown


def test_stand_ins_and_threats_come_before_any_figure(chosen):
    text = rendered(result(chosen))
    assert text.index("Shown next") < text.index("INSECURE: software-keeper") < text.index("UNPROTECTED")
    assert "Isolation of the keeper from its host: none." in text
    assert text.index("UNPROTECTED") < text.index("byzantine-silo") < text.index("Accuracy")


def test_without_stand_ins_and_open_threats_none_is_named(chosen):
    stream = io.StringIO()
    report.render_opening(Console(file=stream, width=100), replace(chosen, insecure=(), unprotected=()))
    assert "INSECURE" not in stream.getvalue() and "UNPROTECTED" not in stream.getvalue()


def test_an_encrypted_plan_is_said_to_protect_what_it_answers_on_its_conditions(chosen):
    text = words_of(result(chosen))
    assert "run by parties that do not pool what they know" in text
    assert "at most 1 of the silos collude, of at least 3 in a round" in text
    assert "each hospital's update, by the aggregator" not in text
    assert "each hospital's update, by the keeper's and the aggregator's operators together" in text
    assert "Nothing of this is audited" in text


def test_a_plan_in_the_clear_claims_no_protection_of_updates(in_the_clear):
    one = result(in_the_clear)
    assert not one.encrypted
    text = words_of(one)
    assert "INSECURE: plain-aggregation stands in: no encryption: whoever adds sees every update" in text
    assert "Seen all the same: - each hospital's update, by the aggregator" in text
    for claim in ("do not pool what they know", "collude, of at least", "contributors of"):
        assert claim not in text, "a condition of secure sums, of which there are none"
    header = next(line for line in rendered(one).splitlines() if "majority" in line)
    assert "not encrypted" in header
    answered = {one.threat for one in protection.standings(in_the_clear) if one.answered}
    assert answered == {"recorder", "network"}


def test_a_standing_is_open_exactly_where_the_plan_says_so(chosen, in_the_clear):
    for one in (chosen, in_the_clear):
        found = protection.standings(one)
        assert {(s.threat, phase) for s in found for phase in s.answered} == {
            (answer.threat, phase.name) for phase in one.phases for answer in phase.threats
        }
        assert {(s.threat, phase) for s in found for phase in s.unanswered} == {
            (left.threat, left.phase) for left in one.unprotected
        }
        assert [bool(s.unanswered) for s in found] == sorted(bool(s.unanswered) for s in found)
        assert {s.threat for s in found} <= set(THREATS)
        assert all("`" not in s.what for s in found)
    rows = protection.unprotected(in_the_clear)
    assert ("curious-aggregator", "collect, aggregate, keys") in [(threat, phases) for threat, phases, _ in rows]


def test_clipped_values_are_told(chosen):
    assert "clip bound" not in rendered(result(chosen))
    assert "1,234 values of updates were set to the policy's clip bound" in rendered(
        result(chosen, clipped_values=1234)
    )


def test_json_has_the_keys_that_scripts_rely_on(chosen):
    content = json.loads(json.dumps(result(chosen).as_json(), allow_nan=False))
    for figure in ("accuracy", "auc"):
        assert set(content[figure]) == {"alone", "pooled", "federated", "encrypted"}
    assert content["accuracy"]["alone"] == pytest.approx(0.7)
    assert content["models"]["mlp"]["together"]["alone"]["accuracy"] == pytest.approx(0.81)
    names = ("gradient", "update", "ciphertext", "sum", "chance")
    assert set(content["attack"]) == {f"{name}_psnr_db" for name in names}
    assert set(content["views"]) == set(VIEWS)
    assert content["channels"] == [{"peer": "cleveland", "group": "X25519MLKEM768"}]
    assert content["insecure"] == ["software-keeper"]
    assert (content["rounds"], content["differing_predictions"]) == (15, 0)
    assert content["plan"] == chosen.to_json()
