"""A plan as its file has it: held to the digest that it names, and which share of answers it says are proven.

The digest covers the route and its claims; whatever else stands in the file is for people, and nothing is read of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quatrefoil.configuration import read_text
from quatrefoil.errors import PolicyInvalid
from quatrefoil.planner.plans import Claim, PhaseRoute, Route

LARGEST_FILE = 1 << 24
_HINT = "Give the file that `quatrefoil plan --json` wrote"


@dataclass(frozen=True)
class PlanFile:
    """``digest``: 32 bytes that name the plan. ``proven_share``: of all receipts, the least share whose answers the
    plan says are proven; 0 where it says so of none."""

    digest: bytes
    proven_share: float

    @classmethod
    def load(cls, file: Path | str) -> PlanFile:
        """``PolicyInvalid`` where it is no plan, or not the one that it names."""
        return cls.parse(read_text(Path(file), largest=LARGEST_FILE), source=str(file))

    @classmethod
    def parse(cls, text: str, *, source: str) -> PlanFile:
        try:
            content = json.loads(text, object_pairs_hook=_without_repeats)
            route, named = _route(content), str(content["digest"])
        except RecursionError:
            raise PolicyInvalid(f"{source}: is nested too deeply", hint=_HINT) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PolicyInvalid(f"{source}: is no plan ({type(error).__name__})", hint=_HINT) from None
        digest = route.digest()
        if digest.hex() != named:
            raise PolicyInvalid(
                f"{source}: is the plan {digest.hex()[:16]}, and says that it is {named[:16]!a}",
                hint=f"It was altered, or is of another version of quatrefoil. {_HINT}",
            )
        return cls(digest, max((phase.proven_share for phase in route.phases), default=0.0))


def _route(content: Mapping[str, Any]) -> Route:
    return Route(
        bytes.fromhex(content["workload_digest"]),
        bytes.fromhex(content["policy_digest"]),
        tuple(_phase(phase, content["unprotected"]) for phase in content["phases"]),
        _texts(content["insecure"]),
    )


def _phase(phase: Mapping[str, Any], unprotected: list[Mapping[str, Any]]) -> PhaseRoute:
    claims = tuple(
        Claim(threat, *_texts([said["layer"], said["backend"], said["condition"]]))
        for threat, said in phase["threats"].items()
    )
    return PhaseRoute(
        phase["name"],
        _texts(phase["layers"]),
        _texts(phase["backends"]),
        phase["parameter_set"] or "",
        claims,
        _texts([one["threat"] for one in unprotected if one["phase"] == phase["name"]]),
        float(phase["proven"]["share"]) if phase["proven"] else 0.0,
    )


def _texts(found: list[Any]) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TypeError
    return tuple(found)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


__all__ = ["PlanFile"]
