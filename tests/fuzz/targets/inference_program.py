"""Programs of proofs of answers: models in integers without their weights, as both verifiers are given them."""

from __future__ import annotations

from tests.fuzz import rooms

from inference.program_bytes import parse
from inference.shape import Shape
from quatrefoil import _core

FOLDER = rooms.VECTORS / "inference_proofs"
LARGEST = 124
"""Words of a leaf of a tree, at the most."""


def seeds() -> list[bytes]:
    programs = [file.read_bytes() for file in sorted(FOLDER.glob("*.program"))]
    return [*programs, *(program + b"\0" for program in programs), *(program[:-3] for program in programs)]


def one(data: bytes) -> None:
    """Refused with a reason, by both; or of a shape within the bounds of the specification, to both."""
    for batch, openings in ((1, 1), (1000, 16)):
        try:
            shape = _core.inference_shape(data, openings, batch, False)
        except ValueError as refusal:
            assert 0 < len(str(refusal)) < 1000
            assert not _second_takes(data, batch, openings), "only the second verifier takes it"
            continue
        assert _second_takes(data, batch, openings), "only the kernel takes it"
        assert 1 << 12 <= shape["rows"] <= 1 << 21 and shape["mask_row"] <= shape["code_message"]
        assert shape["base_columns"] * shape["rows"] // shape["code_message"] + 6 <= LARGEST
        assert shape["weights_columns"] * shape["weights_rows"] // shape["weights_code_message"] <= 120
        assert shape["least_proof_bytes"] < shape["largest_proof_bytes"] and shape["soundness_bits"] > 98
        assert data.startswith(b"QFPROG01")


def _second_takes(data: bytes, batch: int, openings: int) -> bool:
    try:
        Shape(parse(data), batch, openings)
    except ValueError as refusal:
        assert str(refusal)
        return False
    return True
