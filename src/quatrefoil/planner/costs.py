"""What each backend costs on one host: a versioned value, measured by ``calibration`` and kept as a JSON file.

Units: milliseconds of wall-clock time, bytes on the wire. A :class:`Line` is a fixed part and a part for each value,
byte, key or ciphertext; a small update costs the fixed part, a large one its slope. What is computed in several threads
is measured for each number of them; everything else on one.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from quatrefoil.configuration import read_text, shown
from quatrefoil.errors import HostError, PolicyInvalid
from quatrefoil.planner.strictly import parsed

SCHEMA = "quatrefoil.costs/4"
LARGEST_FILE = 1 << 20
OLDEST_DAYS = 90
"""What is older is stale: kernels, libraries and neighbours of a machine change."""

LONGEST_ROOT, A_DOUBLING = 1 << 19, 0.2
"""Rounded sums of a batch up to which bytes of its proof grow by the root, and what each doubling adds from there, as a
part of what they are there. Of proofs' exact sizes, to which a test holds them."""

_DAY_S = 86_400
_SAME = ("processor", "cores", "system")
"""Of ``machine.describe``: what has to be the same for figures to be of this machine."""

_HINT = "Measure again: quatrefoil calibrate --out FILE"

Figures = TypeVar("Figures")


@dataclass(frozen=True)
class Line:
    """``fixed + each * n``."""

    fixed: float
    each: float

    def at(self, n: float) -> float:
        return self.fixed + self.each * n


@dataclass(frozen=True)
class TransportCosts:
    """``handshake_*``: both ends of one mutual session. ``message_ms``: one message by its bytes, both ends.
    ``*_bytes`` of ``statement`` and ``sealed``: what a signature or a seal adds."""

    handshake_ms: float
    handshake_bytes: float
    message_ms: Line
    sign_ms: float
    verify_ms: float
    seal_ms: float
    open_ms: float
    statement_bytes: float
    sealed_bytes: float


@dataclass(frozen=True)
class AggregationCosts:
    """By the values in an update, except ``combine_ms``: by the keys. ``add_ms``: for one ciphertext."""

    encrypt_ms: Line
    add_ms: Line
    decrypt_ms: Line
    combine_ms: Line
    ciphertext_bytes: Line
    key_bytes: float


@dataclass(frozen=True)
class ProofCosts:
    """By the values in an update, except ``check_key_ms``: for one key. ``verify_ms``: one proof, after the first of a
    round."""

    prove_ms: Line
    verify_ms: Line
    check_key_ms: float
    proof_bytes: Line


@dataclass(frozen=True)
class ServingCosts:
    """What both ends add to one request of a served model and its answer, by the bytes that each of the two has.
    ``exchange_*``: sealed and opened; ``exchange_bytes``: what is sent of both, without the receipt. ``receipt_*``: of
    one signed answer, as it lies in the answer. ``around_ms``: whatever else is added where a model is served, from
    array to array; 0 where only the parts were measured."""

    exchange_ms: Line
    exchange_bytes: Line
    receipt_ms: Line
    receipt_bytes: float
    around_ms: Line


@dataclass(frozen=True)
class RoundCosts:
    """What the parties of a round do besides the parts that are priced: encoding, state, log, evidence. By silos; 0
    where only the parts were measured."""

    collect_ms: Line
    aggregate_ms: Line
    keys_ms: Line


@dataclass(frozen=True)
class HomomorphicCosts:
    """Of one parameter set of CKKS or BGV; SEAL computes in one thread. ``slots``: values in a ciphertext.

    By ciphertexts of a table: ``encrypt_ms``, from a fresh key to bytes; ``weigh_ms``, from these bytes to the bytes of
    scores; ``table_bytes``. By ciphertexts of an answer: ``open_ms``, ``answer_bytes``. Of one: ``read_ms``, from
    bytes; ``product_ms``, of two and added to a sum; ``total_ms``, the sum over its slots, written. ``keys_*``: of the
    evaluation keys, made, sent and read. The last five are 0 where a set multiplies no encrypted values.
    """

    slots: float
    encrypt_ms: Line
    table_bytes: Line
    weigh_ms: Line
    open_ms: Line
    answer_bytes: Line
    read_ms: float
    product_ms: float
    total_ms: float
    keys_ms: float
    keys_bytes: float


