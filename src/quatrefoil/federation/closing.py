"""How an aggregator closes the roster of an attempt: it proposes one, durable before it is sent, and asks for the key
of its sum with the confirmations of a quorum of silos.

From the proposal on it takes the contributions of that roster and no others, also after a restart.
"""

from __future__ import annotations

from quatrefoil.audit import Log
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import MessageRefused, PeerError, PolicyError
from quatrefoil.federation.accounts import accounts
from quatrefoil.federation.agreement import AgreedJob, read
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.leaves import roster_events
from quatrefoil.federation.messages import Confirmation, KeyRequest, RosterProposal, RoundContext
from quatrefoil.federation.receiving import Receiving
from quatrefoil.federation.rosters import check_rosters
from quatrefoil.policy import Policy
from quatrefoil.state import State


class Closing:
    """Rosters of the attempts of one aggregator's job."""

    def __init__(
        self,
        job: AgreedJob,
        *,
        security: TransportSecurity,
        policy: Policy,
        state: State,
        log: Log,
        receiving: Receiving,
    ) -> None:
        self._job = job
        self._security = security
        self._policy = policy
        self._state = state
        self._log = log
        self._receiving = receiving

    def propose(self, attempt: Gathering) -> bytes:
        """A signed :class:`RosterProposal` for the silos: from here on the attempt's roster is closed.

        A proposal is durable, because silos confirm only one: after a restart it is the same again, and
        ``MessageRefused`` names the silos whose contributions it still lacks.
        """
        attempt.sealed()
        name, signed = _proposal_name(attempt.context), self._security.sign(attempt.roster().encode())
        if self._state.get(name) is None:
            self._log.append_all(roster_events(attempt, signed))
        stored = self._state.put_once(name, signed)
        attempt.proposal = self.proposed(attempt.context)
        return stored

    def proposed(self, context: RoundContext) -> RosterProposal | None:
        """The roster that was closed for this attempt, perhaps before a restart."""
        stored = self._state.get(_proposal_name(context))
        return None if stored is None else RosterProposal.decode(self._security.verify(stored).body)

    def confirm(self, attempt: Gathering, name: str, signed: bytes) -> None:
        """Take the confirmation that the silo called ``name`` delivered. What is refused is logged and raised; one of
        an earlier attempt, come late, changes nothing."""
        if attempt.proposal is None:
            raise MessageRefused("no roster has been proposed", hint="Ask for the next offer")
        try:
            confirmation = read(self._security, signed, Confirmation, self._job.member(name), "silo")
            if confirmation.context != attempt.proposal.context:
                return
            if confirmation.proposal != attempt.proposal.digest():
                raise MessageRefused(f"{name} confirms another roster", hint="Confirm the one proposed", party=name)
        except PeerError as error:
            self._receiving.log_refusal(attempt, name, error.problem)
            raise
        attempt.confirmations.setdefault(name, signed)

    def declined(self, attempt: Gathering, name: str, reason: str) -> None:
        """Log that a silo will not confirm the proposed roster."""
        self._receiving.log_refusal(attempt, name, f"does not confirm the roster: {reason}")

    @property
    def quorum(self) -> int:
        """How many silos must confirm."""
        return self._job.quorum(self._policy.limits.colluding_silos)

    def check(self, attempt: Gathering) -> None:
        """``PolicyError`` for what no committee answers for: fewer contributions at hand than the policy's minimum, and
        a roster that sets a small group apart. A keeper checks it by itself (``key_request``)."""
        self._require_minimum(attempt)
        earlier = [one.contributors for one in accounts(self._state)]
        check_rosters(earlier, attempt.roster().contributors, self._policy.limits.minimum_roster_group)

    def key_request(self, attempt: Gathering) -> bytes:
        """A signed :class:`KeyRequest` for the proposed roster with its confirmations; before there is a proposal, for
        everything received, which the keeper can only check. ``PolicyError`` under the policy's minimum."""
        self._require_minimum(attempt)
        confirmations = tuple(attempt.confirmations[name] for name in sorted(attempt.confirmations))
        return self._security.sign(KeyRequest(attempt.context.digest(), attempt.sealed(), confirmations).encode())

    def _require_minimum(self, attempt: Gathering) -> None:
        minimum = self._policy.limits.minimum_silos
        if len(attempt.received) < minimum:
            raise PolicyError(
                f"{len(attempt.received)} of at least {minimum} silos contributed to round {attempt.context.round}",
                hint="Wait for more, or void the round",
            )


def _proposal_name(context: RoundContext) -> str:
    return f"proposal/{context.digest().hex()}"


__all__ = ["Closing"]
