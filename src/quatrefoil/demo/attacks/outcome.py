"""The result of an attack mounted twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class Outcome:
    """What ``name`` won ``without`` the layer and ``with_layer``, as named figures, and one sentence about it.

    ``protected``: whether anything in this release stops the attack. Where it is false, ``with_layer`` shows that
    nothing changed, and ``verdict`` says so.
    """

    name: str
    layer: str
    without: Figures
    with_layer: Figures
    protected: bool
    verdict: str

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "layer": self.layer,
            "without": dict(self.without),
            "with": dict(self.with_layer),
            "protected": self.protected,
            "verdict": self.verdict,
        }
