"""An appraisal policy: one immutable value that checks itself, whoever builds it.

Its canonical bytes (``quatrefoil.wire``) are what its digest is of: two files that mean the same give the same digest,
and the digest stands in every verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from quatrefoil.appraisal.vocabulary import ANY, VOCABULARIES, Vocabulary
from quatrefoil.configuration import FieldInvalid, check_choice, check_name, check_range, shown
from quatrefoil.enclave.evidence import MOST_DEVICES
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.wire import WireObject

REPORT_DATA = ("required", ANY)
"""Whether the relying party must say which report data it expects: with "any" it may leave that to whoever calls."""

LONGEST_AGE_S = 10 * 366 * 86400
MOST_VALUES = 1024

_HEX = re.compile(r"(?:[0-9a-f]{2})+", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Listed(WireObject):
    """The accepted values of one claim, sorted."""

    TYPE: ClassVar[str] = "urn:quatrefoil:appraisal-listed"

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Least(WireObject):
    """The least accepted version of one component of one model."""

    TYPE: ClassVar[str] = "urn:quatrefoil:appraisal-least"

    model: str
    component: str
    version: int


@dataclass(frozen=True)
class Rule(WireObject):
    """What is asked of evidence of one kind: the section ``[KIND]``. Every tuple is sorted."""

    TYPE: ClassVar[str] = "urn:quatrefoil:appraisal-rule"

    kind: str
    measurements: tuple[Listed, ...]
    platforms: tuple[Listed, ...]
    refused: tuple[str, ...]
    """Claims and facts that must not be true."""
    required: tuple[str, ...]
    """Facts that must be true."""
    listed: tuple[Listed, ...]
    minimum_tcb: tuple[Least, ...]
    statuses: tuple[str, ...] = ()
    rejected_advisories: tuple[str, ...] = ()
    highest_vmpl: int = 0
    maximum_age_s: int = 0
    """Of kinds that say when they were made; 0 for the others."""
    gpus: int = 0
    """Of devices: how many must stand beside a machine's evidence at least."""

    def __post_init__(self) -> None:
        if self.kind not in VOCABULARIES:
            raise FieldInvalid(self.kind[:40], "is no kind with a verifier", hint=f"Known: {', '.join(VOCABULARIES)}")
        known = VOCABULARIES[self.kind]
        self._check_measurements(known)
        self._check_lists(known)
        self._check_versions(known)
        _subset(f"{self.kind}.refused", self.refused, known.refusable)
        _subset(f"{self.kind}.required", self.required, known.requirable)
        self._check_status(known)
        check_range(f"{self.kind}.highest_vmpl", self.highest_vmpl, 0, 3 if known.vmpl else 0)
        least, most = (1, LONGEST_AGE_S) if known.dated else (0, 0)
        check_range(f"{self.kind}.maximum_age_s", self.maximum_age_s, least, most)
        check_range(f"{self.kind}.gpus", self.gpus, 0, MOST_DEVICES if known.counted else 0)

    def _check_measurements(self, known: Vocabulary) -> None:
        where = f"{self.kind}.measurements"
        _subset(where, [one.name for one in self.measurements], known.measurements)
        said = {*known.code} & {one.name for one in self.measurements} | {*known.code_facts} & {*self.required}
        if not said:
            ways = [*(f"require {name}" for name in known.code_facts), f"list {' or '.join(known.code)}"]
            hint = ", or ".join(ways)
            raise FieldInvalid(where, "does not say what code is accepted", hint=hint[0].upper() + hint[1:])
        if known.code_below and not {*known.code_below} & {one.name for one in self.measurements}:
            hint = f"List one of {known.code_below[0]} to {known.code_below[-1]} as well"
            raise FieldInvalid(where, "says nothing of what the guest starts", hint=hint)
        for one in self.measurements:
            _hexadecimal(
                f"{where}.{one.name}", one.values, known.measurements[one.name], may_be_zero=one.name not in known.code
            )

    def _check_lists(self, known: Vocabulary) -> None:
        _exactly(self.kind, [one.name for one in self.platforms], known.platforms)
        for one in self.platforms:
            if one.values != (ANY,):
                _hexadecimal(f"{self.kind}.{one.name}", one.values, 0, may_be_zero=False)
        _exactly(self.kind, [one.name for one in self.listed], known.listed)
        for one in self.listed:
            where = f"{self.kind}.{one.name}"
            _values(where, one.values)
            if known.listed[one.name]:
                _subset(where, one.values, known.listed[one.name])

    def _check_versions(self, known: Vocabulary) -> None:
        where = f"{self.kind}.minimum_tcb"
        if not known.components:
            if self.minimum_tcb:
                raise FieldInvalid(where, "is given, and this kind has no versions", hint="Take it out")
            return
        models = sorted({one.model for one in self.minimum_tcb})
        if not models:
            raise FieldInvalid(where, "is empty", hint=f"Say the least versions of {' or '.join(known.components)}")
        _subset(where, models, known.components)
        _ordered(where, [(one.model, one.component) for one in self.minimum_tcb])
        for model in models:
            given = [one.component for one in self.minimum_tcb if one.model == model]
            _exactly(f"{where}.{model}", given, known.components[model])
        for one in self.minimum_tcb:
            check_range(f"{where}.{one.model}.{one.component}", one.version, 0, known.largest_version)

    def _check_status(self, known: Vocabulary) -> None:
        where = f"{self.kind}.statuses"
        if known.statuses:
            _values(where, self.statuses)
            _subset(where, self.statuses, known.statuses)
        elif self.statuses or self.rejected_advisories:
            raise FieldInvalid(where, "is given, and this kind has no statuses", hint="Take it out")
        _ordered(f"{self.kind}.rejected_advisories", self.rejected_advisories)


