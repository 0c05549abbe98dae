"""What is measured: every call once, with its bytes, whatever it raises; and nothing else changes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from backends import additive
from identities import identity, speaking_as
from quatrefoil.contracts import PrivateAggregation, SumShape, TransportSecurity
from quatrefoil.errors import CiphertextRefused, MessageRefused, UpdateRefused
from quatrefoil.meter import Meter, MeteredAggregation, MeteredTransport

SHAPE = SumShape(length=4, clip=1.0, context=bytes(32))


@pytest.fixture
def meter() -> Meter:
    return Meter()


def calls(meter: Meter) -> dict[str, int]:
    return {step: cost.calls for step, cost in meter.steps.items()}


def test_a_metered_aggregation_is_the_same_backend(meter: Meter) -> None:
    metered = MeteredAggregation(additive(), meter)
    assert isinstance(metered, PrivateAggregation)
    assert metered.scheme == additive().scheme
    total, keys = metered.accumulator(shape=SHAPE), []
    for value in (0.25, 0.5):
        encrypted = metered.encrypt(np.full(4, value), weight=1.0, shape=SHAPE)
        total.add(encrypted.ciphertext)
        keys.append(encrypted.key)
    found = metered.decrypt(total.total(), metered.combine_keys(keys), shape=SHAPE, count=2)
    np.testing.assert_allclose(found.values, 0.75, atol=1e-3)
    assert calls(meter) == {
        "aggregation.encrypt": 2, "aggregation.add": 3, "aggregation.combine keys": 1, "aggregation.decrypt": 1,
    }  # fmt: skip
    assert meter.steps["aggregation.encrypt"].bytes == 2 * len(encrypted.ciphertext)


def test_a_metered_transport_is_the_same_backend(meter: Meter) -> None:
    plain = speaking_as(identity("ambon", "silo"))
    metered = MeteredTransport(plain, meter)
    assert isinstance(metered, TransportSecurity)
    assert metered.name == "ambon"
    signed = metered.sign(b"body")
    assert plain.verify(signed).body == metered.verify(signed).body == b"body"
    recipient = metered.new_recipient()
    sealed = metered.seal(recipient.public, b"key", context=b"c")
    assert recipient.open(sealed, context=b"c").plaintext == b"key"
    assert calls(meter) == {
        "transport.sign": 1, "transport.verify": 1, "transport.new sealing key": 1, "transport.seal": 1,
    }  # fmt: skip
    assert meter.steps["transport.sign"].bytes == len(signed) - 4
    assert meter.steps["transport.seal"].bytes == len(sealed) - 3


def test_what_is_refused_is_counted_and_raised(meter: Meter) -> None:
    aggregation = MeteredAggregation(additive(), meter)
    with pytest.raises(UpdateRefused):
        aggregation.encrypt(np.full(4, np.nan), weight=1.0, shape=SHAPE)
    with pytest.raises(CiphertextRefused):
        aggregation.accumulator(shape=SHAPE).add(b"")
    with pytest.raises(CiphertextRefused):
        aggregation.combine_keys([b""])
    with pytest.raises(CiphertextRefused):
        aggregation.decrypt(b"", b"", shape=SHAPE, count=1)
    with pytest.raises(MessageRefused):
        MeteredTransport(speaking_as(identity("ambon", "silo")), meter).verify(b"")
    assert set(calls(meter).values()) == {1} and len(calls(meter)) == 5
    assert all(cost.bytes == 0 for cost in meter.steps.values())


def test_rows_are_sorted_and_hold_what_was_counted(meter: Meter) -> None:
    for step, size in (("b", 5), ("a", 2), ("b", 6)):
        with meter.timed(step) as cost:
            cost.bytes += size
    rows = meter.as_rows()
    assert [(row["step"], row["calls"], row["bytes"]) for row in rows] == [("a", 1, 2), ("b", 2, 11)]
    assert all(float(row["ms"]) >= 0 and float(row["cpu_ms"]) >= 0 for row in rows)
    assert Meter().as_rows() == []


def test_work_shows_in_processor_time_and_waiting_on_the_clock_only(meter: Meter) -> None:
    with meter.timed("work"):
        begun = time.process_time()
        while time.process_time() - begun < 0.02:
            pass
    with meter.timed("wait"):
        time.sleep(0.05)
    assert meter.steps["work"].cpu_ms >= 20
    assert meter.steps["wait"].ms >= 50 > meter.steps["wait"].cpu_ms
