"""The tests' roots in AMD's place, for every test of serving."""

from __future__ import annotations

import pytest

from running_server import server
from serving_parts import own_roots

__all__ = ["own_roots", "server"]


@pytest.fixture(autouse=True)
def trusting(own_roots: None) -> None:
    """In every test here."""
