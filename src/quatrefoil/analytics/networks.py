"""A network evaluated on encrypted rows in CKKS: dense, square, dense. One row is one ciphertext.

``network_layout`` says which slot holds what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import frexp
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import EvaluationKeys, Evaluator, HeParameters, PlainMatrix, SecretKey, encode_matrix
from quatrefoil.aggregation.he.bounds import CkksTrack, power_of_two
from quatrefoil.analytics.network_layout import Layout, Slots, power
from quatrefoil.analytics.network_models import Network
from quatrefoil.analytics.scoring import linked, require_within
from quatrefoil.analytics.tables import (
    LARGEST_BOUND,
    Answer,
    Progress,
    held_bounds,
    known,
    require_numbers,
    silent,
)
from quatrefoil.errors import CallerError, CiphertextRefused, ModelRefused, ParametersRefused
from quatrefoil.wire import LARGEST_MESSAGE, WireObject

NETWORK_SET = "ckks-network-8192"
_KINDS = {"identity": "network", "sigmoid": "network-sigmoid"}


@dataclass(frozen=True)
class EncryptedRows(WireObject):
    """``bounds``: what no value of a column is beyond, powers of two. ``ciphertexts``: one a row."""

    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-rows"
    parameters: str
    key_id: bytes
    columns: tuple[str, ...]
    bounds: tuple[float, ...]
    ciphertexts: tuple[bytes, ...]

    @property
    def rows(self) -> int:
        return len(self.ciphertexts)

    def checked(self) -> HeParameters:
        """Its parameters, or ``CiphertextRefused`` for rows whose parts contradict each other."""
        p = known(self.parameters)
        if not p.rescaled_bits:
            raise _refused(f"under {p.name}, which has no room for a network")
        if not 1 <= len(self.columns) <= p.slots or len(set(self.columns)) != len(self.columns):
            raise _refused("columns that do not each have a name")
        if len(self.bounds) != len(self.columns) or not all(
            1 / LARGEST_BOUND <= bound <= LARGEST_BOUND and frexp(bound)[0] == 0.5 for bound in self.bounds
        ):
            raise _refused("a column without a usable bound")
        if not self.ciphertexts:
            raise _refused("nothing in them")
        return p


@dataclass(frozen=True)
class Outputs:
    """``values``: rows x outputs, each within ``error`` of the exact one. ``step``: what they were rounded to before a
    sigmoid."""

    names: tuple[str, ...]
    activation: str
    values: NDArray[np.float64]
    error: float
    step: float


def encrypt_row(
    key: SecretKey,
    names: Sequence[str],
    values: NDArray[Any],
    *,
    bounds: Sequence[float] | None = None,
    progress: Progress = silent,
) -> EncryptedRows:
    """``values``: of one row, or rows x columns. ``bounds`` as in ``encrypt_numbers``: without them they come from the
    values, and tell their sizes: one row's own bounds tell each of its values to a factor of 2."""
    p = key.parameters
    if not p.rescaled_bits:
        raise ParametersRefused(f"{p.name} has no room for a network", hint=f"Use {NETWORK_SET}")
    rows = values[None, :] if values.ndim == 1 else values
    if key.public:
        raise CallerError("rows for a network are not encrypted under a public key", hint="Use the secret key")
    require_numbers(p, names, rows)
    if len(names) > p.slots or len(rows) * (p.ciphertext_bytes + 16) > LARGEST_MESSAGE - 65_536:
        raise ParametersRefused(
            f"{len(rows)} rows of {len(names)} columns; {p.name} has {p.slots} slots and {p.ciphertext_bytes} bytes a "
            f"row, and a message {LARGEST_MESSAGE}",
            hint="Split the rows into several tables",
        )
    held = held_bounds(p, rows, bounds)
    blocks = power(max(2, len(names)))
    ciphertexts: list[bytes] = []
    for row in rows:
        progress(f"encrypting row {len(ciphertexts) + 1} of {len(rows)}")
        filled = np.zeros(blocks)
        filled[: len(names)] = row / np.array(held)
        ciphertexts.append(key.encrypt(np.repeat(filled, p.slots // blocks)))
    return EncryptedRows(p.name, key.key_id, tuple(names), tuple(held), tuple(ciphertexts))


@dataclass(frozen=True, repr=False)
class PreparedNetwork:
    """A network's weights, encoded for rows of these columns and bounds. ``track``: what an answer's slots are, times
    ``unit``."""

    hidden: tuple[PlainMatrix, ...]
    output: PlainMatrix
    track: CkksTrack
    unit: float

    @property
    def error(self) -> float:
        """Of an output, before a sigmoid, as the key holder lets it out; known before there is a row."""
        return self.track.released() * self.unit


def prepare(network: Network, columns: tuple[str, ...], bounds: tuple[float, ...], p: HeParameters) -> PreparedNetwork:
    """``ParametersRefused`` where the network does not fit ``p``, with the numbers; ``ModelRefused`` where its outputs
    depend on no input."""
    first, biases, second, constants = _live(network, columns, bounds)
    layout = Layout.of(p, len(columns), len(first), len(second))
    # Each hidden unit is at most 1 in its own unit; the second layer takes the squares of these back.
    units = np.abs(first).sum(1) + np.abs(biases)
    second = second * units**2
    reach = float((np.abs(second).sum(1) + np.abs(constants)).max())
    if not 2.0**-500 < reach < 2.0**500:
        raise ModelRefused(f"outputs can reach {reach:g}", hint="Scale the network's weights, or its inputs")
    unit = power_of_two(reach)
    fresh = CkksTrack.fresh(p)
    hidden = tuple(
        encode_matrix(fresh, [layout.hidden_weights(w)], layout.hidden_values(b), layout.input_steps)
        for w, b in zip(layout.groups(first / units[:, None]), layout.groups(biases / units), strict=True)
    )
    widest = max((fresh.applied(matrix.known) for matrix in hidden), key=lambda track: (track.bound, track.error))
    widest = replace(widest, error=max(fresh.applied(matrix.known).error for matrix in hidden))
    squares = widest.product(widest)
    weights = [layout.output_weights(w.T) for w in layout.groups(second.T / unit)]
    output = encode_matrix(squares, weights, layout.output_values(constants / unit), layout.hidden_steps)
    track = squares.applied(output.known)
    # Never below that of encryption: it decides what decryption lets out.
    return PreparedNetwork(hidden, output, replace(track, error=max(track.error, fresh.error)), unit)


class NetworkEvaluator:
    """The computing party: one network, and the evaluation keys of one key. Weights are encoded once for rows of the
    same columns and bounds."""

    def __init__(self, network: Network, keys: EvaluationKeys) -> None:
        self.network = network
        self._key_id = keys.key_id
        p = known(keys.parameters)
        if not p.rescaled_bits:
            raise CiphertextRefused(f"evaluation keys of {p.name}, not {NETWORK_SET}", hint="Ask for those of the rows")
        self._evaluator = Evaluator(p, keys)
        self._prepared: tuple[tuple[tuple[str, ...], tuple[float, ...]], PreparedNetwork] | None = None

    def prepared(self, columns: tuple[str, ...], bounds: tuple[float, ...]) -> PreparedNetwork:
        if self._prepared is None or self._prepared[0] != (columns, bounds):
            self._prepared = (columns, bounds), prepare(self.network, columns, bounds, self._evaluator.parameters)
        return self._prepared[1]

    def evaluate(
        self, rows: EncryptedRows, *, largest_error: float | None = None, progress: Progress = silent
    ) -> Answer:
        """``largest_error``: of an output before a sigmoid, or it is refused with the numbers."""
        p = rows.checked()
        if p != self._evaluator.parameters or rows.key_id != self._key_id:
            raise CiphertextRefused(
                "rows under another key than the evaluation keys'", hint="Ask for those of the rows"
            )
        ready = self.prepared(rows.columns, rows.bounds)
        if largest_error is not None and not ready.error <= largest_error:
            raise ParametersRefused(
                f"outputs can be wrong by {ready.error:.3g} under {p.name}, and at most {largest_error:.3g} is asked "
                "for",
                hint="Give smaller bounds or a network of smaller weights, or allow a larger error",
            )
        ciphertexts: list[bytes] = []
        for data in rows.ciphertexts:
            progress(f"evaluating row {len(ciphertexts) + 1} of {len(rows.ciphertexts)}")
            ciphertexts.append(self._one(data, ready))
        kind, track = _KINDS[self.network.activation], ready.track
        shape = (ready.unit, track.bound, track.error, track.scale_bits, self.network.outputs, tuple(ciphertexts))
        return Answer(kind, p.name, rows.key_id, rows.digest(), len(ciphertexts), *shape)

    def _one(self, data: bytes, ready: PreparedNetwork) -> bytes:
        evaluator = self._evaluator
        row = evaluator.read(data, CkksTrack.fresh(evaluator.parameters))
        squares = []
        for matrix in ready.hidden:
            units = evaluator.apply([row], matrix)
            squares.append(evaluator.multiply(units, units))
        return evaluator.write(evaluator.apply(squares, ready.output))


def evaluate(
    rows: EncryptedRows,
    network: Network,
    keys: EvaluationKeys,
    *,
    largest_error: float | None = None,
    progress: Progress = silent,
) -> Answer:
    """The computing party's step, once; a :class:`NetworkEvaluator` keeps keys and weights for more rows."""
    return NetworkEvaluator(network, keys).evaluate(rows, largest_error=largest_error, progress=progress)


def open_answer(key: SecretKey, about: bytes, rows: int, answer: Answer) -> Outputs:
    """The key holder's step: decrypt, round, and take the sigmoid. ``about``: digest of the rows that were sent.

    ``CiphertextRefused``: no answer to them, or slots that are not each output again and again, and 0 elsewhere.
    """
    kind = answer.kind if answer.kind in _KINDS.values() else _KINDS["identity"]
    answer.require(kind, key, about, rows)
    p, count = key.parameters, len(answer.labels)
    if not p.rescaled_bits or len(answer.ciphertexts) != rows or answer.scale_bits != p.rescaled_bits[-1]:
        raise CiphertextRefused("outputs for another number of rows, or at another scale", hint="Ask for it again")
    if not 1 <= count <= p.slots or len(set(answer.labels)) != count:
        raise CiphertextRefused("outputs without different names", hint="Ask for the answer again")
    claimed = replace(answer.track(key), dropped=len(p.rescaled_bits))
    values = np.array([_repeated(key, data, claimed, count) for data in answer.ciphertexts])
    link = "logistic" if kind == _KINDS["sigmoid"] else "linear"
    found = linked(link, values * answer.unit, claimed.released() * answer.unit, claimed.step() * answer.unit)
    activation = next(name for name, each in _KINDS.items() if each == kind)
    return Outputs(answer.labels, activation, found.values, found.error, found.step)


def _repeated(key: SecretKey, data: bytes, track: CkksTrack, count: int) -> Slots:
    """The outputs of one row."""
    error = track.released()
    slots = key.decrypt_rounded(data, track).values.reshape(-1, power(count))
    require_within(slots, track.bound + error)
    if (slots.max(0) - slots.min(0) > 2 * error).any() or (np.abs(slots[:, count:]) > error).any():
        raise CiphertextRefused("decrypted outputs are none", hint="The answer was altered, or is of another key")
    return slots[0, :count]


def _live(network: Network, columns: tuple[str, ...], bounds: tuple[float, ...]) -> tuple[NDArray[np.float64], ...]:
    """Both layers, the first for all columns at their bounds, without hidden units that are constant or unused."""
    weights, biases, second, constants = network.arrays()
    first = np.zeros((len(weights), len(columns)))
    places = network.columns(columns)
    first[:, places] = weights * np.array(bounds)[places]
    constant, used = ~first.any(1), second.any(0)
    constants = constants + second[:, constant] @ biases[constant] ** 2
    live = ~constant & used
    if not live.any():
        raise ModelRefused("the network's outputs depend on no input", hint="Train it again, or check its weights")
    return first[live], biases[live], second[:, live], constants


def _refused(problem: str) -> CiphertextRefused:
    return CiphertextRefused(f"encrypted rows {problem}", hint="Ask for them again")


__all__ = [
    "NETWORK_SET",
    "EncryptedRows",
    "Network",
    "NetworkEvaluator",
    "Outputs",
    "PreparedNetwork",
    "encrypt_row",
    "evaluate",
    "open_answer",
    "prepare",
]
