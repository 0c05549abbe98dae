"""What the aggregator gathers for one attempt: contributions, and then confirmations of the roster that it closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quatrefoil.contracts import Accumulator, PrivateAggregation
from quatrefoil.errors import CallerError, CiphertextRefused, MessageRefused
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.messages import RosterProposal, RoundContext, SealedContribution
from quatrefoil.federation.spool import Kept, Spool


@dataclass(frozen=True)
class Received:
    """What is left of a silo's message once it is in the sum: signed contribution and sealed key, which the keeper is
    sent, and where ciphertext and proof lie. ``proof``: the one that was verified; None in a job without."""

    signed: bytes
    sealed_key: bytes
    ciphertext: Kept
    proof: Kept | None


@dataclass
class Gathering:
    """One open attempt. Ciphertexts and proofs are in ``spool``, all else is in memory. ``proposal`` is its roster once
    that is closed: then only those who are in it, with the very contributions that are in it, are still taken (after a
    restart they send them again). ``direction``: the entries that contributions agree with, empty for none."""

    context: RoundContext
    offer: bytes
    aggregation: PrivateAggregation
    spool: Spool
    direction: bytes = b""
    proposal: RosterProposal | None = None
    received: dict[str, Received] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    confirmations: dict[str, bytes] = field(default_factory=dict)
    _total: Accumulator | None = None

    def roster(self) -> RosterProposal:
        """The closed roster, or what it would be if it were closed now."""
        if self.proposal is not None:
            return self.proposal
        names = tuple(sorted(self.received))
        return RosterProposal(self.context.digest(), names, tuple(sha256(self.received[name].signed) for name in names))

    def wants(self, name: str) -> bool:
        """Whether a contribution of this silo is still wanted: not in yet, not refused, not after the roster closed."""
        closed_without = self.proposal is not None and name not in self.proposal.contributors
        return not (closed_without or name in self.received or name in self.refused)

    def add(
        self, name: str, signed: bytes, sealed_key: bytes, ciphertext: bytes, proof: bytes, *, digest: bytes
    ) -> None:
        """Add a ciphertext to the sum, or refuse it in the silo's name. ``proof``: verified; empty for none.
        ``digest``: SHA-256 of the ciphertext, which it was held to."""
        self._check_roster_takes(name, signed)
        total = self._total or self._sum_of(sorted(self.received))
        try:
            total.add(ciphertext)
        except CiphertextRefused as error:
            raise CiphertextRefused(f"{name}: {error.problem}", hint=error.hint, party=name) from None
        self._total = None  # made anew, should the disk not take what the sum has
        kept = self.spool.keep(proof, sha256(proof)) if proof else None
        self.received[name] = Received(signed, sealed_key, self.spool.keep(ciphertext, digest), kept)
        self._total = total
        self.refused.pop(name, None)

    def exclude(self, name: str) -> None:
        """Leave a silo out again, while the roster is open."""
        if name not in self.received:
            raise CallerError(f"{name} has not contributed", hint="Exclude a silo that has")
        if self.proposal is not None:
            raise MessageRefused(f"the roster with {name} is closed", hint="Void the round")
        del self.received[name]
        self._total = None

    def total(self, names: Sequence[str]) -> bytes:
        """The sum of these silos' ciphertexts."""
        if self._total is not None and set(names) == set(self.received):
            return self._total.total()
        return self._sum_of(names).total()

    def proofs(self, names: Sequence[str]) -> dict[str, list[str]]:
        """For the log: the verified proofs of these silos, by digest; nothing in a job without."""
        digests = [proof.digest.hex() for name in names if (proof := self.received[name].proof)]
        return {"proofs": digests} if digests else {}

    def sealed(self) -> tuple[SealedContribution, ...]:
        """What the keeper is sent of the roster; ``MessageRefused`` while some of a closed one is not here again."""
        names = self.roster().contributors
        if missing := sorted(set(names) - set(self.received)):
            raise MessageRefused(
                f"still waiting for {', '.join(missing)}, who were in the roster that was proposed before a restart",
                hint="Wait for them, or void the round",
            )
        return tuple(SealedContribution(self.received[name].signed, self.received[name].sealed_key) for name in names)

    def _check_roster_takes(self, name: str, signed: bytes) -> None:
        if self.proposal is None:
            return
        closed = dict(zip(self.proposal.contributors, self.proposal.contributions, strict=True))
        if name not in closed:
            raise MessageRefused(
                f"{name} comes after the roster was closed", hint="Wait for the next round", party=name
            )
        if closed[name] != sha256(signed):
            raise MessageRefused(
                f"{name} sent another contribution than the one in the roster that was proposed",
                hint="Send the recorded bytes again",
                party=name,
            )

    def _sum_of(self, names: Sequence[str]) -> Accumulator:
        total = self.aggregation.accumulator(shape=shape_of(self.context))
        for name in names:
            total.add(self.received[name].ciphertext.read())
        return total
