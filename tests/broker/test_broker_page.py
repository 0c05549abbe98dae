"""docs/broker.md says what the code does: objects, questions, purposes, names in the state, limits."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from broker_drive import BrokerDrive

from killing import Fuse
from quatrefoil.audit import leases
from quatrefoil.broker import clock, ledger, messages, nonces, registry, sealing_key
from quatrefoil.services import broker
from quatrefoil.wire import WireObject

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "broker.md").read_text()
TEXT = " ".join(PAGE.split())
OBJECT = re.compile(r'^    (\w+) += \["(urn:[a-z:-]+)", (\d+), \[(.*?)\]\]$', re.MULTILINE | re.DOTALL)
KINDS = {
    kind
    for module in (messages, leases)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, WireObject) and kind.__module__ == module.__name__
}


def written(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"[{written(typing.get_args(kind)[0])}]"
    return {str: "text"}.get(kind, kind.__name__)


def documented() -> dict[str, tuple[str, int, str]]:
    return {name: (urn, int(version), " ".join(fields.split())) for name, urn, version, fields in OBJECT.findall(PAGE)}


def test_the_objects_are_those_of_the_code() -> None:
    found = {}
    for kind in KINDS:
        hints = typing.get_type_hints(kind)
        fields = ", ".join(f"{field.name}: {written(hints[field.name])}" for field in dataclasses.fields(kind))
        found[kind.__name__] = (kind.TYPE, kind.VERSION, fields)
    assert documented() == found


def test_the_questions_are_those_of_the_service() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.partition("\n## Questions\n")[2].partition("\n## ")[0], re.M)
    source = inspect.getsource(broker.BrokerService)
    assert rows == re.findall(r"Answers ``(\w+)``", source) + [name for name in rows[1:] if f'"{name}": ' in source]
    assert len(rows) == len(set(rows)) == 9


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (messages.purpose(messages.RELEASE, b"\xaa" * 32, "STAGE"), f"quatrefoil broker release {'aa' * 32} STAGE"),
        (messages.purpose(messages.RENEW, b"\xaa" * 32), f"quatrefoil broker renew {'aa' * 32}"),
        (messages.purpose(messages.DERIVE, b"\xaa" * 32), f"quatrefoil broker derive {'aa' * 32}"),
        (messages.purpose(messages.INTRODUCE), "quatrefoil broker introduce"),
    ],
)
def test_the_purposes(action: str, said: str) -> None:
    assert action == said
    assert re.sub("(aa){32}", "RESOURCE", said).replace("renew RESOURCE", "renew LEASE") in PAGE


def test_the_names_of_the_state() -> None:
    body = PAGE.partition("\n## What is remembered, and when it is durable\n")[2].partition("\n\nThe log")[0]
    rows = {name.partition("/")[0] for name in re.findall(r"^\| `([\w/-]+)` \|", body, re.M)}
    drive = BrokerDrive(Fuse()).run()
    assert {name.partition("/")[0] for name in drive.disk.names("")} | {sealing_key.NAME} == rows


def test_the_limits() -> None:
    assert f"good for {nonces.NONCE_S} seconds" in TEXT and f"expired ({nonces.NONCE_S} s)" in TEXT
    assert f"An asker has {nonces.MOST_NONCES} at a time" in TEXT
    assert f"A clock up to {clock.TOLERATED_S} seconds behind" in TEXT
    assert ledger.KEPT_S == 86400 and "for a day after its end" in TEXT
    assert registry.LARGEST_RESOURCE == 1 << 20 and "a signed resource 1 MiB" in TEXT
    assert broker.LARGEST_QUESTION == 16 << 20 and "A request may have 16 MiB" in TEXT


def test_what_is_claimed_is_tested() -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE):
        assert f"def {name}(" in (ROOT / file).read_text(), name
