"""``quatrefoil demo`` as a script runs it: keys and types, other policies, refusals and wrong usage."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from quatrefoil import cli, stack
from quatrefoil.demo import flow
from quatrefoil.demo.job import POLICIES, built_in
from quatrefoil.policy import Policy

ROOT = Path(__file__).parents[2]
POLICIES_OF_EXAMPLES = ROOT / "examples" / "policies"
OWN = ROOT / "src" / "quatrefoil" / "demo" / "policy.toml"
PARTIES = {"keeper", "cleveland", "hungary", "switzerland", "va-long-beach"}


@pytest.fixture(autouse=True)
def quick(monkeypatch, costs):
    """One short calibration for all of them."""
    monkeypatch.setattr(stack, "measure_host", lambda available, **_: costs)


@pytest.fixture
def demo(tmp_path, capfd):
    """Runs the command; gives exit code, JSON if any, standard output and standard error."""

    def run(*arguments: object):
        file = tmp_path / "demo.json"
        code = cli.main(["demo", *map(str, arguments), "--json", str(file)])
        shown = capfd.readouterr()
        return code, json.loads(file.read_text()) if file.exists() else None, shown.out, shown.err

    return run


@pytest.fixture
def changed(tmp_path):
    """The demo's policy with one line changed."""

    def write(old: str, new: str) -> Path:
        text = OWN.read_text()
        assert text.count(old) == 1
        (tmp_path / "policy.toml").write_text(text.replace(old, new))
        return tmp_path / "policy.toml"

    return write


@pytest.mark.slow
def test_the_json_has_the_keys_and_types_that_are_documented(demo):
    code, found, shown, _ = demo("--splits", 1)
    assert code == 0 and "What the plan protects from whom" in shown
    for figure in ("accuracy", "auc"):
        assert set(found[figure]) == {"alone", "pooled", "federated", "encrypted"}
        assert all(0.5 < value < 1 for value in found[figure].values())
    assert found["differing_predictions"] == 0
    attack = found["attack"]
    assert set(attack) == {f"{name}_psnr_db" for name in ("gradient", "update", "ciphertext", "sum", "chance")}
    assert all(isinstance(value, float) and value <= 99 for value in attack.values())
    assert attack["gradient_psnr_db"] >= 60
    assert abs(attack["ciphertext_psnr_db"] - attack["chance_psnr_db"]) < 2
    assert attack["update_psnr_db"] > attack["sum_psnr_db"]
    assert {one["peer"] for one in found["channels"]} == PARTIES and len(found["channels"]) == len(PARTIES)
    assert {one["group"] for one in found["channels"]} == {"X25519MLKEM768"}
    poisoned = found["poisoned"]
    assert set(poisoned) == {"name", "accuracy_without_proofs", "accuracy_with_proofs", "refused"}
    assert poisoned["refused"] == [poisoned["name"]]
    assert poisoned["accuracy_without_proofs"] < poisoned["accuracy_with_proofs"] - 0.1
    assert found["rounds"] == 15 and found["insecure"] == ["software-keeper"]
    weights = found["weights"]
    assert 0 < weights["mean_error"] <= weights["mean_bound"]
    assert 0 < weights["final_difference"] <= weights["added_bounds"]
    documented = (ROOT / "docs" / "demo.md").read_text()
    for key in found:
        assert f"`{key}`" in documented, key
    for key in (*weights, *found["costs"][0], *attack, *found["views"]):
        assert f"`{key}`" in documented, key


@pytest.mark.slow
def test_under_a_policy_in_the_clear_the_attack_succeeds_and_the_report_says_so(demo):
    code, found, shown, _ = demo("--policy", POLICIES_OF_EXAMPLES / "clear.toml", "--splits", 1)
    assert code == 0
    assert found["insecure"] == ["plain-aggregation", "software-keeper"]
    assert found["attack"]["ciphertext_psnr_db"] == found["attack"]["update_psnr_db"]
    assert found["attack"]["ciphertext_psnr_db"] > found["attack"]["chance_psnr_db"] + 3
    assert found["views"]["ciphertext"]["meaning"] == "all of the plain update"
    assert "INSECURE: plain-aggregation" in shown
    assert "each hospital's update, by the aggregator" in " ".join(shown.split())
    assert {"curious-aggregator", "colluding-silos"} <= {one["threat"] for one in found["plan"]["unprotected"]}


@pytest.mark.slow
def test_a_policy_that_clips_and_one_with_narrower_values_run(demo, changed):
    code, found, shown, _ = demo("--splits", 1, "--policy", changed("clip = 1.0 ", "clip = 0.05 "))
    assert code == 0 and found["clipped_values"] > 0
    assert "set to the policy's clip bound" in shown
    code, found, _, _ = demo("--splits", 1, "--policy", changed("value_bits = 32", "value_bits = 16"))
    assert code == 0 and 1e-5 < found["weights"]["mean_bound"] < 1e-4
    assert abs(found["attack"]["ciphertext_psnr_db"] - found["attack"]["chance_psnr_db"]) < 2


