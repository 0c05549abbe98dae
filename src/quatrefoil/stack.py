"""The one room that sees every layer: backends built from names that a policy allows.

A name that the policy does not allow, a stand-in that it does not accept and a backend that does not exist are errors
here, before anything runs. There is no default backend.

What only some parties build is imported where it is built: inside Flower a silo is a new process for each message.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import IntegrityProof, IsolationAppraiser, IsolationAttester, PrivateAggregation
from quatrefoil.errors import CallerError, DependencyMissing, PolicyInvalid
from quatrefoil.insecure import PlainAggregation, SoftwareIsolation
from quatrefoil.policy import (
    BACKENDS,
    CKKS_SUMS,
    COMMITTEE,
    ISOLATING,
    PARAMETER_SETS,
    PROVEN,
    STAND_INS,
    UNCOLLECTED,
    Policy,
)
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.tlog import LogKeys, LogWriter
from quatrefoil.transport import ChannelPolicy, Clock, policy_named, system_clock
from quatrefoil.workload import KINDS

if TYPE_CHECKING:
    from quatrefoil.appraisal import AppraisalPolicy, Relied
    from quatrefoil.enclave.collectors import Collector
    from quatrefoil.planner import Availability, Costs

_LEAF = bytes(300)
"""What an entry of a round takes."""


def aggregation_of(policy: Policy, backend: str, *, threads: int) -> PrivateAggregation:
    """The aggregation backend of this name, with the parameters that the policy asks for."""
    _require_allowed(policy, "aggregation", backend)
    if backend == "additive-rlwe":
        return AdditiveAggregation(ParameterSet.named(PARAMETER_SETS[policy.limits.value_bits]), threads=threads)
    if backend == "ckks":
        from quatrefoil.aggregation import CkksAggregation, CkksSumSet

        return CkksAggregation(CkksSumSet.named(CKKS_SUMS))
    if backend == "plain":
        return PlainAggregation(accept_insecure="plain-aggregation")
    raise DependencyMissing(f"{backend} adds no updates", hint=f"Allow one of {', '.join(EXISTING['aggregation'])}")


def proofs_of(policy: Policy, backend: str, *, threads: int) -> IntegrityProof | None:
    """The proof backend of this name for the parameters that the policy asks for; None for "", a job without proofs."""
    if not backend:
        return None
    _require_allowed(policy, "proofs", backend)
    if backend == "bounded-update":
        return BoundedUpdateProofs(ParameterSet.named(PARAMETER_SETS[policy.limits.value_bits]), threads=threads)
    raise PolicyInvalid(
        f"{backend} proves answers of a served model, and nothing of an update", hint="Allow bounded-update as well"
    )


def proofs_named(policy: Policy) -> str:
    """The proof backend for a party that follows no plan of its own: "" where the policy names no threat for it."""
    return only_allowed(policy, "proofs") if PROVEN in policy.threats else ""


SOFTWARE = "software"
"""The enclave backend that needs no evidence, because it has none."""


def _require_keeper(policy: Policy, backend: str) -> None:
    if backend == COMMITTEE:
        raise PolicyInvalid(
            f"policy {policy.name} appoints a committee of silos: there is no keeper, and no evidence of one",
            hint="Start aggregator and silos alone, or agree on a policy with a keeper",
        )


def attester_of(policy: Policy, backend: str, collector: Collector | None) -> IsolationAttester:
    """What a keeper gives as evidence. ``collector``: None for the stand-in, and for nothing else."""
    _require_allowed(policy, "enclave", backend)
    _require_keeper(policy, backend)
    _require_isolation(policy, backend)
    if backend == SOFTWARE:
        if collector is not None:
            raise CallerError("the stand-in collects no evidence, and a collector is given", hint="Leave it out")
        return SoftwareIsolation(accept_insecure="software-keeper")
    _require_collected(backend)
    if collector is None or collector.kind != backend:
        given = "none" if collector is None else f"one of {collector.kind}"
        raise CallerError(f"{backend} needs a collector of its evidence, and {given} is given", hint="Name its device")
    from quatrefoil.isolation import CollectingAttester

    return CollectingAttester(collector)


def appraiser_of(policy: Policy, backend: str, relied: Relied | None, *, clock: Clock) -> IsolationAppraiser:
    """What a silo holds the keeper's evidence to. ``relied``: None for the stand-in, and for nothing else."""
    _require_allowed(policy, "enclave", backend)
    _require_keeper(policy, backend)
    _require_isolation(policy, backend)
    if backend == SOFTWARE:
        if relied is not None:
            raise CallerError(
                f"policy {policy.name} has a software keeper, which gives no evidence to hold to an appraisal policy",
                hint="Leave the appraisal policy out, or choose another backend that the policy allows",
            )
        return SoftwareIsolation(accept_insecure="software-keeper")
    _require_collected(backend)
    if relied is None:
        raise CallerError(
            f"the keeper's {backend} evidence has to be held to an appraisal policy, and none is given",
            hint=f"Give the file whose digest is {policy.appraisal.hex()} with --appraisal, and --collateral",
        )
    from quatrefoil.isolation import PolicyAppraiser

    require_named(policy, relied.policy)
    return PolicyAppraiser(backend, relied, isolated=policy.wants_isolation, clock=clock)


