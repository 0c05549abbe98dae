"""The folders in which blocks run, copied: what runs there leaves nothing in the repository."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from pages import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what blocks need, as in a fresh clone."""
    for folder in ("examples", "second_verifier", "tests/vectors/proofs", "tests/vectors/inference_proofs"):
        shutil.copytree(ROOT / folder, tmp_path / "clone" / folder, ignore=shutil.ignore_patterns("run", "__pycache__"))
    return tmp_path / "clone"


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The variables of a user whose shell has the environment activated."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
