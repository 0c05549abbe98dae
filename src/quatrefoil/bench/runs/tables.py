"""What is asked about a table, in the clear and encrypted, and whether the answers are right: scores, moments, counts.

Each task knows its ONNX graph, its program for a party without a key, and what the exact answer is; every answer that
is measured is held to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quatrefoil import analytics
from quatrefoil.aggregation.he import HeParameters, SecretKey
from quatrefoil.analytics import Answer, LinearModel
from quatrefoil.bench.runs import computing, graphs
from quatrefoil.errors import CallerError, HostError
from quatrefoil.planner.encrypted import PARAMETER_SETS

Ask = Callable[[bytes], bytes]
"""A question to the party without a key, and its answer."""

Outputs = Mapping[str, NDArray[Any]]


class TableTask(Protocol):
    """One question about one table."""

    @property
    def table(self) -> NDArray[np.float32]:
        """What a served model is asked with."""
        ...

    @property
    def shape(self) -> Mapping[str, int]:
        """``parameters`` and ``batch``, as a phase of a workload says them."""
        ...

    def graph(self) -> bytes:
        """The ONNX file that answers it."""
        ...

    def program(self) -> bytes:
        """What ``computing.Computer`` is made of."""
        ...

    def check(self, outputs: Outputs) -> None:
        """``HostError`` unless these are the right answer, as float32 has it."""
        ...

    def ask_encrypted(self, parameter_set: str, ask: Ask) -> int:
        """The whole way of the owner of the table: a key of this set, encryption, ``ask``, decryption, and whether the
        answer is right. The bytes that were sent and came back."""
        ...


@dataclass(frozen=True)
class Scoring:
    """``values``: rows x features of the model, each within [0, 1]."""

    values: NDArray[np.float64]
    model: LinearModel

    @property
    def table(self) -> NDArray[np.float32]:
        return self.values.astype(np.float32)

    @property
    def shape(self) -> Mapping[str, int]:
        return {"parameters": self.values.shape[1], "batch": len(self.values)}

    def graph(self) -> bytes:
        return graphs.scores(self.model, len(self.values))

    def program(self) -> bytes:
        return computing.linear_program(self.model)

    def check(self, outputs: Outputs) -> None:
        _require_close(outputs[graphs.SCORES], self._exact(), 1e-5)

    def ask_encrypted(self, parameter_set: str, ask: Ask) -> int:
        key = _key("score", parameter_set)
        names, whole = list(self.model.features), key.parameters.scheme == "bgv"
        given = np.rint(self.values * computing.UNIT).astype(np.int64) if whole else self.values
        table = analytics.encrypt_numbers(key, names, given, bounds=[computing.UNIT if whole else 1.0] * len(names))
        question = computing.ask_scores(table.encode())
        answer = ask(question)
        found = analytics.open_scores(key, table.digest(), table.rows, Answer.decode(answer))
        if whole:  # exactly the scores of the rounded numbers
            model = computing.in_units(self.model)
            _require_close(found.values, given @ np.asarray(model.weights) + model.intercept, 0.0)
        else:
            _require_close(found.values, self._exact(), found.error)
        return len(question) + len(answer)

    def _exact(self) -> NDArray[np.float64]:
        linear: NDArray[np.float64] = self.values @ np.asarray(self.model.weights) + self.model.intercept
        return linear if self.model.kind == "linear" else 0.5 + 0.5 * np.tanh(linear / 2)


@dataclass(frozen=True)
class Moments:
    """``values``: rows x columns, each within [0, 1]."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def table(self) -> NDArray[np.float32]:
        return self.values.astype(np.float32)

    @property
    def shape(self) -> Mapping[str, int]:
        return {"parameters": self.values.shape[1], "batch": len(self.values)}

    def graph(self) -> bytes:
        return graphs.moments(len(self.columns), len(self.values))

    def program(self) -> bytes:
        return computing.NO_MODEL

    def check(self, outputs: Outputs) -> None:
        _require_close(outputs[graphs.MEAN], self._means(), 1e-5)
        _require_close(outputs[graphs.COVARIANCE], np.asarray(np.cov(self.values, rowvar=False)), 1e-5)
        varied = self.values.std(axis=0) > 0  # a column that is constant correlates with nothing
        found = outputs[graphs.CORRELATION]
        if found.shape != (len(varied),) * 2:
            raise _wrong()
        _require_close(found[varied][:, varied], np.asarray(np.corrcoef(self.values[:, varied], rowvar=False)), 1e-4)

    def ask_encrypted(self, parameter_set: str, ask: Ask) -> int:
        key = _key("summarise", parameter_set)
        bounds = [1.0] * len(self.columns)
        table = analytics.encrypt_numbers(key, self.columns, self.values, bounds=bounds)
        question = computing.ask_moments(table.encode(), key.evaluation_keys().encode())
        answer = ask(question)
        found = analytics.open_statistics(key, table, Answer.decode(answer))
        _require_close(found.mean, self._means(), found.mean_error)
        _require_close(found.covariance, np.asarray(np.cov(self.values, rowvar=False)), found.covariance_error)
        return len(question) + len(answer)

    def _means(self) -> NDArray[np.float64]:
        return np.asarray(self.values.mean(axis=0))


@dataclass(frozen=True)
class Counting:
    """``values``: rows x 2, numbers of categories from 0 on; ``categories``: how many each column has."""

    columns: tuple[str, str]
    values: NDArray[np.int64]
    categories: tuple[int, int]

    @property
    def table(self) -> NDArray[np.float32]:
        return self.values.astype(np.float32)

    @property
    def shape(self) -> Mapping[str, int]:
        """Cells, and rows."""
        return {"parameters": self.categories[0] * self.categories[1], "batch": len(self.values)}

    def graph(self) -> bytes:
        return graphs.counts(self.categories, len(self.values))

    def program(self) -> bytes:
        return computing.NO_MODEL

    def check(self, outputs: Outputs) -> None:
        _require_close(outputs[graphs.COUNTS], self._exact(), 0.0)

    def ask_encrypted(self, parameter_set: str, ask: Ask) -> int:
        key = _key("count", parameter_set)
        table = analytics.encrypt_categories(key, self.columns, self.values, self.categories)
        question = computing.ask_counts(table.encode(), key.evaluation_keys().encode())
        answer = ask(question)
        _require_close(analytics.open_counts(key, table, Answer.decode(answer)).values, self._exact(), 0.0)
        return len(question) + len(answer)

    def _exact(self) -> NDArray[np.int64]:
        found = np.zeros(self.categories, dtype=np.int64)
        np.add.at(found, (self.values[:, 0], self.values[:, 1]), 1)
        return found


def _key(kind: str, parameter_set: str) -> SecretKey:
    """A new one, of a set that the planner has for phases of ``kind``."""
    known = [name for (one, _), names in PARAMETER_SETS.items() if one == kind for name in names]
    if parameter_set not in known:
        raise CallerError(
            f"{kind} phases are not computed in {parameter_set or 'no set'}", hint=f"Plan one of {', '.join(known)}"
        )
    return SecretKey.generate(HeParameters.named(parameter_set))


def _require_close(found: NDArray[Any], exact: NDArray[Any], within: Any) -> None:
    if found.shape != exact.shape or not (np.abs(found.astype(np.float64) - exact) <= within).all():
        raise _wrong()


def _wrong() -> HostError:
    return HostError("an answer of the bench is not the right one", hint="Run it again, and report it")
