"""Inputs of a model from a file: the protocol's JSON, NumPy's .npz and .npy, or a table as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quatrefoil.cli import archives
from quatrefoil.errors import CallerError, RequestRefused
from quatrefoil.inference import ModelMetadata, TensorSpec, decode_infer

LARGEST = 64 << 20
"""Bytes of a file: the largest request that a serving policy may allow."""

FORMS = (".json", ".npz", ".npy", ".csv")


@dataclass(frozen=True, repr=False)
class Given:
    """Inputs by name, arrays or lists; and which outputs the file asks for, none: all."""

    inputs: dict[str, Any]
    outputs: tuple[str, ...] = ()


def read(file: Path, signature: Callable[[], ModelMetadata]) -> Given:
    """What ``file`` holds, by its ending. ``signature``: asked for where the file does not name inputs."""
    data = _bytes(file, FORMS)
    if file.suffix == ".json":
        return _json(file, data)
    if file.suffix == ".csv":
        return _table(file, data, signature())
    loaded = _numpy(file, data)
    if isinstance(loaded, dict):
        return Given(loaded)
    return Given({_only(file, signature()).name: loaded})


def read_arrays(file: Path) -> Any:
    """The arrays of an .npz by their names, or the one array of an .npy."""
    return _numpy(file, _bytes(file, (".npz", ".npy")))


def _bytes(file: Path, forms: tuple[str, ...]) -> bytes:
    if file.suffix not in forms:
        raise CallerError(f"{file} does not end in {', '.join(forms)}", hint="Give it the ending of what it holds")
    return archives.read_whole(file, LARGEST, hint="Send less at once")


def _json(file: Path, data: bytes) -> Given:
    try:
        request = decode_infer([], data)
    except RequestRefused as refusal:
        raise CallerError(f"{file} is no request: {refusal.problem}", hint=refusal.hint) from None
    return Given(dict(request.inputs), tuple(output.name for output in request.outputs))


def _numpy(file: Path, data: bytes) -> Any:
    problem = ""
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        return {name: loaded[name] for name in loaded.files} if file.suffix == ".npz" else np.asarray(loaded)
    except Exception as error:  # of NumPy and of what unpacks for it, without a common base
        problem = type(error).__name__
    raise CallerError(
        f"{file} is no {file.suffix} that can be read ({problem})", hint="Write it with numpy.save or numpy.savez"
    )


def _table(file: Path, data: bytes, signature: ModelMetadata) -> Given:
    """Rows of values. Where the first line names the model's inputs, each column is one; otherwise all columns are
    one input's, and a first line that is no row of numbers is left out."""
    rows = _rows(file, data)
    names = [spec.name for spec in signature.inputs]
    if set(rows[0]) >= set(names) and len(names) > 1:
        columns = {name: [row[rows[0].index(name)] for row in rows[1:]] for name in names}
        return Given({spec.name: _column(file, columns[spec.name], spec) for spec in signature.inputs})
    spec = _only(file, signature)
    if spec.datatype != "BYTES" and not all(map(_is_number, rows[0])):
        rows = rows[1:]
    return Given({spec.name: [[_value(file, text, spec) for text in row] for row in rows]})


def _rows(file: Path, data: bytes) -> list[list[str]]:
    problem = "empty"
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True) if row]
        if rows and len(set(map(len, rows))) == 1:
            return rows
        problem = "of rows that differ in length" if rows else problem
    except (csv.Error, UnicodeDecodeError):
        problem = "no CSV in UTF-8"
    raise CallerError(f"{file} is {problem}", hint="Separate values by commas, with as many in each row")


def _column(file: Path, texts: list[str], spec: TensorSpec) -> list[Any]:
    values = [_value(file, text, spec) for text in texts]
    return [[value] for value in values] if len(spec.shape) == 2 else values


def _value(file: Path, text: str, spec: TensorSpec) -> Any:
    if spec.datatype == "BYTES":
        return text
    value = None
    with contextlib.suppress(ValueError):
        value = float(text) if spec.datatype.startswith("FP") else int(text)
    # Outside of the handler: that error quotes the value.
    if value is None:
        raise CallerError(f"{file} holds a value that is not {spec.datatype}", hint="Write numbers with a point")
    return bool(value) if spec.datatype == "BOOL" and value in (0, 1) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _only(file: Path, signature: ModelMetadata) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise CallerError(
            f"{file} is for a model with one input, and this one has {len(signature.inputs)}",
            hint=f"Write an .npz, or a first line, with {names}",
        )
    return signature.inputs[0]


__all__ = ["FORMS", "Given", "read", "read_arrays"]
