"""What travels: a table of encrypted columns to the computing party, and its answer back.

A column is split into chunks of as many rows as a ciphertext has slots; the last one is filled up with zeros. So a
model is applied to thousands of rows by one multiplication a column, and no slot ever has to meet another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import frexp, isfinite
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import Encrypted, Evaluator, HeParameters, SecretKey
from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack, Track, power_of_two
from quatrefoil.errors import CallerError, CiphertextRefused, ParametersRefused
from quatrefoil.wire import LARGEST_MESSAGE, WireObject

MOST_COLUMNS = 4096
LARGEST_BOUND = 2.0**200
"""Of a column's values; one over it is the smallest."""
Progress = Callable[[str], None]


def silent(_: str) -> None:
    """For who wants no progress."""


class Encrypting(Protocol):
    """A secret key, or what its holder signed of the public half (``HolderKey``). ``public``: which noise it leaves."""

    @property
    def parameters(self) -> HeParameters: ...
    @property
    def key_id(self) -> bytes: ...
    @property
    def public(self) -> bool: ...
    def encrypt(self, values: NDArray[np.float64] | NDArray[np.int64], /) -> bytes: ...


@dataclass(frozen=True)
class EncryptedTable(WireObject):
    """``public``: whether it has the noise of encryption under a public key. ``bounds``: what no value of a column is
    beyond, powers of two in CKKS. ``categories``: how many a column has, 0 for numbers. ``ciphertexts``: column by
    column, chunk by chunk; a category is a column of ones and zeros."""

    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-table"
    parameters: str
    key_id: bytes
    public: bool
    rows: int
    columns: tuple[str, ...]
    bounds: tuple[float, ...]
    categories: tuple[int, ...]
    ciphertexts: tuple[bytes, ...]

    def checked(self) -> HeParameters:
        """Its parameters, or ``CiphertextRefused`` for a table whose parts contradict each other."""
        p = known(self.parameters)
        sizes = {len(self.columns), len(self.bounds), len(self.categories)}
        if len(sizes) != 1 or not 1 <= len(self.columns) <= MOST_COLUMNS or len(set(self.columns)) != len(self.columns):
            raise _refused("columns that do not each have one name, bound and number of categories")
        for bound, categories in zip(self.bounds, self.categories, strict=True):
            if not 1 / LARGEST_BOUND <= bound <= LARGEST_BOUND:
                raise _refused("a column without a usable bound")
            if p.scheme == "ckks" and (frexp(bound)[0] != 0.5 or categories):
                raise _refused("a bound that is no power of two, or categories, in CKKS")
            if p.scheme == "bgv" and (bound != int(bound) or categories > MOST_COLUMNS or (categories and bound != 1)):
                raise _refused("a bound that is no integer, or is not 1 for categories")
        if self.rows < 1 or len(self.ciphertexts) != self.chunks * sum(max(c, 1) for c in self.categories):
            raise _refused(f"{len(self.ciphertexts)} ciphertexts for {self.rows} rows")
        return p

    @property
    def chunks(self) -> int:
        return -(-self.rows // known(self.parameters).slots)

    def column(self, name: str) -> int:
        if name not in self.columns:
            raise CallerError(f"the table has no column {name!r}", hint=f"It has {', '.join(self.columns)[:200]}")
        return self.columns.index(name)

    def fresh(self, bound: int = 1) -> Track:
        """What is known of a ciphertext of it; ``bound``: of BGV's integers."""
        p = known(self.parameters)
        if p.scheme == "ckks":
            return CkksTrack.fresh(p, public=self.public)
        return BgvTrack.fresh(p, bound, public=self.public)

    def read(self, evaluator: Evaluator, column: int, category: int = 0) -> list[Encrypted]:
        """The chunks of a column."""
        p = evaluator.parameters
        first = (sum(max(c, 1) for c in self.categories[:column]) + category) * self.chunks
        track = self.fresh(int(self.bounds[column])) if p.scheme == "bgv" else self.fresh()
        return [evaluator.read(data, track) for data in self.ciphertexts[first : first + self.chunks]]


@dataclass(frozen=True)
class Answer(WireObject):
    """``about``: digest of the table. ``unit``: what the slots are multiples of. ``bound``, ``error``: what the
    computing party claims of the slots. ``labels``: what each ciphertext, or run of chunks, is."""

    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-answer"
    kind: str
    parameters: str
    key_id: bytes
    about: bytes
    rows: int
    unit: float
    bound: float
    error: float
    scale_bits: int
    labels: tuple[str, ...]
    ciphertexts: tuple[bytes, ...]

    def require(self, kind: str, key: SecretKey, about: bytes, rows: int) -> None:
        """``CiphertextRefused`` unless this answers that question, for this key and this table."""
        if self.kind != kind:
            raise CiphertextRefused(f"an answer of kind {self.kind[:40]!r}, not {kind}", hint="Open it as what it is")
        if self.parameters != key.parameters.name or self.key_id != key.key_id:
            raise CiphertextRefused("an answer under another key", hint="Use the key of the table that was sent")
        if self.about != about or self.rows != rows:
            raise CiphertextRefused(
                "an answer about another table", hint="Ask for the answer about the table sent last"
            )

    def track(self, key: SecretKey) -> CkksTrack:
        """What the slots are, as the computing party says; ``CiphertextRefused`` where that makes no sense."""
        sensible = all(isfinite(x) and 0 < x < 2.0**500 for x in (self.unit, self.bound, self.error))
        if not sensible or self.error > self.bound or not 0 < self.scale_bits < 128:
            raise CiphertextRefused("an answer with senseless bounds", hint="Ask for it again")
        finest = CkksTrack.fresh(key.parameters, public=key.public).error
        if self.error < finest:  # rounding to it would let out the noise of encryption
            raise CiphertextRefused(
                f"an answer that claims an error of {self.error:g}, and encryption alone has {finest:.3g}",
                hint="Ask for it again",
            )
        return CkksTrack(key.parameters, self.bound, self.error, self.scale_bits)


def encrypt_numbers(
    key: Encrypting,
    names: Sequence[str],
    values: NDArray[Any],
    *,
    bounds: Sequence[float] | None = None,
    progress: Progress = silent,
) -> EncryptedTable:
    """``values``: rows x columns; floats for CKKS, integers for BGV. ``bounds``: of each column, made a power of two
    in CKKS; without them the smallest that hold, which tells the computing party the size of each column's values."""
    p = key.parameters
    require_numbers(p, names, values)
    _require_room(p, len(values), len(names))
    held = held_bounds(p, values, bounds)
    ciphertexts: list[bytes] = []
    for position in range(len(names)):
        progress(f"encrypting column {position + 1} of {len(names)}")
        column = values[:, position]
        scaled = column / held[position] if p.scheme == "ckks" else column
        ciphertexts += _chunks(key, scaled)
    shape = (len(values), tuple(names), tuple(held), (0,) * len(names), tuple(ciphertexts))
    return EncryptedTable(p.name, key.key_id, key.public, *shape)


def require_numbers(p: HeParameters, names: Sequence[str], values: NDArray[Any]) -> None:
    """``CallerError`` unless this is at least one row, a value for each name, that the scheme encrypts."""
    if values.ndim != 2 or values.shape[1] != len(names) or not len(values) or len(set(names)) != len(names):
        raise CallerError(f"{values.shape} values for {len(names)} columns", hint="Give rows x columns, each one name")
    if values.dtype.kind not in ("iuf" if p.scheme == "ckks" else "iu") or not np.isfinite(values).all():
        raise CallerError(
            f"values that {p.scheme} does not encrypt", hint="Give finite numbers; integers for bgv, nothing missing"
        )


def held_bounds(p: HeParameters, values: NDArray[Any], bounds: Sequence[float] | None) -> list[float]:
    """Of each column, as they travel; ``CallerError`` where a value is beyond its own."""
    largest = [max(abs(float(column.max())), abs(float(column.min()))) for column in values.T]
    held = list(largest) if bounds is None else list(bounds)
    if len(held) != values.shape[1] or any(not isfinite(b) or b < x for b, x in zip(held, largest, strict=False)):
        raise CallerError("a value is beyond its column's bound", hint="Give a larger bound")
    if max(held) > LARGEST_BOUND:
        raise CallerError(f"a bound is over {LARGEST_BOUND:g}", hint="Give the values in another unit")
    return [
        max(power_of_two(b or 1.0), 1 / LARGEST_BOUND) if p.scheme == "ckks" else float(max(1, int(b))) for b in held
    ]


def encrypt_categories(
    key: Encrypting, names: Sequence[str], values: NDArray[Any], categories: Sequence[int]
) -> EncryptedTable:
    """``values``: rows x columns, integers from 0 to the column's number of ``categories`` - 1. BGV."""
    p = key.parameters
    if p.scheme != "bgv":
        raise ParametersRefused(f"{p.name} does not count exactly", hint="Use a set of BGV")
    if values.ndim != 2 or values.shape[1] != len(names) or len(categories) != len(names) or not len(values):
        raise CallerError(f"{values.shape} values for {len(names)} columns", hint="Give rows x columns, each one name")
    if values.dtype.kind not in "iu" or any(c < 1 or c > MOST_COLUMNS for c in categories) or values.min() < 0:
        raise CallerError("a category is no integer from 0 on", hint="Number the categories from 0 on")
    if (values.max(axis=0) >= np.asarray(categories)).any():
        raise CallerError("a category is beyond the number of its column", hint="Number the categories from 0 on")
    _require_room(p, len(values), sum(categories))
    ciphertexts = [
        data
        for position, count in enumerate(categories)
        for category in range(count)
        for data in _chunks(key, (values[:, position] == category).astype(np.int64))
    ]
    shape = (len(values), tuple(names), (1.0,) * len(names), tuple(categories), tuple(ciphertexts))
    return EncryptedTable(p.name, key.key_id, key.public, *shape)


def known(name: str) -> HeParameters:
    """The parameter set that a message names: its sender's fault where there is none."""
    try:
        return HeParameters.named(name)
    except ParametersRefused as refusal:
        raise CiphertextRefused(refusal.problem, hint=refusal.hint) from None


def _chunks(key: Encrypting, column: NDArray[Any]) -> list[bytes]:
    slots = key.parameters.slots
    return [key.encrypt(column[start : start + slots]) for start in range(0, len(column), slots)]


def require_answer(p: HeParameters, ciphertexts: int) -> None:
    """``ParametersRefused`` where an answer of so many ciphertexts is more than a message: nobody could open it."""
    size = ciphertexts * (p.ciphertext_bytes + 16)
    if size > LARGEST_MESSAGE - 65_536:
        raise ParametersRefused(
            f"an answer of {ciphertexts} sums is {size} bytes, over {LARGEST_MESSAGE}",
            hint="Ask about fewer columns or categories at once",
        )


def _require_room(p: HeParameters, rows: int, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise CallerError(f"{columns} columns are over {MOST_COLUMNS}", hint="Leave columns out")
    size = -(-rows // p.slots) * columns * (p.ciphertext_bytes + 16)
    if size > LARGEST_MESSAGE - 65_536:
        raise ParametersRefused(
            f"{rows} rows x {columns} columns are {size} bytes encrypted, over {LARGEST_MESSAGE}",
            hint="Split the rows into several tables",
        )


def _refused(problem: str) -> CiphertextRefused:
    return CiphertextRefused(f"a table with {problem}", hint="Ask for it again")
