"""A statement as a file: JSON with exactly the fields below, and the blocks in a binary file beside it.

The last three are there where the statement has such further claims, or a key in shares, and only there.

    {
      "parameters": {"name": "sum-256-w16", "w": 16, "k": 2, "silos": 256, "delta": 15},
      "values": 545,
      "bound": 1000000,
      "context": "64 hexadecimal digits",
      "binding": "64 hexadecimal digits",
      "blocks": "one-block.blocks",
      "parts": [[0, 100, 5000], [100, 545, 70000]],
      "direction": "one-block.direction",
      "sharing": {"members": 8, "privacy": 3, "packing": 2, "commitments": ["64 hexadecimal digits", ..]}
    }

The blocks are the coefficients of b_0, b_1, .., each a u64, little endian: a ciphertext without its header. A part is
its first value, its end and its bound. The direction is g_0, g_1, .., each an i16, little endian.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .claims import Direction, Further, PartNorm
from .errors import Rejected
from .shape import LARGEST_BLOCKS, ParameterSet, Shape
from .statement import Statement
from .threshold import Threshold

LARGEST_VALUES = LARGEST_BLOCKS * 3 * 4096  # at w = 12
_FIELDS = {"parameters": dict, "values": int, "bound": int, "context": str, "binding": str, "blocks": str}
_CLAIMS = {"parts": list, "direction": str, "sharing": dict}
_SHARING = {"members": int, "privacy": int, "packing": int, "commitments": list}
_PARAMETERS = {"name": str, "w": int, "k": int, "silos": int, "delta": int}


def load(path: Path) -> tuple[Statement, list[list[int]]]:
    """The statement and its blocks; ValueError for a file that is none, `Rejected` for blocks of another size."""
    given = json.loads(path.read_text())
    statement, name = parse(given, lambda name: _beside(path, name, 2 * LARGEST_VALUES))
    data = _beside(path, name, 8 * statement.shape.parameters.N * LARGEST_BLOCKS)
    return statement, parse_blocks(statement.shape, data)


def _beside(path: Path, name: str, largest: int) -> bytes:
    """Of a file that is too long, enough to see that."""
    with (path.parent / name).open("rb") as file:
        return file.read(largest + 2)


def parse(given: object, read: Callable[[str], bytes]) -> tuple[Statement, str]:
    """The statement, and the name of the file with its blocks. `read` is given the name of a direction."""
    claims = {name: kind for name, kind in _CLAIMS.items() if isinstance(given, dict) and name in given}
    fields = _checked(given, _FIELDS | claims)
    parameters = ParameterSet(**_checked(fields["parameters"], _PARAMETERS))
    context, binding = bytes.fromhex(fields["context"]), bytes.fromhex(fields["binding"])
    parts = _parts(fields["parts"]) if "parts" in fields else ()
    direction = parse_direction(read(fields["direction"])) if "direction" in fields else None
    threshold, commitments = _sharing(fields["sharing"]) if "sharing" in fields else (None, ())
    shape = Shape.of(parameters, fields["values"], threshold)
    further = Further(parts, direction)
    return Statement(shape, fields["bound"], context, binding, further, commitments), fields["blocks"]


def _sharing(given: object) -> tuple[Threshold, tuple[bytes, ...]]:
    fields = _checked(given, _SHARING)
    commitments = fields["commitments"]
    if not all(isinstance(one, str) for one in commitments):
        raise ValueError("a commitment is hexadecimal digits")
    return Threshold(fields["members"], fields["privacy"], fields["packing"]), tuple(
        bytes.fromhex(one) for one in commitments
    )


def _parts(given: list[object]) -> tuple[PartNorm, ...]:
    """At least one: a statement without any has no such field, so that there is one way to write it."""
    if not given:
        raise ValueError("there is no part in parts")
    for part in given:
        if not isinstance(part, list) or [type(number) for number in part] != [int] * 3:
            raise ValueError("a part is three numbers")
    return tuple(PartNorm(*part) for part in given)  # type: ignore[misc]


def parse_direction(data: bytes) -> Direction:
    if len(data) % 2:
        raise ValueError("the direction ends within an entry")
    return Direction(tuple(int.from_bytes(data[i : i + 2], "little", signed=True) for i in range(0, len(data), 2)))


def parse_blocks(shape: Shape, data: bytes) -> list[list[int]]:
    N = shape.parameters.N
    if len(data) != 8 * N * shape.J:
        raise Rejected("the ciphertext has not the length of the statement")
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    return [words[i : i + N] for i in range(0, len(words), N)]


def fields_of(statement: Statement, name: str) -> dict[str, Any]:
    """What `parse` reads; the files beside it are called `name`."""
    p, further = statement.shape.parameters, statement.further
    claims: dict[str, Any] = {}
    if further.parts:
        claims["parts"] = [[part.first, part.end, part.bound] for part in further.parts]
    if further.direction is not None:
        claims["direction"] = f"{name}.direction"
    if (threshold := statement.shape.threshold) is not None:
        numbers = {"members": threshold.members, "privacy": threshold.privacy, "packing": threshold.packing}
        claims["sharing"] = numbers | {"commitments": [one.hex() for one in statement.commitments]}
    return {
        "parameters": {"name": p.name, "w": p.w, "k": p.k, "silos": p.silos, "delta": p.delta},
        "values": statement.shape.D,
        "bound": statement.bound,
        "context": statement.context.hex(),
        "binding": statement.binding.hex(),
        "blocks": f"{name}.blocks",
    } | claims


def _checked(given: object, fields: dict[str, type]) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != set(fields):
        raise ValueError(f"a statement has exactly the fields {', '.join(fields)}")
    for name, kind in fields.items():
        if type(given[name]) is not kind:
            raise ValueError(f"{name} is no {kind.__name__}")
    return given
