"""``[inference] proven_share``: which share of receipts is drawn and proven, said exactly where proofs are allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy_text import TEXT, line_of, parse, refusal
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.policy import PROVEN_ANSWERS, Policy

ALLOWED = TEXT.replace('proofs = ["bounded-update"]', 'proofs = ["bounded-update", "proven-answers"]')
PROVEN = ALLOWED + "\n[inference]\nproven_share = 0.02\n"


def test_a_share_is_read_and_covered_by_the_digest() -> None:
    policy = parse(PROVEN)
    assert policy.proven_share == 0.02 and PROVEN_ANSWERS in policy.allow.proofs
    assert parse(TEXT).proven_share == 0.0
    digests = {parse(PROVEN.replace("0.02", share)).digest() for share in ("0.02", "0.03", "1")}
    assert len(digests | {parse(TEXT).digest()}) == 4
    assert Policy.decode(policy.encode()) == policy


def test_a_share_may_stand_beside_the_limit_of_accuracy() -> None:
    policy = parse(PROVEN + "largest_accuracy_drop = 0.5\n")
    assert (policy.proven_share, policy.largest_accuracy_drop) == (0.02, 0.5)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ("0", "is 0.0, not a finite number above 0"),
        ("-0.1", "is -0.1, not a finite number above 0"),
        ("nan", "is nan, not a finite number above 0"),
        ("inf", "is inf, not a finite number above 0"),
        ("1.5", "is 1.5"),
        ('"all"', "is a string, not a number"),
        ("true", "is a boolean, not a number"),
    ],
)
def test_a_share_that_is_none_is_refused_by_its_line(share: str, said: str) -> None:
    text = PROVEN.replace("0.02", share)
    message = refusal(text)
    assert message.startswith(f"p.toml:{line_of(text, 'proven_share')}: inference.proven_share: ") and said in message


def test_proofs_without_a_share_and_a_share_without_proofs_are_refused() -> None:
    assert "allow.proofs: allows 'proven-answers', and [inference] gives no proven_share" in refusal(ALLOWED)
    assert "gives no proven_share" in refusal(ALLOWED + "\n[inference]\nlargest_accuracy_drop = 0.1\n")
    lonely = TEXT + "\n[inference]\nproven_share = 0.02\n"
    assert "and allow.proofs does not allow 'proven-answers'" in refusal(lonely)


def test_a_misspelt_share_is_named() -> None:
    assert "Did you mean 'proven_share'?" in refusal(PROVEN.replace("proven_share", "proved_share"))


@pytest.mark.parametrize("share", [-0.5, 1.01, float("nan"), float("inf"), 0.0])
def test_whoever_builds_a_policy_is_held_to_the_same(share: float) -> None:
    with pytest.raises(PolicyInvalid, match="proven_share"):
        replace(parse(PROVEN), proven_share=share)


def test_a_policy_that_a_peer_sent_and_that_contradicts_itself_is_the_peers_fault() -> None:
    honest = parse(PROVEN)
    forged = object.__new__(Policy)
    for name, value in vars(honest).items():
        object.__setattr__(forged, name, 0.0 if name == "proven_share" else value)
    with pytest.raises(MessageRefused, match="gives no proven_share"):
        Policy.decode(forged.encode())
