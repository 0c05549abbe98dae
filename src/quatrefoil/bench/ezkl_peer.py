"""The peer: EZKL, which proves inferences in Halo2 with KZG commitments, on one inference of the same model.

It runs in a process of its own, under this Python or another that has it: it is no dependency, and what it prints,
breaks or takes in memory is its own. As in ours, input and output are public and the weights are not: they are fixed in
the circuit, which is EZKL's default and the least that it can do. Scales are what EZKL calibrates for "resources".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quatrefoil.bench import ezkl_child
from quatrefoil.bench.inference_models import Case
from quatrefoil.errors import DependencyMissing, HostError

ARGUMENTS = {"input_visibility": "public", "output_visibility": "public", "param_visibility": "fixed"}

_LONGEST = 3600.0
"""Seconds after which it is stopped."""


def measure_ezkl(case: Case, threads: int, progress: Callable[[str], None], *, python: str = "") -> dict[str, Any]:
    """Milliseconds of each step for the first held-out input, and bytes. ``python``: a Python that has ezkl; this one
    where it is empty, and ``DependencyMissing`` where that has none. ``HostError`` with EZKL's last words if it fails.

    Each is measured once. ``prove_ms`` has the witness in it, as ours has the computing of the model; reading the keys
    from files is in what EZKL calls proving and verifying. ``once_ms``: what is done once a model, ``setup_ms`` in it.
    """
    if not python and find_spec("ezkl") is None:
        raise DependencyMissing("ezkl is not installed", hint="pip install ezkl, here or elsewhere: --ezkl PYTHON")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name:
        folder = Path(name)
        (folder / "network.onnx").write_bytes(case.single)
        (folder / "input.json").write_text(json.dumps({"input_data": [case.held_out[0].ravel().tolist()]}))
        (folder / "arguments.json").write_text(json.dumps(ARGUMENTS))
        found = _run([python or sys.executable, ezkl_child.__file__, name], threads, progress)
    ms, cpu = found["ms"], found["cpu_ms"]
    return {
        "peer": f"ezkl {found['version']}",
        "model": case.name,
        "batch": 1,
        "threads": threads,
        "setup_ms": ms["setup"],
        "once_ms": sum(ms.values()) - ms["witness"] - ms["prove"] - ms["verify"],
        "prove_ms": ms["witness"] + ms["prove"],
        "prove_cpu_ms": cpu["witness"] + cpu["prove"],
        "verify_ms": ms["verify"],
        "proof_bytes": found["proof_bytes"],
        "proving_key_bytes": found["proving_key_bytes"],
        "verifying_key_bytes": found["verifying_key_bytes"],
        "peak_rss_mb": found["peak_rss_mb"],
        "settings": found["settings"],
    }


def _run(command: list[str], threads: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """To its end; each step is told when it begins."""
    limited = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    try:
        # Its output goes to a file, so that only one pipe is read here.
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(  # noqa: S603 - our own program, under a Python that the caller names
                command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.PIPE, env=limited, text=True
            )
            limit = threading.Timer(_LONGEST, process.kill)
            limit.start()
            try:
                last = _told(process, progress)
                process.wait()
            finally:
                limit.cancel()
                process.kill()
                process.wait()
            printed.seek(0)
            lines = printed.read().decode(errors="replace").strip().splitlines()
    except OSError as error:
        raise HostError(f"{command[0]} cannot be run ({error.strerror})", hint="Name a Python that has ezkl") from None
    if process.returncode != 0 or not lines:
        raise HostError(f"ezkl ended with {process.returncode}: {last}", hint="Run it alone; it may need more memory")
    found = json.loads(lines[-1])
    assert isinstance(found, dict)
    return found


def _told(process: subprocess.Popen[str], progress: Callable[[str], None]) -> str:
    """The last line that it says on stderr; those that name a step are passed on."""
    last = "it said nothing"
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if line.strip():
                last = line.strip()
                progress(f"ezkl: {last[:200]}")
    return last


__all__ = ["ARGUMENTS", "measure_ezkl"]
