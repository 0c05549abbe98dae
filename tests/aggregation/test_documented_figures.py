"""The figures and the check values in docs/additive-encryption.md are those of the code."""

from __future__ import annotations

import re
from hashlib import sha256
from math import log2
from pathlib import Path

import numpy as np
import pytest
from tests.aggregation.support import SETS, shape
from tests.reference import additive as reference

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet

TEXT = (Path(__file__).parents[2] / "docs" / "additive-encryption.md").read_text()
WORDS = " ".join(TEXT.split())


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_the_probability_that_a_wrong_key_passes(parameters: ParameterSet) -> None:
    """The page gives the probability for one coefficient at the full roster, and a bound for a block."""
    fraction = (2 * parameters.max_silos * parameters.eta + 1) / 2**parameters.delta
    assert f"{fraction:.2f} (`{parameters.name}`)" in WORDS
    exponent = int(re.search(r"less than 2\^-(\d+)", WORDS)[1])  # type: ignore[index]
    assert -parameters.ring_degree * log2(fraction) > exponent


def check_update() -> np.ndarray:
    return (np.arange(10_000) % 201 - 100) / 128


def check_values(name: str) -> list[str]:
    row = re.search(
        rf"\| `{name}` \| parameters \| `(\w+)` \|\n\| \| ciphertext \| `(\w+)` \|\n\| \| key \| `(\w+)` \|", TEXT
    )
    assert row, f"the page has no check values for {name}"
    return list(row.groups())


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_the_check_values_are_those_of_the_kernel_and_of_the_reference(parameters: ParameterSet) -> None:
    context, key_seed, noise_seed = bytes(range(32)), b"\1" * 32, b"\2" * 32
    values, p = check_update(), reference.SETS[parameters.name]
    expected = check_values(parameters.name)
    source = iter([key_seed, noise_seed])
    backend = AdditiveAggregation(parameters, random=lambda _: next(source))
    one = backend.encrypt(values, weight=0.5, shape=shape(len(values), 1.0, context))
    key = backend.combine_keys([one.key])
    assert [parameters.digest().hex(), sha256(one.ciphertext).hexdigest(), sha256(key).hexdigest()] == expected
    slow = reference.encrypt(p, values.tolist(), 0.5, 1.0, context, key_seed, noise_seed)
    keys = reference.combine_keys(p, [key_seed])
    assert [p.digest().hex(), sha256(slow).hexdigest(), sha256(keys).hexdigest()] == expected
