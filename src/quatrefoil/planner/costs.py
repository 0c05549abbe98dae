"""What each backend costs on one host: a versioned value, measured by ``calibration`` and kept as a JSON file.

Units: milliseconds of wall-clock time on one thread, bytes on the wire. A :class:`Line` is a fixed part and a part for
each value, byte or key; a small update costs the fixed part, a large one its slope.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quatrefoil.configuration import read_text, shown
from quatrefoil.errors import HostError, PolicyInvalid

SCHEMA = "quatrefoil.costs/2"
LARGEST_FILE = 1 << 20
_HINT = "Measure again: quatrefoil plan ... --save-costs FILE"


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
    one signed answer, as it lies in the answer."""

    exchange_ms: Line
    exchange_bytes: Line
    receipt_ms: Line
    receipt_bytes: float


@dataclass(frozen=True)
class Costs:
    """``transport`` and ``serving``: by transport backend. ``aggregation`` and ``proofs``: by "backend/value bits".
    ``log_append_ms``: one durable entry. ``measured_on``: the machine, as ``machine.describe`` gives it."""

    measured_on: Mapping[str, Any]
    transport: Mapping[str, TransportCosts]
    serving: Mapping[str, ServingCosts]
    aggregation: Mapping[str, AggregationCosts]
    proofs: Mapping[str, ProofCosts]
    log_append_ms: float

    def of_transport(self, backend: str) -> TransportCosts:
        if backend not in self.transport:
            raise PolicyInvalid(f"the costs hold no figures for transport/{backend}", hint=_HINT)
        return self.transport[backend]

    def of_serving(self, transport: str) -> ServingCosts:
        if transport not in self.serving:
            raise PolicyInvalid(f"the costs hold no figures for serving over transport/{transport}", hint=_HINT)
        return self.serving[transport]

    def of_aggregation(self, backend: str, value_bits: int) -> AggregationCosts:
        key = f"{backend}/{value_bits}"
        if key not in self.aggregation:
            raise PolicyInvalid(f"the costs hold no figures for aggregation/{key} bits", hint=_HINT)
        return self.aggregation[key]

    def of_proofs(self, backend: str, value_bits: int) -> ProofCosts:
        key = f"{backend}/{value_bits}"
        if key not in self.proofs:
            raise PolicyInvalid(f"the costs hold no figures for proofs/{key} bits", hint=_HINT)
        return self.proofs[key]

    def save(self, file: Path) -> None:
        text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=2, allow_nan=False) + "\n"
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
        try:
            content = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        except RecursionError:
            raise PolicyInvalid(f"{source}: is nested too deeply", hint=_HINT) from None
        except json.JSONDecodeError as error:
            raise PolicyInvalid(f"{source}:{error.lineno}: is not JSON: {error.msg}", hint=_HINT) from None
        except ValueError as error:
            raise PolicyInvalid(f"{source}: {error}", hint=_HINT) from None
        if not isinstance(content, dict):
            raise PolicyInvalid(f"{source}: is not a JSON object", hint=_HINT)
        schema = content.pop("schema", None)
        if schema != SCHEMA:
            found = shown(schema) if isinstance(schema, str) else "nothing"
            raise PolicyInvalid(f"{source}: schema: is {found}, not {SCHEMA!r}", hint=_HINT)
        built: Costs = _build(cls, content, f"{source}: ")
        return built


def _build(kind: Any, value: Any, where: str) -> Any:
    """``value`` as the dataclass, mapping or number that ``kind`` says, strictly."""
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PolicyInvalid(f"{where}is {type(value).__name__}, not a number", hint=_HINT)
        if not 0 <= value < 1e15:
            raise PolicyInvalid(f"{where}is outside 0 to 1e15", hint=_HINT)
        return float(value)
    if not isinstance(value, dict):
        raise PolicyInvalid(f"{where}is {type(value).__name__}, not an object", hint=_HINT)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        wrong = sorted(hints.keys() ^ value.keys())
        if wrong:
            state = "is missing" if wrong[0] in hints else "is not a known field"
            raise PolicyInvalid(f"{where}{_field(wrong[0])}: {state}", hint=_HINT)
        return kind(**{name: _build(hint, value[name], f"{where}{name}: ") for name, hint in hints.items()})  # type: ignore[operator]
    _, item = typing.get_args(kind)
    if item is Any:
        return value
    return {key: _build(item, inner, f"{where}{_field(key)}: ") for key, inner in value.items()}


def _field(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= 40 else shown(name)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{_field(next(n for n in names if names.count(n) > 1))}: is given twice")
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is not a number")


def finite(value: float) -> float:
    """A measured figure, which must be one."""
    if not (math.isfinite(value) and value >= 0):
        raise HostError(f"a measurement gave {value}", hint="Check the clock of this machine and measure again")
    return value


__all__ = ["SCHEMA", "AggregationCosts", "Costs", "Line", "ProofCosts", "ServingCosts", "TransportCosts", "finite"]
