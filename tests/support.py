"""A throw-away consortium for tests: an authority, and identities made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa

from quatrefoil.transport import (
    CertificateAuthority,
    Clock,
    Identity,
    PostQuantumTransport,
    TrustAnchor,
    system_clock,
)
from quatrefoil.transport.authority import ROOT_KEY_FILE
from quatrefoil.transport.revocation import RevocationList, Revoked, read_lists
from quatrefoil.transport.revocations import sign_list


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

    @property
    def root_key(self) -> mldsa.MLDSA87PrivateKey:
        key = serialization.load_pem_private_key((self.directory / ROOT_KEY_FILE).read_bytes(), password=None)
        assert isinstance(key, mldsa.MLDSA87PrivateKey)
        return key

    def list_of(
        self, entries: Iterable[Revoked] = (), *, number: int = 2, clock: Clock | None = None, days: float = 30
    ) -> RevocationList:
        """A list that the authority signs and does not publish: others share this consortium."""
        now = (clock or self.clock)().replace(microsecond=0)
        pem = sign_list(
            self.root_key, self.authority.root, number, list(entries), now=now, lifetime=timedelta(days=days)
        )
        (found,) = read_lists(pem, "the list", [self.authority.root])
        return found

    def trust_with(self, *lists: RevocationList) -> TrustAnchor:
        """The root with these lists in place of its own."""
        return TrustAnchor([self.authority.root], lists=lists)

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
