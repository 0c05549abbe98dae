"""What computing on encrypted tables costs, measured through the steps that a key holder and a computing party take."""

from __future__ import annotations

import numpy as np

from quatrefoil.aggregation.he import Encrypted, EvaluationKeys, Evaluator, HeParameters, SecretKey
from quatrefoil.analytics import Answer, EncryptedTable, LinearModel, encrypt_numbers, open_scores, score
from quatrefoil.analytics.networks import EncryptedRows, Network, NetworkEvaluator, encrypt_row, open_answer
from quatrefoil.planner.costs import HomomorphicCosts, Line, NetworkCosts
from quatrefoil.planner.encrypted import rotations
from quatrefoil.planner.stopwatch import Watch
from quatrefoil.workload import Phase

COLUMNS, CHUNKS = 4, 2
"""Of the larger table, a column a ciphertext for each chunk; the small one has one ciphertext."""


def measure_tables(parameters: str, watch: Watch) -> HomomorphicCosts:
    """``parameters``: the name of a set; ``DependencyMissing`` without SEAL."""
    p = HeParameters.named(parameters)
    key = SecretKey.generate(p)
    try:
        small, large = (
            _measure_scoring(key, columns, chunks, watch) for columns, chunks in ((1, 1), (COLUMNS, CHUNKS))
        )
        products = _measure_products(key, watch) if p.special else dict.fromkeys(_OF_PRODUCTS, 0.0)
    finally:
        key.wipe()
    table = COLUMNS * CHUNKS
    return HomomorphicCosts(
        slots=float(p.slots),
        encrypt_ms=_between(small["encrypt"], large["encrypt"], table),
        table_bytes=_between(small["sent"], large["sent"], table),
        weigh_ms=_between(small["weigh"], large["weigh"], table),
        open_ms=_between(small["open"], large["open"], CHUNKS),
        answer_bytes=_between(small["answered"], large["answered"], CHUNKS),
        **products,
    )


def _measure_scoring(key: SecretKey, columns: int, chunks: int, watch: Watch) -> dict[str, float]:
    p, names = key.parameters, [f"x{i}" for i in range(columns)]
    values = np.random.default_rng(0).integers(-7, 8, (p.slots * chunks, columns))
    given = values if p.scheme == "bgv" else values / 16
    model = LinearModel("linear", tuple(names), tuple(1.0 + i for i in range(columns)), 1.0)
    sent = encrypt_numbers(key, names, given).encode()
    table = EncryptedTable.decode(sent)
    back = score(table, model).encode()
    about, rows = table.digest(), len(values)

    def encrypt() -> None:
        fresh = SecretKey.generate(p)  # a key is of one table
        encrypt_numbers(fresh, names, given).encode()
        fresh.wipe()

    return {
        "encrypt": watch.ms(encrypt),
        "weigh": watch.ms(lambda: score(EncryptedTable.decode(sent), model).encode()),
        "open": watch.ms(lambda: open_scores(key, about, rows, Answer.decode(back))),
        "sent": float(len(sent)),
        "answered": float(len(back)),
    }


_OF_PRODUCTS = ("read_ms", "product_ms", "total_ms", "keys_ms", "keys_bytes")


def _measure_products(key: SecretKey, watch: Watch) -> dict[str, float]:
    p = key.parameters
    keys = key.evaluation_keys()
    evaluator = Evaluator(p, keys)
    table = encrypt_numbers(key, ["x"], np.ones((p.slots, 1), np.int64 if p.scheme == "bgv" else np.float64))

    def read() -> Encrypted:
        return table.read(evaluator, 0)[0]

    one = read()
    squared = evaluator.multiply(one, one)

    def exchanged_keys() -> None:
        Evaluator(p, EvaluationKeys.decode(key.evaluation_keys().encode()))

    return {
        "read_ms": watch.ms(read),
        "product_ms": watch.ms(lambda: evaluator.add([squared, evaluator.multiply(one, one)])),
        "total_ms": watch.ms(lambda: evaluator.write(evaluator.sum_slots(squared, p.slots))),
        "keys_ms": watch.ms(exchanged_keys),
        "keys_bytes": float(len(keys.encode())),
    }


NETWORKS = ((2, 2), (64, 32))
"""Inputs and hidden units of the networks that are measured; one output."""


def measure_networks(parameters: str, watch: Watch) -> NetworkCosts:
    """Rows of a small network and of a larger one."""
    p = HeParameters.named(parameters)
    key = SecretKey.generate(p)
    try:
        keys = key.evaluation_keys()
        found = {rotations(_asking(*shape), p.slots): _measure_row(key, keys, *shape, watch) for shape in NETWORKS}
    finally:
        key.wipe()
    (few, (small, sent, back)), (many, (large, _, _)) = sorted(found.items())
    each = max(0.0, (large - small) / (many - few))
    return NetworkCosts(float(p.slots), Line(max(0.0, small - each * few), each), float(sent), float(back))


def _asking(inputs: int, hidden: int) -> Phase:
    return Phase("row", "infer", "record", 1.0, parameters=inputs, hidden=hidden, message_bytes=1, batch=1)


def _measure_row(
    key: SecretKey, keys: EvaluationKeys, inputs: int, hidden: int, watch: Watch
) -> tuple[float, int, int]:
    """Milliseconds, and bytes there and back."""
    names = tuple(f"x{i}" for i in range(inputs))
    units = tuple(tuple(0.01 * (1 + (i + j) % 5) for i in range(inputs)) for j in range(hidden))
    network = Network(names, units, (0.1,) * hidden, ((0.01,) * hidden,), (0.1,), ("y",), "identity")
    evaluator = NetworkEvaluator(network, keys)
    values, bounds = np.full(inputs, 0.5), [1.0] * inputs

    def row() -> tuple[int, int]:
        rows = encrypt_row(key, names, values, bounds=bounds)
        sent = rows.encode()
        back = evaluator.evaluate(EncryptedRows.decode(sent)).encode()
        open_answer(key, rows.digest(), 1, Answer.decode(back))
        return len(sent), len(back)

    sizes = row()  # the weights are encoded for the first one
    return watch.ms(row), *sizes


def _between(small: float, large: float, count: int) -> Line:
    """Through a measurement with one ciphertext and one with ``count``; flat where noise orders them the wrong way."""
    each = max(0.0, (large - small) / (count - 1))
    return Line(max(0.0, small - each), each)


__all__ = ["measure_networks", "measure_tables"]
