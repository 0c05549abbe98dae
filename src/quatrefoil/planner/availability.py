"""Which backends a host offers, and why it does not offer the others. A plain value: finding out is ``host``'s work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quatrefoil.errors import CallerError
from quatrefoil.planner import serving
from quatrefoil.policy import BACKENDS, PROVEN_ANSWERS, STAND_INS, VALUE_BITS

_OF_UPDATES = tuple(name for name in BACKENDS["proofs"] if name != PROVEN_ANSWERS)


def _no_servers() -> Mapping[str, str]:
    return dict.fromkeys(BACKENDS["enclave"], "no server of models is said to be behind it")


@dataclass(frozen=True)
class Availability:
    """``absent`` gives a reason for every backend that is not there; every other backend of ``BACKENDS`` is.

    ``largest_roster``: (aggregation backend, value bits) -> most ciphertexts that it adds; one without adds no updates.
    ``largest_proof``: (proof backend, value bits) -> most values that one proof is about, where updates are proven.
    ``no_server``: enclave backend -> why no model is served from behind it; every other one can be. It stands apart,
    because who holds the keys of a round and who serves a model are different machines. Stand-ins are always in it.
    """

    absent: Mapping[tuple[str, str], str]
    largest_roster: Mapping[tuple[str, int], int]
    largest_proof: Mapping[tuple[str, int], int] = field(default_factory=dict)
    no_server: Mapping[str, str] = field(default_factory=_no_servers)

    def __post_init__(self) -> None:
        known = {(layer, backend) for layer, backends in BACKENDS.items() for backend in backends}
        unknown = sorted({*self.absent, *(("enclave", name) for name in self.no_server)} - known)
        if unknown:
            raise CallerError(f"no backend {'/'.join(unknown[0])} is known", hint="Use the names of policy.BACKENDS")
        empty = sorted(key for key, reason in self.absent.items() if not reason)
        empty += sorted(("enclave", name) for name, reason in self.no_server.items() if not reason)
        if empty:
            raise CallerError(f"{'/'.join(empty[0])} is absent without a reason", hint="Say why it is not there")
        for layer, backend in STAND_INS.values():
            if layer == "enclave" and backend not in self.no_server:
                raise CallerError(
                    f"enclave/{backend} is said to serve models, and it gives no evidence to seal a request to",
                    hint="Give the reason why it does not",
                )
        for backend in ("additive-rlwe", "plain"):
            for bits in VALUE_BITS:
                if ("aggregation", backend) not in self.absent and (backend, bits) not in self.largest_roster:
                    raise CallerError(
                        f"aggregation/{backend} is present without its largest roster at {bits} bits",
                        hint="Give the number of ciphertexts that it adds exactly",
                    )

        for backend in _OF_UPDATES:
            if self.has("proofs", backend) and not any(name == backend for name, _ in self.largest_proof):
                raise CallerError(
                    f"proofs/{backend} is present without its largest update",
                    hint="Give the number of values that one proof is about",
                )

    def has(self, layer: str, backend: str) -> bool:
        return (layer, backend) not in self.absent

    def missing(self, kind: str, layer: str, backend: str) -> str:
        """Why ``backend`` is not there for phases of ``kind``; "" where it is."""
        if kind in serving.KINDS and layer == "enclave":
            return self.no_server.get(backend, "")
        return self.absent.get((layer, backend), "")


__all__ = ["Availability"]
