"""An integer graph as an ONNX file that any runtime computes, to the same bits, and the same file read back.

Integers travel as floating-point numbers that hold them exactly: no sum reaches 2^24 in 32 bits, or 2^53 in the layers
that are too large for that, so that neither the order of additions nor fused ones change a bit. The description of the
graph is in the file; whoever reads it writes the file again from that, and takes no file that differs.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected, ModelRefused
from quatrefoil.inference.onnx_file import require_self_contained
from quatrefoil.quantised.graph import Input, IntegerGraph
from quatrefoil.quantised.onnx_reader import import_onnx
from quatrefoil.quantised.steps import (
    ArgMax,
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Integers,
    MaxPool,
    Requantise,
    Step,
    Sum,
)

FORMAT = "quatrefoil.integer-graph/1"
IR_VERSION, OPSET = 10, 17
LARGEST_DESCRIPTION = 1 << 22
_PROPERTY = "integer_graph"
_HINT = "Make the file with `quatrefoil model quantise`"


def encode(graph: IntegerGraph) -> bytes:
    """The ONNX file: a float32 input as the float model has it, and its output, the integers times 2^-exponent."""
    return _Writer(graph).file()


def decode(file: bytes) -> IntegerGraph:
    """The graph of a file that :func:`encode` wrote; ``ModelRefused`` for any other."""
    onnx = import_onnx()
    try:
        loaded = onnx.load_from_string(file)
        require_self_contained(file)
        described = {one.key: one.value for one in loaded.metadata_props}[_PROPERTY]
        tensors = {one.name: onnx.numpy_helper.to_array(one) for one in loaded.graph.initializer}
    except ModelRefused:
        raise
    except Exception:  # of the protocol buffers, without a base of their own
        raise ModelRefused("the file describes no integer graph", hint=_HINT) from None
    try:
        text = strict_json.parse(described.encode(), "the description", limit=LARGEST_DESCRIPTION)
        graph = _graph(text, tensors)
    except EvidenceRejected as refused:
        raise ModelRefused(refused.problem, hint=_HINT) from None
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise ModelRefused("the description of the graph is not in its form", hint=_HINT) from None
    if encode(graph) != file:
        raise ModelRefused("the file computes something else than it describes", hint=_HINT)
    return graph


# ------------------------------------------------------------------------------------------------------- writing


class _Writer:
    def __init__(self, graph: IntegerGraph) -> None:
        self._onnx = import_onnx()
        self._graph = graph
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._names = ["value0"]

    def file(self) -> bytes:
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        graph = self._graph
        self._input()
        for number, step in enumerate(graph.steps):
            self._step(number, step)
        is_place = isinstance(graph.steps[-1], ArgMax)
        if is_place:
            self._add("Identity", [self._names[-1]], graph.output)
        else:
            self._scaled(self._names[-1], -graph.exponents[-1], graph.output)
        given = helper.make_tensor_value_info(graph.input.name, kinds.FLOAT, ["n", *graph.input.shape])
        kind = kinds.INT64 if is_place else kinds.FLOAT
        found = helper.make_tensor_value_info(graph.output, kind, ["n", *graph.values[-1].shape])
        body = helper.make_graph(self._nodes, "integers", [given], [found], self._tensors)
        model = helper.make_model(
            body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="quatrefoil"
        )
        helper.set_model_props(model, {_PROPERTY: json.dumps(_described(graph), separators=(",", ":"))})
        return bytes(model.SerializeToString(deterministic=True))

    def _add(self, operation: str, given: list[str], name: str, **attributes: Any) -> str:
        self._nodes.append(self._onnx.helper.make_node(operation, given, [name], name=name, **attributes))
        return name

    def _tensor(self, name: str, array: Any, dtype: type = np.float32) -> str:
        self._tensors.append(self._onnx.numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def _input(self) -> None:
        entry = self._graph.input
        missing = self._add("IsNaN", [entry.name], "input.missing")
        known = self._add("Where", [missing, self._tensor("input.nothing", 0.0), entry.name], "input.known")
        scaled = self._scaled(known, entry.exponent, "input.scaled")
        rounded = self._add("Round", [scaled], "input.rounded")
        self._clip(rounded, entry.low, entry.high, "value0", np.float32)

    def _scaled(self, value: str, exponent: int, name: str) -> str:
        return self._add("Mul", [value, self._tensor(f"{name}.factor", 2.0**exponent)], name)

    def _clip(self, value: str, low: int, high: int, name: str, dtype: type) -> str:
        bounds = [self._tensor(f"{name}.low", low, dtype), self._tensor(f"{name}.high", high, dtype)]
        return self._add("Clip", [value, *bounds], name)

    def _step(self, number: int, step: Step) -> None:
        name = f"value{number + 1}"
        self._names.append(name)
        given = [self._names[source] for source in step.sources]
        if isinstance(step, Dense):
            self._dense(number, step, given[0], name)
        elif isinstance(step, Conv):
            half = step.requantise.half if step.requantise else 0
            weights = self._tensor(f"{name}.weights", step.weights)
            bias = self._tensor(f"{name}.bias", step.bias + half)
            raw = name if step.requantise is None else f"{name}.sums"
            self._add("Conv", [given[0], weights, bias], raw, strides=list(step.strides), pads=list(step.pads))
            self._rounded(step.requantise, raw, name, np.float32)
        elif isinstance(step, Sum):
            dtype = self._type(number)
            terms = [
                self._term(one, shift, f"{name}.term{place}", dtype)
                for place, (one, shift) in enumerate(zip(given, step.left_shifts, strict=True))
            ]
            both = self._add("Add", terms, f"{name}.both")
            raw = self._add("Add", [both, self._tensor(f"{name}.half", step.requantise.half, dtype)], f"{name}.sums")
            self._rounded(step.requantise, raw, name, dtype)
        elif isinstance(step, AveragePool):
            self._average(number, step, given[0], name)
        elif isinstance(step, MaxPool):
            window = {"kernel_shape": list(step.kernel), "strides": list(step.strides), "pads": list(step.pads)}
            self._add("MaxPool", given, name, **window)
        elif isinstance(step, Flatten):
            self._add("Flatten", given, name, axis=1)
        else:
            assert isinstance(step, ArgMax)
            options = {"keepdims": int(step.keep_dims), "select_last_index": int(step.last)}
            self._add("ArgMax", given, name, axis=1, **options)

    def _type(self, number: int) -> type:
        return np.float32 if self._graph.is_single(number) else np.float64

    def _cast(self, value: str, dtype: type, name: str) -> str:
        kinds = self._onnx.TensorProto
        return self._add("Cast", [value], name, to=kinds.DOUBLE if dtype is np.float64 else kinds.FLOAT)

    def _dense(self, number: int, step: Dense, given: str, name: str) -> None:
        dtype = self._type(number)
        if dtype is np.float64:
            given = self._cast(given, dtype, f"{name}.given")
        half = step.requantise.half if step.requantise else 0
        weights = self._tensor(f"{name}.weights", step.weights, dtype)
        bias = self._tensor(f"{name}.bias", step.bias + half, dtype)
        last = dtype is np.float32 and step.requantise is None
        raw = self._add("Gemm", [given, weights, bias], name if last else f"{name}.sums", transB=1)
        if not last:
            self._rounded(step.requantise, raw, name, dtype)

    def _term(self, value: str, shift: int, name: str, dtype: type) -> str:
        if dtype is np.float64:
            value = self._cast(value, dtype, f"{name}.given")
        return self._add("Mul", [value, self._tensor(f"{name}.factor", float(1 << shift), dtype)], name)

    def _average(self, number: int, step: AveragePool, given: str, name: str) -> None:
        """As a convolution of each channel by itself, with the multiplier as every weight."""
        if not self._graph.is_single(number):
            raise ModelRefused(f"the sums of {step.name} are not exact in 32 bits", hint="Quantise with fewer bits")
        channels = self._graph.values[step.sources[0]].shape[0]
        weights = self._tensor(f"{name}.weights", np.full((channels, 1, *step.kernel), step.multiplier))
        bias = self._tensor(f"{name}.bias", np.full(channels, step.requantise.half))
        raw = self._add("Conv", [given, weights, bias], f"{name}.sums", strides=list(step.strides), group=channels)
        self._rounded(step.requantise, raw, name, np.float32)

    def _rounded(self, requantise: Requantise | None, raw: str, name: str, dtype: type) -> None:
        """floor(raw / 2^shift), clipped, in 32 bits. What is too large for 32 bits, and not rounded, goes out as it is
        nearest to."""
        if requantise is None:
            if raw != name:
                self._cast(raw, np.float32, name)
            return
        factor = self._tensor(f"{name}.factor", 2.0**-requantise.shift, dtype)
        floor = self._add("Floor", [self._add("Mul", [raw, factor], f"{name}.shifted")], f"{name}.floor")
        if dtype is np.float32:
            self._clip(floor, requantise.low, requantise.high, name, dtype)
            return
        clipped = self._clip(floor, requantise.low, requantise.high, f"{name}.clipped", dtype)
        self._cast(clipped, np.float32, name)


# ------------------------------------------------------------------------------------------------- description


def _described(graph: IntegerGraph) -> dict[str, Any]:
    entry = graph.input
    return {
        "format": FORMAT,
        "input": [entry.name, list(entry.shape), entry.exponent, entry.low, entry.high],
        "output": graph.output,
        "exponents": list(graph.exponents),
        "steps": [_described_step(step) for step in graph.steps],
    }


def _described_step(step: Step) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": type(step).__name__, "name": step.name, "sources": list(step.sources)}
    for name in ("left_shifts", "kernel", "strides", "pads"):
        if hasattr(step, name):
            out[name] = list(getattr(step, name))
    if isinstance(step, AveragePool):
        out["multiplier"] = step.multiplier
    if isinstance(step, ArgMax):
        out |= {"last": step.last, "keep_dims": step.keep_dims}
    if hasattr(step, "requantise"):
        rule = step.requantise
        out["requantise"] = None if rule is None else [rule.shift, rule.low, rule.high]
    return out


def _graph(text: Any, tensors: dict[str, Any]) -> IntegerGraph:
    if text["format"] != FORMAT:
        raise ValueError
    name, shape, exponent, low, high = text["input"]
    entry = Input(str(name), tuple(map(_int, shape)), _int(exponent), _int(low), _int(high))
    steps = tuple(_step(one, f"value{number + 1}", tensors) for number, one in enumerate(text["steps"]))
    return IntegerGraph(entry, steps, tuple(map(_int, text["exponents"])), str(text["output"]))


def _step(text: Any, name: str, tensors: dict[str, Any]) -> Step:
    kind, label, sources = text["kind"], str(text["name"]), tuple(map(_int, text["sources"]))
    rule = text.get("requantise")
    requantise = None if rule is None else Requantise(*map(_int, rule))
    if kind in ("Dense", "Conv"):
        weights = _integers(tensors[f"{name}.weights"])
        bias = _integers(tensors[f"{name}.bias"]) - (requantise.half if requantise else 0)
        if kind == "Dense":
            return Dense(label, _one(sources), weights, bias, requantise)
        return Conv(label, _one(sources), weights, bias, _two(text["strides"]), _four(text["pads"]), requantise)
    if kind == "Flatten":
        return Flatten(label, _one(sources))
    if kind == "ArgMax":
        return ArgMax(label, _one(sources), _bool(text["last"]), _bool(text["keep_dims"]))
    if kind == "MaxPool":
        return MaxPool(label, _one(sources), _two(text["kernel"]), _two(text["strides"]), _four(text["pads"]))
    if requantise is None:
        raise ValueError
    if kind == "Sum":
        return Sum(label, _two(sources), _two(text["left_shifts"]), requantise)
    if kind != "AveragePool":
        raise ValueError
    multiplier = _int(text["multiplier"])
    return AveragePool(label, _one(sources), _two(text["kernel"]), _two(text["strides"]), multiplier, requantise)


def _int(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _one(value: Any) -> tuple[int]:
    (first,) = map(_int, value)
    return (first,)


def _two(value: Any) -> tuple[int, int]:
    first, second = map(_int, value)
    return first, second


def _four(value: Any) -> tuple[int, int, int, int]:
    first, second, third, fourth = map(_int, value)
    return first, second, third, fourth


def _integers(array: Any) -> Integers:
    found = np.asarray(array)
    if not np.isfinite(found).all() or not (np.abs(found) < 1 << 53).all() or (found != np.rint(found)).any():
        raise ValueError
    return found.astype(np.int64)


__all__ = ["FORMAT", "decode", "encode"]
