"""Lines of progress: text for people, objects for programs, and the same to whoever else is to be told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from quatrefoil.output import progress


@pytest.fixture
def as_json() -> Iterator[None]:
    progress.shape("json", command="keeper")
    yield
    progress.shape("text")


def test_lines_for_programs(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    progress.report('round 1: "result"\naccepted')
    progress.fail("state x is away. Check it", error="HostError")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["command"], first["message"]) == ("info", "keeper", 'round 1: "result"\naccepted')
    assert first["time"].endswith("Z") and len(first["time"]) == len("2026-01-01T00:00:00.000Z")
    assert (second["level"], second["error"]) == ("error", "HostError")


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    progress.report("round 1")
    progress.fail("no. Try again", error="HostError")
    assert capsys.readouterr().err == "round 1\nquatrefoil: no. Try again\n"


def test_what_is_reported_is_told_to_the_manager_too(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    progress.also(told.append)
    progress.report("round 1")
    progress.also(lambda _: None)
    progress.report("round 2")
    assert told == ["round 1"]
