"""What proofs of a model's answers cost beside computing the answers: one row for each model and size of batch.

The clear is ONNX Runtime on the float model, with as many threads as the prover. Every row is measured in a process of
its own, whose memory is then its own. Proving begins with inputs as they come and ends with a proof: rounding them and
computing the model in integers is in it. Each time is the best of several. What a ratio is depends on the shape, so a
row says what was hoped for at its shape, ``reach``, and what of that is ``missed``.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from quatrefoil.bench.ezkl_peer import measure_ezkl
from quatrefoil.bench.inference_models import MODELS, Case
from quatrefoil.errors import CallerError, DependencyMissing, HostError, QuatrefoilError
from quatrefoil.quantised import IntegerGraph, encode, measure_accuracy, quantise
from quatrefoil.quantised.float_model import Floats

Row = dict[str, Any]
Progress = Callable[[str], None]

PLAIN_RUNS = 30
"""At least; the clear takes so little that one run says nothing."""


class Proving(Protocol):
    """A model that is committed to."""

    def prove(self, samples: Floats) -> bytes:
        """A proof for inputs (B, ...) as they come: of their integers and answers, which :meth:`verify` then takes."""

    def verify(self, proof: bytes) -> float:
        """Bits of soundness, or ``ProofRejected``."""


Prover = Callable[[IntegerGraph, int], Proving]
"""Commits to a model, for a prover with so many threads. A function of a module, because processes hand it on."""


@dataclass(frozen=True)
class Shape:
    """``reach``: by figure of a row, what it should not exceed."""

    model: str
    batch: int
    reach: Mapping[str, float] = field(default_factory=dict)


_PROOF = {"proof_bytes": 700_000}
SHAPES = (
    Shape("784-128-10", 1, {"prove_ms": 40, "verify_ms": 10, **_PROOF}),
    Shape("784-128-10", 1024, {"ratio": 150, "verify_ms": 10, **_PROOF}),
    Shape("2048-2048-2048", 1024, {"ratio": 40, "verify_ms": 10, **_PROOF}),
    Shape("lenet-5", 256, {"ratio": 800, "verify_ms": 30, **_PROOF}),
)


PEER_MODEL = "784-128-10"


def measure_with_peer(
    prover: Prover, threads: int, repeats: int, progress: Progress, *, models: Sequence[str] = (), ezkl: str = ""
) -> dict[str, Any]:
    """``rows`` of all shapes, or of those of ``models``; ``peer``, where EZKL is installed, and otherwise, or where it
    fails, ``peer_problem``. ``ezkl``: a Python that has it. Rows of its model then have ``ezkl_over_ours``: its time to
    prove one inference, of ours for one of a batch."""
    shapes = [shape for shape in SHAPES if not models or shape.model in models]
    rows = measure_inference_proofs(prover, threads, repeats, progress, shapes=shapes, models=MODELS)
    found: dict[str, Any] = {"rows": rows, "peer": None, "peer_problem": ""}
    beside = [row for row in rows if row["model"] == PEER_MODEL]
    if not beside:
        return found | {"peer_problem": f"EZKL is measured beside {PEER_MODEL} alone"}
    try:
        peer = measure_ezkl(MODELS[PEER_MODEL](), threads, progress, python=ezkl)
    except (DependencyMissing, HostError) as error:
        progress(str(error))
        return found | {"peer_problem": str(error)}
    for row in beside:
        row["ezkl_over_ours"] = peer["prove_ms"] / row["per_inference_ms"]
    return found | {"peer": peer}


def measure_inference_proofs(
    prover: Prover,
    threads: int,
    repeats: int,
    progress: Progress,
    *,
    shapes: Sequence[Shape] = SHAPES,
    models: Mapping[str, Callable[[], Case]] = MODELS,
) -> list[Row]:
    """A row for each of ``shapes``. ``accuracy_drop``: right answers that quantising loses, as a share of those held
    out. ``peak_rss_mb``: the most memory that the row's process held, in 10^6 bytes; ``start_rss_mb``: before the
    commitment, with the runtime and the model in it."""
    if threads < 1 or repeats < 1:
        raise CallerError(f"{threads} threads, {repeats} repeats", hint="Choose at least one of each")
    made: dict[str, tuple[Case, IntegerGraph, float]] = {}
    rows = []
    for shape in shapes:
        if shape.model not in made:
            progress(f"{shape.model}: make the model, and quantise it")
            case = models[shape.model]()
            graph = quantise(case.model, case.samples)
            drop = measure_accuracy(case.model, encode(graph), case.held_out, case.labels).drop
            made[shape.model] = (case, graph, drop)
        case, graph, drop = made[shape.model]
        title = f"{shape.model}, {shape.batch:,} at once"
        progress(f"{title}: prove")
        figures = _apart(case, graph, shape.batch, prover, threads, repeats)
        row: Row = {
            "shape": title,
            "model": shape.model,
            "weights": graph.weights,
            "made": case.made,
            "batch": shape.batch,
        } | figures
        row |= {"threads": threads, "accuracy_drop": drop, "reach": dict(shape.reach)}
        rows.append(row | {"missed": [name for name, most in shape.reach.items() if row[name] > most]})
    return rows


def _apart(case: Case, graph: IntegerGraph, batch: int, prover: Prover, threads: int, repeats: int) -> Row:
    """The figures of a row, from a process of its own."""
    with _few_threads(threads), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            found = process.submit(_told, case, graph, batch, prover, threads, repeats).result()
        except BrokenProcessPool:
            raise HostError(
                f"the process of {case.name}, {batch} at once, was killed", hint="It may need more memory than there is"
            ) from None
    if isinstance(found, tuple):
        raise HostError(found[0], hint=found[1])
    return found


@contextmanager
def _few_threads(threads: int) -> Iterator[None]:
    """In a process that is started within, numpy's products have so many threads: it asks when it is imported."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _told(*arguments: Any) -> Row | tuple[str, str]:
    try:
        return measure_row(*arguments)
    except QuatrefoilError as error:  # which no other process can be handed as it is
        return error.problem, error.hint


