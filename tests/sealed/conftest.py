"""The parties of these tests: ``north`` seals, ``south`` is another member of the same consortium."""

from __future__ import annotations

import pytest

from quatrefoil.transport import Identity, TrustAnchor
from support import Consortium


@pytest.fixture(scope="session")
def north(consortium: Consortium) -> Identity:
    return consortium.identity("north", "silo")


@pytest.fixture(scope="session")
def south(consortium: Consortium) -> Identity:
    return consortium.identity("south", "auditor")


@pytest.fixture(scope="session")
def trust(consortium: Consortium) -> TrustAnchor:
    return consortium.trust