@pytest.mark.slow
def test_a_policy_with_proofs_and_a_norm_below_an_honest_update_runs(demo, changed):
    file = changed("value_bits = 32", "update_norm = 1.2\nvalue_bits = 16")
    file.write_text(file.read_text().replace('"network", ', '"network", "byzantine-silo", '))
    code, found, shown, _ = demo("--splits", 1, "--policy", file)
    assert code == 0 and "proofs: prove, verify, check key" in shown
    weights = found["weights"]
    assert 0 < weights["mean_error"] <= weights["mean_bound"]
    assert found["clipped_values"] == 0 and found["differing_predictions"] <= 2
    assert "byzantine-silo" not in {one["threat"] for one in found["plan"]["unprotected"]}


@pytest.mark.slow
def test_sums_in_ckks_are_the_same_round_and_the_report_says_first_what_they_lack(demo):
    code, found, shown, _ = demo("--aggregation", "ckks", "--splits", 1)
    assert code == 0 and shown.startswith("Sums in CKKS: a hospital that sends a malformed or poisoned update")
    assert found["plan"]["policy"] == "hospitals-ckks" and found["insecure"] == ["software-keeper"]
    assert "byzantine-silo" in {one["threat"] for one in found["plan"]["unprotected"]}
    assert found["differing_predictions"] == 0
    assert abs(found["attack"]["ciphertext_psnr_db"] - found["attack"]["chance_psnr_db"]) < 2
    weights = found["weights"]
    assert 0 < weights["mean_error"] <= weights["mean_bound"] < 1e-8


def test_the_policy_for_ckks_differs_from_the_demos_own_in_how_updates_are_added():
    own, other = (Policy.load(built_in(POLICIES[name])) for name in ("additive", "ckks"))
    changed = replace(own, name=other.name, allow=replace(own.allow, aggregation=("ckks",)))
    assert changed.digest() == other.digest()
    assert "byzantine-silo" not in other.threats


@pytest.mark.parametrize(
    "others", [("--policy", OWN), ("--policy", POLICIES_OF_EXAMPLES / "strict.toml"), ("--attack", "transport")]
)
def test_how_updates_are_added_is_said_once(demo, others):
    code, found, shown, told = demo("--aggregation", "ckks", *others)
    assert code == 1 and found is None and shown == ""
    assert "Leave out" in told.splitlines()[-1]


def test_a_policy_for_ckks_that_asks_for_proofs_is_refused_before_anything_runs(demo, tmp_path):
    text = built_in(POLICIES["ckks"]).read_text().replace('"network", ', '"network", "byzantine-silo", ')
    text = text.replace("value_bits = 32", "update_norm = 1.2\nvalue_bits = 16")
    (tmp_path / "policy.toml").write_text(text)
    code, found, shown, told = demo("--policy", tmp_path / "policy.toml")
    assert code == 1 and found is None and shown == ""
    assert "byzantine-silo" in told and "nothing can be proven of sums by ckks" in told and "training" not in told


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rounds = 200", "rounds = 14", "has 15 rounds, and the policy allows 14"),
        ("minimum_silos = 3 ", "minimum_silos = 5 ", "has 4 silos, and the policy asks for at least 5"),
        ("minimum_silos = 3 ", "minimum_silos = 2 ", "is under colluding_silos + 2 = 3"),
        ('aggregation = ["additive-rlwe"]', 'aggregation = ["bgv"]', "needs a backend of aggregation"),
        ('"network", ', '"network", "byzantine-silo", ', "byzantine-silo"),
        ('accept = ["software-keeper"]', "accept = []", "software-keeper"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_in_one_line_before_anything_runs(demo, changed, old, new, named):
    code, found, shown, told = demo("--policy", changed(old, new))
    line = told.splitlines()[-1]
    assert code == 1 and found is None and shown == ""
    assert line.startswith("quatrefoil: ") and named in line
    assert "training" not in told


def test_the_strict_policy_is_refused_by_phase(demo):
    code, found, _, told = demo("--policy", POLICIES_OF_EXAMPLES / "strict.toml")
    assert code == 1 and found is None
    last = told.splitlines()[-1]
    assert "phase 'keys'" in last and "the keeper is not said to give such evidence" in last


@pytest.mark.parametrize(
    ("old", "new", "party", "named"),
    [
        ("largest_sample_count = 100000", "largest_sample_count = 225", "cleveland", "228 samples, outside 1 to 225"),
        ('on_excess = "clip"', 'on_excess = "refuse"', "", "clip bound of 0.05"),
    ],
)
def test_what_a_party_refuses_is_told_with_its_name_and_its_own_words(demo, changed, old, new, party, named):
    policy = changed(old, new)
    if not party:
        policy.write_text(policy.read_text().replace("clip = 1.0 ", "clip = 0.05 "))
    code, found, _, told = demo("--policy", policy, "--splits", 1)
    line = told.splitlines()[-1]
    assert code == 1 and found is None and " failed: " in line
    assert named in line and party in line


@pytest.mark.parametrize("splits", ["0", "-1", "1.5", "many", "\u0661"])
def test_splits_are_a_whole_number_of_at_least_one(splits, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--splits", splits])
    assert ended.value.code == 2 and "--splits" in capsys.readouterr().err.splitlines()[-1]


def test_an_attack_takes_no_policy_and_no_splits(demo):
    for option in (("--policy", OWN), ("--splits", 2)):
        code, _, _, told = demo("--attack", "transport", *option)
        assert code == 1 and "the demo's own policy" in told


def test_splits_are_checked_before_the_work_also_from_python():
    with pytest.raises(flow.CallerError, match="0 splits"):
        flow.run_demo(None, splits=0, tell=print)
