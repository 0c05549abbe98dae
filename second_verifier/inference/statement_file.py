"""A statement as a file: JSON with exactly the fields below, and binary files beside it.

    {
      "program": "dense.program",
      "batch": 5,
      "openings": 1,
      "hidden": false,
      "root": "64 hexadecimal digits",
      "binding": "64 hexadecimal digits",
      "inputs": "dense.inputs",
      "outputs": "dense.outputs"
    }

The program is as docs/inference-proofs.md has it. Inputs and outputs are sample after sample, each entry an i32, little
endian; with hidden inputs the elements of their hashes take the place of the inputs, each a u64.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Final

from bounded_update.errors import Rejected

from .field_hash import FieldHash
from .program_bytes import parse
from .shape import Shape
from .statement import Statement, batch_bytes

FILES: Final = {"program": 1 << 20, "inputs": 1 << 30, "outputs": 1 << 30}  # and their largest sizes
_FIELDS: Final = {
    "program": str, "batch": int, "openings": int, "hidden": bool, "root": str, "binding": str,
    "inputs": str, "outputs": str,
}  # fmt: skip


def load(path: Path) -> Statement:
    """ValueError for a file that is none, `Rejected` for inputs or outputs of another size."""
    given = checked(json.loads(path.read_text()))
    return statement_of(given, {name: _beside(path, given[name], largest) for name, largest in FILES.items()})


def checked(given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != set(_FIELDS):
        raise ValueError(f"a statement has exactly the fields {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        if type(given[name]) is not kind:
            raise ValueError(f"{name} is no {kind.__name__}")
    return given


def statement_of(given: dict[str, Any], files: dict[str, bytes]) -> Statement:
    """Of the fields, and what the files that they name hold."""
    program = parse(files["program"])
    shape = Shape(program, given["batch"], given["openings"], FieldHash.of(program) if given["hidden"] else None)
    features = shape.program.values[0].features
    inputs, outputs = files["inputs"], files["outputs"]
    one = batch_of(inputs, "Q", shape.hash.rows) if shape.hash else batch_of(inputs, "i", features)
    other = batch_of(outputs, "i", shape.program.outputs)
    return Statement(shape, bytes.fromhex(given["root"]), one, other, bytes.fromhex(given["binding"]))


def batch_of(data: bytes, entry: str, features: int) -> list[list[int]]:
    if len(data) % (features * struct.calcsize(entry)):
        raise Rejected("inputs or outputs end within a sample")
    entries = struct.unpack(f"<{len(data) // struct.calcsize(entry)}{entry}", data)
    return [list(entries[i : i + features]) for i in range(0, len(entries), features)]


def _beside(path: Path, name: str, largest: int) -> bytes:
    """Of a file that is too long, enough to see that."""
    with (path.parent / name).open("rb") as file:
        return file.read(largest + 1)


def fields_of(statement: Statement, name: str) -> dict[str, Any]:
    """What `load` reads; the files beside it are called `name`."""
    return {
        "program": f"{name}.program",
        "batch": statement.shape.batch,
        "openings": statement.shape.openings,
        "hidden": statement.shape.hidden,
        "root": statement.root.hex(),
        "binding": statement.binding.hex(),
        "inputs": f"{name}.inputs",
        "outputs": f"{name}.outputs",
    }


def write(statement: Statement, directory: Path, name: str) -> None:
    (directory / f"{name}.json").write_text(json.dumps(fields_of(statement, name), indent=2) + "\n")
    (directory / f"{name}.program").write_bytes(statement.shape.program.to_bytes())
    entry = "<Q" if statement.shape.hidden else "<i"
    (directory / f"{name}.inputs").write_bytes(batch_bytes(statement.inputs, entry))
    (directory / f"{name}.outputs").write_bytes(batch_bytes(statement.outputs))