@dataclass(frozen=True)
class NetworkCosts:
    """Of one parameter set: a row of a network of two layers, one ciphertext each way. ``row_ms``: encrypted, evaluated
    and opened, by the rotations of slots that its shape takes; keys and weights are there."""

    slots: float
    row_ms: Line
    row_bytes: float
    answer_bytes: float


@dataclass(frozen=True)
class Answered:
    """Of a proof of ``rows`` answers of a model in integers, each of so many inputs and rounded sums, with so many
    weights. ``cells_fixed``: where sums are rounded at all. A batch of rounded sums is filled up to a power of two."""

    fixed: float
    cells_fixed: float
    each_cell: float
    each_input: float
    each_weight: float

    def at(self, rows: int, inputs: int, cells: int, weights: int) -> float:
        filled = 1 << (rows - 1).bit_length()
        rounding = self.cells_fixed + self.each_cell * cells * filled if cells else 0.0
        return self.fixed + rounding + self.each_input * inputs * rows + self.each_weight * weights


@dataclass(frozen=True)
class AnsweredBytes:
    """Of the same proof. It opens rows of what is committed to, laid out in about as many rows as columns: so it grows
    with the square root. Rounded sums of a batch are opened in so many columns at most: from :data:`LONGEST_ROOT` of
    them on columns only get longer, and each doubling adds the same. Inputs are not committed to."""

    fixed: float
    cells_fixed: float
    each_root_cell: float
    each_root_weight: float

    def at(self, rows: int, _inputs: int, cells: int, weights: int) -> float:
        filled = 1 << (rows - 1).bit_length()
        rounding = self.cells_fixed + self.each_root_cell * _rows_opened(cells * filled) if cells else 0.0
        return self.fixed + rounding + self.each_root_weight * math.sqrt(weights)


def _rows_opened(cells: int) -> float:
    if cells <= LONGEST_ROOT:
        return math.sqrt(cells)
    return math.sqrt(LONGEST_ROOT) * (1 + A_DOUBLING * math.log2(cells / LONGEST_ROOT))


@dataclass(frozen=True)
class Recorded:
    """Of one request in audit mode, by its rows and the inputs of each."""

    fixed: float
    each_row: float
    each_value: float

    def at(self, rows: int, inputs: int) -> float:
        return self.fixed + self.each_row * rows + self.each_value * rows * inputs


@dataclass(frozen=True)
class AnswerCosts:
    """Of one proof of answers: ``prove_ms``, ``verify_ms``, ``proof_bytes``; a commitment serves many of them.
    ``recorded_ms``: what audit mode adds to one request."""

    prove_ms: Answered
    verify_ms: Answered
    proof_bytes: AnsweredBytes
    recorded_ms: Recorded


