"""What this machine offers: which backends can run here, and for every other one the reason why not.

The layers are imported here and not at the top, so that planning works, and says what is missing, on a machine where
the kernel is not built.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path

from quatrefoil.contracts import IntegrityProof, PrivateAggregation
from quatrefoil.enclave import devices
from quatrefoil.errors import CallerError, QuatrefoilError
from quatrefoil.planner.availability import Availability
from quatrefoil.policy import BACKENDS, CKKS_SUMS, COMMITTEE, PARAMETER_SETS, UNCOLLECTED, VALUE_BITS

ADDING = ("additive-rlwe", "plain", "ckks")
"""Aggregation backends that add the updates of a round."""


def availability(
    root: Path = Path("/"), *, keeper: Collection[str] | None = None, server: Collection[str] | None = None
) -> Availability:
    """Look at this machine; ``root`` is where its devices are looked for.

    ``keeper``: kinds of evidence that the keeper's machine is said to give, where the keeper runs on another; None: it
    would run on this one, and has the devices that are here. ``server``: the same of the machine that serves a model.
    """
    keepers = _enclaves(root) if keeper is None else _said(keeper, "keeper")
    servers = _enclaves(root) if server is None else _said(server, "server")
    absent = {("enclave", name): reason for name, reason in keepers.items()}
    reason = transport_missing()
    if reason:
        absent["transport", "pq-tls"] = reason
    reason = kernel_missing()
    if reason:
        absent["aggregation", "additive-rlwe"] = reason
        absent |= {("proofs", name): reason for name in BACKENDS["proofs"]}
    reason = reason or homomorphic_missing()
    if reason:
        absent["aggregation", "ckks"] = absent["aggregation", "bgv"] = reason
    present = [backend for backend in ADDING if ("aggregation", backend) not in absent]
    largest = {(b, bits): aggregation(b, bits).scheme.largest_roster for b in present for bits in VALUE_BITS}
    proofs = {} if ("proofs", "bounded-update") in absent else _largest_proofs()
    return Availability(absent, largest, proofs, {**servers, "software": NO_STAND_IN, COMMITTEE: NO_COMMITTEE})


def aggregation(backend: str, value_bits: int, *, threads: int = 1) -> PrivateAggregation:
    """One of :data:`ADDING` at ``value_bits``, for its limits and its measurement; a round gets its own from
    ``stack``."""
    if backend not in ADDING:
        raise CallerError(f"aggregation/{backend} adds no updates", hint=f"Name one of {', '.join(ADDING)}")
    if backend == "plain":
        from quatrefoil.insecure.plain import PlainAggregation

        return PlainAggregation(accept_insecure="plain-aggregation")
    if backend == "ckks":
        from quatrefoil.aggregation import CkksAggregation, CkksSumSet

        return CkksAggregation(CkksSumSet.named(CKKS_SUMS))
    from quatrefoil.aggregation import AdditiveAggregation, ParameterSet

    return AdditiveAggregation(ParameterSet.named(PARAMETER_SETS[value_bits]), threads=threads)


def proofs(value_bits: int, *, threads: int = 1) -> IntegrityProof:
    """The proofs at ``value_bits``, for their measurement; a round gets its own from ``stack``."""
    from quatrefoil.aggregation import ParameterSet
    from quatrefoil.proofs import BoundedUpdateProofs

    return BoundedUpdateProofs(ParameterSet.named(PARAMETER_SETS[value_bits]), threads=threads)


def _largest_proofs() -> dict[tuple[str, int], int]:
    from quatrefoil.aggregation import ParameterSet
    from quatrefoil.proofs import largest_values

    found = {bits: largest_values(ParameterSet.named(name)) for bits, name in PARAMETER_SETS.items()}
    return {("bounded-update", bits): values for bits, values in found.items() if values}


def transport_missing() -> str:
    """Why post-quantum channels cannot be made here; "" when they can."""
    try:
        from quatrefoil.transport import require_support

        require_support()
    except ImportError as error:
        return f"a package it needs cannot be imported ({error.name})"
    except QuatrefoilError as error:
        return error.problem
    return ""


def kernel_missing() -> str:
    """Why the Rust kernel cannot be used here; "" when it can."""
    try:
        from quatrefoil import _core  # noqa: F401
    except ImportError:
        return "the kernel quatrefoil._core is not built: run make install"
    return ""


def homomorphic_missing() -> str:
    """Why CKKS and BGV cannot be used here; "" when they can."""
    if importlib.util.find_spec("seal") is None:
        return "the extra he is not installed: pip install 'quatrefoil[he]'"
    return ""


NO_STAND_IN = "nothing stands in for a server that gives evidence: a request could be sealed to anybody"
"""Why a model is never served without an enclave."""

NO_COMMITTEE = "a committee holds keys of rounds, and serves no model"

_DEVICES: Mapping[str, tuple[str, ...]] = {
    "tdx": ("tdx", "tsm"),
    "sev-snp": ("sev-snp", "tsm"),
    "nitro": ("nitro",),
    "tpm": ("tpm",),
}
"""Backend -> devices of ``enclave.devices`` that a keeper or a server needs, all of them."""


def _enclaves(root: Path) -> dict[str, str]:
    """Why there is none here, by backend. A device shows that code here can ask for evidence; that it is any good, its
    appraisal shows."""
    found = {device.kind: device for device in devices.find(root)}
    reasons = {}
    for backend in BACKENDS["enclave"]:
        if backend in UNCOLLECTED:
            seen = f"; {found[backend].path} is here" if found[backend].present else ""
            reasons[backend] = UNCOLLECTED[backend] + seen
        elif missing := [kind for kind in _DEVICES.get(backend, ()) if not found[kind].present]:
            reasons[backend] = f"no device here ({', '.join(found[kind].path for kind in missing)})"
    return reasons


def _said(kinds: Collection[str], who: str) -> dict[str, str]:
    if unknown := sorted(set(kinds) - set(_DEVICES)):
        raise CallerError(f"no {who} gives {unknown[0]} evidence", hint=f"Name one of {', '.join(_DEVICES)}")
    other = [name for name in BACKENDS["enclave"] if name not in ("software", COMMITTEE, *kinds)]
    return {name: UNCOLLECTED.get(name, f"the {who} is not said to give such evidence") for name in other}


__all__ = [
    "ADDING",
    "NO_STAND_IN",
    "aggregation",
    "availability",
    "homomorphic_missing",
    "kernel_missing",
    "proofs",
    "transport_missing",
]
