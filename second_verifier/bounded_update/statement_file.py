"""A statement as a file: JSON with exactly the fields below, and the blocks in a binary file beside it.

    {
      "parameters": {"name": "sum-256-w16", "w": 16, "k": 2, "silos": 256, "delta": 15},
      "values": 545,
      "bound": 1000000,
      "context": "64 hexadecimal digits",
      "binding": "64 hexadecimal digits",
      "blocks": "one-block.blocks"
    }

The blocks are the coefficients of b_0, b_1, .., each a u64, little endian: a ciphertext without its header.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import Rejected
from .shape import LARGEST_BLOCKS, ParameterSet, Shape
from .statement import Statement

_FIELDS = {"parameters": dict, "values": int, "bound": int, "context": str, "binding": str, "blocks": str}
_PARAMETERS = {"name": str, "w": int, "k": int, "silos": int, "delta": int}


def load(path: Path) -> tuple[Statement, list[list[int]]]:
    """The statement and its blocks; ValueError for a file that is none, `Rejected` for blocks of another size."""
    statement, name = parse(json.loads(path.read_text()))
    with (path.parent / name).open("rb") as file:
        data = file.read(8 * statement.shape.parameters.N * LARGEST_BLOCKS + 1)
    return statement, parse_blocks(statement.shape, data)


def parse(given: object) -> tuple[Statement, str]:
    """The statement, and the name of the file with its blocks."""
    fields = _checked(given, _FIELDS)
    parameters = ParameterSet(**_checked(fields["parameters"], _PARAMETERS))
    context, binding = bytes.fromhex(fields["context"]), bytes.fromhex(fields["binding"])
    return Statement(Shape.of(parameters, fields["values"]), fields["bound"], context, binding), fields["blocks"]


def parse_blocks(shape: Shape, data: bytes) -> list[list[int]]:
    N = shape.parameters.N
    if len(data) != 8 * N * shape.J:
        raise Rejected("the ciphertext has not the length of the statement")
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    return [words[i : i + N] for i in range(0, len(words), N)]


def fields_of(statement: Statement, blocks_name: str) -> dict[str, Any]:
    """What `parse` reads."""
    p = statement.shape.parameters
    return {
        "parameters": {"name": p.name, "w": p.w, "k": p.k, "silos": p.silos, "delta": p.delta},
        "values": statement.shape.D,
        "bound": statement.bound,
        "context": statement.context.hex(),
        "binding": statement.binding.hex(),
        "blocks": blocks_name,
    }


def _checked(given: object, fields: dict[str, type]) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != set(fields):
        raise ValueError(f"a statement has exactly the fields {', '.join(fields)}")
    for name, kind in fields.items():
        if type(given[name]) is not kind:
            raise ValueError(f"{name} is no {kind.__name__}")
    return given
