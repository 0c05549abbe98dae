"""The prover and the verifier have a copy of their loops for each kind of processor. All of them agree to the byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from proving import NARROW, WIDE, Instance, instance

from quatrefoil import _core
from quatrefoil.aggregation import ParameterSet
from quatrefoil.errors import ProofRejected

LEVELS = _core.proof_levels()


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    _core.limit_proofs(request.param)
    yield request.param
    _core.limit_proofs(LEVELS[0])


def test_there_is_a_portable_copy_and_one_for_each_level_of_the_kernel() -> None:
    assert LEVELS[-1] == "portable" and set(LEVELS) <= {"avx512ifma", "avx512", "avx2", "portable"}
    assert {level for level in _core.processor_levels() if level != "neon"} <= set(LEVELS)
    # Products of 52 bits are looked for only where the rest of AVX-512 is.
    assert "avx512ifma" not in LEVELS or "avx512" in LEVELS


@pytest.mark.parametrize("name", ["", "neon", "AVX2", "avx512 ", "ifma"])
def test_unknown_levels_are_refused_and_limit_nothing(name: str, small: Instance, small_proof: bytes) -> None:
    with pytest.raises(ValueError, match=r"no level .* of proofs on this processor"):
        _core.limit_proofs(name)
    assert small.prove() == small_proof


@pytest.mark.parametrize(
    ("parameters", "length"), [(WIDE, 1), (WIDE, 3 * 8_192 - 5), (WIDE, 9 * 8_192 - 4_000), (NARROW, 9 * 12_288 - 1)]
)
def test_a_proof_has_the_same_bytes_and_is_accepted_at_every_level(parameters: ParameterSet, length: int) -> None:
    one = instance(parameters, length)
    expected = one.prove()
    try:
        for made_at in LEVELS:
            _core.limit_proofs(made_at)
            assert one.prove() == expected, made_at
            assert one.backend.verify(one.statement, expected) == one.backend.verify(one.statement, one.prove())
    finally:
        _core.limit_proofs(LEVELS[0])


def test_a_changed_proof_is_rejected_at_every_level(level: str, small: Instance, small_proof: bytes) -> None:
    assert small.backend.verify(small.statement, small_proof)
    for place in (50, 400, len(small_proof) // 2, len(small_proof) - 40):
        changed = small_proof[:place] + bytes([small_proof[place] ^ 1]) + small_proof[place + 1 :]
        with pytest.raises(ProofRejected):
            small.backend.verify(small.statement, changed)
