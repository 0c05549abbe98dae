"""Every object that is hashed, signed or sent, of every type that there is."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.held import refused_or, refused_or_same

import quatrefoil.analytics  # from these every room with messages is reached
import quatrefoil.broker.root_recovery
import quatrefoil.broker.sealing_key
import quatrefoil.exchange
import quatrefoil.flower.seat_line
import quatrefoil.planner.plans
import quatrefoil.proven.tasks
import quatrefoil.services.aggregator
import quatrefoil.services.broker
import quatrefoil.serving.record_writer
from quatrefoil import wire
from quatrefoil.policy import Policy
from quatrefoil.workload import Workload

del quatrefoil
EXAMPLES = Path(__file__).parents[3] / "examples"


def _kinds(base: type[wire.WireObject] = wire.WireObject) -> list[type[wire.WireObject]]:
    return [kind for one in base.__subclasses__() for kind in (one, *_kinds(one))]


KINDS = {kind.TYPE: kind for kind in _kinds() if kind.__module__.startswith("quatrefoil.")}
"""``test_fuzz`` holds these to the types that the code names."""


def seeds() -> list[bytes]:
    """One valid message of some kinds, and the empty shape of every other: type, version, no fields."""
    policy = Policy.load(EXAMPLES / "policies" / "hospitals.toml")
    workload = Workload.load(EXAMPLES / "own_model" / "workload.toml")
    shapes = [b"\x83" + _text(name) + b"\x01\x80" for name in sorted(KINDS)]
    return [policy.encode(), workload.encode(), policy.limits.encode(), *shapes]


def one(data: bytes) -> None:
    """Decoded as what it says it is."""
    name = refused_or(lambda: wire.type_of(data))
    for kind in [KINDS[name]] if name in KINDS else KINDS.values():
        value = refused_or_same(lambda kind=kind: kind.decode(data), lambda value: value.encode(), data)
        if value is not None:
            assert kind.decode(value.encode()) == value or value != value  # a field may be not a number


def _text(value: str) -> bytes:
    encoded = value.encode()
    return (bytes([0x60 + len(encoded)]) if len(encoded) < 24 else bytes([0x78, len(encoded)])) + encoded
