"""One exchange as its server recorded it: the receipt, what was asked and answered, and the salt that opens both.

Property: the numbers that come out of :func:`open_exchange` are those that the receipt commits to, and there is one
reading of them: header fields, which no receipt covers, are not asked how content is to be read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil import inference
from quatrefoil.audit.inference_receipts import SALT_BYTES, InferenceReceipt, commit_answer, commit_request
from quatrefoil.errors import EvidenceRejected, MessageRefused, RequestRefused
from quatrefoil.inference import framing
from quatrefoil.proven.statement import CommittedModel
from quatrefoil.wire import WireObject

_HINT = "Keep receipt and record as evidence, and ask the server's operator"


@dataclass(frozen=True)
class Exchange(WireObject):
    """``receipt``: encoded, without its signature; ``path``: with its query; ``request``, ``answer``: the contents."""

    TYPE: ClassVar[str] = "urn:quatrefoil:recorded-exchange"
    receipt: bytes
    salt: bytes
    method: bytes
    path: bytes
    request: bytes
    answer: bytes


@dataclass(frozen=True, eq=False)
class Opened:
    """``inputs`` (n, ...) in float32, as they were asked about; ``answers``: (n, F), integers of the output, or (n,)
    places of the largest."""

    receipt: InferenceReceipt
    inputs: NDArray[np.float32]
    answers: NDArray[np.int64]


def read_receipt(exchange: Exchange) -> InferenceReceipt:
    """The receipt of an exchange; ``EvidenceRejected`` where it is none."""
    try:
        return InferenceReceipt.decode(exchange.receipt)
    except MessageRefused as error:
        raise EvidenceRejected(f"a receipt is none: {error.problem}", hint=_HINT, check="receipts") from None


def open_exchange(exchange: Exchange, model: CommittedModel) -> Opened:
    """What was asked and answered; ``EvidenceRejected`` where it is not what the receipt commits to, or is no answer of
    ``model``."""
    receipt = read_receipt(exchange)
    if receipt.model != model.model:
        raise _wrong(receipt, f"is of the model {receipt.model.hex()[:16]}, and not of {model.model.hex()[:16]}")
    if receipt.status != 200 or not receipt.complete:
        raise _wrong(receipt, f"is of no whole answer: its status is {receipt.status}")
    if len(exchange.salt) != SALT_BYTES:
        raise _wrong(receipt, f"is beside a salt of {len(exchange.salt)} bytes")
    if commit_request(exchange.salt, exchange.method, exchange.path, exchange.request) != receipt.request:
        raise _wrong(receipt, "is about another request, or the salt is another")
    if commit_answer(exchange.salt, receipt.status, exchange.answer) != receipt.answer:
        raise _wrong(receipt, "is about another answer, or the salt is another")
    try:
        asked = inference.route(exchange.method.decode("latin-1"), exchange.path.decode("latin-1"))
        if asked.kind != "infer":
            raise _wrong(receipt, f"is about {asked.kind}, which no model computes")
        request = inference.decode_infer(_header(exchange.request), exchange.request)
        response = inference.decode_infer_response(_header(exchange.answer), exchange.answer)
    except RequestRefused as error:
        raise _wrong(receipt, f"is of contents that cannot be read: {error.problem}") from None
    return Opened(receipt, *_numbers(receipt, request, response, model))


def _numbers(
    receipt: InferenceReceipt,
    request: inference.InferRequest,
    response: inference.InferResponse,
    model: CommittedModel,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if list(request.inputs) != [model.input.name] or list(response.outputs) != [model.output.name]:
        raise _wrong(receipt, f"has other tensors than {model.input.name!r} and {model.output.name!r}")
    given, found = np.asarray(request.inputs[model.input.name]), np.asarray(response.outputs[model.output.name])
    wanted = (np.int64, 1) if model.largest else (np.float32, 2)
    if given.dtype != np.float32 or given.ndim < 2 or not 1 <= len(given) == len(found):
        raise _wrong(receipt, f"has inputs {given.dtype} {given.shape} and outputs {found.shape}")
    if found.dtype != wanted[0] or (found.ndim < wanted[1] if not model.largest else found.ndim != 1):
        raise _wrong(receipt, f"has outputs {found.dtype} {found.shape}")
    if model.largest:
        return given, found.astype(np.int64)
    with np.errstate(over="ignore"):
        scaled = np.ldexp(found.astype(np.float64), model.output.exponent).reshape(len(found), -1)
    if not (np.abs(scaled) < 1 << 31).all() or (scaled != np.rint(scaled)).any():
        raise _wrong(receipt, "has an answer that is no integer of the output's scale")
    return given, scaled.astype(np.int64)


def _header(content: bytes) -> list[tuple[bytes, bytes]]:
    """The header fields that a content has to have had: JSON, and where it ends if binary tensors follow."""
    try:
        text = content.decode("latin-1")
        end = json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        end = len(content)
    if end == len(content):
        return []
    return [(b"content-type", b"application/octet-stream"), (framing.JSON_LENGTH, b"%d" % end)]


def _wrong(receipt: InferenceReceipt, what: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"receipt {receipt.sequence} of keyset {receipt.keyset.hex()[:16]} {what}",
        hint=_HINT,
        check="receipts",
        party=receipt.issuer,
    )


__all__ = ["Exchange", "Opened", "open_exchange", "read_receipt"]
