"""Arrays to requests and answers to arrays, as the Open Inference Protocol writes them (docs/inference.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from quatrefoil import strict_json
from quatrefoil.client.answers import Answer, Inferred
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused, RequestRefused
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import (
    InferRequest,
    Limits,
    ModelMetadata,
    RequestedOutput,
    TensorSpec,
    decode_infer_response,
    encode_infer_request,
)
from quatrefoil.inference.datatypes import DTYPES, Array, datatype_of
from quatrefoil.ohttp.messages import Fields

LARGEST_SIGNATURE = 1 << 20


def is_array(value: Any) -> bool:
    """Whether a value says its own type and shape."""
    return isinstance(value, np.ndarray | np.generic)


def encode(
    inputs: Mapping[str, Any],
    outputs: Iterable[str] | None,
    signature: ModelMetadata | None,
    policy: ServingPolicy,
) -> tuple[Fields, bytes]:
    """Fields and content of a request, its tensors in binary both ways. ``signature``: where plain lists are among the
    inputs."""
    arrays = {name: _array(name, value, signature) for name, value in inputs.items()}
    wanted = tuple(RequestedOutput(name, binary=True) for name in outputs or ())
    try:
        fields, content = encode_infer_request(
            InferRequest(arrays, outputs=wanted, binary=True), limits=limits(policy.limits.request_bytes)
        )
    except RequestRefused as refusal:
        raise CallerError(
            f"the request cannot be sent: it is over the policy's {policy.limits.request_bytes} bytes, or "
            f"{refusal.problem}",
            hint="Send less at once",
        ) from None
    return tuple(fields), content


def decode(answer: Answer, policy: ServingPolicy) -> Inferred:
    """The outputs of a successful answer; ``RequestRefused`` where it is not one of the protocol."""
    response = decode_infer_response(answer.headers.raw, answer.content, limits=limits(policy.limits.answer_bytes))
    if response.model_name != policy.model.name:
        raise MessageRefused("the answer names another model", hint="Ask the server's operator which version it runs")
    return Inferred(dict(response.outputs), answer.receipt, response.model_version)


def limits(body: int) -> Limits:
    return Limits(body=body, json=min(body, Limits().json))


def signature(answer: Answer) -> ModelMetadata:
    """The signature in an answer of model metadata; ``MessageRefused`` where it is none."""
    try:
        said = strict_json.parse(answer.content, "the model's metadata", limit=LARGEST_SIGNATURE)
        return ModelMetadata(
            name=_text(said["name"]),
            inputs=_specs(said["inputs"]),
            outputs=_specs(said["outputs"]),
            platform=_text(said["platform"]),
            versions=tuple(map(_text, said.get("versions", []))),
        )
    except (EvidenceRejected, KeyError, TypeError, ValueError):
        raise MessageRefused(
            "the model's metadata are not those of the Open Inference Protocol", hint="Pass arrays with their types"
        ) from None


def _specs(said: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(_text(one["name"]), _text(one["datatype"]), tuple(map(_size, one["shape"]))) for one in said
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _size(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _array(name: str, value: Any, signature: ModelMetadata | None) -> Array:
    if is_array(value):
        array = np.asarray(value)
        return _checked(name, _texts(array) if array.dtype.kind in "US" else array)
    specs = {spec.name: spec for spec in signature.inputs} if signature else {}
    if name not in specs:
        raise CallerError(
            f"the model has no input {name!r}", hint=f"Its inputs are {', '.join(specs) or 'none that it names'}"
        )
    return typed(name, value, specs[name])


def typed(name: str, value: Any, spec: TensorSpec) -> Array:
    """``value``, lists of numbers or texts, as the array that the signature has; ``CallerError`` where it does not fit.
    A value that stands for one row of a batch gets the batch's dimension."""
    if spec.datatype not in DTYPES:
        raise CallerError(f"input {name!r} is of {spec.datatype}, which is not supported", hint="docs/inference.md")
    array = None
    try:
        if spec.datatype == "BYTES":
            array = _texts(np.asarray(value, dtype=object))
        else:
            array = _numbers(np.asarray(value), DTYPES[spec.datatype])
    except (TypeError, ValueError, OverflowError):
        pass
    # Outside of the handler: that error quotes values.
    if array is None:
        raise CallerError(
            f"the values of input {name!r} are not {spec.datatype}, or of uneven lengths", hint="Correct them"
        )
    if array.ndim == len(spec.shape) - 1 and spec.shape[0] in (-1, 1):
        array = array[np.newaxis]
    return _checked(name, array)


def _numbers(found: Array, wanted: np.dtype[Any]) -> Array:
    """``found`` in the type ``wanted``, if it holds each value; ``ValueError`` otherwise."""
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[wanted.kind]
    if found.size and found.dtype.kind not in kinds:
        raise ValueError
    with np.errstate(over="ignore"):
        array = found.astype(wanted)
    whole = wanted.kind == "f" or bool((array == found).all())
    if not whole or (wanted.kind == "f" and bool((np.isinf(array) & np.isfinite(found)).any())):
        raise ValueError
    return array


def _checked(name: str, array: Array) -> Array:
    problem = ""
    try:
        datatype_of(array)
    except TypeError:
        problem = f"input {name!r} is of {array.dtype}, which the protocol does not have"
    if problem:
        raise CallerError(problem, hint=f"Convert it to one of {', '.join(DTYPES)}")
    return array


def _texts(array: Array) -> Array:
    """An array of texts or byte strings as the protocol's BYTES."""
    flat = [one.encode() if isinstance(one, str) else one for one in array.ravel().tolist()]
    if not all(isinstance(one, bytes) for one in flat):
        raise TypeError
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(array.shape)


__all__ = ["decode", "encode", "is_array", "limits", "signature", "typed"]
