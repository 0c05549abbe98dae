"""Silos that are witnesses of the log of the aggregator of a :class:`world.World`, in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from identities import TRUSTED, consortium, identity
from quatrefoil.audit import MemoryLog, TileLog
from quatrefoil.audit.witnesses import witness_name
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.state import MemoryState, State
from quatrefoil.tlog.checkpoints import Signer
from world import World

TRUST = consortium(TRUSTED).trust


@cache
def signer(silo: str) -> Signer:
    key = MLDSA44PrivateKey.from_seed_bytes(silo.encode().ljust(32, b"."))
    return Signer(witness_name(TRUST.fingerprints[0], silo), key)


def hub_log(folder: Path, world: World) -> TileLog:
    """The aggregator's own log."""
    return TileLog(folder, identity("hub", "aggregator"), TRUST, clock=world.clock)


@dataclass
class Witnesses:
    """Silos' witnesses, what they remember, and what they log."""

    world: World
    states: dict[str, MemoryState] = field(default_factory=dict)
    logs: dict[str, MemoryLog] = field(default_factory=dict)

    def __getitem__(self, silo: str) -> SiloWitness:
        return SiloWitness(
            signer(silo),
            security=self.world.security(silo, "silo"),
            trust=TRUST,
            policy=self.world.policy,
            state=self.states.setdefault(silo, MemoryState()),
            log=self.logs.setdefault(silo, MemoryLog(self.world.clock)),
            clock=self.world.clock,
        )

    def logged(self, silo: str, kind: str) -> list[Any]:
        return [entry for entry in self.logs[silo].entries() if entry.kind == kind]


def cosigning_of(world: World, log: TileLog, state: State | None = None) -> Callable[[AgreedJob], Cosigning]:
    """What the aggregator's service is given."""

    def make(job: AgreedJob) -> Cosigning:
        kept = world.states["hub"] if state is None else state
        return Cosigning(job.job, policy=world.policy, security=world.hub_security, state=kept, log=log)

    return make


def meet(cosigning: Cosigning, witness: SiloWitness, name: str) -> SiloWitness:
    """A silo and the aggregator have told each other their keys."""
    witness.meet(cosigning.register(name, witness.statement), "hub")
    return witness


def cosign(cosigning: Cosigning, witness: SiloWitness, name: str) -> None:
    """A silo is asked to cosign, and does."""
    lines = witness.cosign(cosigning.request(name, witness.size))
    cosigning.take(name, witness.size, lines)


def second_log(folder: Path, other: Path, world: World) -> TileLog:
    """A log in ``other`` under the keys of the one in ``folder``: what a lying operator keeps beside it."""
    shutil.copytree(folder / "log-keys", other / "log-keys")
    return hub_log(other, world)
