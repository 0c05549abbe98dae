"""The bench of proofs gives every figure that others read; never how fast."""

from __future__ import annotations

import argparse
import json

import pytest

from quatrefoil import _core
from quatrefoil.bench import proof
from quatrefoil.bench.proof import levels, measure_levels, measure_proof
from quatrefoil.cli import bench
from quatrefoil.errors import ParametersRefused

FIGURES = ("prove_ms", "prove_cpu_ms", "verify_ms", "expand_a_ms", "training_ms", "encrypt_ms", "peak_rss_mb")


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    bench.run(parser.parse_args(["proof", *arguments]))


def test_every_figure_is_there() -> None:
    said: list[str] = []
    row = measure_proof(900, 1, said.append)
    assert (row["parameters"], row["threads"]) == (900, 1) and said
    assert all(row[figure] > 0 for figure in FIGURES)
    assert row["ciphertext_bytes"] == 96 + 32_768 and 99.5 < row["soundness_bits"] < 101
    assert row["proof_bytes"] < 150_000
    assert row["prove_over_encrypt"] == pytest.approx(row["prove_ms"] / row["encrypt_ms"])
    assert 400 < row["trained_parameters"] < 2_000
    assert (row["level"], row["one_thread_ms"], row["threads_ratio"]) == (levels()[0], row["prove_ms"], 1)


def test_further_claims_are_measured_where_they_are_asked_for() -> None:
    row = measure_proof(900, 1, lambda _: None, parts=3, direction=True)
    assert (row["parts"], row["direction"]) == (3, True) and row["prove_ms"] > 0
    for parts in (-1, 901):
        with pytest.raises(ParametersRefused, match=f"{parts} parts of 900 values"):
            measure_proof(900, 1, lambda _: None, parts=parts)


def test_beside_two_threads_there_is_one() -> None:
    said: list[str] = []
    row = measure_proof(900, 2, said.append, level="portable")
    assert "prove, 2 thread(s), and one" in said and row["level"] == "portable"
    assert row["threads_ratio"] == pytest.approx(row["one_thread_ms"] / row["prove_ms"])


def test_every_copy_of_the_loops_has_its_row_and_none_is_left_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    limited: list[str] = []
    monkeypatch.setattr(_core, "limit_proofs", limited.append)
    monkeypatch.setattr(proof, "REPETITIONS", 2)
    rows = measure_levels(900, 1, lambda _: None)
    assert [row["level"] for row in rows] == levels() == _core.proof_levels()
    assert rows[0]["prove_over_best"] == rows[0]["verify_over_best"] == 1
    assert all(row["prove_cpu_ms"] > 0 and row["verify_cpu_ms"] > 0 for row in rows)
    assert limited == [levels()[0], *(2 * levels()), *(6 * levels()), levels()[0]]


def test_the_ratios_are_printed_and_written(capfd: pytest.CaptureFixture[str]) -> None:
    run("--parameters", "900", "--levels")
    shown = capfd.readouterr().out
    assert all(level in shown for level in levels()) and "prove over best" in " ".join(shown.split())
    run("--parameters", "900", "--levels", "--json", "-")
    assert len(json.loads(capfd.readouterr().out)["rows"]) == len(levels())
    run("--parameters", "900", "--level", levels()[-1])
    assert "portable" in capfd.readouterr().out


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ParametersRefused, match="0 parameters are not at least 1"):
        measure_proof(0, 1, print)
    with pytest.raises(ParametersRefused, match="blocks, not 1 to 2048"):
        measure_proof(1 << 25, 1, print)


@pytest.mark.parametrize("level", ["", "neon", "AVX2"])
def test_a_level_that_is_not_here_is_refused(level: str) -> None:
    with pytest.raises(ParametersRefused, match=r"no level .* on this processor"):
        measure_proof(900, 1, print, level=level)
