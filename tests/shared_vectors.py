"""Real evidence of real hardware, read where it is and not part of this repository.

``QUATREFOIL_VECTORS`` names the folder; without it, ``shared/vectors`` beside the checkout is looked for. Tests that
find neither are skipped, and say so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def folder(name: str) -> Path:
    """The folder ``name`` of the vectors, or the test is skipped."""
    named = os.environ.get("QUATREFOIL_VECTORS")
    beside = [parent / "shared" / "vectors" for parent in Path(__file__).resolve().parents[2:4]]
    for place in [Path(named)] if named else beside:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"no real evidence: QUATREFOIL_VECTORS names no folder with {name}")
