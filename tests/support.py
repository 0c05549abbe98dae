"""A throw-away consortium for tests: an authority, and identities made when they are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from quatrefoil.transport import (
    CertificateAuthority,
    Clock,
    Identity,
    PostQuantumTransport,
    TrustAnchor,
    system_clock,
)


class Consortium:
    """An authority in ``directory``. Each (name, role) is issued once; another role makes another certificate."""

    def __init__(self, directory: Path, name: str = "test-root", *, clock: Clock = system_clock) -> None:
        self.clock = clock
        self.authority = CertificateAuthority.create(directory, name, clock=clock)
        self._identities: dict[tuple[str, str], Identity] = {}

    @property
    def directory(self) -> Path:
        return self.authority.directory

    @property
    def trust(self) -> TrustAnchor:
        return self.authority.trust

    def folder(self, name: str, role: str) -> Path:
        """Where :meth:`identity` writes."""
        return self.directory / "identities" / f"{role}-{name}"

    def identity(self, name: str, role: str) -> Identity:
        if (name, role) not in self._identities:
            self._identities[name, role] = self.authority.issue(name, role, directory=self.folder(name, role))
        return self._identities[name, role]

    def transport(self, name: str, role: str) -> PostQuantumTransport:
        return PostQuantumTransport(self.identity(name, role), self.trust, clock=self.clock)


def clock_at(moment: datetime) -> Clock:
    """A clock that stands still."""
    return lambda: moment


def days_from_now(days: float) -> Clock:
    """A clock that stands ``days`` away from this host's."""
    return clock_at(datetime.now(UTC) + timedelta(days=days))
