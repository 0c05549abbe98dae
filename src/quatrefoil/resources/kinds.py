"""The kinds of resource that there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, bool] = MappingProxyType({"dataset": True, "model": True, "round-key": False})
"""Kind -> whether there is content, named by its root; otherwise the resource is its key and nothing else."""


__all__ = ["KINDS"]
