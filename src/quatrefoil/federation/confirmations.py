"""What a silo has confirmed: for the updates of one round, one roster; over the rounds, no small group set apart.

The keeper answers only for a roster that a quorum of silos has confirmed, and any two quorums share an honest silo. So
what this silo remembers holds even where the keeper's own memory does not: a keeper that was started on an old disk
signs a void of an attempt that it may have answered, and the silos then send the same updates again. That void does not
say ``unanswered``, and the roster stays the one that was confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Confirmation, Job, RosterProposal, RoundContext, RoundVoid
from quatrefoil.federation.rosters import check_rosters
from quatrefoil.state import State

MOST_SILOS = 1 << 16


class Confirmations:
    """The confirmations of one silo, in its state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def confirm(
        self,
        context: RoundContext,
        proposal: RosterProposal,
        *,
        minimum_group: int,
        voids: Sequence[RoundVoid],
        sign: Callable[[bytes], bytes],
    ) -> bytes:
        """A signed :class:`Confirmation`, durable before it is returned; the same bytes for the same proposal."""
        name = _name(context)
        if (stored := self._state.get(name)) is None:
            self._check(context, proposal, minimum_group, voids)
            signed = sign(Confirmation(proposal.context, proposal.digest()).encode())
            stored = self._state.put_once(name, parts.join([proposal.encode(), signed]))
        confirmed, signed = parts.split(stored, 2)
        if confirmed != proposal.encode():
            raise MessageRefused(
                f"another roster of round {context.round} attempt {context.attempt} was confirmed before",
                hint="Ask the keeper to void the attempt",
            )
        return signed

    def after_round(self, number: int, contributors: Sequence[str]) -> Mapping[str, bytes | None]:
        """The changes of state when a round's result is accepted: its roster is kept, once for each set of silos.

        Only that one: of the rosters that were confirmed in the round, no other has been answered.
        """
        kept = {_roster_name(contributors): _join_names(contributors)}
        return {**dict.fromkeys(self._state.names(_prefix(number))), **kept}

    def _check(
        self, context: RoundContext, proposal: RosterProposal, minimum_group: int, voids: Sequence[RoundVoid]
    ) -> None:
        unanswered = {void.context: void.unanswered for void in voids}
        for earlier, confirmed in self._of_round(context.round):
            if earlier not in unanswered:
                raise MessageRefused(
                    f"a roster of round {context.round} was confirmed for another attempt, which is not void",
                    hint="Send the keeper's void of that attempt",
                )
            if not unanswered[earlier] and confirmed.contributors != proposal.contributors:
                raise MessageRefused(
                    f"round {context.round} may have been answered for {', '.join(confirmed.contributors)} before its "
                    f"keeper was started again; another roster of the same updates is refused",
                    hint="Wait for exactly these silos, or agree on a new job",
                )
        check_rosters(self.rosters(), proposal.contributors, minimum_group)

    def _of_round(self, number: int) -> Iterator[tuple[bytes, RosterProposal]]:
        for name in self._state.names(_prefix(number)):
            stored = self._state.get(name)
            assert stored is not None
            proposal = RosterProposal.decode(parts.split(stored, 2)[0])
            yield proposal.context, proposal

    def rosters(self) -> list[list[str]]:
        """The contributors of every result that this silo has taken, once for each set of them."""
        stored = [self._state.get(name) for name in self._state.names("roster/")]
        return [[name.decode() for name in parts.split_list(one, MOST_SILOS)] for one in stored if one is not None]


def check_proposal(
    proposal: RosterProposal, context: RoundContext, job: Job, own: str, sent: bytes | None, minimum_silos: int
) -> None:
    """Refuse a proposal that no silo of this round could confirm, or that has another contribution of the silo ``own``
    than it sent (SHA-256 of the signed one; None: it has sent none)."""
    names = proposal.contributors
    if proposal.context != context.digest():
        raise MessageRefused("the proposed roster is of another round or attempt", hint="Take the current offer")
    roster = {member.name for member in job.roster}
    if list(names) != sorted(roster & set(names)) or len(proposal.contributions) != len(names):
        raise MessageRefused(
            "the proposed roster is not sorted, or names silos that are not of the job", hint="Ask the aggregator"
        )
    if len(names) < minimum_silos:
        raise MessageRefused(
            f"the proposed roster has {len(names)} silos, the policy's minimum is {minimum_silos}", hint="Wait for more"
        )
    if own in names and proposal.contributions[names.index(own)] != sent:
        raise MessageRefused(
            f"the proposed roster has another contribution of {own} than was sent",
            hint="Ask the aggregator's operator",
        )


def _prefix(number: int) -> str:
    return f"confirmed/{number:08d}/"


def _name(context: RoundContext) -> str:
    return f"{_prefix(context.round)}{context.attempt:04d}/{context.digest().hex()}"


def _join_names(names: Sequence[str]) -> bytes:
    return parts.join([name.encode() for name in sorted(names)])


def _roster_name(names: Sequence[str]) -> str:
    return f"roster/{sha256(_join_names(names)).hex()}"
