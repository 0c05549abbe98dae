"""Fixtures that more than one room uses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

import postgres_server
from postgres_server import PostgresServer
from quatrefoil.output import progress
from support import Consortium

# No test asserts times, and a busy machine is no counterexample.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def nothing_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the user who runs the tests keeps for commands is none of their business."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(autouse=True)
def lines_for_people() -> Iterator[None]:
    """A command that was run in this process has reported in its own way."""
    yield
    progress.shape("text")


@pytest.fixture(scope="session")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    """An authority with ``.trust``, ``.identity(name, role)``, ``.transport(name, role)`` and ``.directory``."""
    return Consortium(tmp_path_factory.mktemp("consortium") / "ca")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    """Another consortium, with its own root: nothing of it is to be believed."""
    return Consortium(tmp_path_factory.mktemp("stranger") / "ca", "other-root")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, for states of as many names as tests want."""
    if reason := postgres_server.why_not():
        pytest.skip(reason)
    with postgres_server.server() as running:
        yield running