def require_named(policy: Policy, appraisal: AppraisalPolicy) -> None:
    """``PolicyInvalid`` for any other appraisal policy than the one that all parties of a job agree on."""
    if appraisal.digest() != policy.appraisal:
        raise PolicyInvalid(
            f"policy {policy.name} names the appraisal policy {policy.appraisal.hex()}, and {appraisal.name} is "
            f"{appraisal.digest().hex()}",
            hint="Give the file that the parties agreed on, or agree on this one and put its digest into the policy",
        )


def channel_policy_of(policy: Policy) -> ChannelPolicy:
    """What the parties of a job agree on for their channels and envelopes."""
    return policy_named(policy.channels)


def measure_host(
    available: Availability,
    *,
    seconds: float = 1.5,
    threads: Sequence[int] = (1,),
    kinds: Collection[str] = tuple(KINDS),
    progress: Callable[[str], None] = lambda _: None,
) -> Costs:
    """A calibration of this host for phases of ``kinds``: a short one, unless more ``seconds`` are given.

    The log is measured where temporary files live; another disk takes another time to make an entry durable.
    """
    from quatrefoil.planner.calibration import calibrate

    keys = LogKeys.generate("calibration")
    with (
        tempfile.TemporaryDirectory(prefix="quatrefoil-") as folder,
        LogWriter(Path(folder), keys.signers, clock=system_clock) as log,
    ):
        return calibrate(
            available,
            lambda: log.append([_LEAF]),
            receipts_at_both_ends(),
            seconds=seconds,
            threads=threads,
            kinds=kinds,
            progress=progress,
        )


def receipts_at_both_ends() -> Callable[[int], bytes]:
    """What both ends of one exchange do for its receipt, by the bytes of request and answer each: the server commits to
    them and signs, the client commits to them again and verifies. It gives the receipt."""
    from quatrefoil.audit import inference_receipts
    from quatrefoil.enclave.binding import Keyset

    key, begun = MLDSA44PrivateKey.generate(), system_clock()
    since = int(begun.timestamp())
    keyset = Keyset(b"", b"", inference_receipts.receipt_key(key), since - 300, since + 86400)
    name, salt = keyset.digest(), bytes(inference_receipts.SALT_BYTES)

    def committed(content: bytes) -> tuple[bytes, bytes]:
        return (
            inference_receipts.commit_request(salt, b"POST", b"/", content),
            inference_receipts.commit_answer(salt, 200, content),
        )

    def exchange(size: int) -> bytes:
        content = bytes(size)
        receipt = inference_receipts.InferenceReceipt(
            "server", name, 0, name, since * 1000, name, b"", "none", name, b"", *committed(content), 200, True
        )
        signed = inference_receipts.sign(receipt, key)
        expected = inference_receipts.Expected(
            "server", name, b"", "none", name, b"", *committed(content), 200, True, begun, system_clock()
        )
        inference_receipts.verify_against(signed, keyset, expected)
        return signed

    return exchange


def only_allowed(policy: Policy, layer: str, chosen: str | None = None) -> str:
    """The one backend of ``layer`` that the policy allows and that exists, for a party that follows no plan of its own;
    or the ``chosen`` one of several.

    Several of which none is chosen are ``PolicyInvalid``: which of them is used is the plan's decision, to be said.
    """
    if chosen is not None:
        _require_allowed(policy, layer, chosen)
        return chosen
    existing = [name for name in policy.allow.of(layer) if name in EXISTING[layer]]
    if len(existing) != 1:
        raise PolicyInvalid(
            f"policy {policy.name} allows {', '.join(existing) or 'nothing that exists'} for {layer}",
            hint=f"Name the one of the plan with {_OPTIONS.get(layer, '--backend')}"
            if existing
            else f"Allow one of {', '.join(EXISTING[layer])}",
        )
    return existing[0]


EXISTING = {
    "aggregation": ("additive-rlwe", "ckks", "plain"),
    "enclave": tuple(name for name in BACKENDS["enclave"] if name not in UNCOLLECTED),
    "proofs": ("bounded-update",),
}
"""Backends of rounds that can be built today."""

_OPTIONS = {"enclave": "--enclave"}


def _require_collected(backend: str) -> None:
    if backend in UNCOLLECTED:
        raise DependencyMissing(
            f"enclave backend {backend} does not exist: {UNCOLLECTED[backend]}",
            hint=f"Allow one of {', '.join(EXISTING['enclave'])}",
        )


def _require_isolation(policy: Policy, backend: str) -> None:
    """Kept by every party for itself: an aggregator that planned otherwise gets nothing."""
    if policy.wants_isolation and backend not in ISOLATING:
        raise PolicyInvalid(
            f"policy {policy.name} names a threat that only isolation answers, and {backend} isolates nothing",
            hint=f"Use a keeper behind one of {', '.join(ISOLATING)}, or take the threat out knowingly",
        )


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
