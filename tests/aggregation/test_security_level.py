"""The security estimate: published figures of other schemes, exact facts about known sums, and the page of it."""

from __future__ import annotations

import json
from itertools import product
from math import comb, log2, sqrt
from pathlib import Path

import numpy as np
import pytest
from tests.docs.pages import rows

from quatrefoil import cli
from quatrefoil.aggregation import CkksSumSet
from quatrefoil.aggregation.ckks import parameters as ckks
from quatrefoil.aggregation.parameters import NAMED
from quatrefoil.aggregation.security import SIEVES, levels
from quatrefoil.aggregation.security.known_sums import known_sum
from quatrefoil.aggregation.security.lattice import Lwe, dense_sublattice, dual, log_root_hermite_factor, primal
from quatrefoil.aggregation.security.level import smoothing_deviation, theorem_variance
from quatrefoil.cli.security_level import estimate_cells, guess_cells, table_cells

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security-level.md"
WORDS = " ".join(PAGE.read_text().split())
OURS = Lwe(4096, 2**64 - 2**32 + 1, sqrt(21))


# ------------------------------------------------------------------------------------------------- published figures

NEW_HOPE = {
    "JarJar": (Lwe(512, 12289, sqrt(12)), 449, 448, 130),
    "NewHope": (Lwe(1024, 12289, sqrt(8)), 967, 962, 281),
}
"""Alkim, Ducas, Pöppelmann, Schwabe: Post-quantum key exchange, a new hope (USENIX Security 2016), table 1: block sizes
of the primal and of the dual attack, and log2 of the dual's classical cost."""

KYBER = {
    # m is (k + 1) 256 samples, as in the submission's script (pq-crystals/security-estimates).
    "Kyber512": (Lwe(512, 3329, sqrt(3 / 2), 768), 118, 107),
    "Kyber768": (Lwe(768, 3329, 1.0, 1024), 183, 166),
    "Kyber1024": (Lwe(1024, 3329, 1.0, 1280), 256, 232),
}
"""CRYSTALS-Kyber, specification 3.02 (August 2021), table 4: core-SVP hardness, classical and quantum."""


@pytest.mark.parametrize("scheme", NEW_HOPE)
def test_the_block_sizes_are_those_published_for_new_hope(scheme: str) -> None:
    lwe, block, dual_block, dual_bits = NEW_HOPE[scheme]
    assert abs(primal(lwe).block_size - block) <= 2
    found = dual(lwe, "classical")
    assert abs(found.block_size - dual_block) <= 1 and abs(found.bits - dual_bits) <= 1


@pytest.mark.parametrize("scheme", KYBER)
def test_the_hardness_is_that_published_for_kyber(scheme: str) -> None:
    lwe, classical, quantum = KYBER[scheme]
    found = primal(lwe)
    assert classical - 1 <= found.bits("classical") <= classical
    assert quantum - 1 <= found.bits("quantum") <= quantum


def test_the_best_number_of_samples_is_the_best_of_all() -> None:
    """The closed form, against every number of samples."""
    best = primal(OURS)
    for samples in range(2000, 8000, 50):
        assert primal(Lwe(OURS.n, OURS.q, OURS.deviation, samples)).block_size >= best.block_size


def test_less_noise_a_larger_modulus_and_more_samples_are_less_security() -> None:
    by_noise = [primal(Lwe(4096, 2**64, deviation)).block_size for deviation in (1.0, 3.0, 9.0)]
    by_modulus = [primal(Lwe(4096, 1 << bits, 3.2)).block_size for bits in (109, 75, 58)]
    by_samples = [primal(Lwe(4096, 2**64, 3.2, samples)).block_size for samples in (100_000, 3000, 2000)]
    for sizes in (by_noise, by_modulus, by_samples):
        assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_the_standards_rows_are_about_their_bits() -> None:
    """Core-SVP leaves out what the standard's tables count, so it is below them, and not by much."""
    for table, secret, against, *largest in table_cells():
        if (table, against) != ("Standard 2018", "classical") or secret != "error":
            continue
        for wanted, width in zip((128, 192, 256), largest, strict=True):
            found = primal(Lwe(4096, 1 << int(width), 3.19)).bits("classical")
            assert wanted - 35 <= found <= wanted


def test_a_dense_sublattice_comes_later_than_one_vector_and_later_the_more_silos_share_it() -> None:
    found = [dense_sublattice(OURS, rank) for rank in (1, 64, 4096, 2 * 4096, 8 * 4096)]
    assert found == sorted(found)
    assert found[0] > primal(OURS).block_size


def test_ntru_of_this_size_would_be_broken_by_it() -> None:
    """The condition sees what it is there for: with one sample for each rotation and no secret to guess besides, as in
    NTRU, a modulus of 64 bits leaves nothing. Lattice of rank 2 N, volume q^N, and N short vectors."""
    n, log_q, short = 4096, 64.0, log2(sqrt(2 * 4096) * 4.58)
    beta = next(b for b in range(60, 4000) if short <= log_q / 2 - n * log_root_hermite_factor(b) * log2(np.e))
    assert beta < 450 < primal(OURS).block_size


# ------------------------------------------------------------------------------------------------------- known sums


