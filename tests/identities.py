"""Whoever signs something in tests: identities of two consortia, and the clock that they go by."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import ClassVar

from quatrefoil.audit.dsse import Notary
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.transport import Identity, PostQuantumTransport
from support import Consortium, clock_at

START = datetime(2030, 1, 1, tzinfo=UTC)
TRUSTED, STRANGER = "test-consortium", "stranger"
"""Names of two roots; every party of a :class:`World` trusts the first only."""


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **passed: float) -> None:
        self.now += timedelta(**passed)


@cache
def consortium(root: str) -> Consortium:
    """An authority that certified everybody an hour before :data:`START`."""
    folder = Path(tempfile.mkdtemp(prefix="quatrefoil-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Consortium(folder / "ca", root, clock=clock_at(START - timedelta(hours=1)))


def identity(name: str, role: str, root: str = TRUSTED) -> Identity:
    return consortium(root).identity(name, role)


@cache
def renewed(name: str, role: str) -> Identity:
    """A second certificate of the same authority for the same party."""
    authority = consortium(TRUSTED).authority
    return authority.issue(name, role, directory=authority.directory / "renewed" / f"{role}-{name}")


def speaking_as(holder: Identity, clock: Clock | None = None) -> PostQuantumTransport:
    """What ``holder`` signs with; it believes the test's consortium, whoever certified it."""
    return _Remembering(holder, consortium(TRUSTED).trust, clock=clock or Clock())


def notary(holder: Identity, clock: Clock | None = None) -> Notary:
    """What ``holder`` signs statements of provenance with."""
    return Notary(holder, consortium(TRUSTED).trust, clock=clock or Clock())


class _Remembering(PostQuantumTransport):
    """Verifies a statement once for all parties of a test: they trust the same root and have the same clock."""

    _verified: ClassVar[dict[tuple[bytes, datetime], VerifiedStatement]] = {}

    def verify(self, signed: bytes) -> VerifiedStatement:
        key = (signed, self._clock())
        if key not in self._verified:
            self._verified[key] = super().verify(signed)
        return self._verified[key]
