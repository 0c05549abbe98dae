"""A release policy: to which measured code the key of a resource may go, for how long, and what may come out of it.

One immutable value that checks itself, whoever builds it. Its canonical bytes (``quatrefoil.wire``) stand in the
resource that its owner signs, so that nobody can loosen it afterwards; the appraisal policies are inside, not named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.configuration import FieldInvalid, check_choice, check_name, check_range, shown
from quatrefoil.errors import MessageRefused, PolicyInvalid
from quatrefoil.resources.kinds import KINDS
from quatrefoil.wire import WireObject

RENEWAL = ("allowed", "refused")
"""Whether a lease may be prolonged with fresh evidence, or ends for good."""

LONGEST_LEASE_S = 366 * 86400
MOST_STAGES = 64


@dataclass(frozen=True)
class Output(WireObject):
    """What a stage may put out: resources of one kind, and the stages they may be released to, sorted."""

    TYPE: ClassVar[str] = "urn:quatrefoil:release-output"

    kind: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Stage(WireObject):
    """Code that may have the key: what its evidence is held to, its lease, its outputs (sorted by kind)."""

    TYPE: ClassVar[str] = "urn:quatrefoil:release-stage"

    name: str
    appraisal: AppraisalPolicy
    longest_lease_s: int
    renewal: str
    """From :data:`RENEWAL`."""
    outputs: tuple[Output, ...]

    def output(self, kind: str) -> Output | None:
        """Where what this stage derives of ``kind`` may go; ``None`` where it may put out none."""
        return next((one for one in self.outputs if one.kind == kind), None)


@dataclass(frozen=True)
class ReleasePolicy(WireObject):
    """Building one that is empty or contradicts itself is ``PolicyInvalid``.

    ``entry``: stages to which the owner's own resource may be released. What a stage derives goes on only along
    ``outputs``, which lead every stage to later ones: the graph has no circle, and every stage can be reached.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:release-policy"

    name: str
    entry: tuple[str, ...]
    stages: tuple[Stage, ...]
    """Sorted by name."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        names = [stage.name for stage in self.stages]
        if not 1 <= len(names) <= MOST_STAGES:
            raise FieldInvalid("stages", f"are {len(names)}, not 1 to {MOST_STAGES}", hint="Add [stages.NAME]")
        for name in names:
            check_name(f"stages.{name}", name)
        _ordered("stages", names)
        _among("entry", self.entry, names)
        for stage in self.stages:
            _check_stage(stage, names)
        self._check_order()

    def stage(self, name: str) -> Stage | None:
        """The stage of that name; ``None`` where the policy has none, and nothing may be released to it."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def _check_order(self) -> None:
        """No circle, and nothing out of reach. Stages are taken away while nothing that is left leads to them."""
        leads = {stage.name: {to for output in stage.outputs for to in output.stages} for stage in self.stages}
        left = dict(leads)
        while free := [name for name in left if not any(name in following for following in left.values())]:
            for name in free:
                del left[name]
        if left:
            circle = sorted(left)
            raise FieldInvalid(
                f"stages.{circle[0]}.outputs",
                f"lead round in a circle: among {', '.join(map(shown, circle))}",
                hint="Let every output go to later stages only",
            )
        reached, new = set(), set(self.entry)
        while new:
            reached |= new
            new = {to for name in new for to in leads[name]} - reached
        for name in leads:
            if name not in reached:
                raise FieldInvalid(
                    f"stages.{name}", "is never reached", hint="Name it in entry or in an output, or take it out"
                )

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        """A policy that a peer sent and that contradicts itself is the peer's fault: ``MessageRefused``."""
        try:
            return super()._from_cbor(value)
        except PolicyInvalid as error:
            raise MessageRefused(f"ReleasePolicy.{error.problem}", hint="Ask for a valid policy") from None


def _check_stage(stage: Stage, names: list[str]) -> None:
    where = f"stages.{stage.name}"
    check_range(f"{where}.longest_lease_s", stage.longest_lease_s, 1, LONGEST_LEASE_S)
    check_choice(f"{where}.renewal", stage.renewal, RENEWAL)
    if stage.appraisal.report_data != "required":
        raise FieldInvalid(
            f"{where}.appraisal",
            "takes evidence about whatever report data: it could be about another key than the one released to",
            hint='Say report_data = "required" in the appraisal policy',
        )
    kinds = [output.kind for output in stage.outputs]
    for output in stage.outputs:
        if output.kind not in KINDS:
            raise FieldInvalid(
                f"{where}.outputs.{output.kind[:40]}", "is no kind of resource", hint=f"Known: {', '.join(KINDS)}"
            )
        _among(f"{where}.outputs.{output.kind}", output.stages, names)
    _ordered(f"{where}.outputs", kinds)


def _among(field: str, chosen: tuple[str, ...], names: list[str]) -> None:
    if not chosen:
        raise FieldInvalid(field, "is empty: nothing could be released", hint=f"Name stages: {', '.join(names)}")
    for name in chosen:
        if name not in names:
            raise FieldInvalid(field, f"{shown(name)} is no stage here", hint=f"Known: {', '.join(names)}")
    _ordered(field, chosen)


def _ordered(field: str, names: Iterable[str]) -> None:
    names = list(names)
    if names != sorted(set(names)):
        raise FieldInvalid(field, "is not sorted, or repeats a name", hint="Sort the names and name each once")


__all__ = ["LONGEST_LEASE_S", "RENEWAL", "Output", "ReleasePolicy", "Stage"]
