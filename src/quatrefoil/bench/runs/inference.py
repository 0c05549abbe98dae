"""Requests to the model that a workload trains: one row each, one after another, as wards ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import HeParameters, SecretKey
from quatrefoil.analytics import Answer
from quatrefoil.analytics.networks import NETWORK_SET, encrypt_row, open_answer
from quatrefoil.bench.runs import computing, network
from quatrefoil.bench.runs.asking import Tensors
from quatrefoil.bench.runs.measured import timed
from quatrefoil.bench.runs.tables import Ask
from quatrefoil.demo.models import Parameters
from quatrefoil.demo.onnx_model import INPUT, OUTPUT
from quatrefoil.errors import CallerError, HostError


@dataclass(frozen=True)
class Inference:
    """``rows``: n x features, each asked about once. ``hidden``: units of the model."""

    rows: NDArray[np.float64]
    hidden: int = network.HIDDEN

    @property
    def shape(self) -> Mapping[str, int]:
        """As a phase of a workload says it."""
        return {"batch": len(self.rows), "parameters": self.rows.shape[1], "hidden": self.hidden}

    @property
    def requests(self) -> Sequence[Tensors]:
        return [{INPUT: row[None, :].astype(np.float32)} for row in self.rows]

    def check(self, model: Parameters, answers: Sequence[Tensors]) -> None:
        """``HostError`` unless these are the model's probabilities, as float32 has them."""
        found = np.array([float(answer[OUTPUT][0]) for answer in answers])
        if found.shape != (len(self.rows),) or not (np.abs(found - network.predict(model, self.rows)) <= 1e-4).all():
            raise HostError("a model of the bench does not answer what it was trained to", hint="Report it")

    def program(self, model: Parameters) -> bytes:
        """What ``computing.Computer`` is made of."""
        return computing.network_program(model, self._names)

    def ask_encrypted(self, model: Parameters, parameter_set: str, ask: Ask) -> tuple[float, int]:
        """The whole way of each row, one after another: encryption, ``ask``, decryption, and whether it is right.
        Milliseconds and bytes of all. The key serves all requests: it and its evaluation keys are in neither."""
        if parameter_set != NETWORK_SET:
            raise CallerError(
                f"a network is not evaluated in {parameter_set or 'no set'}", hint=f"Plan it in {NETWORK_SET}"
            )
        key = SecretKey.generate(HeParameters.named(parameter_set))
        ask(computing.ask_keys(key.evaluation_keys().encode()))
        right, bounds = network.predict(model, self.rows), [1.0] * self.rows.shape[1]

        def one(position: int) -> int:
            rows = encrypt_row(key, self._names, self.rows[position], bounds=bounds)
            question = computing.ask_rows(rows.encode())
            answer = ask(question)
            found = open_answer(key, rows.digest(), 1, Answer.decode(answer))
            if not abs(found.values[0, 0] - right[position]) <= found.error:
                raise HostError("an encrypted answer of the bench is not the right one", hint="Report it")
            return len(question) + len(answer)

        one(0)  # the other side encodes the weights once
        ms, sent = timed(lambda: sum(map(one, range(len(self.rows)))))
        return ms, sent

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(f"x{position}" for position in range(self.rows.shape[1]))

    def graph(self, model: Parameters) -> bytes:
        """The ONNX file of the trained model."""
        return network.encode(model)
