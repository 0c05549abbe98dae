"""A workload that really runs under a plan: each phase on the route that the plan gives it, beside the same in the
clear.

A phase under one set of backends is run once, and counts for every plan that has it so: two plans that differ in one
phase differ in the measurement of that phase alone. In the clear every phase is measured once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Self

from quatrefoil.audit import TileLog
from quatrefoil.bench.runs import asking
from quatrefoil.bench.runs.graphs import TABLE
from quatrefoil.bench.runs.inference import Inference
from quatrefoil.bench.runs.links import Links, linked
from quatrefoil.bench.runs.measured import PhaseRun, middle, timed
from quatrefoil.bench.runs.rounds import Trained, Training, run_rounds
from quatrefoil.bench.runs.tables import TableTask
from quatrefoil.bench.transport_near import Link
from quatrefoil.bench.transport_work import plain
from quatrefoil.demo.models import Parameters
from quatrefoil.errors import CallerError
from quatrefoil.planner import Plan, PlannedPhase
from quatrefoil.policy import Policy
from quatrefoil.transport import CertificateAuthority, system_clock
from quatrefoil.workload import FEDERATED, Phase, Workload

NAME = "model"
QUICK_MS = 2000.0
"""What takes less is repeated."""


@dataclass(frozen=True)
class Contents:
    """What the phases of a workload are about. ``tables``: by phase. ``inferences``: by phase, the requests to the
    model that ``training`` trains."""

    tables: Mapping[str, TableTask] = field(default_factory=dict)
    training: Training | None = None
    inferences: Mapping[str, Inference] = field(default_factory=dict)


class Run:
    """``folder``: new. ``repeats``: of what is quick; the median counts. To be entered."""

    def __init__(
        self, folder: Path, contents: Contents, policy: Policy, *, repeats: int, progress: Callable[[str], None]
    ) -> None:
        folder.mkdir()
        self._folder, self._contents, self._policy = folder, contents, policy
        self._repeats, self._progress = repeats, progress
        self._ends = ExitStack()
        self._links: Links | None = None
        self._plain: dict[str, float] = {}
        self._runs: dict[tuple[str, tuple[str, ...], str], tuple[float, int]] = {}
        self._rounds: dict[tuple[str, str], Trained] = {}
        self._made = 0

    def __enter__(self) -> Self:
        self._links = self._ends.enter_context(linked(self._new("links"), self._policy.channels))
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def execute(self, workload: Workload, plan: Plan) -> tuple[PhaseRun, ...]:
        """Every phase of ``workload`` as ``plan`` has it, in order. ``CallerError`` where the contents are of another
        shape than the workload says: it would be priced for something else than what runs."""
        if plan.workload_digest != workload.digest():
            raise CallerError(f"the plan is of {plan.workload}, and not of {workload.name}", hint="Plan this workload")
        for phase in workload.phases:
            self._require_shape(phase)
        trained = self._train(workload, plan)
        found = []
        for phase, planned in zip(workload.phases, plan.phases, strict=True):
            if trained is not None and phase.kind in FEDERATED:
                found.append(replace(trained.runs[phase.kind], phase=phase.name))
            else:
                found.append(self._run(phase, planned))
        return tuple(found)

    # ------------------------------------------------------------------------------------------------------- training

    def _train(self, workload: Workload, plan: Plan) -> Trained | None:
        """All rounds, under the backends that the plan has for them. The first that are run train the served model."""
        rounds = {p.kind: (p, planned) for p, planned in zip(workload.phases, plan.phases, strict=True)}
        if "collect" not in rounds:
            return None
        used = [_used(rounds[kind][1]) for kind in FEDERATED]
        aggregation, proofs = used[0]["aggregation"], next((u["proofs"] for u in used if "proofs" in u), "")
        if (aggregation, proofs) not in self._rounds:
            self._progress(f"rounds: {aggregation}{' + ' if proofs else ''}{proofs}")
            assert self._contents.training is not None
            self._rounds[aggregation, proofs] = run_rounds(
                self._contents.training,
                policy=self._policy,
                plan=plan.digest(),
                aggregation=aggregation,
                proofs=proofs,
                rounds=rounds["collect"][0].rounds,
                links=self._linked,
                folder=self._new("rounds"),
                progress=self._progress,
            )
        found = self._rounds[aggregation, proofs]
        first = next(iter(self._rounds.values()))  # in the clear is measured once, like every phase
        plain = {kind: first.runs[kind].plain_ms for kind in FEDERATED}
        return replace(found, runs={k: replace(run, plain_ms=plain[k]) for k, run in found.runs.items()})

    @property
    def model(self) -> Parameters:
        """What was trained, for the phases that answer with it."""
        if not self._rounds:
            raise CallerError("no model is trained yet", hint="Put the rounds before the phases that answer")
        return next(iter(self._rounds.values())).model

    # ------------------------------------------------------------------------------------------------- phase by phase

    def _run(self, phase: Phase, planned: PlannedPhase) -> PhaseRun:
        key = (phase.name, planned.backends, planned.parameter_set)
        if phase.name not in self._plain:
            self._progress(f"{phase.name}: in the clear")
            self._plain[phase.name] = self._in_the_clear(phase)
        if key not in self._runs:
            self._progress(f"{phase.name}: {' + '.join(planned.backends) or 'no layer'}")
            self._runs[key] = self._protected(phase, _used(planned), planned.parameter_set)
        ms, sent = self._runs[key]
        return PhaseRun(phase.name, self._plain[phase.name], ms, sent)

    def _in_the_clear(self, phase: Phase) -> float:
        if phase.kind == "transport":
            return self._messages(phase, self._linked.bare)
        if phase.kind == "audit":
            return self._plain_entries(phase.batch)
        with asking.site_of(self._new(phase.name), NAME, self._onnx(phase)) as site:
            times, answers = asking.ask_plainly(site, site.start("plain"), self._requests(phase))
            self._check(phase, answers)
            return self._pass_ms(phase, times)

    def _protected(self, phase: Phase, used: Mapping[str, str], parameter_set: str) -> tuple[float, int]:
        if phase.kind == "transport":
            sent = phase.silos * (self._linked.handshake_bytes() + phase.message_bytes)
            return self._messages(phase, self._linked.protected), sent
        if phase.kind == "audit":
            return self._entries(phase.batch), 0
        if "aggregation" in used:
            return self._encrypted(phase, parameter_set, enclosed="enclave" in used)
        if "enclave" not in used:
            raise CallerError(f"nothing runs a {phase.kind} phase under {', '.join(used)}", hint="Plan it again")
        requests = self._requests(phase)
        with asking.site_of(self._new(phase.name), NAME, self._onnx(phase)) as site:
            server = site.start("layered")
            times, answers = asking.ask_protected(site, server, requests)
            self._check(phase, answers)
            sent = asking.bytes_protected(site, server, requests[0])
            return self._pass_ms(phase, times), sent * (phase.batch if phase.kind == "infer" else 1)

    def _encrypted(self, phase: Phase, parameter_set: str, *, enclosed: bool) -> tuple[float, int]:
        """``enclosed``: the party without a key is inside an attested process as well."""
        through = asking.through_service if enclosed else asking.through_channel
        with asking.site_of(self._new(phase.name), NAME, self._program(phase)) as site:
            server = site.start("served" if enclosed else "channel")
            with through(site, server) as ask:
                if phase.kind == "infer":
                    return self._contents.inferences[phase.name].ask_encrypted(self.model, parameter_set, ask)
                task = self._contents.tables[phase.name]
                ms, sent = timed(lambda: task.ask_encrypted(parameter_set, ask))
                times = [ms]
                if ms < QUICK_MS:
                    times = [timed(lambda: task.ask_encrypted(parameter_set, ask))[0] for _ in range(self._repeats)]
        return median(times), sent

    def _program(self, phase: Phase) -> bytes:
        if phase.kind != "infer":
            return self._contents.tables[phase.name].program()
        return self._contents.inferences[phase.name].program(self.model)

    # ----------------------------------------------------------------------------------------------------- the pieces

    def _requests(self, phase: Phase) -> Sequence[asking.Tensors]:
        """A table is asked about in one request, so often as it takes for a median; a model once for each row."""
        if phase.kind == "infer":
            return self._contents.inferences[phase.name].requests
        return [{TABLE: self._contents.tables[phase.name].table}] * max(self._repeats, 2)

    def _onnx(self, phase: Phase) -> bytes:
        if phase.kind == "infer":
            return self._contents.inferences[phase.name].graph(self.model)
        return self._contents.tables[phase.name].graph()

    def _check(self, phase: Phase, answers: Sequence[asking.Tensors]) -> None:
        if phase.kind == "infer":
            self._contents.inferences[phase.name].check(self.model, answers)
            return
        for answer in answers:
            self._contents.tables[phase.name].check(answer)

    def _pass_ms(self, phase: Phase, times: Sequence[float]) -> float:
        return sum(times) if phase.kind == "infer" else median(times)

    def _messages(self, phase: Phase, connect: Callable[[], Link]) -> float:
        """A channel to each silo, and a message through it."""
        message = plain(phase.message_bytes)

        def once() -> None:
            for _ in range(phase.silos):
                with connect() as link:
                    link.ask(message)

        return middle(once, self._repeats)

    def _entries(self, count: int) -> float:
        folder = self._new("log")
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        log = TileLog(folder / "state", authority.issue("aggregator", "aggregator"), authority.trust)
        try:
            return middle(lambda: [log.append("x-bench", {"number": number}) for number in range(count)], self._repeats)
        finally:
            log.close()

    def _plain_entries(self, count: int) -> float:
        """As many lines in a file, each on the disk before the next."""
        with (self._new("plain-log") / "log.jsonl").open("ab") as file:

            def once() -> None:
                for number in range(count):
                    file.write(json.dumps({"kind": "x-bench", "number": number}).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())

            return middle(once, self._repeats)

    @property
    def _linked(self) -> Links:
        if self._links is None:
            raise CallerError("the run is not entered", hint="Use it in a with statement")
        return self._links

    def _new(self, name: str) -> Path:
        self._made += 1
        folder = self._folder / f"{self._made}-{name}"
        if name in ("log", "plain-log", "rounds"):
            folder.mkdir()
        return folder

    def _require_shape(self, phase: Phase) -> None:
        found: Mapping[str, int] = {}
        if phase.kind == "collect":
            found = self._contents.training.shape if self._contents.training else {"silos": 0}
        elif phase.kind == "infer":
            one = self._contents.inferences.get(phase.name)
            found = one.shape if one else {"batch": 0}
        elif phase.kind in ("score", "summarise", "count"):
            table = self._contents.tables.get(phase.name)
            found = table.shape if table else {"batch": 0}
        for size, value in found.items():
            if getattr(phase, size) != value:
                raise CallerError(
                    f"phase {phase.name!r} says {getattr(phase, size)} {size}, and there are {value}",
                    hint=f"Write {size} = {value}, so that it is priced for what runs",
                )


def _used(planned: PlannedPhase) -> dict[str, str]:
    return dict(zip(planned.layers, planned.backends, strict=True))
