"""Encrypted sums of updates that nobody holds whole: time and memory at any length.

Updates and ciphertexts lie in files. Time includes reading and writing them; memory is the most that this process has
ever held, and what that is beyond its state before the first step.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import ParametersRefused

CLIP = 0.2
PARAMETER_SET = "sum-256-w16"
_PATTERN = 1 << 20


def measure_streams(
    parameters: int, silos: int, threads: int, progress: Callable[[str], None], folder: Path | None = None
) -> dict[str, Any]:
    """Milliseconds of one silo's encryption, of adding all and of decrypting; bytes; the memory that took.

    ``parameters``: float32 values in an update; ``silos``: 2 to 256. ``folder``: where files of 4 bytes a parameter are
    written and removed, silos + 2 of them; the system's folder for temporary files unless it is given.
    """
    if parameters < 1:
        raise ParametersRefused(f"{parameters} parameters are not at least 1", hint="Choose a number like 100000000")
    chosen = ParameterSet.named(PARAMETER_SET)
    if not 2 <= silos <= chosen.max_silos:
        raise ParametersRefused(f"{silos} silos are not 2 to {chosen.max_silos}", hint="Choose 2 silos")
    backend = AdditiveAggregation(chosen, threads=threads)
    shape, weight = SumShape(parameters, CLIP, bytes(32)), 1 / silos
    generator = np.random.default_rng(7)
    pattern = np.clip(generator.standard_normal(_PATTERN, dtype=np.float32) * np.float32(0.05), -0.19, 0.19)
    with tempfile.TemporaryDirectory(dir=folder, prefix="quatrefoil-bench-") as name:
        files = Path(name)
        progress(f"an update of {parameters} float32 in a file")
        _write_update(files / "update", pattern, parameters)
        before = _peak_bytes()
        encrypt_ms, keys = float("inf"), []
        for silo in range(silos):
            progress(f"encrypt for silo {silo}")
            start = time.perf_counter()
            with (files / "update").open("rb") as source, (files / f"silo-{silo}").open("wb") as sink:
                keys.append(backend.encrypt_stream(source, sink, weight=weight, shape=shape))
            encrypt_ms = min(encrypt_ms, (time.perf_counter() - start) * 1e3)
        progress("add")
        start = time.perf_counter()
        opened = [(files / f"silo-{silo}").open("rb") for silo in range(silos)]
        try:
            with (files / "total").open("wb") as sink:
                backend.add_stream(opened, sink, shape=shape)
        finally:
            for file in opened:
                file.close()
        add_ms = (time.perf_counter() - start) * 1e3
        progress("decrypt")
        key = backend.combine_keys(keys)
        start, decrypt_s, error, position = time.perf_counter(), 0.0, 0.0, 0
        with (files / "total").open("rb") as source:
            for values in backend.decrypt_stream(source, key, shape=shape, count=silos):
                decrypt_s += time.perf_counter() - start
                error = max(error, _largest_difference(values, pattern, position))
                position += len(values)
                start = time.perf_counter()
        peak = _peak_bytes()
        return {
            "backend": f"additive-rlwe/{chosen.name}",
            "parameters": parameters,
            "silos": silos,
            "threads": threads,
            "encrypt_ms": encrypt_ms,
            "add_ms": add_ms,
            "decrypt_ms": decrypt_s * 1e3,
            "bytes_per_silo": (files / "silo-0").stat().st_size,
            "max_abs_error": error,
            "error_bound": backend.error_bound(shape, silos),
            "peak_rss_mib": peak / (1 << 20),
            "rss_beyond_start_mib": (peak - before) / (1 << 20),
        }


def _write_update(path: Path, pattern: NDArray[np.float32], parameters: int) -> None:
    with path.open("wb") as file:
        for start in range(0, parameters, len(pattern)):
            file.write(pattern[: parameters - start].astype("<f4").tobytes())


def _largest_difference(values: NDArray[np.float64], pattern: NDArray[np.float32], position: int) -> float:
    expected = pattern.take(np.arange(position, position + len(values)), mode="wrap")
    return float(np.abs(values - expected).max())


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


__all__ = ["measure_streams"]
