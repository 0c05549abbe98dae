"""Openings claimed by several processes at once, and by ones that are killed: each is another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quatrefoil.errors import CommitmentExhausted, HostError
from quatrefoil.proven import folder

CLAIM = """
import os, sys
from pathlib import Path
from quatrefoil.proven import folder
for _ in range(5):
    print(folder._claim(Path(sys.argv[1]), 64, "a proof").number, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
"""


def test_processes_that_claim_at_once_get_different_openings(tmp_path: Path):
    started = [
        subprocess.Popen([sys.executable, "-c", CLAIM, str(tmp_path), how], stdout=subprocess.PIPE, text=True)
        for how in ("killed", "ends", "killed", "ends")
    ]
    numbers = [int(line) for one in started for line in one.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 21))
    assert folder._claim(tmp_path, 64, "a proof").number == 21
    with pytest.raises(CommitmentExhausted, match="allows 21 openings, and 21 are used"):
        folder._claim(tmp_path, 21, "a link", for_link=True)


def test_a_folder_that_is_none_is_said(tmp_path: Path):
    with pytest.raises(HostError, match="cannot be used"):
        folder._claim(tmp_path / "none", 8, "a proof")
