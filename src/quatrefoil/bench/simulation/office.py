"""Where the server's parties live, and an aggregator there before and after its job is agreed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.audit import TileLog
from quatrefoil.contracts import IntegrityProof, PrivateAggregation
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.messages import Member
from quatrefoil.federation.spool import FileSpool
from quatrefoil.federation.vectors import Arrays, encode_arrays, layout_of, model_digest
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.policy import Policy
from quatrefoil.state import SqliteState, State
from quatrefoil.transport import CertificateAuthority, Identity, PostQuantumTransport, TrustAnchor, system_clock


@dataclass(frozen=True)
class Backends:
    """Of one level of jobs: all its parties use the same."""

    policy: Policy
    aggregation: PrivateAggregation
    proofs: IntegrityProof | None
    initial: Arrays


class Host:
    """Where the server's parties live: their identities, and a folder of disks. Closed with ``opened``."""

    def __init__(self, folder: Path, authority: CertificateAuthority, opened: ExitStack) -> None:
        self._folder = folder
        self._authority = authority
        self._opened = opened
        self.isolation = SoftwareIsolation(accept_insecure="software-keeper")

    @property
    def trust(self) -> TrustAnchor:
        return self._authority.trust

    def identity(self, name: str, role: str) -> Identity:
        return self._authority.issue(name, role, directory=self._folder / "parties" / f"{name}-{role}")

    def security(self, identity: Identity) -> PostQuantumTransport:
        return PostQuantumTransport(identity, self.trust, clock=system_clock)

    def disk(self, name: str, identity: Identity) -> tuple[State, TileLog, Path]:
        """State and log of a party, and its folder."""
        folder = self._folder / "disks" / name
        state = SqliteState(folder / "state.db")
        self._opened.callback(state.close)
        return state, self._opened.enter_context(TileLog(folder, identity, self.trust)), folder

    def keeper(self, name: str, backends: Backends) -> tuple[Keeper, Member]:
        identity = self.identity(name, "keeper")
        state, log, _ = self.disk(name, identity)
        keeper = Keeper(
            security=self.security(identity),
            aggregation=backends.aggregation,
            proofs=backends.proofs,
            attester=self.isolation,
            policy=backends.policy,
            state=state,
            log=log,
        )
        return keeper, Member(identity.name, identity.fingerprint, 0)


class Office:
    """An aggregator before and after its job is agreed, with its disk."""

    def __init__(
        self, name: str, silos: Sequence[str], host: Host, backends: Backends, keeper: Member, rounds: int, upper: bytes
    ) -> None:
        self.name = name
        identity = host.identity(name, "aggregator")
        self.security = host.security(identity)
        self.state, self._log, self._folder = host.disk(name, identity)
        self._backends = backends
        layout = layout_of(backends.initial)
        self.model = encode_arrays(backends.initial, layout)
        terms = JobTerms(
            name,
            tuple(silos),
            keeper,
            layout,
            model_digest(backends.initial, layout),
            rounds,
            bytes(32),
            b"",
            upper=upper,
        )
        self.enrolments = Enrolments(
            terms,
            security=self.security,
            aggregation=backends.aggregation,
            proofs=backends.proofs,
            policy=backends.policy,
            state=self.state,
            log=self._log,
            clock=system_clock,
            random=os.urandom,
        )

    def begin(self) -> tuple[Aggregator, AgreedJob]:
        """Once every consent is here."""
        job = self.enrolments.agreed()
        assert job is not None
        aggregator = Aggregator(
            job,
            self.model,
            security=self.security,
            aggregation=self._backends.aggregation,
            proofs=self._backends.proofs,
            policy=self._backends.policy,
            state=self.state,
            log=self._log,
            clock=system_clock,
            receipt_key=None,
            make_spool=lambda: FileSpool(self._folder / "spool"),
        )
        return aggregator, job
