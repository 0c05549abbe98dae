"""What a party shows and whom it believes, at this moment. In a running service it changes: keys are replaced.

Channels ask at each handshake. An identity is exchanged only for another of the same party, roots and lists only for
newer ones, and each on its own: a key that cannot be used keeps no revocation from being heard of.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from quatrefoil.errors import CallerError, HostError, MessageRefused, PeerError, QuatrefoilError
from quatrefoil.transport import files
from quatrefoil.transport.identity import LIST_FILE, ROOT_FILE, Clock, Identity, TrustAnchor, identity_files
from quatrefoil.transport.profile import Host, Party
from quatrefoil.transport.revocation import RevocationList
from quatrefoil.transport.seen_lists import SeenLists, require_not_older

CHECK_SECONDS = 1.0
"""How often folders are looked at, at most, and how soon after a change a new handshake shows it."""

OnProblem: TypeAlias = Callable[[QuatrefoilError], None]
"""Told once of each thing that cannot be used, while what was there before stays in force: for the log."""


@dataclass(frozen=True)
class Standing:
    """An identity and the roots believed beside it. A new one is a new object: who holds one compares by ``is``."""

    identity: Identity
    trust: TrustAnchor


class Credentials(Protocol):
    """Where a service takes its standing from, at each handshake anew."""

    def current(self) -> Standing:
        """The same object as long as nothing has changed."""


class FixedCredentials:
    """A standing that does not change."""

    def __init__(self, identity: Identity, trust: TrustAnchor) -> None:
        self._standing = Standing(identity, trust)

    def current(self) -> Standing:
        return self._standing


class RotatingCredentials:
    """A standing that a program exchanges, from any thread. ``HostError`` where nobody would accept the identity."""

    def __init__(self, identity: Identity, trust: TrustAnchor, *, clock: Clock) -> None:
        require_own(identity, trust, clock())
        self._clock = clock
        self._lock = threading.Lock()
        self._standing = Standing(identity, trust)

    def current(self) -> Standing:
        return self._standing

    def rotate(self, identity: Identity) -> None:
        """Show ``identity`` from the next handshake on. ``CallerError`` if it is another party's or for another role,
        ``HostError`` if its certificate would be refused."""
        with self._lock:
            held = self._standing
            if (identity.name, identity.role) != (held.identity.name, held.identity.role):
                raise CallerError(
                    f"the new identity is {identity.role} {identity.name}, not {held.identity.role} "
                    f"{held.identity.name}",
                    hint="A party renews its own key; another party starts with its own command",
                )
            require_own(identity, held.trust, self._clock())
            self._standing = Standing(identity, held.trust)

    def believe(self, trust: TrustAnchor) -> None:
        """Believe ``trust`` from the next handshake on. ``HostError`` when one of its lists is older than the one held.

        It holds whatever it says of one's own certificate: a list that names others is not to be put off.
        """
        with self._lock:
            held = self._standing
            numbers = {one.root: one.number for one in held.trust.lists}
            for one in trust.lists:
                require_not_older(one, numbers.get(one.root, 0))
            self._standing = Standing(held.identity, trust)


class FolderCredentials:
    """The standing that lies in files: an identity's folder, and ``root.pem`` with ``crl.pem`` beside it.

    Files are looked at once a second at most, and read when they have changed. What cannot be read or believed leaves
    what was there before in force and is told to ``on_problem``; it is tried again at the next look.
    """

    def __init__(
        self,
        identity: Path | str,
        root: Path | str,
        *,
        clock: Clock,
        on_problem: OnProblem,
        on_change: Callable[[Standing], None] = lambda _standing: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises what is wrong with the files as they are now. ``on_change``: told of each new standing."""
        self._folder, self._root = Path(identity), _root_file(Path(root))
        self._on_problem, self._on_change = on_problem, on_change
        self._now = now
        self._looked = now()
        self._stamps = self._identity_stamp(), self._trust_stamp()
        self._held = RotatingCredentials(Identity.load(self._folder), TrustAnchor.load(self._root), clock=clock)
        self._seen: SeenLists | None = None
        self._told: dict[str, str] = {}
        self._lock = threading.RLock()  # whoever is told of a change may ask for the current standing

    def remember_in(self, seen: SeenLists) -> None:
        """Refuse lists older than any that ``seen`` knows, now (``HostError``) and at each change."""
        seen.accept(self._held.current().trust.lists)
        self._seen = seen

    def current(self) -> Standing:
        with self._lock:
            if self._now() - self._looked >= CHECK_SECONDS:
                self._looked = self._now()
                self._look()
            return self._held.current()

    def rotate(self, identity: Identity) -> None:
        """Show ``identity``, until the folder holds a newer one: see :meth:`RotatingCredentials.rotate`."""
        self._held.rotate(identity)

    def _look(self) -> None:
        identity, trust = self._identity_stamp(), self._trust_stamp()
        before = self._held.current()
        # The roots first: a new identity may come under a new root.
        if (trust != self._stamps[1] or "trust" in self._told) and self._try("trust", self._reload_trust):
            self._stamps = self._stamps[0], trust
        if (identity != self._stamps[0] or "identity" in self._told) and self._try("identity", self._reload_identity):
            self._stamps = identity, self._stamps[1]
        if (after := self._held.current()) is not before:
            self._on_change(after)

    def _reload_trust(self) -> None:
        trust = TrustAnchor.load(self._root)
        self._held.believe(trust)
        if self._seen is not None:  # last: a disk that takes nothing more keeps no revocation from counting
            self._seen.accept(trust.lists)

    def _reload_identity(self) -> None:
        identity = Identity.load(self._folder)
        if identity.fingerprint != self._held.current().identity.fingerprint:
            self._held.rotate(identity)

    def _try(self, what: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except QuatrefoilError as error:
            if self._told.get(what) != str(error):
                self._told[what] = str(error)
                self._on_problem(error)
            return False
        self._told.pop(what, None)
        return True

    def _identity_stamp(self) -> tuple[object, ...]:
        return tuple(files.stamp(file) for file in identity_files(self._folder))

    def _trust_stamp(self) -> tuple[object, ...]:
        return files.stamp(self._root), files.stamp(self._root.with_name(LIST_FILE))


class CurrentTrust(TrustAnchor):
    """The roots and lists of credentials as they are at each call, for what lives longer than a list: statements."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials.current().trust.roots)
        self._credentials = credentials

    @property
    def lists(self) -> tuple[RevocationList, ...]:
        return self._credentials.current().trust.lists

    def verify(
        self,
        certificate: bytes,
        *,
        at: datetime,
        refusal: type[PeerError],
        server: Host | None = None,
        claimed: datetime | None = None,
    ) -> Party:
        trust = self._credentials.current().trust
        return trust.verify(certificate, at=at, refusal=refusal, server=server, claimed=claimed)


def require_own(identity: Identity, trust: TrustAnchor, at: datetime) -> None:
    """``HostError`` when one's own certificate is not to be believed: every other party would refuse it too."""
    try:
        trust.verify(identity.certificate_der, at=at, refusal=MessageRefused)
    except MessageRefused as error:
        raise HostError(error.problem, hint=error.hint) from None


def _root_file(path: Path) -> Path:
    return path / ROOT_FILE if path.is_dir() else path


__all__ = [
    "Credentials",
    "CurrentTrust",
    "FixedCredentials",
    "FolderCredentials",
    "OnProblem",
    "RotatingCredentials",
    "Standing",
    "require_own",
]