@dataclass(frozen=True)
class AppraisalPolicy(WireObject):
    """Which evidence is accepted. Building one that is empty or contradicts itself is ``PolicyInvalid``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:appraisal-policy"

    name: str
    report_data: str
    """From :data:`REPORT_DATA`."""
    rules: tuple[Rule, ...]
    """One for each accepted kind, sorted by kind. A kind without a rule is refused."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_choice("report_data", self.report_data, REPORT_DATA)
        if not self.rules:
            raise FieldInvalid("policy", "accepts no kind of evidence", hint=f"Add [{'] or ['.join(VOCABULARIES)}]")
        _ordered("policy", [rule.kind for rule in self.rules])

    def rule(self, kind: str) -> Rule | None:
        """What is asked of evidence of ``kind``; ``None`` where it is not accepted at all."""
        return next((rule for rule in self.rules if rule.kind == kind), None)

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        """A policy that a peer sent and that contradicts itself is the peer's fault: ``MessageRefused``."""
        try:
            return super()._from_cbor(value)
        except PolicyInvalid as error:
            raise MessageRefused(f"AppraisalPolicy.{error.problem}", hint="Ask for a valid policy") from None


def _subset(field: str, names: Iterable[str], known: Iterable[str]) -> None:
    names, known = list(names), list(known)
    for name in names:
        if name not in known:
            raise FieldInvalid(field, f"{shown(name)} is unknown", hint=f"Known: {', '.join(known) or 'none'}")
    _ordered(field, names)


def _exactly(field: str, names: list[str], wanted: Iterable[str]) -> None:
    _subset(field, names, wanted)
    for name in wanted:
        if name not in names:
            raise FieldInvalid(f"{field}.{name}", "is missing", hint="Nothing has a default: see docs/attestation.md")


def _ordered(field: str, names: Iterable[Any]) -> None:
    names = list(names)
    if names != sorted(set(names)):
        raise FieldInvalid(field, "is not sorted, or repeats a name", hint="Sort the names and name each once")


def _values(field: str, values: tuple[str, ...]) -> None:
    if not values:
        raise FieldInvalid(field, "is empty: nothing would be accepted", hint="List at least one accepted value")
    if len(values) > MOST_VALUES:
        raise FieldInvalid(field, f"lists {len(values)} values, over {MOST_VALUES}", hint="Use several policies")
    for value in values:
        if not _WORD.fullmatch(value):
            raise FieldInvalid(field, f"{shown(value)} is not a value", hint="Use letters, digits, . _ and -")
    _ordered(field, values)


def _hexadecimal(field: str, values: tuple[str, ...], size: int, *, may_be_zero: bool) -> None:
    """``size``: bytes of each value, 0 for any up to 512."""
    if not values:
        raise FieldInvalid(field, "is empty: nothing would be accepted", hint="List at least one accepted value")
    if len(values) > MOST_VALUES:
        raise FieldInvalid(field, f"lists {len(values)} values, over {MOST_VALUES}", hint="Use several policies")
    for value in values:
        length = len(value) // 2
        if not _HEX.fullmatch(value) or (length != size if size else length > 512):
            wanted = f"{size} bytes" if size else "at most 512 bytes"
            raise FieldInvalid(
                field, f"{shown(value)} is not {wanted} in lower-case hexadecimal", hint="Copy it from a verdict's JSON"
            )
        if not may_be_zero and not value.strip("0"):
            raise FieldInvalid(
                field, "accepts only zeros, which stand for nothing at all", hint="Take it out, or give the value"
            )
    _ordered(field, values)


__all__ = ["REPORT_DATA", "AppraisalPolicy", "Least", "Listed", "Rule"]
