"""The figures and the check values in docs/additive-encryption.md are those of the code."""

from __future__ import annotations

import re
from hashlib import sha256
from math import floor, log2, sqrt
from pathlib import Path

import numpy as np
import pytest
from tests.aggregation.support import SETS, shape
from tests.reference import additive as reference
from tests.reference import lattice

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet

TEXT = (Path(__file__).parents[2] / "docs" / "additive-encryption.md").read_text()
WORDS = " ".join(TEXT.split())


def bits(beta: int) -> tuple[int, int]:
    return floor(lattice.CLASSICAL * beta), round(lattice.QUANTUM * beta)


@pytest.mark.parametrize(
    ("variance", "sentence"),
    [
        (21.0, "block size of {beta}: {classical} bits classical, {quantum} quantum"),
        (10.5, "block size {beta}, {classical} and {quantum} bits"),
    ],
    ids=["one key", "with the sums known"],
)
def test_the_security_estimate_is_what_the_page_says(variance: float, sentence: str) -> None:
    beta = lattice.block_size(n=_core.RING_DEGREE, q=_core.MODULUS, deviation=sqrt(variance))
    classical, quantum = bits(beta)
    assert sentence.format(beta=beta, classical=classical, quantum=quantum) in WORDS


def test_the_estimate_follows_the_published_one_for_new_hope() -> None:
    """Table 1 of Alkim and others: n = 1024, q = 12289, deviation sqrt(8), primal: beta 967 or one less or more."""
    assert abs(lattice.block_size(n=1024, q=12289, deviation=sqrt(8)) - 967) <= 2


def test_less_noise_is_less_security() -> None:
    sizes = [lattice.block_size(n=4096, q=2**64, deviation=deviation) for deviation in (1.0, 3.0, 9.0)]
    assert sizes == sorted(set(sizes))


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
