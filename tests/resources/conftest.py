"""The parties of these tests: ``north`` owns resources, ``south`` is another member of the same consortium."""

from __future__ import annotations

import pytest

from quatrefoil.transport import PostQuantumTransport, TrustAnchor
from support import Consortium


@pytest.fixture(scope="session")
def north(consortium: Consortium) -> PostQuantumTransport:
    return consortium.transport("north", "silo")


@pytest.fixture(scope="session")
def south(consortium: Consortium) -> PostQuantumTransport:
    return consortium.transport("south", "silo")


@pytest.fixture(scope="session")
def trust(consortium: Consortium) -> TrustAnchor:
    return consortium.trust
