"""Upstreams of tests as processes: the example's character model, and the one that misbehaves.

with small_model(trained(tmp_path)) as url: ...
with faulty() as url: ...
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "gateway"
NAME = "ward-notes"
SECONDS = 60

# The model is trained in the time that a test may take on two cores; more threads do not help it.
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def trained(folder: Path) -> Path:
    """The example's model in a new file, trained as its README says: a few seconds, once a process."""
    file = folder / "ward-notes.npz"
    file.write_bytes(_weights())
    return file


@cache
def _weights() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.npz"
        command = [sys.executable, "train.py", str(file)]
        subprocess.run(command, cwd=EXAMPLE, env=_ENVIRONMENT, check=True, capture_output=True, timeout=SECONDS)
        return file.read_bytes()


@contextmanager
def small_model(model: Path) -> Iterator[str]:
    """The URL of the example's upstream with ``model``, while it runs."""
    with _running([str(EXAMPLE / "upstream.py"), str(model), "--listen", "127.0.0.1:0"]) as url:
        yield url


@contextmanager
def faulty() -> Iterator[str]:
    """The URL of the upstream of ``faulty.py``, while it runs."""
    with _running([str(Path(__file__).with_name("faulty.py"))]) as url:
        yield url


@contextmanager
def _running(program: list[str]) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, *program], env=_ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), "the upstream did not start"
        yield line.split()[-1]
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