def enumerated(eta: int, honest: int) -> tuple[float, float, float]:
    """Mean variance, entropy and the chance of the best guess, by going through all values."""
    law = {x: comb(2 * eta, x + eta) / 4**eta for x in range(-eta, eta + 1)}
    joint: dict[int, dict[int, float]] = {}
    for values in product(law, repeat=honest):
        mass = np.prod([law[x] for x in values])
        of_sum = joint.setdefault(sum(values), {})
        of_sum[values[0]] = of_sum.get(values[0], 0.0) + mass
    variance = entropy = right = 0.0
    for of_sum in joint.values():
        total = sum(of_sum.values())
        mean = sum(x * p for x, p in of_sum.items()) / total
        variance += sum(p * (x - mean) ** 2 for x, p in of_sum.items())
        entropy -= sum(p * log2(p / total) for p in of_sum.values())
        right += max(of_sum.values())
    return variance, entropy, right


@pytest.mark.parametrize(("eta", "honest"), [(1, 2), (2, 2), (3, 3), (2, 4), (42, 2)])
def test_what_a_sum_leaves_is_what_enumeration_finds(eta: int, honest: int) -> None:
    found = known_sum(eta, honest)
    variance, entropy, right = enumerated(eta, honest)
    assert found.variance == pytest.approx(variance) == pytest.approx(eta / 2 * (honest - 1) / honest)
    assert found.entropy == pytest.approx(entropy)
    assert 2**-found.guess == pytest.approx(right)


def test_of_one_silo_nothing_is_left() -> None:
    found = known_sum(42, 1)
    assert (found.variance, found.entropy, found.guess) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_ternary_keys_would_be_read_off_in_part() -> None:
    """Why eta is 42: of the sum of two uniform ternary keys, 2 in 9 coefficients follow, and none with this eta."""
    sums = [a + b for a in (-1, 0, 1) for b in (-1, 0, 1)]
    assert sums.count(2) + sums.count(-2) == 2
    assert 2 * (1 / 4**42) ** 2 < 2**-160


def test_the_variance_of_what_the_theorem_leaves() -> None:
    assert theorem_variance(21, 2) == pytest.approx(5.25)
    # The published widths of a scheme that uses the theorem: sqrt(ln(2 * 256 (1 + 2^100))) / pi = 2.7668 at 2^-100.
    assert smoothing_deviation(256) == pytest.approx(2.7668 * sqrt((128 + 9) / (100 + 9)), rel=1e-3)


# ---------------------------------------------------------------------------------------------- page and command


def test_the_page_holds_what_the_command_prints() -> None:
    level, of_ckks = levels()
    assert rows(PAGE, "## Sums in CKKS") == estimate_cells(of_ckks)
    assert f"rotations of one secret at block size {of_ckks.rotations}" in WORDS
    assert rows(PAGE, "## The estimate") == estimate_cells(level)
    assert rows(PAGE, "## What a known sum leaves of one key") == guess_cells(level)
    assert rows(PAGE, "## Beside published tables") == table_cells()
    assert f"rotations of one secret at block size {level.rotations}" in WORDS
    assert f"a deviation of {level.smoothing_deviation:.2f}" in WORDS
    assert f"from {level.theorem_from} honest silos on" in WORDS


def test_every_set_is_in_one_estimate() -> None:
    level, of_ckks = levels()
    assert set(level.parameter_sets) == set(NAMED)
    assert set(of_ckks.parameter_sets) == set(ckks.NAMED)


def test_what_ternary_secrets_would_leave_of_a_sum_in_ckks() -> None:
    """Of the sum of two, 2 in 9 coefficients follow; of the others 3/7 of the variance is left, in the mean."""
    p = CkksSumSet.named("ckks-sum-4096")
    left = Lwe(p.ring_degree * 7 // 9, p.modulus, sqrt(3 / 7))
    block = primal(left).block_size
    assert f"block size {block}" in WORDS and block < primal(OURS).block_size - 200


@pytest.mark.parametrize("page", ["docs/additive-encryption.md", "SECURITY.md"])
def test_pages_that_name_a_level_name_this_one(page: str) -> None:
    text = " ".join((ROOT / page).read_text().split())
    level, _ = levels()
    known = {row.known: row.primal for row in level.rows}
    one, two = known["all blocks of one silo"], known["and the sums of 2 honest"]
    for found in (one, two):
        assert f"block size {found.block_size}: " in text
        assert f"{found.bits('classical')} bits classical, {found.bits('quantum walk')} quantum" in text
    assert "security-level.md" in text


def test_the_command_prints_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["security-level"]) == 0
    shown = capsys.readouterr().out
    assert all(cell in shown for level in levels() for row in estimate_cells(level) for cell in row)
    assert "no proof" in shown


def test_its_json_can_be_checked(tmp_path: Path) -> None:
    assert cli.main(["security-level", "--json", str(tmp_path / "level.json")]) == 0
    content = json.loads((tmp_path / "level.json").read_text())
    assert content["schema"] == "quatrefoil.security-level/1"
    level, of_ckks = content["levels"]
    assert int(level["q"]) == 2**64 - 2**32 + 1 and int(of_ckks["q"]) < 2**60
    for row in (*level["rows"], *of_ckks["rows"]):
        assert {name: int(c * row["primal"]["block_size"]) for name, c in SIEVES.items()} == row["primal"]["bits"]
    assert len(content["tables"]) == 8
