"""docs/committee-rounds.md says what the code does: every object with its fields, names of state, entries and rules."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from state_names import names_of_state

from committee_world import EIGHT, CommitteeWorld
from quatrefoil.federation import committee_messages, member
from quatrefoil.wire import WireObject

PAGE = (Path(__file__).parents[2] / "docs" / "committee-rounds.md").read_text()
OBJECT = re.compile(r'^    (\w+) += \["(urn:[a-z:-]+)", (\d+), \[(.*?)\]\]$', re.MULTILINE | re.DOTALL)
KINDS = {
    kind
    for _, kind in inspect.getmembers(committee_messages, inspect.isclass)
    if issubclass(kind, WireObject) and kind is not WireObject
}


def written(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"[{written(typing.get_args(kind)[0])}]"
    return "text" if kind is str else str(kind.__name__)


def test_every_object_is_documented_field_by_field_and_no_other() -> None:
    documented = {
        name: (urn, int(number), " ".join(fields.split())) for name, urn, number, fields in OBJECT.findall(PAGE)
    }
    expected = {}
    for kind in KINDS:
        hints = typing.get_type_hints(kind)
        fields = ", ".join(f"{field.name}: {written(hints[field.name])}" for field in dataclasses.fields(kind))
        expected[kind.__name__] = (kind.TYPE, kind.VERSION, fields)
    assert documented == expected


def test_every_name_of_state_and_every_entry_of_a_committee_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    names = names_of_state(monkeypatch)
    world = CommitteeWorld()
    world.begin()
    world.send(world.open(), EIGHT[:3])
    world.void()
    world.run_round()
    rows = re.findall(r"^\| (?:silo|aggregator) \| (`[^|]*`) \| [^|]* \| [^|]* \|$", PAGE, re.MULTILINE)
    patterns = [re.sub(r"\b[A-Z]+\b", "[^/]+", name) for row in rows for name in re.findall(r"`(.*?)`", row)]
    of_committees = {name for name in names if name.startswith(("member/", "offer/", "release/"))}
    assert [name for name in of_committees if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []
    entries = dict(re.findall(r"^\| (silo|aggregator) \| ((?:`[a-z-]+`(?:, )?)+) \|$", PAGE, re.MULTILINE))
    kinds = {kind for row in entries.values() for kind in re.findall(r"`(.*?)`", row)}
    assert kinds - set(world.kinds()) == {"complaint", "share-opened"}, "nobody lied"


def test_the_rules_are_those_of_the_source() -> None:
    rules = re.findall(r"^\d\. ", inspect.getdoc(member) or "", re.MULTILINE)
    _, _, section = PAGE.partition("## The member\n")
    assert rules and re.findall(r"^\d\. ", re.split(r"\n##+ ", section)[0], re.MULTILINE) == rules
