"""The text of a policy file, changed line by line, and what is said of it."""

from __future__ import annotations

import re

import pytest

from quatrefoil.errors import PolicyInvalid
from quatrefoil.policy import Policy

TEXT = """\
# line 1
name = "test"
threats = ["network", "recorder", "curious-aggregator"]
on_excess = "refuse"

[limits]
minimum_silos = 3
colluding_silos = 1
largest_sample_count = 1000
clip = 1.5
value_bits = 16
minimum_roster_group = 1
rounds = 10

[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]

[insecure]
accept = ["software-keeper"]
"""


def parse(text: str) -> Policy:
    return Policy.parse(text, source="p.toml")


def refusal(text: str) -> str:
    with pytest.raises(PolicyInvalid) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


def with_line(key: str, line: str) -> str:
    changed, count = re.subn(rf"^{key} = .*$", lambda _: line, TEXT, flags=re.M)
    assert count == 1
    return changed


def line_of(text: str, beginning: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if line.startswith(beginning))
