"""Fixtures of services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quatrefoil.services import questions


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Silos are told to ask again after a moment, so that ``wait`` is met in every test."""
    monkeypatch.setattr(questions, "PATIENCE", 0.2)
    yield
