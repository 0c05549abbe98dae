"""How an attempt is opened with a committee: members give the keys that their shares are sealed to, and the aggregator
offers the attempt with them. An offer is durable before it is given."""

from __future__ import annotations

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.agreement import AgreedJob, read
from quatrefoil.federation.authorities import least_keys, sealing_keys
from quatrefoil.federation.committee_messages import MemberKey, MemberKeys, SignedKeys
from quatrefoil.federation.desk_members import Asked, AskedMembers
from quatrefoil.federation.messages import OpenRound, RoundContext, RoundOffer
from quatrefoil.state import State


class Opening:
    """Of one attempt after another: ``begin``, the members' keys, ``offer``."""

    def __init__(self, job: AgreedJob, members: AskedMembers, *, security: TransportSecurity, state: State) -> None:
        self._job = job
        self._members = members
        self._security = security
        self._state = state
        self._request = b""

    def begin(self, request: bytes) -> None:
        """Ask for the members' keys with this signed :class:`OpenRound`, unless that attempt was opened before a
        restart."""
        wanted = read(self._security, request, OpenRound, self._job.job.aggregator, "aggregator")
        if self._members.now is None or self._members.now.opening != wanted:
            self._members.now = Asked(wanted)
        self._request = request
        stored = self._state.get(_offer_name(wanted))
        if stored is not None and self._members.now.offer is None:
            self._members.now.offer = stored
            context = RoundOffer.decode(self._security.verify(stored).body).context
            for name, key in zip(self._members.names, sealing_keys(context, self._members.names), strict=True):
                if key:
                    self._members.now.keys[name] = (key, b"")

    @property
    def request(self) -> bytes:
        """What members are asked for their keys with."""
        return self._request

    def wants_key(self, name: str) -> bool:
        """Whether this member's key for the attempt is waited for."""
        now = self._members.now
        return (
            now is not None
            and now.offer is None
            and name in self._members.names
            and name not in (now.keys | now.silent)
        )

    def take_key(self, name: str, signed: bytes) -> None:
        """The key that the member called ``name`` gives; one that comes late changes nothing."""
        now = self._members.current()
        with self._members.refusing(name):
            key = read(self._security, signed, MemberKey, self._members.member(name), "silo")
            if now.offer is not None or key.opening != now.opening.digest():
                return
            if any(key.key == other for member, (other, _) in now.keys.items() if member != name):
                raise MessageRefused(f"{name} gives the key of another member", hint="Make one", party=name)
            # What nothing can be sealed to is this member's fault now, and would be nobody's at every silo.
            self._security.seal(key.key, b"", context=key.opening)
            now.keys.setdefault(name, (key.key, signed))

    @property
    def can_open(self) -> bool:
        """Whether the attempt can be offered: so many members have given keys as are sure to come, or as have to answer
        and all others have said that they are silent."""
        now = self._members.current()
        if now.offer is not None or len(now.keys) >= least_keys(self._job):
            return True
        return len(now.keys) >= self._members.recovery and len(now.keys) + len(now.silent) == len(self._members.names)

    def offer(self) -> bytes:
        """The signed :class:`RoundOffer`, durable before it is returned: the same bytes after a restart."""
        now = self._members.current()
        if now.offer is None:
            if not self.can_open:
                raise MessageRefused(
                    f"{len(now.keys)} members have given keys, {least_keys(self._job)} are waited for",
                    hint="Wait for more",
                )
            given = [now.keys.get(name, (b"", b"")) for name in self._members.names]
            job, opening = self._job.job, now.opening
            context = RoundContext(
                job=opening.job,
                round=opening.round,
                attempt=opening.attempt,
                model=opening.model,
                scheme_digest=job.scheme_digest,
                length=job.layout.length,
                clip=job.clip,
                update_norm=opening.update_norm,
                direction=opening.direction,
                sealing_key=MemberKeys(tuple(key for key, _ in given)).encode(),
            )
            evidence = SignedKeys(tuple(signed for _, signed in given)).encode()
            signed = self._security.sign(RoundOffer(context, evidence).encode())
            now.offer = self._state.put_once(_offer_name(opening), signed)
        return now.offer

    def context(self) -> RoundContext:
        """Of the offer."""
        return RoundOffer.decode(self._security.verify(self.offer()).body).context


def _offer_name(opening: OpenRound) -> str:
    return f"offer/{opening.round:08d}/{opening.attempt:04d}"


__all__ = ["Opening"]
