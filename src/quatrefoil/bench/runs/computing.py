"""The party that computes on encrypted tables and rows and has no key: questions as bytes, answers as bytes.

It stands behind a channel, or inside a served and attested process, and is the same object in both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from quatrefoil import analytics
from quatrefoil.aggregation.he import EvaluationKeys
from quatrefoil.analytics import EncryptedTable, LinearModel
from quatrefoil.analytics.networks import EncryptedRows, Network, NetworkEvaluator
from quatrefoil.demo.models import Arrays
from quatrefoil.errors import MessageRefused, ModelRefused, RequestRefused
from quatrefoil.federation import parts
from quatrefoil.inference import InferRequest, InferResponse, ModelMetadata, TensorSpec
from quatrefoil.inference.datatypes import Array

NO_MODEL = json.dumps({"kind": "statistics"}).encode()
"""What stands for a model where moments and counts are asked for."""

UNIT = 128
"""BGV scores integers: values and weights are multiples of one over this, scores of one over its square."""

QUESTION, ANSWER = "question", "answer"
_NETWORK = b'{"kind": "network"'
_WORD = 8
_MOST_PARTS = 4


class Computer:
    """``program``: the JSON of a :class:`LinearModel` or of a :class:`Network`, or :data:`NO_MODEL`."""

    def __init__(self, program: bytes) -> None:
        self._model: LinearModel | None = None
        self._network: Network | None = None
        self._evaluator: NetworkEvaluator | None = None
        if program.startswith(_NETWORK):
            self._network = Network.parse(program)
        elif program != NO_MODEL:
            self._model = LinearModel.parse(program)

    def answer(self, question: bytes) -> bytes:
        """The answer to what :func:`ask_scores` and its neighbours wrote; whatever is refused raises."""
        method, *given = parts.split_list(question, _MOST_PARTS)
        if method == b"scores" and len(given) == 1:
            return self._scores(given[0])
        if method == b"moments" and len(given) == 2:
            return analytics.summarise(EncryptedTable.decode(given[0]), EvaluationKeys.decode(given[1])).encode()
        if method == b"counts" and len(given) == 2:
            table, keys = EncryptedTable.decode(given[0]), EvaluationKeys.decode(given[1])
            if len(table.columns) != 2:
                raise MessageRefused("a table of other than two columns is counted", hint="Send two columns")
            return analytics.contingency(table, keys, *table.columns).encode()
        if method == b"keys" and len(given) == 1:
            return self._take_keys(EvaluationKeys.decode(given[0]))
        if method == b"rows" and len(given) == 1:
            return self._evaluated(EncryptedRows.decode(given[0]))
        raise MessageRefused("a question of no known form", hint="Ask as this module does")

    def _scores(self, table: bytes) -> bytes:
        if self._model is None:
            raise ModelRefused("scores are asked for where there is no model", hint="Serve a linear model")
        encrypted = EncryptedTable.decode(table)
        exact = encrypted.checked().scheme == "bgv"
        return analytics.score(encrypted, in_units(self._model) if exact else self._model).encode()

    def _take_keys(self, keys: EvaluationKeys) -> bytes:
        if self._network is None:
            raise ModelRefused("keys are given where there is no network", hint="Serve a network")
        self._evaluator = NetworkEvaluator(self._network, keys)
        return b""

    def _evaluated(self, rows: EncryptedRows) -> bytes:
        if self._evaluator is None:
            raise MessageRefused("rows without the evaluation keys of their key", hint="Send the keys first")
        return self._evaluator.evaluate(rows).encode()


def ask_keys(keys: bytes) -> bytes:
    """Once, before any rows of that key."""
    return parts.join([b"keys", keys])


def ask_rows(rows: bytes) -> bytes:
    return parts.join([b"rows", rows])


def in_units(model: LinearModel) -> LinearModel:
    """The model of integers that BGV scores with; its key holder divides by the square of :data:`UNIT`."""
    weights = tuple(float(round(weight * UNIT)) for weight in model.weights)
    return LinearModel("linear", model.features, weights, float(round(model.intercept * UNIT * UNIT)))


def ask_scores(table: bytes) -> bytes:
    return parts.join([b"scores", table])


def ask_moments(table: bytes, keys: bytes) -> bytes:
    return parts.join([b"moments", table, keys])


def ask_counts(table: bytes, keys: bytes) -> bytes:
    return parts.join([b"counts", table, keys])


class ComputerEngine:
    """The same as an ``Engine``: bytes travel as 64-bit words, their length first."""

    def __init__(self, computer: Computer, *, name: str) -> None:
        self._computer = computer
        self._metadata = ModelMetadata(
            name=name,
            inputs=(TensorSpec(QUESTION, "UINT64", (-1,)),),
            outputs=(TensorSpec(ANSWER, "UINT64", (-1,)),),
            platform="quatrefoil_analytics",
            versions=(),
        )

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    def check(self, request: InferRequest) -> None:
        if set(request.inputs) != {QUESTION} or request.inputs[QUESTION].dtype != np.uint64:
            raise RequestRefused("the request is no question in words", hint=f"Send {QUESTION!r} as UINT64")

    def infer(self, request: InferRequest) -> InferResponse:
        self.check(request)
        answer = self._computer.answer(from_words(request.inputs[QUESTION]))
        return InferResponse(self._metadata.name, {ANSWER: to_words(answer)}, "", request.id)


def to_words(data: bytes) -> Array:
    padded = len(data).to_bytes(_WORD, "little") + data + bytes(-len(data) % _WORD)
    return np.frombuffer(padded, "<u8").astype(np.uint64, copy=False)


def from_words(words: Array) -> bytes:
    """``MessageRefused`` where the length does not fit."""
    data = words.astype("<u8", copy=False).tobytes()
    length = int.from_bytes(data[:_WORD], "little")
    if len(data) < _WORD or not 0 <= len(data) - _WORD - length < _WORD:
        raise MessageRefused("words that do not hold the bytes that they announce", hint="Send them again")
    return data[_WORD : _WORD + length]


def linear_program(model: LinearModel) -> bytes:
    """What :meth:`LinearModel.parse` reads."""
    content: Mapping[str, object] = {
        "kind": model.kind,
        "features": list(model.features),
        "weights": list(model.weights),
        "intercept": model.intercept,
    }
    return json.dumps(content).encode()


def network_program(parameters: Arrays, features: Sequence[str]) -> bytes:
    """What :meth:`Network.parse` reads, of the parameters of ``runs.network``."""
    first, biases, second, constants = (np.asarray(array, np.float64).tolist() for array in parameters)
    content: Mapping[str, object] = {
        "kind": "network",
        "features": list(features),
        "hidden": {"weights": first, "biases": biases},
        "output": {"weights": second, "biases": constants},
        "outputs": ["score"],
        "activation": "sigmoid",
    }
    return json.dumps(content).encode()
