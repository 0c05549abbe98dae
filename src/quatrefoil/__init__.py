"""Confidential AI pipelines: each phase routed to the cryptographic layer that protects it at the lowest cost.

Unaudited. ``run`` trains a model over several silos without anybody seeing one silo's update; ``Client`` asks a served
model that nobody but the attested server sees asked. See README.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quatrefoil.api import Outcome, run
    from quatrefoil.client import AsyncClient, Client
    from quatrefoil.errors import QuatrefoilError
    from quatrefoil.policy import Policy
    from quatrefoil.workload import Workload

__all__ = ["AsyncClient", "Client", "Outcome", "Policy", "QuatrefoilError", "Workload", "run"]

_HOMES = {
    "AsyncClient": "client",
    "Client": "client",
    "Outcome": "api",
    "Policy": "policy",
    "QuatrefoilError": "errors",
    "Workload": "workload",
    "run": "api",
}


def __getattr__(name: str) -> Any:
    # Found on first use, so that importing one room does not load all the others.
    if name not in _HOMES:
        raise AttributeError(f"module 'quatrefoil' has no attribute {name!r}")
    return getattr(import_module(f"quatrefoil.{_HOMES[name]}"), name)
