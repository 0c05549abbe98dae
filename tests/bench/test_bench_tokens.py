"""The measurement of streamed tokens: it goes through both ends, and its figures are of what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quatrefoil import exchange
from quatrefoil.bench.tokens import measure_tokens
from quatrefoil.errors import HostError, ParametersRefused

POLICY = exchange.load(Path(__file__).parents[2] / "examples" / "serving" / "policy.toml")


def test_every_figure_is_there() -> None:
    said: list[str] = []
    found = measure_tokens(POLICY, said.append, tokens=50, repeats=1)
    steps = {"check_us", "seal_us", "open_us"}
    assert found.keys() == {"tokens", "event_bytes", "token_us", "flood_us", "plain_together"} | steps
    assert found["tokens"] == 50 and found["plain_together"] > 0
    assert min(found[name] for name in ("token_us", *steps)) > 0
    assert said


def test_nothing_is_not_measured() -> None:
    for tokens, repeats in ((0, 1), (1, 0)):
        with pytest.raises(ParametersRefused):
            measure_tokens(POLICY, lambda _: None, tokens=tokens, repeats=repeats)


def test_a_stream_that_the_policy_does_not_hold_is_no_measurement() -> None:
    policy = replace(POLICY, limits=replace(POLICY.limits, answer_bytes=1000))
    # Whether it is refused before its first event depends on how the upstream's bytes come together.
    with pytest.raises(HostError, match=r"does not stream|the upstream failed"):
        measure_tokens(policy, lambda _: None, tokens=50, repeats=1)
