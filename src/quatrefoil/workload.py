"""What is to be run, phase by phase: a workload file parsed into one immutable value.

A phase says what it does (its kind), what crosses it (its data class), how large that is and how soon it must be done.
It says nothing of protection: the policy names the threats, and the planner matches the two. docs/policy.md explains
every field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from quatrefoil import configuration
from quatrefoil.configuration import FieldInvalid, Table, check_choice, check_name, check_positive, check_range
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.wire import WireObject

DATA: Mapping[str, str] = {
    "update": "what a silo learned in one round: parameters or their change, from which its records can be rebuilt",
    "model": "the parameters that all silos share, or that a server answers with",
    "record": "a person's data",
    "key": "key material",
    "log": "entries about what happened: names, counts and digests",
    "public": "anything that everybody may read",
}
"""The closed vocabulary of ``data``."""


@dataclass(frozen=True)
class Kind:
    """What phases of one kind do in one pass, which data classes they take, and which sizes they give."""

    meaning: str
    data: tuple[str, ...]
    sizes: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "transport": Kind(
        "set up a channel to every silo and move one message through each",
        ("update", "model", "record", "log", "public"),
        ("message_bytes", "silos"),
    ),
    "collect": Kind("every silo sends its update of a round", ("update",), ("parameters", "silos", "rounds")),
    "aggregate": Kind("add the updates of a round and read the sum", ("update",), ("parameters", "silos", "rounds")),
    "keys": Kind("hold the keys of a round and release that of the sum, once", ("key",), ("silos", "rounds")),
    "audit": Kind("append entries to the durable log", ("log",), ("batch",)),
    "infer": Kind("answer requests with a model", ("record",), ("message_bytes", "batch")),
    "score": Kind("score a batch of rows with a linear model", ("record",), ("parameters", "batch")),
}
"""The closed vocabulary of ``kind``."""

FEDERATED = ("collect", "aggregate", "keys")
"""Kinds that are one encrypted round together: a workload has all of them or none."""

SIZES: Mapping[str, tuple[int, str]] = {
    "parameters": (1 << 33, "values in one update, or columns in one row"),
    "message_bytes": (1 << 40, "bytes in one message"),
    "batch": (1 << 32, "log entries, requests or rows in one pass"),
    "silos": (2048, "silos that take part"),
    "rounds": (1_000_000, "passes, one after the other"),
}
"""Each size: the largest that is accepted, and what it counts."""

MOST_PHASES = 64


@dataclass(frozen=True)
class Phase(WireObject):
    """One phase. A size that its kind does not give is 0, or 1 for ``rounds``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:workload-phase"

    name: str
    kind: str
    data: str
    latency_ms: float
    """The longest that one pass may take."""
    parameters: int = 0
    message_bytes: int = 0
    batch: int = 0
    silos: int = 0
    rounds: int = 1

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_choice("kind", self.kind, tuple(KINDS))
        check_choice("data", self.data, KINDS[self.kind].data)
        check_positive("latency_ms", self.latency_ms)
        for size, (largest, _) in SIZES.items():
            value: int = getattr(self, size)
            if size in KINDS[self.kind].sizes:
                check_range(size, value, 1, largest)
            elif value != (1 if size == "rounds" else 0):
                raise FieldInvalid(size, f"is given, but {self.kind} phases have none", hint="Take it out")


@dataclass(frozen=True)
class Workload(WireObject):
    """Phases in the order in which they first run. ``PolicyInvalid`` names the field that does not fit."""

    TYPE: ClassVar[str] = "urn:quatrefoil:workload"

    name: str
    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not 1 <= len(self.phases) <= MOST_PHASES:
            raise FieldInvalid(
                "phases", f"has {len(self.phases)}, not 1 to {MOST_PHASES}", hint="Give [[phases]] tables"
            )
        names = [phase.name for phase in self.phases]
        for position, name in enumerate(names):
            if name in names[:position]:
                raise FieldInvalid(f"phases.{position}.name", f"{name!r} is taken", hint="Give each phase its own name")
        self._check_rounds_agree()

    def _check_rounds_agree(self) -> None:
        federated = [(i, phase) for i, phase in enumerate(self.phases) if phase.kind in FEDERATED]
        present = {phase.kind for _, phase in federated}
        if present and len(present) < len(FEDERATED):
            missing = ", ".join(kind for kind in FEDERATED if kind not in present)
            raise FieldInvalid(
                "phases",
                f"has {', '.join(sorted(present))} without {missing}",
                hint="An encrypted round collects, aggregates and releases a key: give a phase for each",
            )
        for size in ("silos", "rounds", "parameters"):
            sized = [(i, phase) for i, phase in federated if size in KINDS[phase.kind].sizes]
            for position, phase in sized[1:]:
                first = sized[0][1]
                if getattr(phase, size) != getattr(first, size):
                    raise FieldInvalid(
                        f"phases.{position}.{size}",
                        f"is {getattr(phase, size)}, but {getattr(first, size)} in phase {first.name!r}",
                        hint="Collect, aggregate and keys share one round: give the same numbers",
                    )

    @classmethod
    def load(cls, file: Path | str) -> Self:
        """Read a workload file, or ``PolicyInvalid`` naming file, line and field."""
        return cls.parse(configuration.read_text(Path(file)), source=str(file))

    @classmethod
    def parse(cls, text: str, *, source: str) -> Self:
        """The workload in TOML ``text``; ``source`` names it in messages."""
        root = configuration.parse(text, source)
        root.expect(["name", "phases"])
        phases = tuple(_phase(table) for table in root.tables("phases"))
        with root.placing():
            return cls(name=root.text("name"), phases=phases)

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        """A workload that a peer sent and that contradicts itself is the peer's fault: ``MessageRefused``."""
        try:
            return super()._from_cbor(value)
        except PolicyInvalid as error:
            raise MessageRefused(f"Workload.{error.problem}", hint="Ask the sender for a valid workload") from None


def _phase(table: Table) -> Phase:
    table.expect(["name", "kind", "data", "latency_ms"], tuple(SIZES))
    kind = table.text("kind")
    with table.placing():
        check_choice("kind", kind, tuple(KINDS))
    table.expect(["name", "kind", "data", "latency_ms", *KINDS[kind].sizes])
    sizes = {size: table.integer(size) for size in KINDS[kind].sizes}
    with table.placing():
        return Phase(
            name=table.text("name"),
            kind=kind,
            data=table.text("data"),
            latency_ms=table.number("latency_ms"),
            **sizes,
        )


__all__ = ["DATA", "FEDERATED", "KINDS", "SIZES", "Kind", "Phase", "Workload"]