@dataclass(frozen=True)
class Costs:
    """``version``: of quatrefoil; ``measured_at``: Unix seconds; ``measured_on``: the machine, as ``machine.describe``
    gives it. ``threads``: what predictions are for, of those that were measured. ``transport`` and ``serving``: by
    transport backend. ``aggregation`` and ``proofs``: by "backend/value bits/threads". ``homomorphic`` and
    ``networks``: by parameter set. ``answers``: by "backend/threads". ``log_append_ms``: one durable entry."""

    version: str
    measured_at: int
    measured_on: Mapping[str, Any]
    threads: int
    transport: Mapping[str, TransportCosts]
    serving: Mapping[str, ServingCosts]
    aggregation: Mapping[str, AggregationCosts]
    proofs: Mapping[str, ProofCosts]
    rounds: RoundCosts
    homomorphic: Mapping[str, HomomorphicCosts]
    networks: Mapping[str, NetworkCosts]
    answers: Mapping[str, AnswerCosts]
    log_append_ms: float

    def at(self, threads: int) -> Costs:
        """For parties that compute in so many threads; ``PolicyInvalid`` where that was not measured."""
        measured = sorted({int(key.rpartition("/")[2]) for key in self.aggregation})
        if measured and threads not in measured:
            raise PolicyInvalid(
                f"the costs hold no figures for {threads} threads, only for {', '.join(map(str, measured))}",
                hint=f"{_HINT} --threads {threads}",
            )
        return replace(self, threads=threads)

    def of_transport(self, backend: str) -> TransportCosts:
        return _found(self.transport, backend, f"transport/{backend}")

    def of_serving(self, transport: str) -> ServingCosts:
        return _found(self.serving, transport, f"serving over transport/{transport}")

    def of_aggregation(self, backend: str, value_bits: int) -> AggregationCosts:
        return _computed(self.aggregation, "aggregation", backend, value_bits, self.threads)

    def of_proofs(self, backend: str, value_bits: int, *, threads: int | None = None) -> ProofCosts:
        """``threads``: others than predictions are for."""
        return _computed(self.proofs, "proofs", backend, value_bits, threads or self.threads)

    def of_homomorphic(self, parameters: str) -> HomomorphicCosts:
        return _found(self.homomorphic, parameters, f"the parameter set {parameters}")

    def of_networks(self, parameters: str) -> NetworkCosts:
        return _found(self.networks, parameters, f"networks in {parameters}")

    def of_answers(self, backend: str) -> AnswerCosts:
        what = f"proofs/{backend} in {_counted(self.threads)}"
        return _found(self.answers, f"{backend}/{self.threads}", what)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in a file beside ``schema``."""
        return dataclasses.asdict(self)

    def save(self, file: Path) -> None:
        text = json.dumps({"schema": SCHEMA, **self.to_json()}, indent=2, allow_nan=False) + "\n"
        try:
            file.write_text(text)
        except OSError as error:
            raise HostError(
                f"{file} cannot be written ({error.strerror})", hint="Name a file in a folder that exists"
            ) from None

    @classmethod
    def load(cls, file: Path | str) -> Costs:
        """Read a cost file; ``PolicyInvalid`` names file and field of what is wrong."""
        return cls.parse(read_text(Path(file), largest=LARGEST_FILE), source=str(file))

    @classmethod
    def parse(cls, text: str, *, source: str) -> Costs:
        built: Costs = parsed(cls, text, schema=SCHEMA, source=source, hint=_HINT)
        for room in ("aggregation", "proofs"):
            for key in getattr(built, room):
                parts = key.split("/")
                if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts[1:]):
                    raise PolicyInvalid(f"{source}: {room}: a name is not BACKEND/VALUE BITS/THREADS", hint=_HINT)
        for key in built.answers:
            backend, _, threads = key.rpartition("/")
            if not backend or not (threads.isascii() and threads.isdigit()):
                raise PolicyInvalid(f"{source}: answers: a name is not BACKEND/THREADS", hint=_HINT)
        for room in ("homomorphic", "networks"):
            for name, one in getattr(built, room).items():
                if one.slots < 1:
                    raise PolicyInvalid(f"{source}: {room}: {shown(name)}: slots: is under 1", hint=_HINT)
        if not 1 <= built.threads <= 1024:
            raise PolicyInvalid(f"{source}: threads: is outside 1 to 1024", hint=_HINT)
        return built


def staleness(costs: Costs, now: float, machine: Mapping[str, Any], version: str) -> str:
    """Why ``costs`` say little of this ``machine`` under this ``version`` at ``now`` (Unix seconds); "" where they
    are fresh."""
    for name in _SAME:
        if costs.measured_on.get(name) != machine.get(name):
            return f"they were measured on another machine (its {name} differs)"
    if costs.version != version:
        return "they were measured with another version of quatrefoil"
    age = now - costs.measured_at
    if age < 0:
        return "they were measured in the future, by the clock of this machine"
    if age > OLDEST_DAYS * _DAY_S:
        return f"they were measured {age / _DAY_S:.0f} days ago, and count for {OLDEST_DAYS}"
    return ""


def finite(value: float) -> float:
    """A measured figure, which must be one."""
    if not (math.isfinite(value) and value >= 0):
        raise HostError(f"a measurement gave {value}", hint="Check the clock of this machine and measure again")
    return value


def _computed(among: Mapping[str, Figures], layer: str, backend: str, value_bits: int, threads: int) -> Figures:
    what = f"{layer}/{backend}/{value_bits} bits in {_counted(threads)}"
    return _found(among, f"{backend}/{value_bits}/{threads}", what)


def _counted(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _found(among: Mapping[str, Figures], key: str, what: str) -> Figures:
    if key not in among:
        raise PolicyInvalid(f"the costs hold no figures for {what}", hint=_HINT)
    return among[key]


__all__ = [
    "OLDEST_DAYS",
    "SCHEMA",
    "AggregationCosts",
    "AnswerCosts",
    "Answered",
    "AnsweredBytes",
    "Costs",
    "HomomorphicCosts",
    "Line",
    "NetworkCosts",
    "ProofCosts",
    "Recorded",
    "RoundCosts",
    "ServingCosts",
    "TransportCosts",
    "finite",
    "staleness",
]
