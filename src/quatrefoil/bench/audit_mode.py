"""What audit mode costs a server for each request: commitments, and the record on its way to the disk.

python -m quatrefoil.bench.audit_mode
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.audit.inference_receipts import InferenceReceipt, receipt_key, sign
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import ParametersRefused
from quatrefoil.quantised import onnx_form
from quatrefoil.quantised.graph import Input, IntegerGraph
from quatrefoil.quantised.steps import Dense
from quatrefoil.serving.audited import AuditedModel
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.transport import CertificateAuthority, sealed, system_clock

SHAPES = ((30, 1), (784, 1), (784, 64), (150_528, 1))
"""Inputs of a sample, and samples of a request."""

_WITHIN_S = 0.5


def measure_audit_mode(shapes: tuple[tuple[int, int], ...] = SHAPES) -> dict[str, Any]:
    """A row for each shape, on one thread, medians in microseconds: ``trace_us``, the integers again; ``commit_us``,
    both commitments; ``keep_us``, the record encrypted and written; ``receipt_us``, signing, which every mode does;
    ``record_bytes``."""
    if not shapes:
        raise ParametersRefused("no shapes measure nothing", hint="Choose pairs like 784 inputs, 1 sample")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name:
        return {"rows": [_row(Path(name) / str(number), *shape) for number, shape in enumerate(shapes)]}


def _row(folder: Path, size: int, samples: int) -> dict[str, Any]:
    model = AuditedModel(_graph(size))
    authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
    party = authority.issue("bench", "workload", directory=folder / "party")
    prover = sealed.RecipientKey.generate(sealed.HYBRID_768)
    recorder = Recorder(
        folder / "recorded", model, recipients=[prover.recipient], sender=lambda: party, clock=system_clock
    )
    key, now = MLDSA44PrivateKey.generate(), int(system_clock().timestamp())
    keyset = Keyset(b"", b"", receipt_key(key), now - 60, now + 86400)
    recorder.begin(keyset)
    given = np.random.default_rng(5).normal(size=(samples, size)).astype(np.float32)
    answered = np.zeros((samples, 2), np.float32)
    times: dict[str, list[float]] = {"trace_us": [], "commit_us": [], "receipt_us": [], "keep_us": []}
    end = time.perf_counter() + _WITHIN_S
    while len(times["keep_us"]) < 3 or time.perf_counter() < end:
        moments = [time.perf_counter()]
        trace = model.of(given, answered)
        moments.append(time.perf_counter())
        computed = recorder.computed(trace, os.urandom(32), keyset)
        moments.append(time.perf_counter())
        encoded = sign(_receipt(keyset, computed.commitments.inputs, computed.commitments.outputs), key)
        moments.append(time.perf_counter())
        computed.keep(encoded)
        moments.append(time.perf_counter())
        for name, begun, ended in zip(times, moments, moments[1:], strict=False):
            times[name].append(ended - begun)
    written, kept = next((folder / "recorded").iterdir()).stat().st_size, len(times["keep_us"])
    recorder.close()
    return {
        "inputs": size,
        "samples": samples,
        **{name: 1e6 * float(np.median(one)) for name, one in times.items()},
        "record_bytes": written // kept,
    }


def _graph(size: int) -> bytes:
    """One small layer behind an input of 8 bits: what it computes does not count here."""
    layer = Dense("layer", (0,), np.ones((2, size), np.int64), np.zeros(2, np.int64), None)
    # Sums stay below 2^24: 128 times each of a row's ones.
    layer.weights[:, 100:] = 0
    return onnx_form.encode(IntegerGraph(Input("x", (size,), 5, -128, 127), (layer,), (5, 10), "y"))


def _receipt(keyset: Keyset, inputs: bytes, outputs: bytes) -> InferenceReceipt:
    name = keyset.digest()
    return InferenceReceipt(
        "bench",
        name,
        0,
        name,
        keyset.not_before * 1000,
        name,
        name,
        "",
        name,
        b"",
        name,
        name,
        200,
        True,
        inputs,
        outputs,
    )


__all__ = ["SHAPES", "measure_audit_mode"]


if __name__ == "__main__":  # prints the measurement
    print(json.dumps(measure_audit_mode(), indent=2))
