"""The columns of a witness (docs/inference-proofs.md, Shape)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bounded_update.commitment import Rows
from bounded_update.field import Ext, P, base, total

from .model import Trace
from .shape import Shape


def value_columns(shape: Shape, traces: Sequence[Trace], hidden: Sequence[Sequence[int]] = ()) -> dict[str, Rows]:
    """The columns of Q, R, Y and I. Nothing is checked here, so that a liar can use it as well."""
    found: dict[str, Rows] = {}
    for kind in ("q", "r", "y", "i"):
        vector = [0] * (shape.columns[kind] * shape.L)
        if kind == "i":
            samples = [list(sample) for sample in hidden]
        else:
            samples = [_laid_out(shape, trace, kind) for trace in traces]
        for b, sample in enumerate(samples):
            for f, entry in enumerate(sample):
                vector[f * shape.padded_batch + b] = entry % P
        found[kind] = [vector[i : i + shape.L] for i in range(0, len(vector), shape.L)]
    return found


def _laid_out(shape: Shape, trace: Trace, kind: str) -> list[int]:
    cells = [t for t in shape.layout if kind != "r" or shape.forms.cells[t].shift]
    of = {"q": trace.q, "r": trace.r, "y": trace.y}[kind]
    return [entry for t in cells for entry in of[t]]


def base_columns(shape: Shape, values: dict[str, Rows]) -> Rows:
    """All c of them."""
    columns = [column for kind in ("q", "r", "y", "i") for column in values[kind]]
    return columns + count_uses(shape, values)


def looked_up(shape: Shape, values: dict[str, Rows], kind: str, column: int) -> list[tuple[int, int, int]]:
    """What stands in the rows of a column of Q, R or I: v0, v1 and the tag."""
    first = values[kind][column]
    second = values["y"][column] if kind == "q" else [0] * shape.L
    tags = shape.tags[kind]
    per_column = shape.L // shape.padded_batch
    result = []
    for row, (v0, v1) in enumerate(zip(first, second, strict=True)):
        feature = column * per_column + row // shape.padded_batch
        result.append((v0, v1, tags[min(feature, len(tags) - 1)]))
    return result


def count_uses(shape: Shape, values: dict[str, Rows]) -> Rows:
    """The table columns: how often each entry stands in the rows."""
    uses: Counter[tuple[int, int, int]] = Counter()
    for kind in ("q", "r", "i"):
        for column in range(shape.columns[kind]):
            uses.update(looked_up(shape, values, kind, column))
    vector = [uses[v0 % P, v1 % P, k] for v0, v1, k in shape.entries]
    vector += [0] * (shape.columns["uses"] * shape.L - len(vector))
    return [vector[i : i + shape.L] for i in range(0, len(vector), shape.L)]


def inverse_columns(shape: Shape, columns: Rows, alpha: Ext, beta: Ext) -> Rows:
    """For each chunk the sums of its fractions, as their part of 1 and their part of X."""
    squared = beta * beta
    values = {
        kind: [columns[shape.column(kind, i)] for i in range(shape.columns[kind])] for kind in ("q", "r", "y", "i")
    }

    def point(v0: int, v1: int, k: int) -> Ext:
        return (alpha - base(v0) - beta.scale(v1) - squared.scale(k)).inverse()

    result = []
    for chunk in shape.chunks:
        fractions = []
        for fraction in chunk:
            if fraction.kind == "uses":
                uses = columns[shape.column("uses", fraction.column)]
                entries = shape.entries[fraction.column * shape.L :][: shape.L]
                terms = [point(*entry).scale(-use) for entry, use in zip(entries, uses, strict=False)]
                fractions.append(terms + [base(0)] * (shape.L - len(terms)))
            else:
                fractions.append([point(*row) for row in looked_up(shape, values, fraction.kind, fraction.column)])
        sums = [total(row) for row in zip(*fractions, strict=True)]
        result += [[x.a for x in sums], [x.b for x in sums]]
    return result
