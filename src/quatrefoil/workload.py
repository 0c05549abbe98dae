"""What is to be run, phase by phase: a workload file parsed into one immutable value.

A phase says what it does (its kind), what crosses it (its data class), how large that is and how soon it must be done.
It says nothing of protection: the policy names the threats, and the planner matches the two. docs/policy.md explains
every field.
"""

from __future__ import annotations

import math
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
    optional: tuple[str, ...] = ()
    """Sizes that may be given, all of them or none."""
    of_integers: tuple[str, ...] = ()
    """Sizes that are given exactly where the model is one in integers."""


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
    "infer": Kind(
        "answer requests with a model",
        ("record",),
        ("message_bytes", "batch"),
        optional=("parameters", "hidden"),
        of_integers=("inputs", "cells", "weights"),
    ),
    "score": Kind("score a batch of rows with a linear model", ("record",), ("parameters", "batch")),
    "summarise": Kind("mean, variance and correlation of columns", ("record",), ("parameters", "batch")),
    "count": Kind("count rows by the cells that they fall in", ("record",), ("parameters", "batch")),
}
"""The closed vocabulary of ``kind``."""

FEDERATED = ("collect", "aggregate", "keys")
"""Kinds that are one encrypted round together: a workload has all of them or none."""

SIZES: Mapping[str, tuple[int, str]] = {
    "parameters": (1 << 33, "values in one update, inputs or columns in one row, or cells that are counted"),
    "hidden": (1 << 20, "units of the hidden layer, where the model is a dense, a squaring and a dense layer"),
    "inputs": (1 << 24, "values that a model in integers takes for one answer"),
    "cells": (1 << 32, "sums that it rounds on the way to one answer"),
    "weights": (1 << 36, "integers that it has learned"),
    "message_bytes": (1 << 40, "bytes in one message"),
    "batch": (1 << 32, "log entries, requests or rows in one pass"),
    "silos": (2048, "silos that take part"),
    "rounds": (1_000_000, "passes, one after the other"),
}
"""Each size: the largest that is accepted, and what it counts."""

REQUIREMENTS: Mapping[str, str] = {
    "site": "where the machine stands that holds plaintext or keys",
    "largest_error": "how far a value of the answer may be from the exact one, relative to its bound",
    "largest_bytes": "the most bytes that one pass may send",
    "deadline_ms": "the longest that all passes together may take",
    "model": "whether the model that answers is one in integers, to which somebody can commit",
    "answers": "what shows that answers are the model's",
}
"""What a phase may ask for besides, and a plan keeps to."""

SITES: Mapping[str, str] = {
    "elsewhere": "whoever stands beside the machine may open it",
    "premises": "the machine stands where only those whose data it is can touch it",
}
"""The closed vocabulary of ``site``, the one that is meant where none is given first."""

MODELS: Mapping[str, str] = {
    "float": "as it was trained: nothing proves what it computes",
    "integers": "as `quatrefoil model quantise` writes it and `quatrefoil model commit` commits to it",
}
"""The closed vocabulary of ``model``, the one that is meant where none is given first."""

SHOWN: Mapping[str, str] = {
    "signed": "the server signs a receipt of each answer",
    "proven": "and of a share of the receipts, which the policy gives, the answers are proven",
}
"""The closed vocabulary of ``answers``, the one that is meant where none is given first."""

MODELLED = ("infer", "score")
"""Kinds that are answered by a model with weights."""

PREMISED = ("infer", "score", "summarise", "count", "keys")
"""Kinds whose machine may be said to stand on the premises: one machine holds plaintext or keys."""

ANSWERING = ("infer", "score", "summarise", "count", "aggregate")
"""Kinds whose answer is numbers, of which the largest error may be limited."""

MOST_PHASES = 64
LARGEST_BYTES = 1 << 50


