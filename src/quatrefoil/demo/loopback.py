"""The demo's job as keeper, aggregator and one process a hospital, over channels on loopback; and what it left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo import job
from quatrefoil.demo.data import Split
from quatrefoil.demo.models import Parameters
from quatrefoil.demo.processes import Processes
from quatrefoil.demo.result import Channel
from quatrefoil.federation import parts
from quatrefoil.planner import Costs
from quatrefoil.policy import Policy

PATIENCE = 120.0
"""Seconds for a job that takes two or three."""


@dataclass(frozen=True)
class JobRun:
    """``means`` and ``bounds``: the published mean and its error bound, by round. ``received``: what the aggregator
    received of each hospital in round 1, the ciphertext if there is one. ``sent``: bytes of a hospital's message with
    signature and sealed key, all hospitals together. ``round_ms``: median wall time of a round."""

    model: Parameters
    channels: Sequence[Channel]
    means: Sequence[NDArray[np.float64]]
    bounds: Sequence[float]
    received: Mapping[str, bytes]
    sent: int
    round_ms: float


def run_job(folder: Path, policy_file: Path, splits: Mapping[str, Split], costs: Costs, *, backend: str) -> JobRun:
    """Train the demo's perceptron in real processes. ``backend``: of the aggregation, as the plan chose it.

    ``HostError`` with a party's own last line as soon as one fails.
    """
    costs.save(folder / "costs.json")
    data = {name: folder / f"{name}.npz" for name in splits}
    for name, file in data.items():
        job.save(file, splits[name].train)
    record = folder / "record"
    kept = not Policy.load(policy_file).key_authority.is_committee
    workload = job.built_in("workload.toml")
    with Processes(folder, policy=policy_file, workload=workload, silos=data, keeper=kept) as parties:
        if kept:
            parties.start_keeper(arguments=["--backend", backend])
        parties.start_aggregator(
            initial="quatrefoil.demo.job:initial",
            job="hospital-training",
            arguments=["--costs", str(folder / "costs.json"), "--record", str(record)],
        )
        for name in data:
            parties.start_silo(name, train="quatrefoil.demo.job:train", arguments=["--backend", backend])
        for name in ("aggregator", *data):
            parties.wait(name, PATIENCE)
        result = parties.result("aggregator")
    with np.load(folder / "model.npz") as arrays:
        model = [arrays[name].astype(np.float64) for name in arrays.files]
    messages = {name: (record / "round-1" / f"{name}.bin").read_bytes() for name in data}
    return JobRun(
        model=model,
        channels=[Channel(one["peer"], one["group"]) for one in result["channels"]],
        means=[_mean(record / f"round-{one['number']}" / "mean.bin") for one in result["rounds"]],
        bounds=[float(one["error_bound"]) for one in result["rounds"]],
        received={name: parts.split(message, 4)[2] for name, message in messages.items()},
        sent=sum(len(message) for message in messages.values()),
        round_ms=float(np.median([one["ms"] for one in result["rounds"]])),
    )


def _mean(file: Path) -> NDArray[np.float64]:
    return np.frombuffer(file.read_bytes(), "<f8")
