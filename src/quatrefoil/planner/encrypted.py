"""What it is predicted to cost to compute on an encrypted table: CKKS or BGV, where who computes has no key.

Everything is a number of ciphertexts times what one takes: a column is a ciphertext for each ``slots`` rows, a model
weighs each of them, statistics and counts are products of pairs of them and sums over slots. A row of a network is one
ciphertext, and its layers are sums over slots by rotating them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, isqrt

from quatrefoil.planner.costs import HomomorphicCosts
from quatrefoil.workload import Phase

PARAMETER_SETS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("score", "ckks"): ("ckks-linear-4096", "ckks-product-8192"),
    ("score", "bgv"): ("bgv-linear-4096",),
    ("summarise", "ckks"): ("ckks-product-8192",),
    ("count", "bgv"): ("bgv-product-8192",),
    ("infer", "ckks"): ("ckks-network-8192",),
}
"""(kind, aggregation backend) -> the parameter sets that a phase can be computed in, the coarsest first, which is also
the one whose tables have the fewest bytes. BGV is exact in each, so only the smallest that has the depth is there."""


def work_ms(phase: Phase, costs: HomomorphicCosts) -> float:
    """Key holder and computing party, one after the other."""
    columns, sums, products = shape(phase)
    chunks = ceil(phase.batch / costs.slots)
    if phase.kind == "score":
        return costs.encrypt_ms.at(columns * chunks) + costs.weigh_ms.at(columns * chunks) + costs.open_ms.at(chunks)
    computed = columns * chunks * costs.read_ms + products * chunks * costs.product_ms + sums * costs.total_ms
    return costs.encrypt_ms.at(columns * chunks) + costs.keys_ms + computed + costs.open_ms.at(sums)


def sent_bytes(phase: Phase, costs: HomomorphicCosts) -> tuple[int, int]:
    """To the computing party, with evaluation keys where it needs them; and back."""
    columns, sums, _ = shape(phase)
    chunks = ceil(phase.batch / costs.slots)
    table = costs.table_bytes.at(columns * chunks) + (costs.keys_bytes if sums else 0.0)
    return round(table), round(costs.answer_bytes.at(sums or chunks))


def rotations(phase: Phase, slots: float) -> int:
    """Of one row: each input is a block of slots, and a layer is added up by halves; hidden units that a block has no
    place for are added up on their own (docs/homomorphic.md)."""
    blocks = max(1, (phase.parameters - 1).bit_length())
    places = max(1, int(slots) >> blocks)
    vectors = ceil(phase.hidden / places)
    return vectors * blocks + (min(phase.hidden, places) - 1).bit_length()


def shape(phase: Phase) -> tuple[int, int, int]:
    """Encrypted columns; sums over all rows, each a ciphertext of the answer; products of two columns.

    Statistics: the sum of each column and of each pair. Counts: a table of two columns whose numbers of categories are
    as equal as its cells allow; a category is a column of ones and zeros. A prime number of cells is a histogram.
    """
    if phase.kind == "score":
        return phase.parameters, 0, 0
    if phase.kind == "summarise":
        pairs = phase.parameters * (phase.parameters + 1) // 2
        return phase.parameters, phase.parameters + pairs, pairs
    down, across = squarest(phase.parameters)
    if down == 1:
        return across, across, 0
    return down + across, down * across, down * across


def squarest(cells: int) -> tuple[int, int]:
    """The two factors of ``cells`` that are closest to each other."""
    down = next(n for n in range(isqrt(cells), 0, -1) if cells % n == 0)
    return down, cells // down


__all__ = ["PARAMETER_SETS", "rotations", "sent_bytes", "shape", "squarest", "work_ms"]
