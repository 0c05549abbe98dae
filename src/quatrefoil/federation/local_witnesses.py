"""Witnesses of a job in one process: the same machines as between hosts, handed their bytes directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from quatrefoil.audit import TileLog
from quatrefoil.audit.witnesses import witness_name
from quatrefoil.contracts import TransportSecurity
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.messages import Job
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.policy import Policy
from quatrefoil.state import MemoryState
from quatrefoil.tlog.keys import new_witness_key
from quatrefoil.transport import TrustAnchor


class LocalWitnesses:
    """Every silo of a job cosigns ``log``, which is the aggregator's, after every round."""

    def __init__(
        self,
        job: Job,
        *,
        silos: Mapping[str, TransportSecurity],
        aggregator: TransportSecurity,
        trust: TrustAnchor,
        policy: Policy,
        log: TileLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._job = job
        self._cosigning = Cosigning(job, policy=policy, security=aggregator, state=MemoryState(), log=log)
        self._silos = {
            name: SiloWitness(
                new_witness_key(witness_name(trust.fingerprints[0], name)),
                security=security,
                trust=trust,
                policy=policy,
                state=MemoryState(),
                log=log,
                clock=clock,
            )
            for name, security in silos.items()
        }
        for name, silo in self._silos.items():
            silo.meet(self._cosigning.register(name, silo.statement), job.aggregator.name)

    def round_finished(self, number: int) -> None:
        """Have the checkpoint that covers the end of a round cosigned; of the last one, demand the policy's quorum, at
        the aggregator and at every silo."""
        self._cosigning.begin(number)
        for name, silo in self._silos.items():
            lines = silo.cosign(self._cosigning.request(name, silo.size))
            self._cosigning.take(name, silo.size, lines)
        if number == self._job.rounds:
            self._cosigning.require_quorum()
            for silo in self._silos.values():
                silo.require_quorum(self._cosigning.final, self._job)
