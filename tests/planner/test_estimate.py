"""Predictions worked out by hand from made-up costs, and what they must never do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planner.made_up import (
    ADDITIVE,
    EXCHANGES,
    LINEAR,
    NETWORK,
    PRODUCTS,
    PROOFS,
    TRAINING,
    TRANSPORT,
    make_costs,
    policy,
)

from quatrefoil.errors import PolicyInvalid
from quatrefoil.planner import Costs, Line, RoundCosts
from quatrefoil.planner.encrypted import PARAMETER_SETS, rotations, shape, squarest
from quatrefoil.planner.estimate import Estimate, estimate, excluded
from quatrefoil.workload import KINDS, Phase

CHANNEL = {"transport": "pq-tls"}
SUMS = {**CHANNEL, "aggregation": "additive-rlwe"}
PROVEN = {**SUMS, "proofs": "bounded-update"}
COSTS = make_costs()
POLICY = policy({"recorder"})


def in_first_set(asked: Phase, chosen: dict[str, str], costs: Costs = COSTS) -> Estimate:
    """Encrypted, in the coarsest set that there is for it."""
    parameter_set = PARAMETER_SETS[asked.kind, chosen["aggregation"]][0]
    return estimate(asked, chosen, POLICY, costs, parameter_set=parameter_set)


def phase(kind: str) -> Phase:
    return next(one for one in TRAINING.phases if one.kind == kind)


def test_silos_work_side_by_side_and_the_aggregator_serves_them_in_turn() -> None:
    found = estimate(phase("collect"), SUMS, POLICY, COSTS)
    message = ADDITIVE.ciphertext_bytes.at(1000) + TRANSPORT.statement_bytes + TRANSPORT.sealed_bytes
    at_silo = ADDITIVE.encrypt_ms.at(1000) + TRANSPORT.seal_ms + TRANSPORT.sign_ms + 2 * TRANSPORT.verify_ms
    at_aggregator = 4 * (TRANSPORT.message_ms.at(message) + TRANSPORT.verify_ms)
    assert found.ms == pytest.approx(at_silo + at_aggregator) and found.bytes == round(4 * message)


@pytest.mark.parametrize(("at_once", "waves"), [(None, 1), (4, 1), (3, 2), (2, 2), (1, 4), (100, 1)])
def test_silos_that_share_a_machine_take_turns(at_once: int | None, waves: int) -> None:
    """By the proof, the longest that a silo does."""
    apart = estimate(phase("collect"), PROVEN, POLICY, COSTS)
    here = estimate(phase("collect"), PROVEN, POLICY, COSTS, at_once=at_once)
    proven = PROOFS.prove_ms.at(1000) + PROOFS.verify_ms.at(1000)
    signed = TRANSPORT.seal_ms + TRANSPORT.sign_ms + 2 * TRANSPORT.verify_ms
    at_silo = ADDITIVE.encrypt_ms.at(1000) + proven + signed
    assert here.ms - apart.ms == pytest.approx((waves - 1) * at_silo) and here.bytes == apart.bytes


def test_more_threads_prove_sooner_and_verify_several_proofs_at_once() -> None:
    one, two = (estimate(phase("collect"), PROVEN, POLICY, COSTS.at(threads)) for threads in (1, 2))
    saved = ADDITIVE.encrypt_ms.at(1000) / 2 + PROOFS.prove_ms.at(1000) / 2 + 2 * PROOFS.verify_ms.at(1000)
    assert one.ms - two.ms == pytest.approx(saved) and one.bytes == two.bytes


def test_what_a_round_does_besides_its_parts_is_added_to_each_of_its_phases() -> None:
    rest = RoundCosts(Line(1.0, 0.1), Line(2.0, 0.2), Line(3.0, 0.3))
    for kind, more in (("collect", 1.4), ("aggregate", 2.8), ("keys", 4.2)):
        bare, whole = (estimate(phase(kind), PROVEN, POLICY, costs) for costs in (COSTS, replace(COSTS, rounds=rest)))
        assert whole.ms - bare.ms == pytest.approx(more) and whole.bytes == bare.bytes
    for kind in ("transport", "audit"):
        assert estimate(phase(kind), CHANNEL, POLICY, replace(COSTS, rounds=rest)) == estimate(
            phase(kind), CHANNEL, POLICY, COSTS
        )


def test_a_request_costs_what_its_parts_do_and_what_is_around_them() -> None:
    asked = Phase("ask", "infer", "record", 1e6, message_bytes=1000, batch=3)
    sent = EXCHANGES.exchange_bytes.at(1000) + EXCHANGES.receipt_bytes
    parts = EXCHANGES.exchange_ms.at(1000) + EXCHANGES.receipt_ms.at(1000) + TRANSPORT.message_ms.at(sent)
    assert estimate(asked, {**CHANNEL, "enclave": "tdx"}, POLICY, COSTS).ms == pytest.approx(3 * parts)
    around = replace(COSTS, serving={"pq-tls": replace(EXCHANGES, around_ms=Line(2.0, 1e-3))})
    assert estimate(asked, {**CHANNEL, "enclave": "tdx"}, POLICY, around).ms == pytest.approx(3 * (parts + 3.0))


# ------------------------------------------------------------------------------------------------ encrypted tables


def table(kind: str, parameters: int, batch: int) -> Phase:
    return Phase("table", kind, "record", 1e6, parameters=parameters, batch=batch)


def test_scores_cost_by_the_ciphertexts_of_the_table() -> None:
    """10,000 rows are 3 chunks of 4,096."""
    found = in_first_set(table("score", 30, 10_000), {"aggregation": "ckks"})
    assert found.ms == pytest.approx(LINEAR.encrypt_ms.at(90) + LINEAR.weigh_ms.at(90) + LINEAR.open_ms.at(3))
    assert found.bytes == round(LINEAR.table_bytes.at(90)) + round(LINEAR.answer_bytes.at(3))
    one_more = in_first_set(table("score", 30, 3 * 4096 + 1), {"aggregation": "ckks"})
    assert one_more.ms > found.ms == in_first_set(table("score", 30, 3 * 4096), {"aggregation": "ckks"}).ms


def test_statistics_cost_a_product_and_a_sum_for_each_pair_and_the_keys() -> None:
    """3 columns: 6 pairs, 9 sums."""
    found = in_first_set(table("summarise", 3, 5000), {"aggregation": "ckks"})
    computed = 6 * PRODUCTS.read_ms + 12 * PRODUCTS.product_ms + 9 * PRODUCTS.total_ms
    at_the_key_holder = PRODUCTS.encrypt_ms.at(6) + PRODUCTS.keys_ms + PRODUCTS.open_ms.at(9)
    assert found.ms == pytest.approx(computed + at_the_key_holder)
    assert found.bytes > PRODUCTS.keys_bytes + 15 * 65_660


def test_a_channel_adds_the_way_of_both_messages() -> None:
    one = table("score", 5, 100)
    bare, moved = (in_first_set(one, {**more, "aggregation": "bgv"}) for more in ({}, CHANNEL))
    sent = TRANSPORT.message_ms.at(round(LINEAR.table_bytes.at(5))) + TRANSPORT.message_ms.at(
        round(LINEAR.answer_bytes.at(1))
    )
    assert moved.ms - bare.ms == pytest.approx(sent) and moved.bytes == bare.bytes


def test_a_table_that_is_sealed_to_an_enclave_costs_an_exchange_instead() -> None:
    one = table("score", 5, 100)
    inside = {**CHANNEL, "enclave": "tdx", "aggregation": "ckks"}
    each = (round(LINEAR.table_bytes.at(5)) + round(LINEAR.answer_bytes.at(1))) / 2
    sent = EXCHANGES.exchange_bytes.at(each) + EXCHANGES.receipt_bytes
    exchanged = EXCHANGES.exchange_ms.at(each) + EXCHANGES.receipt_ms.at(each) + TRANSPORT.message_ms.at(sent)
    bare = in_first_set(one, {"aggregation": "ckks"})
    found = in_first_set(one, inside)
    assert found.ms - bare.ms == pytest.approx(exchanged) and found.bytes == round(sent)


def test_a_network_costs_its_rotations_for_each_row() -> None:
    """32 inputs: 5; 16 hidden units of 128 that a block has place for: 4."""
    asked = Phase("ask", "infer", "record", 1e6, message_bytes=300, batch=7, parameters=32, hidden=16)
    found = in_first_set(asked, {**CHANNEL, "aggregation": "ckks"})
    moved = TRANSPORT.message_ms.at(NETWORK.row_bytes) + TRANSPORT.message_ms.at(NETWORK.answer_bytes)
    assert found.ms == pytest.approx(7 * (NETWORK.row_ms.at(9) + moved))
    assert found.bytes == 7 * round(NETWORK.row_bytes + NETWORK.answer_bytes)
    assert "evaluation keys" in excluded("infer", ("transport", "aggregation"))


@pytest.mark.parametrize(
    ("inputs", "hidden", "expected"),
    [(1, 1, 1), (2, 2, 2), (3, 2, 3), (32, 128, 12), (32, 129, 17), (4096, 1, 12), (4096, 3, 36), (64, 64, 12)],
)
def test_rotations_of_a_network(inputs: int, hidden: int, expected: int) -> None:
    asked = Phase("ask", "infer", "record", 1e6, message_bytes=1, batch=1, parameters=inputs, hidden=hidden)
    assert rotations(asked, 4096.0) == expected


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("score", 7, (7, 0, 0)),
        ("summarise", 1, (1, 2, 1)),
        ("summarise", 4, (4, 14, 10)),
        ("count", 12, (7, 12, 12)),
        ("count", 16, (8, 16, 16)),
        ("count", 1, (1, 1, 0)),
        ("count", 7, (7, 7, 0)),
    ],
)
def test_what_a_table_becomes(kind: str, parameters: int, expected: tuple[int, int, int]) -> None:
    assert shape(table(kind, parameters, 10)) == expected


@given(st.integers(1, 10_000))
def test_a_table_of_counts_has_all_its_cells(cells: int) -> None:
    down, across = squarest(cells)
    assert down * across == cells and down <= across
    assert not any(cells % n == 0 for n in range(down + 1, across)), "closer factors"


# ------------------------------------------------------------------------------------------------ what must not be


OF_TABLES = [(kind, b, name) for (kind, b), names in PARAMETER_SETS.items() for name in names if kind != "infer"]


@pytest.mark.parametrize("one", OF_TABLES)
@given(parameters=st.integers(1, 200), batch=st.integers(1, 10**6))
def test_more_rows_or_columns_never_cost_less(one: tuple[str, str, str], parameters: int, batch: int) -> None:
    kind, backend, name = one

    def of(columns: int, rows: int) -> Estimate:
        return estimate(table(kind, columns, rows), {"aggregation": backend}, POLICY, COSTS, parameter_set=name)

    less, rows = of(parameters, batch), of(parameters, 2 * batch)
    assert rows.ms >= less.ms > 0 and rows.bytes >= less.bytes > 0
    if kind != "count":  # the cells of a table say little of its columns
        more = of(parameters + 1, batch)
        assert more.ms > less.ms and more.bytes > less.bytes


@pytest.mark.parametrize("kind", ["score", "summarise", "count"])
def test_the_same_kind_is_priced_as_served_where_nothing_is_encrypted(kind: str) -> None:
    one = table(kind, 4, 1000)
    served = estimate(one, {**CHANNEL, "enclave": "tdx"}, POLICY, COSTS)
    assert served.ms > 0 and served.bytes > 1000 * 4
    assert excluded(kind, ("transport", "enclave")).startswith("the model's own computing")
    assert not excluded(kind, ("transport", "aggregation"))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"infer", "score", "summarise", "count"}))
def test_nothing_is_left_out_of_other_kinds(kind: str) -> None:
    assert not excluded(kind, ()) and not excluded(kind, ("transport", "aggregation"))


def test_without_figures_nothing_is_predicted() -> None:
    bare = replace(COSTS, aggregation={}, proofs={}, homomorphic={}, networks={}, serving={}, transport={})
    row = Phase("ask", "infer", "record", 1e6, message_bytes=1, batch=1, parameters=2, hidden=2)
    one = table("score", 4, 1000)
    for costs, of, chosen, missing in (
        (bare, one, {"aggregation": "ckks"}, "the parameter set ckks-linear-4096"),
        (bare, row, {"aggregation": "ckks"}, "networks in ckks-network-8192"),
        (bare, phase("collect"), SUMS, "transport/pq-tls"),
        (bare, phase("aggregate"), {"aggregation": "additive-rlwe"}, "transport/pq-tls"),
        (replace(bare, transport=COSTS.transport), phase("collect"), SUMS, "additive-rlwe/16 bits in 1 thread"),
        (replace(COSTS, proofs={}), phase("collect"), PROVEN, "proofs/bounded-update/16 bits"),
        (replace(COSTS, serving={}), one, {**CHANNEL, "enclave": "tdx"}, "serving over transport/pq-tls"),
        (replace(COSTS, threads=8), phase("collect"), SUMS, "additive-rlwe/16 bits in 8 threads"),
    ):
        with pytest.raises(PolicyInvalid, match=missing) as caught:
            parameter_set = PARAMETER_SETS.get((of.kind, chosen.get("aggregation", "")), ("",))[0]
            estimate(of, chosen, POLICY, costs, parameter_set=parameter_set)
        assert "quatrefoil calibrate" in caught.value.hint


def test_the_set_that_is_named_is_the_one_that_is_priced() -> None:
    one = table("score", 4, 1000)
    small, large = (
        estimate(one, {"aggregation": "ckks"}, POLICY, COSTS, parameter_set=name)
        for name in PARAMETER_SETS["score", "ckks"]
    )
    assert large.ms - small.ms == pytest.approx(PRODUCTS.encrypt_ms.at(4) - LINEAR.encrypt_ms.at(4) + 1.5)
    assert large.bytes == round(PRODUCTS.table_bytes.at(4)) + round(PRODUCTS.answer_bytes.at(1)) > 3 * small.bytes


@pytest.mark.parametrize(
    ("kind", "chosen", "wrong"),
    [
        ("score", {"aggregation": "ckks"}, ""),
        ("score", {"aggregation": "ckks"}, "bgv-linear-4096"),
        ("score", {"aggregation": "bgv"}, "ckks-linear-4096"),
        ("summarise", {"aggregation": "ckks"}, "ckks-linear-4096"),
        ("score", {**CHANNEL, "enclave": "tdx"}, "ckks-linear-4096"),
    ],
)
def test_no_set_is_priced_for_what_is_not_computed_in_it(kind: str, chosen: dict[str, str], wrong: str) -> None:
    with pytest.raises(AssertionError, match="no estimate for"):
        estimate(table(kind, 4, 1000), chosen, POLICY, COSTS, parameter_set=wrong)


@pytest.mark.parametrize("threads", [0, 3, 4, -1])
def test_a_number_of_threads_that_was_not_measured(threads: int) -> None:
    with pytest.raises(PolicyInvalid, match="only for 1, 2"):
        COSTS.at(threads)


def test_costs_without_sums_are_for_any_number_of_threads() -> None:
    """Nothing in them depends on it."""
    bare: Costs = replace(COSTS, aggregation={}, proofs={})
    assert bare.at(7).threads == 7
