"""What several tests of this folder ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peer_program import Peer


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    with Peer() as running:
        yield running
