"""docs/protocol.md says what the code does: every object with its fields, every name of state, every kind of entry."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from asking import opening
from state_names import names_of_state

from quatrefoil.errors import EvidenceRejected
from quatrefoil.federation import aggregator, keeper, messages, silo, vectors
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.wire import WireObject
from world import NAMES, World

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
OBJECT = re.compile(r'^    (\w+) += \["(urn:[a-z:-]+)", (\d+), \[(.*?)\]\]$', re.MULTILINE | re.DOTALL)
KINDS: set[type[WireObject]] = {
    kind
    for module in (messages, vectors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, WireObject) and kind is not WireObject
}


def written(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"[{written(typing.get_args(kind)[0])}]"
    return "text" if kind is str else str(kind.__name__)


def documented() -> dict[str, tuple[str, int, str]]:
    return {name: (urn, int(version), " ".join(fields.split())) for name, urn, version, fields in OBJECT.findall(PAGE)}


@pytest.mark.parametrize("kind", sorted(KINDS, key=attrgetter("__name__")), ids=lambda kind: kind.__name__)
def test_every_object_is_documented_field_by_field(kind: type[WireObject]) -> None:
    hints = typing.get_type_hints(kind)
    fields = ", ".join(f"{field.name}: {written(hints[field.name])}" for field in dataclasses.fields(kind))
    assert documented()[kind.__name__] == (kind.TYPE, kind.VERSION, fields)


def test_nothing_is_documented_that_does_not_exist() -> None:
    assert set(documented()) == {kind.__name__ for kind in KINDS}


def job_with_everything() -> World:
    """A job in which everything happens that a party can write down."""
    world = World(limits={"on_excess": "clip"}, rounds=1).begin()
    for _ in range(2):  # before the job has an attempt, and after
        with pytest.raises(Exception, match="is outside 1 to 1"):
            world.keeper.open_round(world.aggregator.enrolled_job, opening(world, round=9))
        world.open()
    world.send(world.open(), NAMES[:2])
    world.void()
    offer = world.open()
    world.contribution("dakar", offer, 5.0)
    with pytest.raises(Exception, match="header"):
        world.aggregator.receive("dakar", b"")
    world.send(offer)
    return world


def dispute(world: World, finished: FinishedRound) -> None:
    with pytest.raises(EvidenceRejected):
        world.silos["ambon"].accept(finished.offer, finished.release, finished.result, finished.receipts.of("bari"))


def test_every_name_of_state_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    names = names_of_state(monkeypatch)
    world = job_with_everything()
    finished = world.finish()
    dispute(world, finished)
    world.accept(finished)
    world.signed()
    world.aggregator.left("ambon")
    section = PAGE.partition("\n## What is remembered")[2]
    rows = re.findall(r"^\| (?:silo|aggregator|keeper) \| (`[^|]*`) \| [^|]* \| [^|]* \|$", section, re.MULTILINE)
    patterns = [re.sub(r"\b[A-Z]+\b", "[^/]+", name) for row in rows for name in re.findall(r"`(.*?)`", row)]
    assert [name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []


def test_every_kind_of_entry_is_documented() -> None:
    world = job_with_everything()
    finished = world.finish()
    dispute(world, finished)
    world.accept(finished)
    world.signed()
    rows = dict(re.findall(r"^\| (silo|aggregator|keeper) \| ((?:`[a-z-]+`(?:, )?)+) \|$", PAGE, re.MULTILINE))
    assert set(rows) == {"silo", "aggregator", "keeper"}
    kinds = {kind for row in rows.values() for kind in re.findall(r"`(.*?)`", row)}
    assert set(world.kinds()) == kinds - {"plan"}, "the plan is logged where it is made"


def test_the_rules_are_those_of_the_sources() -> None:
    for module, heading in ((silo, "The silo"), (aggregator, "The aggregator"), (keeper, "The keeper")):
        rules = re.findall(r"^\d\. ", inspect.getdoc(module) or "", re.MULTILINE)
        _, _, section = PAGE.partition(f"### {heading}\n")
        assert rules and re.findall(r"^\d\. ", re.split(r"\n##+ ", section)[0], re.MULTILINE) == rules
