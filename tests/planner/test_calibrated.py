"""What is measured: for which kinds, in how many threads, and that it says what really runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from quatrefoil.aggregation.he import HeParameters, SecretKey
from quatrefoil.analytics import LinearModel, encrypt_categories, encrypt_numbers, histogram, score, summarise
from quatrefoil.analytics.networks import encrypt_row
from quatrefoil.errors import CallerError, HostError
from quatrefoil.planner import Costs, HomomorphicCosts, host
from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.encrypted import PARAMETER_SETS, sent_bytes
from quatrefoil.planner.stopwatch import Watch
from quatrefoil.planner.tables import measure_networks, measure_tables
from quatrefoil.workload import KINDS, Phase


def measure(**changed: object) -> Costs:
    return calibrate(host.availability(), lambda: None, bytes, seconds=0.0, **changed)  # type: ignore[arg-type]


def test_only_what_phases_need_is_measured() -> None:
    told: list[str] = []
    found = measure(kinds={"transport", "audit"}, progress=told.append)
    assert found.transport and not found.aggregation and not found.proofs and not found.homomorphic
    assert len(told) == 2 and told[-1] == "the log"


def test_each_number_of_threads_is_measured_and_predictions_are_for_one() -> None:
    found = measure(kinds={"collect"}, threads=(1, 2))
    assert {key.rpartition("/")[2] for key in found.aggregation} == {"1", "2"}
    assert {key.rpartition("/")[2] for key in found.proofs} == {"1", "2"}
    assert found.threads == 1 and found.at(2).of_aggregation("additive-rlwe", 16).encrypt_ms.fixed > 0


@pytest.mark.parametrize("threads", [(), (2,), (2, 1), (1, 1), (1, 3, 2), (0, 1)])
def test_threads_that_are_not_counted_up_from_one(threads: tuple[int, ...]) -> None:
    with pytest.raises(CallerError, match="are not counted up from 1"):
        measure(kinds=set(), threads=threads)


def test_when_and_by_which_version_it_was_measured() -> None:
    found = measure(kinds=set(), now=lambda: 1234.9)
    assert found.measured_at == 1234 and found.version and found.measured_on["cores"] >= 1


# ------------------------------------------------------------------------------------------------ encrypted tables


@pytest.fixture(scope="module")
def tables() -> dict[str, HomomorphicCosts]:
    watch = Watch(0.0, iter(range(10**9)).__next__)
    names = {name for (kind, _), sets in PARAMETER_SETS.items() if kind != "infer" for name in sets}
    return {name: measure_tables(name, watch) for name in sorted(names)}


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5000, 3), (20_000, 2)])
def test_predicted_bytes_are_those_that_travel(rows: int, columns: int, tables: dict[str, HomomorphicCosts]) -> None:
    """Names and bounds of columns are the rest."""
    for name in (*PARAMETER_SETS["score", "ckks"], *PARAMETER_SETS["score", "bgv"]):
        key = SecretKey.generate(HeParameters.named(name))
        names = [f"x{i}" for i in range(columns)]
        values = np.ones((rows, columns), np.int64 if key.parameters.scheme == "bgv" else np.float64)
        table = encrypt_numbers(key, names, values)
        answer = score(table, LinearModel("linear", tuple(names), (2.0,) * columns, 0.0))
        one = Phase("table", "score", "record", 1e6, parameters=columns, batch=rows)
        assert sent_bytes(one, tables[name]) == pytest.approx((len(table.encode()), len(answer.encode())), rel=0.01)


def test_predicted_bytes_of_statistics_and_counts_hold_the_evaluation_keys(tables: dict[str, HomomorphicCosts]) -> None:
    statistics, counts = (
        HeParameters.named(PARAMETER_SETS[kind][0]) for kind in (("summarise", "ckks"), ("count", "bgv"))
    )
    key = SecretKey.generate(statistics)
    keys, table = key.evaluation_keys(), encrypt_numbers(key, ["a", "b"], np.ones((10, 2)))
    one = Phase("table", "summarise", "record", 1e6, parameters=2, batch=10)
    sent = len(table.encode()) + len(keys.encode())
    assert sent_bytes(one, tables[statistics.name]) == pytest.approx(
        (sent, len(summarise(table, keys).encode())), rel=0.01
    )
    key = SecretKey.generate(counts)
    keys, table = key.evaluation_keys(), encrypt_categories(key, ["a"], np.zeros((10, 1), np.int64), [3])
    one = Phase("table", "count", "record", 1e6, parameters=3, batch=10)
    sent = len(table.encode()) + len(keys.encode())
    assert sent_bytes(one, tables[counts.name]) == pytest.approx(
        (sent, len(histogram(table, keys, "a").encode())), rel=0.01
    )


def test_predicted_bytes_of_a_row_of_a_network_are_those_that_travel() -> None:
    found = measure_networks(PARAMETER_SETS["infer", "ckks"][0], Watch(0.0, iter(range(10**9)).__next__))
    key = SecretKey.generate(HeParameters.named(PARAMETER_SETS["infer", "ckks"][0]))
    row = encrypt_row(key, ["a", "b", "c"], np.array([0.1, 0.2, 0.3]), bounds=[1.0] * 3)
    assert found.row_bytes == pytest.approx(len(row.encode()), rel=0.01)
    assert 0 < found.answer_bytes < found.row_bytes and found.slots == key.parameters.slots


def test_sets_without_products_have_no_costs_of_them(tables: dict[str, HomomorphicCosts]) -> None:
    for name, found in tables.items():
        products = (found.read_ms, found.product_ms, found.total_ms, found.keys_ms, found.keys_bytes)
        assert all(products) if HeParameters.named(name).special else not any(products)


def test_every_priced_pair_is_of_a_kind_and_a_set_that_exist() -> None:
    for (kind, backend), names in PARAMETER_SETS.items():
        assert kind in KINDS and all(HeParameters.named(name).scheme == backend for name in names)


def test_each_set_is_measured_once_for_all_kinds_that_use_it() -> None:
    told: list[str] = []
    found = measure(kinds={"score", "summarise"}, progress=told.append)
    assert set(found.homomorphic) == {"ckks-linear-4096", "ckks-product-8192", "bgv-linear-4096"}
    assert len([text for text in told if "encrypted tables" in text]) == 3


# ------------------------------------------------------------------------------------------------ watch


def test_a_mean_leaves_the_slowest_out_and_a_median_more() -> None:
    """Twenty runs: nineteen of one second, and one in which something else ran. A signature's tries do count."""

    def mean_and_median(*seconds: float) -> tuple[float, float]:
        now = 0.0

        def take(steps: Iterator[float]) -> None:
            nonlocal now
            now += next(steps)

        watch = Watch(1e9, lambda: now)
        first, second, count = iter(seconds), iter(seconds), len(seconds)
        return watch.mean_ms(lambda: take(first), most=count), watch.ms(lambda: take(second), most=count)

    assert mean_and_median(*[1.0] * 19, 100.0) == pytest.approx((1e3, 1e3))
    assert mean_and_median(1.0, 1.0, 4.0) == pytest.approx((2e3, 1e3))
    with pytest.raises(HostError, match="a measurement gave"):
        Watch(0.0, iter([0.0, *(float(-n) for n in range(100))]).__next__).mean_ms(lambda: None, most=5)
