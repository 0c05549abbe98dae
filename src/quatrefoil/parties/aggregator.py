"""One aggregator process: its parts, put together from the options of ``quatrefoil aggregator``."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor

from quatrefoil import stack
from quatrefoil.api import plan_logged, training_phase
from quatrefoil.errors import CallerError, PeerError, QuatrefoilError
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.authorities import NOBODY
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.messages import Member
from quatrefoil.federation.provenance import AggregatorProvenance, read_parent
from quatrefoil.federation.spool import FileSpool
from quatrefoil.federation.tree import require_group_policy
from quatrefoil.federation.user_code import save_model
from quatrefoil.federation.vectors import Arrays, encode_arrays, layout_of, model_digest
from quatrefoil.meter import Meter, MeteredAggregation, MeteredProofs, MeteredTransport
from quatrefoil.output import console, only_json, report, write_json
from quatrefoil.parties.channels import TIMEOUT, keeper_dialer
from quatrefoil.parties.job_result import JobResult, rounds_of
from quatrefoil.parties.party import PartyFiles, warn_insecure
from quatrefoil.parties.record import Record
from quatrefoil.parties.refusals import Refusals
from quatrefoil.parties.running import report_failures
from quatrefoil.parties.upper import UpperParty, require_place
from quatrefoil.planner import Costs, Plan
from quatrefoil.planner.host import availability
from quatrefoil.services.aggregator import AggregatorService
from quatrefoil.services.keeper_link import KeeperLink
from quatrefoil.services.upper_link import UpperLink
from quatrefoil.services.vitals import Vitals
from quatrefoil.services.waiting import Waiting
from quatrefoil.transport import AsyncChannel, serve, system_clock
from quatrefoil.transport.profile import check_name
from quatrefoil.workload import Workload


class AggregatorProgram:
    """One aggregator process: its parts, put together from the options."""

    def __init__(
        self,
        options: argparse.Namespace,
        files: PartyFiles,
        initial: Arrays,
        upper: UpperParty | None = None,
        *,
        adds_groups: bool = False,
    ) -> None:
        """``upper``: where the job's sums go up to, in a tree; ``adds_groups``: whether it adds such sums."""
        self.options = options
        self.upper = upper
        self.files = files
        self.refusals = Refusals(self.files.log)
        self.vitals = Vitals("aggregator")
        self.listens: Callable[[], None] = lambda: None
        """Called once silos can connect."""
        self.noticed: Callable[[QuatrefoilError], None] = lambda _: None
        """Called with what a silo was refused, or what failed here."""
        self.meter = Meter()
        self.record = Record(options.record)
        self.channels: list[dict[str, str]] = []
        self.silos = tuple(check_name(name.strip()) for name in options.silos.split(",") if name.strip())
        self.initial = initial
        self.layout = layout_of(self.initial)
        self._require_job()
        self.receipt_key = files.receipt_key()
        warn_insecure(self.files.policy)
        require_place(files.policy, adds_groups=adds_groups, goes_up=upper is not None)
        workload = Workload.load(options.workload)
        self.rounds = training_phase(workload, parameters=self.layout.length, silos=len(self.silos)).rounds
        self.plan = self._plan(workload)
        backend = self.plan.backend("aggregation")
        if options.backend not in (None, backend):
            raise CallerError(f"the plan uses {backend}, not {options.backend}", hint="Leave --backend to the plan")
        if upper is not None:
            require_group_policy(files.policy, backend)
        self.aggregation = MeteredAggregation(
            stack.aggregation_of(self.files.policy, backend, threads=options.threads), self.meter
        )
        self.keeper = keeper_dialer(options, files)
        proofs = stack.proofs_of(self.files.policy, self.plan.optional("proofs"), threads=1)
        self.proofs = None if proofs is None else MeteredProofs(proofs, self.meter)
        self.security = MeteredTransport(self.files.security, self.meter)
        self.provenance = AggregatorProvenance(
            self.initial,
            None if options.parent_provenance is None else read_parent(options.parent_provenance),
            notary=files.notary,
            policy=files.policy,
            state=files.state,
            log=files.log,
            clock=system_clock,
        )

    async def serve(self) -> None:
        """Enrol, run every round, report."""
        report_failures()
        begin = time.perf_counter()
        link = None if self.keeper is None else KeeperLink(self._dial_keeper, self.options.give_up, report)
        upper = self._upper_link()
        try:
            # As many proofs at once as there are threads for the kernel, each in one of them.
            with ThreadPoolExecutor(self.options.threads, thread_name_prefix="proofs") as verify_in:
                keeper = NOBODY if link is None else await link.introduce(self.security, os.urandom(16))
                service = self._service(keeper, link, upper, verify_in)
                aggregator = await self.attend(service)
            self.record.means(aggregator, self.rounds)
            self._finish(aggregator, service.round_ms, time.perf_counter() - begin)
            if self.upper is not None and upper is not None:
                await upper.over()
                self.upper.keep_provenance()
        finally:
            if upper is not None:
                await upper.close()
            if link is not None:
                await link.close()

    def _upper_link(self) -> UpperLink | None:
        if self.upper is None:
            return None
        link = self.upper.link(
            self.files.policy,
            length=self.layout.length,
            rounds=self.rounds,
            vitals=self.vitals,
            on_failed=lambda error: self.noticed(error),
        )
        link.start()
        return link

    def _service(
        self, keeper: Member, link: KeeperLink | None, upper: UpperLink | None, verify_in: Executor
    ) -> AggregatorService:
        return AggregatorService(
            self._enrolments(keeper),
            self._aggregator,
            self._model(),
            self.provenance,
            make_cosigning=self._cosigning,
            keeper=link,
            verify_in=verify_in,
            rounds=self.rounds,
            waiting=Waiting(self.options.deadline, self.options.give_up),
            on_received=self.record.contribution,
            on_refused=self._question_refused,
            report=report,
            vitals=self.vitals,
            upper=upper,
        )

    async def attend(self, service: AggregatorService) -> Aggregator:
        """Let silos ask the service, until the job is over."""

        async def handle(channel: AsyncChannel) -> None:
            self._record(channel)
            await service.handle(channel)

        async with await serve(
            *self.options.listen,
            credentials=self.files.credentials,
            policy=self.files.channel_policy,
            allow_roles=("silo",),
            handler=handle,
            on_refused=self._connection_refused,
            timeout=TIMEOUT,
            clock=system_clock,
        ) as server:
            report(f"aggregator {self.files.identity.name} listens on {self.options.listen[0]}:{server.port}")
            self.vitals.gauge("channels", "Channels that are open", lambda: server.channels)
            self.listens()
            return await service.run()

    def _question_refused(self, asker: str, error: QuatrefoilError) -> None:
        self.refusals.question(asker, error)
        self.noticed(error)

    def _connection_refused(self, where: str, error: PeerError) -> None:
        self.vitals.count("connections_refused")
        self.refusals.connection(where, error)

    def _require_job(self) -> None:
        """One job for one state: the invitations and the job in it are signed, and go on after a restart."""
        found = self.files.state.put_once("job/name", self.options.job.encode()).decode()
        if found != self.options.job:
            raise CallerError(
                f"{self.options.state} holds job {found}, not {self.options.job}",
                hint=f"Give --job {found} to go on with it, or a new --state folder to begin another",
            )

    def _plan(self, workload: Workload) -> Plan:
        available = availability(keeper=self.options.keeper_enclave or ())
        kept = self.options.costs
        costs = stack.measure_host(available, kinds=workload.kinds) if kept is None else Costs.load(kept)
        return plan_logged(workload, self.files.policy, costs, available, self.files.log)

    async def _dial_keeper(self) -> AsyncChannel:
        assert self.keeper is not None
        channel = await self.keeper.open()
        self._record(channel)
        return channel

    def _enrolments(self, keeper: Member) -> Enrolments:
        digest = model_digest(self.initial, self.layout)
        return Enrolments(
            JobTerms(
                self.options.job,
                self.silos,
                keeper,
                self.layout,
                digest,
                self.rounds,
                self.plan.digest(),
                self.receipt_key.public_key().public_bytes_raw() if self.receipt_key else b"",
                self.provenance.parent_digest,
            ),
            security=self.security,
            aggregation=self.aggregation,
            proofs=self.proofs,
            policy=self.files.policy,
            state=self.files.state,
            log=self.files.log,
            clock=system_clock,
            random=os.urandom,
        )

    def _aggregator(self, job: AgreedJob) -> Aggregator:
        return Aggregator(
            job,
            self._model(),
            security=self.security,
            aggregation=self.aggregation,
            proofs=self.proofs,
            policy=self.files.policy,
            state=self.files.state,
            log=self.files.log,
            clock=system_clock,
            receipt_key=self.receipt_key,
            make_spool=lambda: FileSpool(self.options.state / "spool"),
        )

    def _cosigning(self, job: AgreedJob) -> Cosigning:
        return Cosigning(
            job.job, policy=self.files.policy, security=self.security, state=self.files.state, log=self.files.log
        )

    def _model(self) -> bytes:
        return encode_arrays(self.initial, self.layout)

    def _record(self, channel: AsyncChannel) -> None:
        entry = {"group": channel.group, "peer": channel.peer.name}
        if entry not in self.channels:
            self.channels.append(entry)
            self.files.log.append("channel", entry)

    def _finish(self, aggregator: Aggregator, round_ms: Mapping[int, float], seconds: float) -> None:
        """Write the model and the statement about it, and say what came out."""
        if getattr(self.options, "out", None) is not None:
            save_model(self.options.out, aggregator.model)
        envelope = self.provenance.envelope()
        report(f"statement of provenance: {self.files.keep_provenance(envelope)}")
        result = JobResult(
            self.options.job,
            self.plan,
            rounds_of(aggregator, self.rounds, round_ms),
            channels=self.channels,
            costs=self.meter.as_rows(),
            upper=None if self.upper is None else self.upper.to_json(aggregator.job.upper),
            provenance=envelope,
            seconds=seconds,
        )
        if not only_json(self.options):
            result.show(console())
        write_json(self.options.json, "quatrefoil.aggregator/1", result.to_json())


__all__ = ["AggregatorProgram"]