def measure_row(case: Case, graph: IntegerGraph, batch: int, prover: Prover, threads: int, repeats: int) -> Row:
    """The figures of one model and batch, in this process."""
    inputs = case.batch(batch)
    plain = _plain(case, inputs, threads)
    start = _peak_bytes()
    committing = _best(1, lambda: prover(graph, threads))
    proving = _best(repeats, lambda: committing.result.prove(inputs))
    verifying = _best(3 * repeats, lambda: committing.result.verify(proving.result))
    return {
        "plain_ms": plain.ms,
        "commit_ms": committing.ms,
        "prove_ms": proving.ms,
        "prove_cpu_ms": proving.cpu_ms,
        "ratio": proving.ms / plain.ms,
        "per_inference_ms": proving.ms / batch,
        "verify_ms": verifying.ms,
        "verify_cpu_ms": verifying.cpu_ms,
        "proof_bytes": len(proving.result),
        "soundness_bits": verifying.result,
        "start_rss_mb": start / 1e6,
        "peak_rss_mb": _peak_bytes() / 1e6,
    }


@dataclass
class _Taken:
    """Of the fastest run by the clock and by processor time, and the last result."""

    ms: float
    cpu_ms: float
    result: Any


def _best(repeats: int, work: Callable[[], Any]) -> _Taken:
    runs = []
    for _ in range(repeats):
        clock, cpu = time.perf_counter(), time.process_time()
        result = work()
        runs.append(_Taken((time.perf_counter() - clock) * 1e3, (time.process_time() - cpu) * 1e3, result))
    return _Taken(min(run.ms for run in runs), min(run.cpu_ms for run in runs), runs[-1].result)


def _plain(case: Case, inputs: Floats, threads: int) -> _Taken:
    try:
        import onnxruntime
    except ImportError:
        raise DependencyMissing("onnxruntime is not installed", hint="pip install 'quatrefoil[bench]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(case.model, sess_options=options, providers=["CPUExecutionProvider"])
    given = inputs.astype(np.float32)
    return _best(PLAIN_RUNS, lambda: session.run(None, {"input": given}))


def _peak_bytes() -> int:
    """Of this program: what ``getrusage`` says of a child has what its parent held in it."""
    status = Path("/proc/self/status")  # proc_pid_status(5)
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


__all__ = ["SHAPES", "Prover", "Proving", "Shape", "measure_inference_proofs", "measure_row", "measure_with_peer"]
