"""The one room that sees every layer: backends built from names that a policy allows.

A name that the policy does not allow, a stand-in that it does not accept and a backend that does not exist are errors
here, before anything runs. There is no default backend.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import ComputeIsolation, IntegrityProof, PrivateAggregation
from quatrefoil.errors import DependencyMissing, PolicyInvalid
from quatrefoil.insecure import PlainAggregation, SoftwareIsolation
from quatrefoil.planner import Availability, Costs
from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.host import PARAMETER_SETS
from quatrefoil.policy import PROVEN, STAND_INS, Policy
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.tlog import LogKeys, LogWriter
from quatrefoil.transport import ChannelPolicy, policy_named, system_clock

_LEAF = bytes(300)
"""What an entry of a round takes."""


def aggregation_of(policy: Policy, backend: str, *, threads: int) -> PrivateAggregation:
    """The aggregation backend of this name, with the parameters that the policy asks for."""
    _require_allowed(policy, "aggregation", backend)
    if backend == "additive-rlwe":
        return AdditiveAggregation(ParameterSet.named(PARAMETER_SETS[policy.limits.value_bits]), threads=threads)
    if backend == "plain":
        return PlainAggregation(accept_insecure="plain-aggregation")
    raise DependencyMissing(f"aggregation backend {backend} does not exist yet", hint="Allow additive-rlwe")


def proofs_of(policy: Policy, backend: str, *, threads: int) -> IntegrityProof | None:
    """The proof backend of this name for the parameters that the policy asks for; None for "", a job without proofs."""
    if not backend:
        return None
    _require_allowed(policy, "proofs", backend)
    if backend == "bounded-update":
        return BoundedUpdateProofs(ParameterSet.named(PARAMETER_SETS[policy.limits.value_bits]), threads=threads)
    raise DependencyMissing(f"proof backend {backend} does not exist yet", hint="Allow bounded-update")


def proofs_named(policy: Policy) -> str:
    """The proof backend for a party that follows no plan of its own: "" where the policy names no threat for it."""
    return only_allowed(policy, "proofs") if PROVEN in policy.threats else ""


def isolation_of(policy: Policy, backend: str) -> ComputeIsolation:
    """The isolation backend of this name: what the keeper runs in, and what silos accept evidence of."""
    _require_allowed(policy, "enclave", backend)
    if backend == "software":
        return SoftwareIsolation(accept_insecure="software-keeper")
    raise DependencyMissing(f"enclave backend {backend} does not exist yet", hint="Allow and accept software")


def channel_policy_of(policy: Policy) -> ChannelPolicy:
    """What the parties of a job agree on for their channels and envelopes."""
    return policy_named(policy.channels)


def measure_host(available: Availability, *, seconds: float = 1.5) -> Costs:
    """A short calibration of this host, in about ``seconds``.

    The log is measured where temporary files live; another disk takes another time to make an entry durable.
    """
    keys = LogKeys.generate("calibration")
    with (
        tempfile.TemporaryDirectory(prefix="quatrefoil-") as folder,
        LogWriter(Path(folder), keys.signers, clock=system_clock) as log,
    ):
        return calibrate(available, lambda: log.append([_LEAF]), seconds=seconds)


def only_allowed(policy: Policy, layer: str) -> str:
    """The one backend of ``layer`` that the policy allows and that exists, for a party that follows no plan of its own.

    Several are ``PolicyInvalid``: which of them is used is the plan's decision, and must be said.
    """
    existing = [name for name in policy.allow.of(layer) if name in EXISTING[layer]]
    if len(existing) != 1:
        raise PolicyInvalid(
            f"policy {policy.name} allows {', '.join(existing) or 'nothing that exists'} for {layer}",
            hint="Name the one of the plan with --backend"
            if existing
            else f"Allow one of {', '.join(EXISTING[layer])}",
        )
    return existing[0]


EXISTING = {"aggregation": ("additive-rlwe", "plain"), "enclave": ("software",), "proofs": ("bounded-update",)}
"""Backends that can be built today."""


def _require_allowed(policy: Policy, layer: str, backend: str) -> None:
    if backend not in policy.allow.of(layer):
        raise PolicyInvalid(
            f"policy {policy.name} does not allow {layer} backend {backend}", hint="Choose one it allows"
        )
    for stand_in, place in STAND_INS.items():
        if place == (layer, backend) and stand_in not in policy.accept_insecure:
            raise PolicyInvalid(
                f"policy {policy.name} does not accept the stand-in {stand_in}", hint="Add it to [insecure] accept"
            )
