"""``quatrefoil model quantise``: a model of ONNX to integers, and what that costs in right answers."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from quatrefoil.cli import archives
from quatrefoil.cli.predict_input import read_arrays
from quatrefoil.errors import CallerError, HostError, PolicyInvalid, QuatrefoilError
from quatrefoil.output import add_json_option, console, only_json, progress_console, require_writable, table, write_json
from quatrefoil.policy import Policy
from quatrefoil.proven import require_provable
from quatrefoil.quantised import Accuracy, IntegerGraph, Rule, Widths, encode, measure_accuracy, quantise
from quatrefoil.transport import files

SCHEMA = "quatrefoil.model-quantise/1"
INPUTS, LABELS = "inputs", "labels"
LARGEST_MODEL = (2 << 30) - 1
DEFAULT_DROP = 0.01


def add_quantise(commands: Any) -> None:
    parser = commands.add_parser("quantise", help="compile an ONNX model to integers, for answers that can be proven")
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model, one .onnx file")
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        required=True,
        help=f"inputs as they will come, to choose scales by: .npy, or .npz with {INPUTS!r} and perhaps {LABELS!r}",
    )
    parser.add_argument(
        "--held-out", type=Path, metavar="FILE", help="other inputs to compare answers on (default: the samples)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the integer model, an .onnx file")
    parser.add_argument(
        "--rule", type=Path, metavar="FILE", help="what clients hold receipts of audit mode to: no weights are in it"
    )
    parser.add_argument("--weight-bits", type=int, default=8, metavar="N", help="bits a weight (default: %(default)s)")
    parser.add_argument("--value-bits", type=int, default=8, metavar="N", help="bits a value (default: %(default)s)")
    parser.add_argument(
        "--largest-drop",
        type=float,
        metavar="SHARE",
        help="refuse to lose more than this share of right answers, or of equal ones without labels (default: that of "
        "--policy, or 0.01)",
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="refuse to lose more than this policy's largest_accuracy_drop"
    )
    add_json_option(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    _require_new(options)
    largest_drop = _largest_drop(options)
    widths = Widths(options.weight_bits, options.value_bits)
    model = archives.read_whole(options.model, LARGEST_MODEL, hint="Use a smaller model")
    samples, labels = _samples(options.samples)
    told = progress_console()
    told.print(f"choosing scales on {len(samples):,} samples")
    graph = quantise(model, samples, widths)
    file, rule = encode(graph), Rule.of(graph).encode() if options.rule else b""
    if options.held_out:
        samples, labels = _samples(options.held_out)
    told.print(f"comparing answers on {len(samples):,} samples")
    found, unprovable = measure_accuracy(model, file, samples, labels), _unprovable(graph)
    if not only_json(options):
        _show(graph, found)
        if unprovable:
            console().print(escape(f"Answers of it cannot be proven: {unprovable}"))
    found.require(largest_drop)
    files.write_new(options.out, file)
    if options.rule:
        files.write_new(options.rule, rule)
    if not only_json(options):
        console().print(f"{escape(str(options.out))}: {len(file):,} bytes")
    steps = [
        {"step": type(step).__name__, "node": step.name, "largest_sum": bound}
        for step, bound in zip(graph.steps, graph.bounds, strict=True)
    ]
    accuracy = asdict(found) | {"drop": found.drop}
    sizes = {"inputs": graph.inputs, "cells": graph.cells, "weights": graph.weights}
    write_json(options.json, SCHEMA, {**sizes, "accuracy": accuracy, "steps": steps, "unprovable": unprovable})


def _unprovable(graph: IntegerGraph) -> str:
    """Why nothing can be proven of what it answers, though it can be served; empty where it can."""
    try:
        require_provable(graph)
    except QuatrefoilError as error:
        return str(error)
    return ""


def _require_new(options: argparse.Namespace) -> None:
    """A model that is there may be committed to, and its rule be in clients' hands."""
    for file in (options.out, options.rule):
        if file is not None and file.exists():
            raise HostError(f"{file} exists already", hint="Name another place; nothing is overwritten")
    if options.out == options.rule:
        raise CallerError("model and rule would be one file", hint="Name a place for each")


def _largest_drop(options: argparse.Namespace) -> float:
    """What may be lost: the policy's limit, and no more where the command allows more."""
    asked: float | None = options.largest_drop
    if asked is not None and not 0 <= asked <= 1:
        raise CallerError(f"--largest-drop {asked} is no share", hint="Give 0 to 1")
    limit = math.inf if options.policy is None else Policy.load(options.policy).largest_accuracy_drop
    if asked is not None and asked > limit:
        raise PolicyInvalid(
            f"--largest-drop {asked:g} is over the {limit:g} that the policy allows",
            hint="Leave it out, or agree on another policy",
        )
    if asked is not None:
        return asked
    return limit if limit != math.inf else DEFAULT_DROP


def _show(graph: IntegerGraph, found: Accuracy) -> None:
    rows = [
        (
            type(step).__name__,
            escape(step.name),
            "x".join(map(str, value.shape)) or "one",
            f"{value.low:,} .. {value.high:,}",
            f"{bound:,}" if bound else "",
        )
        for step, value, bound in zip(graph.steps, graph.values[1:], graph.bounds, strict=True)
    ]
    title = f"{graph.weights:,} weights in integers; for a workload: {graph.inputs:,} inputs, {graph.cells:,} cells"
    console().print(table(title, ("step", "node", "gives", "values", "largest sum"), rows))
    right = (
        ""
        if found.accuracy is None
        else f"; right: {found.accuracy:.4f}, by the float model {found.float_accuracy:.4f}"
    )
    console().print(f"Of {found.samples:,} answers {found.agreement:.4f} choose as the float model does{right}.")


def _samples(file: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    arrays = read_arrays(file)
    if not isinstance(arrays, dict):
        arrays = {INPUTS: arrays}
    if INPUTS not in arrays or set(arrays) - {INPUTS, LABELS}:
        raise CallerError(f"{file} does not hold {INPUTS!r}, and {LABELS!r} or nothing else", hint="Save them so")
    inputs, labels = np.asarray(arrays[INPUTS]), arrays.get(LABELS)
    if inputs.dtype.kind not in "fiu" or inputs.ndim < 2:
        raise CallerError(
            f"{INPUTS} of {file} are {inputs.dtype} {inputs.shape}", hint="Give numbers, one sample a row"
        )
    if labels is not None and (np.asarray(labels).dtype.kind not in "iu" or np.shape(labels) != inputs.shape[:1]):
        raise CallerError(f"{LABELS} of {file} are not one integer a sample", hint="Give the place of the right output")
    return inputs, labels


__all__ = ["add_quantise"]
