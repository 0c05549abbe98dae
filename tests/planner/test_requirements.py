"""What a phase asks for is kept to or refused by name; bounds and limits are those of what computes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.planner.made_up import TRAINING, make_available, make_costs, policy

from quatrefoil import analytics
from quatrefoil.aggregation.he import SETS, HeParameters, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics import network_layout, tables
from quatrefoil.contracts import SumShape
from quatrefoil.errors import ParametersRefused, PhaseUnprotected
from quatrefoil.planner import Plan, encrypted, fitting, host, plan, requirements
from quatrefoil.planner.estimate import Estimate
from quatrefoil.policy import PARAMETER_SETS, Allow, Policy
from quatrefoil.wire import LARGEST_MESSAGE
from quatrefoil.workload import Phase, Workload

SCORE = Phase("p", "score", "record", 1e9, parameters=30, batch=1000)
SUMMARISE = Phase("p", "summarise", "record", 1e9, parameters=5, batch=1000)
COUNT = Phase("p", "count", "record", 1e9, parameters=12, batch=1000)
INFER = Phase("p", "infer", "record", 1e9, message_bytes=1000, batch=10)
ANY = policy(
    {"physical-access"},
    allow=Allow(("pq-tls",), ("sev-snp",), ("bgv", "ckks"), ("bounded-update",)),
    accept_insecure=(),
)


def made(phase: Phase, asked: Policy = ANY, *servers: str) -> Plan:
    available = make_available(("aggregation", "ckks"), ("aggregation", "bgv"), servers=servers)
    return plan(Workload("w", (phase,)), asked, make_costs(), available)


def refusal(phase: Phase, asked: Policy = ANY, *servers: str) -> str:
    with pytest.raises(PhaseUnprotected) as caught:
        made(phase, asked, *servers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- time and bytes


def test_a_deadline_is_for_all_passes_together() -> None:
    def within(deadline: float) -> Workload:
        return replace(
            TRAINING, phases=tuple(replace(p, deadline_ms=deadline) if p.name == "keys" else p for p in TRAINING.phases)
        )

    took = plan(TRAINING, policy({"network"}), make_costs(), make_available()).phase("keys").predicted_ms
    assert plan(within(took * 3), policy({"network"}), make_costs(), make_available())
    with pytest.raises(
        PhaseUnprotected, match=r"'keys' \(keys\) is predicted to take .* ms for all its 3 passes, over deadline_ms"
    ):
        plan(within(took * 2.99), policy({"network"}), make_costs(), make_available())


def test_bytes_are_those_of_one_pass() -> None:
    sent = made(SCORE).phase("p").predicted_bytes
    assert made(replace(SCORE, largest_bytes=sent))
    assert f"is predicted to send {sent} bytes a pass, over largest_bytes = {sent - 1}" in refusal(
        replace(SCORE, largest_bytes=sent - 1)
    )


def test_a_requirement_moves_a_phase_to_the_route_that_keeps_to_it() -> None:
    both = replace(ANY, threats=("curious-host",))
    free = made(SCORE, both, "sev-snp").phase("p")
    assert free.layers == ("transport", "enclave"), "the cheaper one"
    slow = replace(SCORE, latency_ms=free.predicted_ms * 0.99)
    assert "over the limit of" in refusal(slow, both, "sev-snp")
    small = replace(SCORE, largest_bytes=free.predicted_bytes - 1)
    message = refusal(small, both, "sev-snp")
    assert "by enclave it is predicted to send" in message and "by aggregation it is predicted to send" in message
    stronger = replace(both, channels="hybrid-1024")
    assert made(SCORE, stronger, "sev-snp").phase("p").layers == ("transport", "aggregation"), (
        "requests are not sealed so"
    )


# ------------------------------------------------------------------------------------------------- accuracy


def test_exact_answers_are_asked_for_by_zero_and_given_by_integers() -> None:
    assert made(replace(SCORE, largest_error=0.0)).phase("p").backends == ("pq-tls", "bgv")
    assert made(SCORE).phase("p").backends == ("pq-tls", "ckks"), "nothing says that rows are integers"
    only = replace(ANY, allow=replace(ANY.allow, aggregation=("bgv",)))
    assert "no largest_error = 0 says that rows and weights are such" in refusal(SCORE, only)
    assert made(replace(COUNT, largest_error=0.0)).phase("p").backends == ("pq-tls", "bgv")
    assert "can be wrong by" in refusal(replace(SUMMARISE, largest_error=0.0))


@pytest.mark.parametrize("phase", [SCORE, SUMMARISE], ids=["score", "summarise"])
def test_a_bound_that_is_met_is_kept_and_a_smaller_one_is_refused_with_the_numbers_of_the_finest_set(
    phase: Phase,
) -> None:
    bound = requirements.largest_error(phase, {"aggregation": "ckks"}, "ckks-product-8192", ANY)
    assert 0 < bound < 1e-4
    assert made(replace(phase, largest_error=bound)).phase("p").parameter_set == "ckks-product-8192"
    message = refusal(replace(phase, largest_error=bound / 1.01))
    said = f"can be wrong by {bound:.2g} of its bound in ckks-product-8192, and largest_error = {bound / 1.01:.2g}"
    assert said in message and "ckks-linear-4096" not in message


def test_of_a_network_nothing_is_known_beforehand() -> None:
    assert requirements.largest_error(INFER, {"aggregation": "ckks"}, "ckks-network-8192", ANY) == math.inf
    asked = replace(INFER, largest_error=0.1)
    (said,) = requirements.broken(asked, {"aggregation": "ckks"}, "ckks-network-8192", Estimate(1.0, 1), ANY)
    assert said == "states no error beforehand, and largest_error = 0.1"
    assert not requirements.broken(asked, {"enclave": "sev-snp"}, "", Estimate(1.0, 1), ANY)


@pytest.mark.parametrize("bits", PARAMETER_SETS)
@pytest.mark.parametrize("backend", ["additive-rlwe", "ckks", "plain"])
def test_sums_are_as_exact_as_is_said(backend: str, bits: int) -> None:
    summed = next(phase for phase in TRAINING.phases if phase.kind == "aggregate")
    asked = policy({"network"})
    asked = replace(asked, limits=replace(asked.limits, value_bits=bits))
    said = requirements.largest_error(summed, {"aggregation": backend}, "", asked)
    scheme, shape = host.aggregation(backend, bits), SumShape(10, 2.0, bytes(32))
    update = np.linspace(-2, 2, 10, dtype=np.float32)
    for count in (2, 32):
        parts = [scheme.encrypt(update, weight=1.0, shape=shape) for _ in range(count)]
        accumulator = scheme.accumulator(shape=shape)
        for part in parts:
            accumulator.add(part.ciphertext)
        key = scheme.combine_keys([part.key for part in parts])
        found = scheme.decrypt(accumulator.total(), key, shape=shape, count=count)
        assert found.error_bound <= said * count * 2.0 * (1 + 1e-12)


@pytest.mark.parametrize("bound", [1.0, 0.51, 1.0001, 65.0])
@pytest.mark.parametrize("columns", [1, 30])
@pytest.mark.parametrize("name", encrypted.PARAMETER_SETS["score", "ckks"])
def test_scores_of_whatever_bound_are_as_exact_as_is_said(name: str, columns: int, bound: float) -> None:
    """They are divided by the next power of two, so that error and bound are up to twice as far apart."""
    key = SecretKey.generate(HeParameters.named(name))
    names = tuple(f"x{i}" for i in range(columns))
    table = analytics.encrypt_numbers(key, names, np.ones((5, columns)), bounds=[1.0] * columns)
    model = analytics.LinearModel("linear", names, (0.9 * bound / columns,) * columns, 0.1 * bound)
    scores = analytics.open_scores(key, table.digest(), table.rows, analytics.score(table, model))
    phase = replace(SCORE, parameters=columns)
    assert scores.error / bound <= requirements.largest_error(phase, {"aggregation": "ckks"}, name, ANY)


def test_scores_and_moments_are_as_exact_as_is_said() -> None:
    """Against the errors that real answers carry, of values that fill their bounds."""
    random = np.random.default_rng(5)
    rows = random.uniform(-1, 1, (40, 3))
    model = analytics.LinearModel("linear", ("a", "b", "c"), (0.25, -0.5, 0.2), 0.05)
    for name in encrypted.PARAMETER_SETS["score", "ckks"]:
        key = SecretKey.generate(HeParameters.named(name))
        table = analytics.encrypt_numbers(key, ["a", "b", "c"], rows, bounds=[1.0] * 3)
        scores = analytics.open_scores(key, table.digest(), table.rows, analytics.score(table, model))
        said = requirements.largest_error(replace(SCORE, parameters=3), {"aggregation": "ckks"}, name, ANY)
        assert scores.error <= said < 4 * scores.error
    products = SecretKey.generate(HeParameters.named("ckks-product-8192"))
    table = analytics.encrypt_numbers(products, ["a", "b", "c"], rows, bounds=[1.0] * 3)
    found = analytics.open_statistics(products, table, analytics.summarise(table, products.evaluation_keys()))
    asked = replace(SUMMARISE, parameters=3, batch=40)
    said = requirements.largest_error(asked, {"aggregation": "ckks"}, "ckks-product-8192", ANY)
    assert found.covariance_error.max() <= said and found.mean_error.max() <= said


# ------------------------------------------------------------------------------------------------- sizes and depth


def test_sizes_are_those_of_the_sets() -> None:
    named = {name for names in encrypted.PARAMETER_SETS.values() for name in names}
    assert named - {"ckks-network-8192"} == set(fitting.SETS)
    for name, (slots, size) in fitting.SETS.items():
        assert (SETS[name].slots, SETS[name].ciphertext_bytes) == (slots, size)
    assert set(encrypted.PARAMETER_SETS["score", "ckks"]) == set(requirements.SCORED)
    assert set(encrypted.PARAMETER_SETS["summarise", "ckks"]) == set(requirements.SUMMED)
    for name, (fresh, weight_bits) in requirements.SCORED.items():
        assert fresh / 1.02 <= CkksTrack.fresh(SETS[name]).error <= fresh
        assert SETS[name].weight_bits == weight_bits


def test_networks_are_held_to_the_slots_and_vectors_that_analytics_has() -> None:
    network = SETS["ckks-network-8192"]
    assert (network.slots, network_layout.MOST_VECTORS) == (fitting.NETWORK_SLOTS, fitting.MOST_VECTORS)
    assert fitting.MOST_COLUMNS == tables.MOST_COLUMNS


def test_sets_are_listed_from_the_coarsest_and_the_smallest_on() -> None:
    for kind, names in (("score", encrypted.PARAMETER_SETS["score", "ckks"]), ("summarise", ("ckks-product-8192",))):
        phase = replace(SCORE, kind=kind)
        errors = [requirements.largest_error(phase, {"aggregation": "ckks"}, name, ANY) for name in names]
        assert errors == sorted(errors, reverse=True)
        sizes = [fitting.SETS[name][1] / fitting.SETS[name][0] for name in names]
        assert sizes == sorted(sizes)


def test_as_many_rows_are_summed_as_fit() -> None:
    fresh = CkksTrack.fresh(SETS["ckks-product-8192"])

    def of(chunks: int) -> CkksTrack:
        summed = fresh
        for _ in range(chunks - 1):
            summed = summed.plus(fresh)
        return summed.times(1 << SETS["ckks-product-8192"].weight_bits).summed()

    assert of(fitting.MOST_SUMMED_CHUNKS)
    with pytest.raises(ParametersRefused, match="a sum over slots needs"):
        of(fitting.MOST_SUMMED_CHUNKS + 1)
    most = fitting.MOST_SUMMED_CHUNKS * 4096
    assert made(replace(SUMMARISE, parameters=1, batch=most))
    assert f"it adds up at most {most} rows, not {most + 1}" in refusal(
        replace(SUMMARISE, parameters=1, batch=most + 1)
    )


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (replace(SCORE, parameters=4097, batch=10), "a table has at most 4096 columns, not 4097"),
        (replace(SCORE, parameters=1000, batch=10_000), "the table has 196995000 bytes encrypted, and a message"),
        (replace(SUMMARISE, parameters=32), "the answer has 146872880 bytes encrypted, and a message"),
        (replace(SUMMARISE, batch=1), "a single row has no variance"),
        (replace(COUNT, parameters=10_000), "the answer has 2622730000 bytes encrypted"),
        (replace(INFER, parameters=32, hidden=1 << 14), "32 inputs and 16384 hidden units fill 128 vectors, over 64"),
        (replace(INFER, parameters=5000, hidden=2), "a network has at most 4096 inputs, not 5000"),
        (INFER, "the phase gives no `hidden` of such a network"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(phase: Phase, expected: str) -> None:
    assert expected in refusal(phase)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (replace(SCORE, parameters=1, batch=(1 << 24) + 1), "messages have 67108868 bytes"),
        (replace(SUMMARISE, parameters=2900), "messages have 67291600 bytes"),
        (replace(COUNT, parameters=(1 << 24) + 1), "messages have 67108868 bytes"),
        (replace(SUMMARISE, batch=1), "a single row has no variance"),
    ],
)
def test_what_no_served_model_can_be_asked_or_answer_is_refused_with_the_numbers(phase: Phase, expected: str) -> None:
    assert expected in refusal(phase, replace(ANY, threats=("curious-host",)), "sev-snp")


def test_what_computes_nothing_in_a_phase_is_said_to_do_nothing_there() -> None:
    channel = Phase("p", "transport", "record", 1e9, message_bytes=1000, silos=1)
    reasons = {
        refused.backend: refused.reason
        for refused in made(channel, replace(ANY, threats=("network",))).phase("p").refused
    }
    assert {reasons[name] for name in ("ckks", "bgv")} == {"it does nothing in transport phases"}


def test_the_page_says_how_much_fits() -> None:
    text = (Path(__file__).parents[2] / "docs" / "planner.md").read_text()
    assert f"at most {fitting.MOST_SUMMED_CHUNKS * 4096:,} rows" in text
    columns = next(
        n for n in range(1, 100) if "the answer has" in fitting.uncomputed(replace(SUMMARISE, parameters=n), "ckks")
    )
    assert f"(up to {columns - 1} columns)" in text


def test_a_table_that_is_too_large_for_a_message_is_where_analytics_refuses_it() -> None:
    """The planner's figure is the one by which a table is refused when it is encrypted."""
    key = SecretKey.generate(HeParameters.named("ckks-linear-4096"))
    most = (LARGEST_MESSAGE - 65_536) // (65_649 + 16)
    assert made(replace(SCORE, parameters=most, batch=2))
    assert "bytes encrypted" in refusal(replace(SCORE, parameters=most + 1, batch=2))
    names = [f"c{n}" for n in range(most + 1)]
    with pytest.raises(ParametersRefused, match="bytes encrypted, over"):
        analytics.encrypt_numbers(key, names, np.zeros((2, most + 1)), bounds=[1.0] * len(names))


def test_a_request_that_no_message_holds() -> None:
    served = replace(ANY, threats=("curious-host",), allow=replace(ANY.allow, aggregation=("bgv",)))
    assert made(replace(SCORE, parameters=16, batch=1 << 20), served, "sev-snp")
    assert "messages have 67108928 bytes, and a sealed one holds at most" in refusal(
        replace(SCORE, parameters=16, batch=(1 << 20) + 1), served, "sev-snp"
    )
