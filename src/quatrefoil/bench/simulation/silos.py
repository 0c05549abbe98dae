"""The silos of one worker process: each a machine of its own, driven by what comes through the pipe."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.audit import Log, MemoryLog, TileLog
from quatrefoil.bench.simulation.lies import LIES, Replaying
from quatrefoil.bench.simulation.population import GRAIN, HEAVIEST, Options, Population, group_policy
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.federation.silo import Silo
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.state import MemoryState, SqliteState, State
from quatrefoil.transport import CertificateAuthority, Identity, PostQuantumTransport, system_clock

PARAMETER_SET = "sum-256-w16"


class _Together(PostQuantumTransport):
    """While silos enrol, those of one process verify a statement once for all of them: every one verifies the consents
    of its whole group, and they trust the same root. In rounds each verifies for itself."""

    remembered: ClassVar[dict[bytes, VerifiedStatement] | None] = {}

    def verify(self, signed: bytes) -> VerifiedStatement:
        known = _Together.remembered
        if known is None:
            return super().verify(signed)
        if signed not in known:
            known[signed] = super().verify(signed)
        return known[signed]


@dataclass(frozen=True)
class Place:
    """What a worker is started with. ``folder``: of the authority, and of all that has to be on a disk."""

    options: Options
    population: Population
    folder: Path
    names: tuple[str, ...]


class SiloHost:
    """Every public method but ``close`` is a question of the server, and yields its answers one after another."""

    def __init__(self, place: Place) -> None:
        self._place = place
        authority = CertificateAuthority.load(place.folder / "ca", clock=system_clock)
        self._trust = authority.trust
        self._policy = group_policy(place.options.rounds, goes_up=place.options.groups > 1)
        self._aggregation = AdditiveAggregation(ParameterSet.named(PARAMETER_SET))
        self._proofs = BoundedUpdateProofs(ParameterSet.named(PARAMETER_SET))
        self._isolation = SoftwareIsolation(accept_insecure="software-keeper")
        self._closing: list[Any] = []
        self._silos = {name: self._make(authority, name) for name in place.names}
        self._heard = b""
        """The last message of one of its silos, for those who replay."""

    def _make(self, authority: CertificateAuthority, name: str) -> Silo:
        identity = authority.issue(name, "silo", directory=self._place.folder / "silos" / name)
        state, log = self._disk(name, identity)
        kind = LIES.get(self._place.population.roles.get(name, ""), Silo)
        return kind(
            security=_Together(identity, self._trust, clock=system_clock),
            aggregation=self._aggregation,
            proofs=self._proofs,
            appraiser=self._isolation,
            policy=self._policy,
            samples=self._place.population.samples[name],
            state=state,
            log=log,
            clock=system_clock,
        )

    def _disk(self, name: str, identity: Identity) -> tuple[State, Log]:
        if not self._place.options.disks:
            return MemoryState(), MemoryLog()
        folder = self._place.folder / "disks" / name
        state, log = SqliteState(folder / "state.db"), TileLog(folder, identity, self._trust)
        self._closing += [state, log]
        return state, log

    # ------------------------------------------------------------------------------------------------------- questions

    def ready(self) -> Iterator[None]:
        yield None

    def enrol(self, invitations: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
        yield {name: self._silos[name].enrol(one) for name, one in invitations.items()}

    def consent(self, names: Sequence[str], job: bytes) -> Iterator[dict[str, bytes]]:
        yield {name: self._silos[name].consent(job) for name in names}

    def start(self, names: Sequence[str], enrolled: bytes, model: bytes) -> Iterator[None]:
        for name in names:
            self._silos[name].start(enrolled, model)
        yield None

    def enrolled(self) -> Iterator[None]:
        _Together.remembered = None
        yield None

    def contribute(self, names: Sequence[str], offer: bytes) -> Iterator[tuple[str, bytes, float]]:
        """Name, message, and the milliseconds of this process that it took."""
        for name in names:
            silo = self._silos[name]
            if isinstance(silo, Replaying):
                silo.heard = silo.heard or self._heard
            update = (self._grains(name, silo.rounds_done) * GRAIN).astype(np.float32)  # what a training would give
            begin = time.process_time()
            message = silo.contribute_update(offer, update)
            taken = (time.process_time() - begin) * 1e3
            self._heard = message
            yield name, message, taken

    def acknowledged(self, names: Sequence[str], offer: bytes) -> Iterator[None]:
        for name in names:
            self._silos[name].acknowledged(self._silos[name].check_offer(offer))
        yield None

    def confirm(self, names: Sequence[str], offer: bytes, proposal: bytes) -> Iterator[tuple[str, bytes, float]]:
        for name in names:
            begin = time.process_time()
            confirmation = self._silos[name].confirm(offer, proposal)
            yield name, confirmation, (time.process_time() - begin) * 1e3

    def accept(
        self, names: Sequence[str], offer: bytes, release: bytes, result: bytes, receipts: Mapping[str, bytes]
    ) -> Iterator[float]:
        begin = time.process_time()
        for name in names:
            self._silos[name].accept(offer, release, result, receipts[name])
        yield (time.process_time() - begin) * 1e3

    def clear_sum(self, names: Sequence[str], number: int) -> Iterator[tuple[NDArray[np.int64], int]]:
        """The sum of what these silos put into the round of this number, in weighed grains, and of their counts. What
        a server can never ask."""
        total, samples = np.zeros(self._place.options.parameters, np.int64), 0
        for name in names:
            count = self._place.population.samples[name]
            total += self._grains(name, number - 1) * count // HEAVIEST
            samples += count
        yield total, samples

    def memory(self) -> Iterator[float]:
        """Megabytes that this process has now."""
        yield rss_mb()

    def close(self) -> None:
        for one in self._closing:
            one.close()

    # --------------------------------------------------------------------------------------------------------- details

    def _grains(self, name: str, done: int) -> NDArray[np.int64]:
        """An update in multiples of 4 grains, about half as long as the norm allows, the same whenever it is asked."""
        parameters = self._place.options.parameters
        generator = np.random.default_rng((self._place.options.seed, int(name.rpartition("-")[2]), done))
        values = generator.standard_normal(parameters) * 0.5 / np.sqrt(parameters)
        values *= min(1.0, 0.9 / max(float(np.linalg.norm(values)), 1e-9))
        grains: NDArray[np.int64] = np.trunc(values / (4 * GRAIN)).astype(np.int64)
        return 4 * grains


def rss_mb() -> float:
    """What this process has in memory now, in 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


__all__ = ["PARAMETER_SET", "Place", "SiloHost", "rss_mb"]
