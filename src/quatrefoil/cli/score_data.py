"""Tables of numbers from a file: CSV with names in its first line, or Parquet. No error quotes a value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.cli import archives
from quatrefoil.errors import CallerError, DependencyMissing

LARGEST = 256 << 20
"""Bytes of a file."""
MOST_VALUES = 1 << 24
"""Of a table: more do not fit a message of ciphertexts in any case."""
_ROWS_AT_ONCE = 1 << 14
"""That are unpacked before they are counted."""


def read(file: Path, names: Sequence[str] | None, *, integers: bool) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Columns ``names`` of ``file``, or all, in that order; rows x columns of int64 or float64."""
    if file.suffix not in (".csv", ".parquet"):
        raise CallerError(f"{file} does not end in .csv or .parquet", hint="Give it the ending of what it holds")
    data = archives.read_whole(file, LARGEST, hint="Split its rows into several files")
    found, values = (_csv if file.suffix == ".csv" else _parquet)(file, data, names, integers)
    if not len(values):
        raise CallerError(f"{file} has no rows", hint="Give at least one")
    return found, values


def _csv(file: Path, data: bytes, names: Sequence[str] | None, integers: bool) -> tuple[tuple[str, ...], NDArray[Any]]:
    problem = ""
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        head = next(rows, [])
        if head and all(map(_is_number, head)):  # names travel in the clear, and errors quote them
            raise CallerError(
                f"{file} begins with numbers: a row where the names of the columns must be", hint="Name the columns"
            )
        chosen = _chosen(file, head, names)
        places = [head.index(name) for name in chosen]
        values: list[list[float]] = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(head):
                raise CallerError(
                    f"{file}:{_line(rows)} has {len(row)} values, and the first line {len(head)} names",
                    hint="Separate values by commas, with as many in each row",
                )
            values.append([_value(file, rows, head[place], row[place], integers) for place in places])
            if len(values) * len(places) > MOST_VALUES:
                raise CallerError(f"{file} has over {MOST_VALUES} values", hint="Split its rows into several files")
        return chosen, np.array(values, dtype=np.int64 if integers else np.float64)
    except (csv.Error, UnicodeDecodeError) as error:
        problem = type(error).__name__
    raise CallerError(f"{file} is no CSV in UTF-8 ({problem})", hint="Separate values by commas")


def _line(rows: Any) -> int:
    """The line that a CSV reader is at."""
    return int(rows.line_num)


def _value(file: Path, rows: Any, name: str, text: str, integers: bool) -> float:
    value: float | None = None
    try:
        # Underscores and what int() takes beyond 64 bits are no numbers of a table.
        if "_" not in text and len(text) < 64:
            value = int(text) if integers else float(text)
    except ValueError:
        pass
    if value is None or not isfinite(value) or (integers and abs(value) >= 1 << 62):
        wanted = "an integer" if integers else "a finite number"
        raise CallerError(
            f"{file}:{_line(rows)}: column {name[:64]!r} is not {wanted}", hint="Write numbers with a point"
        )
    return value


def _parquet(
    file: Path, data: bytes, names: Sequence[str] | None, integers: bool
) -> tuple[tuple[str, ...], NDArray[Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DependencyMissing(
            "pyarrow is not installed", hint="Install the extra: pip install 'quatrefoil[parquet]', or give a CSV"
        ) from None
    problem = ""
    try:
        opened = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        chosen = _chosen(file, list(opened.schema_arrow.names), names)
        _require_numbers(file, opened.schema_arrow, chosen, integers)
        # What the file says of its columns is not looked at: some that contradicts itself ends the process in there.
        batches = list(_batches(file, opened, chosen))
        table = pyarrow.Table.from_batches(batches) if batches else opened.schema_arrow.empty_table()
        columns = [table.column(name).combine_chunks() for name in chosen]
    except (pyarrow.ArrowException, OSError, MemoryError, KeyError, UnicodeDecodeError) as error:
        problem = type(error).__name__
    if problem:
        raise CallerError(f"{file} is no Parquet that can be read ({problem})", hint="Write it again, or give a CSV")
    return chosen, np.stack(
        [_column(file, name, column, integers) for name, column in zip(chosen, columns, strict=True)], 1
    )


def _batches(file: Path, opened: Any, names: Sequence[str]) -> Iterator[Any]:
    """Rows as they are unpacked, and no more than may be: a few bytes can stand for any number of them."""
    rows = 0
    for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(names)):
        rows += batch.num_rows
        if rows * len(names) > MOST_VALUES:
            raise CallerError(f"{file} has over {MOST_VALUES} values", hint="Split its rows into several files")
        yield batch
    if rows != opened.metadata.num_rows:
        raise CallerError(f"{file} contradicts itself about its rows", hint="Write it again, or give a CSV")


def _require_numbers(file: Path, schema: Any, names: Sequence[str], integers: bool) -> None:
    """Of what is unpacked for these names, those of a column's parts among it: a row of lists may be of any size."""
    for field in schema:
        if {field.name, field.name.split(".")[0]} & set(names) and not _fits(field.type, integers):
            raise CallerError(
                f"{file}: column {field.name[:64]!r} is {str(field.type)[:64]}",
                hint=f"Give columns of {_wanted(integers)}",
            )


def _fits(kind: Any, integers: bool) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or (not integers and pyarrow.types.is_floating(kind)))


def _wanted(integers: bool) -> str:
    return "integers" if integers else "numbers"


def _column(file: Path, name: str, column: Any, integers: bool) -> NDArray[Any]:
    if column.null_count:
        raise CallerError(
            f"{file}: column {name[:64]!r} is {column.type} with {column.null_count} missing",
            hint=f"Give {_wanted(integers)}, none missing",
        )
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    if values.dtype.kind == "u" and values.size and int(values.max()) >= 1 << 62:
        raise CallerError(f"{file}: column {name[:64]!r} has a value beyond 2^62", hint="Scale the values")
    values = values.astype(np.int64 if integers else np.float64)
    if not np.isfinite(values).all():
        raise CallerError(f"{file}: column {name[:64]!r} has a value that is not finite", hint="Give finite numbers")
    return values


def _chosen(file: Path, head: list[str], names: Sequence[str] | None) -> tuple[str, ...]:
    if not head or len(set(head)) != len(head) or not all(head):
        raise CallerError(f"{file} does not begin with a name for each column, all different", hint="Name the columns")
    missing = [name for name in names or () if name not in head]
    if missing:
        raise CallerError(f"{file} has no column {missing[0][:64]!r}", hint=f"It has {', '.join(head)[:200]}")
    return tuple(names or head)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
