"""Norms of parts and a direction, through the backend: what is true to the unit is proven, and nothing beyond it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from proving import BINDING, CONTEXT, NARROW, WIDE, Instance, instance, rounded

from quatrefoil import cli
from quatrefoil.aggregation import AdditiveAggregation
from quatrefoil.contracts import BoundedUpdate, Direction, FurtherClaims, PartNorm
from quatrefoil.errors import ParametersRefused, ProofRejected, UpdateRefused

SIZES = [(WIDE, 545), (NARROW, 5_000), (WIDE, 3 * 8_192 - 5), (NARROW, 2 * 12_288 + 4_097), (WIDE, 9 * 8_192 - 4_000)]


def squares(one: Instance, first: int, end: int) -> int:
    return sum(value * value for value in rounded(one)[first:end])


def along(one: Instance) -> NDArray[np.int16]:
    """A direction that the update points into."""
    return np.asarray(np.clip(rounded(one), -32_767, 32_767), np.int16)


def claimed(one: Instance, *parts: tuple[int, int, int], entries: NDArray[np.int16] | None = None) -> BoundedUpdate:
    direction = None if entries is None else one.backend.direction(entries)
    return one.stated(further=FurtherClaims(tuple(PartNorm(*part) for part in parts), direction))


@pytest.mark.parametrize(("parameters", "length"), SIZES, ids=lambda value: getattr(value, "name", value))
def test_true_claims_are_proven_to_the_unit(parameters: object, length: int) -> None:
    one = instance(parameters, length)  # type: ignore[arg-type]
    bounds = [(0, length), (1, length - 1), (length // 3, length // 3 + 1)]
    parts = [(first, end, squares(one, first, end)) for first, end in bounds]
    statement = claimed(one, *parts, entries=along(one))
    proof = one.backend.prove(statement, one.hidden)
    verified = one.backend.verify(statement, proof)
    assert verified.statement != one.backend.verify(one.statement, one.prove()).statement
    assert verified.soundness_bits <= one.backend.verify(one.statement, one.prove()).soundness_bits
    # The keeper has no more of the direction than its digest.
    assert statement.further.direction is not None
    known = FurtherClaims(statement.further.parts, Direction(statement.further.direction.digest))
    stated = {"shape": one.shape, "bound": one.statement.bound, "binding": BINDING}
    one.backend.check_key(one.encrypted.key, verified.key_claim, **stated, further=known)
    with pytest.raises(ProofRejected, match="the key does not belong"):
        one.backend.check_key(one.encrypted.key, verified.key_claim, **stated)
    for position, (first, end, bound) in enumerate(parts):
        wrong = [*parts]
        wrong[position] = (first, end, bound - 1)
        with pytest.raises(UpdateRefused, match=f"the squares of values {first} to {end} are over their bound"):
            one.backend.prove(claimed(one, *wrong, entries=along(one)), one.hidden)


def test_a_direction_is_proven_as_far_as_its_tolerance_and_no_further(small: Instance) -> None:
    values = rounded(small)
    low = min(range(len(values)), key=values.__getitem__)
    free = max(range(len(values)), key=lambda index: -abs(values[index]))
    entries = np.zeros(len(values), np.int16)
    entries[low] = 1
    # <g, q> = value (+ what the other entry gives), and the entries' magnitudes make up for it.
    for magnitude in range(1, 32_767):
        entries[free] = magnitude
        if values[low] + magnitude * values[free] >= -(1 + magnitude):
            break
    assert small.backend.prove(claimed(small, entries=entries), small.hidden)
    entries[free] = magnitude - 1
    with pytest.raises(UpdateRefused, match="it points away from the agreed direction"):
        small.backend.prove(claimed(small, entries=entries), small.hidden)


def test_an_honest_update_agrees_however_it_is_rounded(small: Instance) -> None:
    """Orthogonal before rounding: afterwards the sum may be negative, by less than the magnitudes."""
    values = small.hidden.values.astype(float)
    entries = np.random.default_rng(3).integers(-30_000, 30_000, len(values))
    projected = values - entries * (values @ entries) / (entries @ entries)
    assert abs(projected @ entries) < 1e-6
    encrypted, hidden = AdditiveAggregation(WIDE).encrypt_for_proof(projected, weight=0.5, shape=small.shape)
    direction = small.backend.direction(entries.astype(np.int16))
    bound, further = small.statement.bound, FurtherClaims(direction=direction)
    statement = BoundedUpdate(small.shape, encrypted.ciphertext, bound, BINDING, further)
    assert small.backend.verify(statement, small.backend.prove(statement, hidden))


def test_a_proof_is_of_its_own_claims_only(small: Instance) -> None:
    entries = along(small)
    stated = claimed(small, (0, 100, 2**40), (50, 545, 2**40), entries=entries)
    proof = small.backend.prove(stated, small.hidden)
    turned = entries.copy()
    turned[7] += 1
    others = [
        small.statement,
        claimed(small, (0, 100, 2**40), (50, 545, 2**40)),
        claimed(small, (50, 545, 2**40), (0, 100, 2**40), entries=entries),
        claimed(small, (0, 100, 2**40 + 1), (50, 545, 2**40), entries=entries),
        claimed(small, (0, 101, 2**40), (50, 545, 2**40), entries=entries),
        claimed(small, (0, 100, 2**40), (50, 545, 2**40), entries=turned),
    ]
    for other in others:
        with pytest.raises(ProofRejected, match="it proves another statement"):
            small.backend.verify(other, proof)


@pytest.mark.parametrize(
    "parts",
    [[(3, 3, 1)], [(4, 3, 1)], [(0, 546, 1)], [(0, 1, 2**62)], [(0, 1, -1)], [(-1, 2, 1)], [(0, 1, 1)] * 57],
    ids=["empty", "backwards", "too long", "bound too large", "negative bound", "negative start", "too many"],
)
def test_claims_that_are_none_are_refused(small: Instance, parts: list[tuple[int, int, int]]) -> None:
    statement = claimed(small, *parts)
    for trying in (
        lambda: small.backend.prove(statement, small.hidden),
        lambda: small.backend.verify(statement, b""),
    ):
        with pytest.raises(
            ParametersRefused, match="All parties take the statement from the signed round context"
        ) as e:
            trying()
        assert e.value.problem


@pytest.mark.parametrize("entries", [np.zeros(544, np.int16), np.zeros(545, np.int32), np.zeros((5, 109), np.int16)])
def test_a_direction_of_another_shape_is_refused(small: Instance, entries: NDArray[np.int16]) -> None:
    with pytest.raises(ParametersRefused):
        small.backend.verify(claimed(small, entries=entries), small.prove())


def test_the_digest_alone_is_no_direction_to_prove_or_verify(small: Instance) -> None:
    named = small.stated(further=FurtherClaims(direction=Direction(bytes(32))))
    with pytest.raises((ParametersRefused, ValueError), match="of the direction only the digest is known"):
        small.backend.verify(named, small.prove())


def test_the_command_verifies_them(small: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = along(small)
    statement = claimed(small, (0, 100, 2**40), entries=entries)
    files = {
        "ciphertext": small.encrypted.ciphertext,
        "proof": small.backend.prove(statement, small.hidden),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "direction.npy", entries)
    np.save(tmp_path / "wide.npy", entries.astype(np.int32))
    line = ["proof", "verify", "--bound", str(small.statement.bound)]
    line += ["--context", CONTEXT.hex(), "--binding", BINDING.hex(), "--json", str(tmp_path / "verdict.json")]
    line += [part for name in files for part in (f"--{name}", str(tmp_path / name))]
    claims = ["--part", f"0:100:{2**40}", "--direction", str(tmp_path / "direction.npy")]
    assert cli.main([*line, *claims]) == 0
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["parts"] == [[0, 100, 2**40]] and len(verdict["direction"]) == 64
    for wrong, reason in (
        (claims[:2], "it proves another statement"),
        ([*claims[:3], str(tmp_path / "wide.npy")], "no vector of int16"),
        ([*claims[:3], str(tmp_path / "none.npy")], "is no array"),
    ):
        assert cli.main([*line, *wrong]) == 1
        assert reason in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit):
        cli.main([*line, "--part", "0:100"])


def test_the_terms_of_more_claims_are_larger(tmp_path: Path) -> None:
    found = []
    for claims in ("0", "56"):
        assert (
            cli.main(["proof", "parameters", "--parameters", "9000", "--claims", claims, "--json", str(tmp_path / "p")])
            == 0
        )
        found.append(json.loads((tmp_path / "p").read_text())["soundness_bits"])
    assert found[0] > found[1] > 99
    assert cli.main(["proof", "parameters", "--claims", "57"]) == 1
