"""One small instance and its proof, made once."""

from __future__ import annotations

import pytest
from proving import WIDE, Instance, instance


@pytest.fixture(scope="session")
def small() -> Instance:
    return instance(WIDE, 545)


@pytest.fixture(scope="session")
def small_proof(small: Instance) -> bytes:
    return small.prove()
