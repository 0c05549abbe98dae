"""The kinds of resource that there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, bool] = MappingProxyType({"dataset": True, "model": True, "round-key": False, "table-key": True})
"""Kind -> whether there is content, named by its root; otherwise the resource is its key and nothing else."""

BLINDED = ("dataset", "table-key")
"""Kinds whose root is blinded, so that no guess of the content can be compared with it."""


__all__ = ["BLINDED", "KINDS"]
