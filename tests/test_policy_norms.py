"""The bounds of updates in a policy: a norm, one that follows the means, shares of arrays, a direction."""

from __future__ import annotations

import math

import pytest

from policy_text import TEXT, line_of, parse, refusal
from quatrefoil.errors import PolicyInvalid
from quatrefoil.policy import Limits, Policy


def test_a_norm_is_optional_and_part_of_the_digest() -> None:
    bounded = parse(TEXT.replace("clip = 1.5", "clip = 1.5\nupdate_norm = 2"))
    assert bounded.limits.update_norm == 2.0 and parse(TEXT).limits.update_norm == math.inf
    assert bounded.digest() != parse(TEXT).digest()


PROVEN = TEXT.replace('"recorder", ', '"recorder", "byzantine-silo", ')


RULE = "update_norm = 2\nupdate_norm_factor = {}\nupdate_norm_floor = {}"


def with_rule(rule: str, text: str = PROVEN) -> str:
    return text.replace("clip = 1.5", f"clip = 1.5\n{rule}")


def test_a_norm_that_follows_the_means_is_optional_and_part_of_the_digest() -> None:
    fixed = parse(with_rule("update_norm = 2"))
    rules = [
        parse(with_rule(RULE.format(factor, floor)))
        for factor, floor in ((3, 0.9), (3.5, 0.9), (3, 0.8), (1, 1), (1024, 1e-9))
    ]
    assert not fixed.limits.norm_is_adaptive and all(rule.limits.norm_is_adaptive for rule in rules)
    assert (rules[0].limits.update_norm_factor, rules[0].limits.update_norm_floor) == (3.0, 0.9)
    assert len({policy.digest() for policy in (fixed, *rules)}) == 6
    assert all(Policy.decode(policy.encode()) == policy for policy in rules)


RULES_REFUSED = {
    "a factor alone": ("update_norm = 2\nupdate_norm_factor = 3", "factor: is given without update_norm_floor"),
    "a floor alone": ("update_norm = 2\nupdate_norm_floor = 0.9", "floor: is given without update_norm_factor"),
    "no norm": ("update_norm_floor = 0.9\nupdate_norm_factor = 3", "factor: is given without update_norm"),
    "a factor under 1": (RULE.format("0.99", "0.9"), "factor: is 0.99, not 1 to 1024"),
    "a factor that follows nothing": (RULE.format("1025", "0.9"), "factor: is 1025.0, not 1 to 1024"),
    "a factor of zero": (RULE.format("0", "0.9"), "factor: is 0.0, not a finite number above 0"),
    "an infinite factor": (RULE.format("inf", "0.9"), "factor: is inf, not a finite number"),
    "an infinite rule": (RULE.format("inf", "inf"), "factor: is inf, not a finite number"),
    "a factor that is no number": (RULE.format("nan", "0.9"), "factor: is nan, not a finite number"),
    "a factor that is text": (RULE.format('"3"', "0.9"), "factor: is a string, not a number"),
    "no floor": (RULE.format("3", "0.0"), "floor: is 0.0, not a finite number above 0"),
    "a negative floor": (RULE.format("3", "-0.5"), "floor: is -0.5, not a finite number above 0"),
    "a floor over 1": (RULE.format("3", "1.01"), "floor: is 1.01, not above 0 and at most 1"),
    "an infinite floor": (RULE.format("3", "inf"), "floor: is inf, not a finite number"),
    "a boolean floor": (RULE.format("3", "true"), "floor: is a boolean, not a number"),
}


@pytest.mark.parametrize("case", RULES_REFUSED)
def test_a_rule_that_bounds_nothing_is_refused_with_its_line(case: str) -> None:
    rule, expected = RULES_REFUSED[case]
    text = with_rule(rule)
    field = f"update_norm_{expected.partition(':')[0]}"
    assert refusal(text).startswith(f"p.toml:{line_of(text, field)}: limits.update_norm_{expected}")


def test_a_misspelt_rule_is_refused() -> None:
    assert "Did you mean 'update_norm_floor'?" in refusal(with_rule("update_norm = 2\nupdate_norm_flor = 0.9"))


def test_a_rule_without_proofs_is_refused() -> None:
    """Silos would be asked to keep to a norm that nobody checks."""
    rule = RULE.format(3, 0.9)
    assert "limits.update_norm_factor: is given, and threats do not name 'byzantine-silo'" in refusal(
        with_rule(rule, TEXT)
    )


@pytest.mark.parametrize("changes", [{"update_norm_floor": math.inf}, {"update_norm_factor": math.nan}])
def test_a_rule_from_a_peer_is_held_to_the_same(changes: dict[str, float]) -> None:
    with pytest.raises(PolicyInvalid, match=r"limits\.update_norm_factor"):
        Limits(
            3,
            1,
            1000,
            1.5,
            16,
            1,
            10,
            **({"update_norm": 2.0, "update_norm_factor": 3, "update_norm_floor": 0.9} | changes),
        )


def test_norms_of_arrays_and_a_direction_are_optional_and_part_of_the_digest() -> None:
    plain = parse(with_rule("update_norm = 2"))
    given = [
        parse(with_rule(f"update_norm = 2\n{rule}"))
        for rule in (
            "update_layer_norms = [1, 0.5]",
            "update_layer_norms = [0.5, 1]",
            'update_direction = "last-mean"',
            'update_layer_norms = [1]\nupdate_direction = "last-mean"',
        )
    ]
    assert (plain.limits.update_layer_norms, plain.limits.update_direction) == ((), "")
    assert given[0].limits.update_layer_norms == (1.0, 0.5) and given[2].limits.update_direction == "last-mean"
    assert len({policy.digest() for policy in (plain, *given)}) == 5
    assert all(Policy.decode(policy.encode()) == policy for policy in given)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("update_layer_norms = [1, 0]", "update_layer_norms: has shares 1.0, 0.0"),
        ("update_layer_norms = [1.5]", "update_layer_norms: has shares 1.5"),
        ("update_layer_norms = [nan]", "update_layer_norms: has shares nan"),
        ("update_layer_norms = [-0.1]", "update_layer_norms: has shares -0.1"),
        ('update_layer_norms = ["1"]', "update_layer_norms: is a string, not a list of numbers at position 1"),
        ("update_layer_norms = [true]", "update_layer_norms: is a boolean, not a list of numbers at position 1"),
        ("update_layer_norms = 1", "update_layer_norms: is an integer, not a list of numbers"),
        (f"update_layer_norms = {[1] * 49}", "update_layer_norms: has 49 shares, over 48"),
        ('update_direction = "forwards"', "update_direction: "),
        ("update_direction = 1", "update_direction: is an integer, not a string"),
    ],
)
def test_norms_and_directions_that_are_none_are_refused_with_their_line(rule: str, expected: str) -> None:
    text = with_rule(f"update_norm = 2\n{rule}")
    assert refusal(text).startswith(f"p.toml:{line_of(text, rule.partition(' ')[0])}: limits.{expected}")


@pytest.mark.parametrize("rule", ["update_layer_norms = [1]", 'update_direction = "last-mean"'])
def test_norms_and_directions_that_nobody_proves_are_refused(rule: str) -> None:
    name = rule.partition(" ")[0]
    for text in (with_rule(f"update_norm = 2\n{rule}", TEXT), with_rule(rule)):
        assert f"limits.{name}: is given, and threats do not name 'byzantine-silo', or there is no" in refusal(text)
