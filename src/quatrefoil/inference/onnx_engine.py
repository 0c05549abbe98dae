"""ONNX models through ONNX Runtime on the processor, from bytes in memory; the extra ``serve``.

The bytes are those that were verified: nothing is read from or written to disk, and no library is loaded for a model.
The runtime logs and says in its errors what values it stumbled over; here it logs nothing, and its errors stay inside.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from quatrefoil.errors import DependencyMissing, EngineFailed, ModelRefused, RequestRefused
from quatrefoil.inference.datatypes import DTYPES, Array
from quatrefoil.inference.messages import InferRequest, InferResponse, ModelMetadata, TensorSpec
from quatrefoil.inference.onnx_file import require_self_contained
from quatrefoil.inference.signature import Bounds, require_fitting

LARGEST_MODEL = (2 << 30) - 1
"""Bytes: what a protocol buffer may have, and so a model with its weights inside."""

_FATAL = 4
"""The runtime's severity under which it logs nothing: its errors quote elements of inputs."""

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class OnnxEngine:
    """A model that ONNX Runtime computes: an ``Engine``.

    ``model`` is a whole ONNX file (protocol buffer). ``threads`` is what one computation uses. Strings of ONNX are
    UTF-8; BYTES that is not is refused. NaN and infinities go in and come out as they are.
    """

    def __init__(
        self, model: bytes, *, name: str, version: str = "", threads: int = 1, bounds: Bounds | None = None
    ) -> None:
        if threads < 1:
            raise ValueError("threads is at least 1")
        if len(model) > LARGEST_MODEL:
            raise ModelRefused(f"the model is over the limit of {LARGEST_MODEL} bytes", hint="Serve a smaller one")
        runtime = _runtime()
        require_self_contained(model)
        self._bounds = bounds or Bounds()
        self._session = _session(runtime, model, threads)
        self._run_options = runtime.RunOptions()
        self._run_options.log_severity_level = _FATAL
        self._metadata = ModelMetadata(
            name=name,
            inputs=tuple(map(_spec, self._session.get_inputs())),
            outputs=tuple(map(_spec, self._session.get_outputs())),
            platform="onnxruntime_onnx",
            versions=(version,) if version else (),
        )
        if not self._metadata.inputs or not self._metadata.outputs:
            raise ModelRefused("the model has no inputs or no outputs", hint="Serve a model that computes something")

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    def check(self, request: InferRequest) -> None:
        require_fitting(request, self._metadata, self._bounds)

    def infer(self, request: InferRequest) -> InferResponse:
        self.check(request)
        names = [output.name for output in request.outputs] or [spec.name for spec in self._metadata.outputs]
        inputs = {name: _to_runtime(array, name) for name, array in request.inputs.items()}
        arrays = self._run(names, inputs)
        if arrays is None:
            # Outside of the handler: the runtime's error would be this one's context, and it quotes elements.
            raise EngineFailed(
                "the model does not compute on these inputs", hint="Check that their values are what the model expects"
            )
        outputs = {name: _from_runtime(array) for name, array in zip(names, arrays, strict=True)}
        version = self._metadata.versions[0] if self._metadata.versions else ""
        return InferResponse(self._metadata.name, outputs, version, request.id)

    def _run(self, names: list[str], inputs: dict[str, Array]) -> list[Any] | None:
        try:
            return list(self._session.run(names, inputs, self._run_options))
        except Exception:  # its own classes, from C++, have no base of their own
            return None


@cache
def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise DependencyMissing("onnxruntime is not installed", hint="pip install 'quatrefoil[serve]'") from None
    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


def _session(runtime: Any, model: bytes, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_profiling = False
    # Plans of memory are kept for every combination of shapes that was ever sent, and there are as many as one likes.
    options.enable_mem_pattern = False
    # Never the runtime's own format, whose offsets it would trust; no threads that wait by spinning.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception:  # its own classes, from C++, have no base of their own
        session = None
    if session is None:
        # Its reason may quote the weights, which are secret.
        raise ModelRefused("ONNX Runtime does not load the model", hint="Try it with onnx.checker and onnxruntime")
    return session


def _spec(argument: Any) -> TensorSpec:
    datatype = _DATATYPES.get(argument.type)
    if datatype is None:
        raise ModelRefused(
            f"{argument.name!r} of the model is {argument.type}, which the protocol has not",
            hint="Convert the model with tensors of its datatypes only; of scikit-learn, with zipmap=False",
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in argument.shape)
    symbols = tuple(size if isinstance(size, str) else "" for size in argument.shape)
    return TensorSpec(argument.name, datatype, shape, symbols)


def _to_runtime(array: Array, name: str) -> Array:
    if array.dtype != DTYPES["BYTES"]:
        return np.require(array, requirements=["A", "C"])
    texts = np.empty(array.size, dtype=object)
    if not _decode_into(texts, array):
        raise RequestRefused(f"input {name!r} is not UTF-8, as strings of the model are", hint="Send UTF-8")
    return texts.reshape(array.shape)


def _decode_into(texts: Array, array: Array) -> bool:
    try:
        texts[:] = [element.decode("utf-8") for element in array.ravel()]
    except UnicodeDecodeError:
        return False  # raised from here, the refusal would carry the bytes with it
    return True


def _from_runtime(array: Any) -> Array:
    if isinstance(array, np.ndarray) and array.dtype == object:
        encoded = np.empty(array.size, dtype=object)
        encoded[:] = [text.encode("utf-8") for text in array.ravel()]
        return encoded.reshape(array.shape)
    return np.asarray(array, order="C")
