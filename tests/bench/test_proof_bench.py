"""The bench of proofs gives every figure that others read; never how fast."""

from __future__ import annotations

import pytest

from quatrefoil.bench.proof import measure_proof
from quatrefoil.errors import ParametersRefused

FIGURES = ("prove_ms", "verify_ms", "expand_a_ms", "training_ms", "encrypt_ms", "peak_rss_mb")


def test_every_figure_is_there() -> None:
    said: list[str] = []
    row = measure_proof(900, 1, said.append)
    assert (row["parameters"], row["threads"]) == (900, 1) and said
    assert all(row[figure] > 0 for figure in FIGURES)
    assert row["ciphertext_bytes"] == 96 + 32_768 and 99.5 < row["soundness_bits"] < 101
    assert row["proof_bytes"] < 150_000
    assert row["prove_over_encrypt"] == pytest.approx(row["prove_ms"] / row["encrypt_ms"])
    assert 400 < row["trained_parameters"] < 2_000


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ParametersRefused, match="0 parameters are not at least 1"):
        measure_proof(0, 1, print)
    with pytest.raises(ParametersRefused, match="blocks, not 1 to 2048"):
        measure_proof(1 << 25, 1, print)