@dataclass(frozen=True)
class Phase(WireObject):
    """One phase. A size that its kind does not give is 0, or 1 for ``rounds``. A plan keeps to every requirement, or
    refuses it by name."""

    TYPE: ClassVar[str] = "urn:quatrefoil:workload-phase"
    VERSION: ClassVar[int] = 3

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
    hidden: int = 0
    site: str = "elsewhere"
    """Where the machine stands that holds plaintext or keys, from :data:`SITES`."""
    largest_error: float = math.inf
    """How far a value of the answer may be from the exact one, relative to its bound: 0 says that rows and weights are
    integers and answers exact. Infinite when not given."""
    largest_bytes: int = 0
    """The most bytes that one pass may send; 0 when not given."""
    deadline_ms: float = math.inf
    """The longest that all ``rounds`` passes together may take; infinite when not given."""
    inputs: int = 0
    cells: int = 0
    """Of a model of one layer 0, though it is in integers: it rounds nothing."""
    weights: int = 0
    model: str = "float"
    """What answers, from :data:`MODELS`."""
    answers: str = "signed"
    """What shows that answers are the model's, from :data:`SHOWN`."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_choice("kind", self.kind, tuple(KINDS))
        check_choice("data", self.data, KINDS[self.kind].data)
        check_positive("latency_ms", self.latency_ms)
        check_choice("model", self.model, tuple(MODELS))
        check_choice("answers", self.answers, tuple(SHOWN))
        self._check_sizes()
        self._check_requirements()

    def _check_sizes(self) -> None:
        kind = KINDS[self.kind]
        for size, (largest, _) in SIZES.items():
            value: int = getattr(self, size)
            if size in kind.of_integers and self.model == "integers":
                check_range(size, value, int(size != "cells"), largest)
            elif size in kind.sizes or (size in kind.optional and value):
                check_range(size, value, 1, largest)
            elif value != 0 and size in kind.of_integers:
                raise FieldInvalid(
                    size, "is given, and the model is none in integers", hint='Say model = "integers", or take it out'
                )
            elif value != (1 if size == "rounds" else 0):
                raise FieldInvalid(size, f"is given, but {self.kind} phases have none", hint="Take it out")
        given = [size for size in kind.optional if getattr(self, size)]
        if given and self.model == "integers":
            raise FieldInvalid(
                given[0], "is given, and the model is in integers, where nothing squares", hint="Take it out"
            )
        if given and len(given) < len(kind.optional):
            missing = next(size for size in kind.optional if size not in given)
            raise FieldInvalid(given[0], f"is given without {missing}", hint="Give both, or neither")

    def _check_requirements(self) -> None:
        check_choice("site", self.site, tuple(SITES))
        if self.site != "elsewhere" and self.kind not in PREMISED:
            raise FieldInvalid(
                "site",
                f"is {self.site!r}, but {self.kind} phases have no one machine that holds plaintext or keys",
                hint="Take it out",
            )
        if self.largest_error != math.inf and self.kind not in ANSWERING:
            raise FieldInvalid(
                "largest_error", f"is given, but {self.kind} phases answer no number", hint="Take it out"
            )
        if self.largest_error not in (0, math.inf):
            check_positive("largest_error", self.largest_error)
        if self.deadline_ms != math.inf:
            check_positive("deadline_ms", self.deadline_ms)
        for field, value, known in (("model", self.model, MODELS), ("answers", self.answers, SHOWN)):
            if value != next(iter(known)) and self.kind not in MODELLED:
                raise FieldInvalid(
                    field, f"is {value!r}, but {self.kind} phases have no model with weights", hint="Take it out"
                )
        check_range("largest_bytes", self.largest_bytes, 0, LARGEST_BYTES)


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

    @property
    def kinds(self) -> frozenset[str]:
        """What its phases do."""
        return frozenset(phase.kind for phase in self.phases)

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
    table.expect(["name", "kind", "data", "latency_ms"], (*SIZES, *REQUIREMENTS))
    kind = table.text("kind")
    with table.placing():
        check_choice("kind", kind, tuple(KINDS))
    sizes: dict[str, Any] = {size: table.integer(size) for size in _sizes(table, kind)}
    with table.placing():
        for size, value in sizes.items():  # 0 would be taken for "not given"
            check_range(size, value, int(size != "cells"), SIZES[size][0])
        return Phase(
            name=table.text("name"),
            kind=kind,
            data=table.text("data"),
            latency_ms=table.number("latency_ms"),
            **sizes,
            **_requirements(table),
        )


def _sizes(table: Table, kind: str) -> tuple[str, ...]:
    optional, needed = KINDS[kind].optional, KINDS[kind].sizes
    if "model" in table and table.text("model") == "integers":
        needed += KINDS[kind].of_integers
    table.expect(["name", "kind", "data", "latency_ms", *needed], (*optional, *KINDS[kind].of_integers, *REQUIREMENTS))
    return tuple(size for size in SIZES if size in (*needed, *optional, *KINDS[kind].of_integers) and size in table)


def _requirements(table: Table) -> dict[str, Any]:
    """Those that the file gives. What stands in a file for "not given" is refused there: it is left out instead."""
    given: dict[str, Any] = {}
    for name in ("site", "model", "answers"):
        if name in table:
            given[name] = table.text(name)
    if "largest_bytes" in table:
        given["largest_bytes"] = table.integer("largest_bytes")
        check_range("largest_bytes", given["largest_bytes"], 1, LARGEST_BYTES)
    for name in ("largest_error", "deadline_ms"):
        if name in table:
            given[name] = table.number(name) + 0.0  # one zero
            if math.isinf(given[name]):
                check_positive(name, given[name])
    return given


__all__ = [
    "ANSWERING",
    "DATA",
    "FEDERATED",
    "KINDS",
    "MODELLED",
    "MODELS",
    "PREMISED",
    "REQUIREMENTS",
    "SHOWN",
    "SITES",
    "SIZES",
    "Kind",
    "Phase",
    "Workload",
]
