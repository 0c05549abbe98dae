"""The tests' roots in AMD's place, and a consortium at the time of the tests' evidence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attested_parties import Clock

import attesting
from quatrefoil.appraisal import verifiers
from quatrefoil.enclave import snp
from support import Consortium, clock_at


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"sev-snp": lambda evidence, given, at: snp.verify(evidence, given, at, roots=attesting.roots())}
    monkeypatch.setattr(verifiers, "VERIFIERS", {**verifiers.VERIFIERS, **own})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A consortium whose certificates are good when the tests' evidence is."""
    yield Consortium(tmp_path_factory.mktemp("attested") / "ca", clock=clock_at(attesting.AT))
