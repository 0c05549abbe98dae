"""Files of numbers that commands are given: arrays of NumPy, tables as CSV and Parquet, requests as JSON, models."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from tests.fuzz.held import refused_or

from quatrefoil.audit.model_file import measure_file
from quatrefoil.cli import predict_input, score_data
from quatrefoil.federation.user_code import load_data, load_model
from quatrefoil.inference import ModelMetadata, TensorSpec

ENDINGS = (".npz", ".npy", ".csv", ".json", ".parquet")
"""By the first byte."""
SIGNATURES = tuple(
    ModelMetadata("heart", tuple(inputs), (TensorSpec("y", "FP32", (-1, 1)),), "fuzz")
    for inputs in (
        [TensorSpec("x", "FP32", (-1, 2))],
        [TensorSpec("a", "INT64", (-1, 1)), TensorSpec("b", "BYTES", (-1,))],
        [TensorSpec("a", "BOOL", (-1,))],
    )
)


def train(parameters: Any, data: Any) -> Any:
    """Of a module without a ``load`` of its own."""


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="quatrefoil-fuzz-data-"))


def _saved(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def _archived(*, packed: bool, **arrays: Any) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(out, **arrays)
    return out.getvalue()


def _table(**columns: Any) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


def seeds() -> list[bytes]:
    ones = np.ones((3, 2), "f4")
    packed = _archived(packed=True, x=ones, y=np.arange(3))
    archives = [_archived(packed=False, x=ones), packed, packed[:60] + b"\xff" * 8 + packed[68:]]
    # The method of compression, and the flag of encryption, in the directory at the archive's end.
    at = packed.rindex(b"PK\1\2")
    archives += [packed[: at + 10] + b"\x63\0" + packed[at + 12 :], packed[: at + 8] + b"\1" + packed[at + 9 :]]
    arrays = [_saved(one) for one in (ones, np.array(["a"]), np.array([None], object), np.float64(3))]
    arrays += [arrays[0].replace(b"(3, 2)", b"(9" + b"9" * 9 + b",)"), arrays[0].replace(b"'<f4'", b"'<f\0'")]
    arrays.append(arrays[0].replace(b"{'descr", b"{((((((("))
    arrays.append(b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"x" * 9000)
    tables = [
        b"a,b\n1,2\n3,4\n",
        b"\xef\xbb\xbfa,b\r\n1,x\r\n",
        b'"a\nb",c\n1,2\n',
        b"a,a\n1,2\n",
        b"a\n" + b"9" * 5000,
        b"a,b\n1\n",
    ]
    requests = [b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}']
    parquet = [_table(a=[1, 2], b=[0.5, 1.5]), _table(a=[1, None]), _table(a=["x"]), _table(a=[[1], [2]])]
    return [
        bytes([how]) + one for how, some in enumerate((archives, arrays, tables, requests, parquet)) for one in some
    ]


def one(data: bytes) -> None:
    """Each as every command would read it: numbers come of it, or a refusal."""
    ending = ENDINGS[(data[0] if data else 0) % len(ENDINGS)]
    file = _folder() / f"data{ending}"
    file.write_bytes(data[1:])
    if ending != ".parquet":
        for signature in SIGNATURES:
            refused_or(lambda signature=signature: predict_input.read(file, lambda: signature))  # type: ignore[misc]
    if ending in (".npz", ".npy"):
        refused_or(lambda: predict_input.read_arrays(file))
    if ending in (".npz", ".npy", ".csv"):
        refused_or(lambda: load_data(file, train))
        refused_or(lambda: load_model(str(file)))
    if ending == ".npz":
        refused_or(lambda: measure_file(file))
    if ending in (".csv", ".parquet"):
        for integers in (False, True):
            read = refused_or(lambda integers=integers: score_data.read(file, None, integers=integers))  # type: ignore[misc]
            assert read is None or (np.isfinite(read[1]).all() and read[1].shape[1] == len(read[0]))
