"""How members of a committee void an attempt that cannot be answered: as many sign it as must answer."""

from __future__ import annotations

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.federation.agreement import read
from quatrefoil.federation.committee_messages import CommitteeVoid
from quatrefoil.federation.desk_members import AskedMembers
from quatrefoil.federation.desk_opening import Opening
from quatrefoil.federation.messages import RoundVoid


class Voids:
    """Of the attempt that ``opening`` has offered."""

    def __init__(self, members: AskedMembers, opening: Opening, *, security: TransportSecurity) -> None:
        self._members = members
        self._opening = opening
        self._security = security

    def begin(self, request: bytes) -> None:
        """Ask the members to void the attempt, with this signed :class:`VoidRequest`."""
        now = self._members.current()
        if now.offer is None:
            raise CallerError("the attempt was not offered: there is nothing to void", hint="Offer it first")
        now.void_request = now.void_request or request

    @property
    def request(self) -> bytes | None:
        """What members are asked to void the attempt with; None while it goes on."""
        return None if self._members.now is None else self._members.now.void_request

    def wants(self, name: str) -> bool:
        """Whether this member is to void the attempt."""
        now = self._members.now
        if now is None or now.void_request is None or name not in self._members.names:
            return False
        return name not in now.voids and name not in now.unwilling

    def take(self, name: str, signed: bytes) -> None:
        """A member's signed :class:`RoundVoid` of the attempt."""
        now = self._members.current()
        with self._members.refusing(name):
            void = read(self._security, signed, RoundVoid, self._members.member(name), "silo")
            opening = now.opening
            if (void.job, void.round, void.attempt) != (opening.job, opening.round, opening.attempt):
                return
            if void.context != self._opening.context().digest():
                raise MessageRefused(f"{name} voids another context", hint="Take the current offer", party=name)
            now.voids.setdefault(name, signed)

    def void(self) -> bytes | None:
        """The :class:`CommitteeVoid`, once so many members have signed as must; None before."""
        now = self._members.current()
        if len(now.voids) < self._members.recovery:
            return None
        return CommitteeVoid(tuple(now.voids[name] for name in sorted(now.voids))).encode()


__all__ = ["Voids"]
