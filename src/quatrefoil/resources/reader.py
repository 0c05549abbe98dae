"""Release policy files: TOML read strictly, with the line of every fault. Appraisal policies are files beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quatrefoil import appraisal, configuration
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.configuration import FieldInvalid, Table
from quatrefoil.resources.kinds import KINDS
from quatrefoil.resources.policy import Output, ReleasePolicy, Stage

PAGE = "docs/sealed-models.md"


def load(file: Path | str) -> ReleasePolicy:
    """The policy in ``file``, with the appraisal policies that it names by paths relative to its folder; or
    ``PolicyInvalid`` naming file, line and field."""
    file = Path(file)
    return parse(
        configuration.read_text(file),
        source=str(file),
        appraisal_policy=lambda name: appraisal.load(file.parent / name),
    )


def parse(text: str, *, source: str, appraisal_policy: Callable[[str], AppraisalPolicy]) -> ReleasePolicy:
    """The policy in TOML ``text``; ``source`` names it in messages, ``appraisal_policy`` gives what a stage names."""
    root = configuration.parse(text, source, page=PAGE)
    root.expect(["name", "entry", "stages"])
    stages = root.table("stages")
    with root.placing():
        return ReleasePolicy(
            name=root.text("name"),
            entry=root.texts("entry"),
            stages=tuple(_stage(name, stages.table(name), appraisal_policy) for name in stages.names()),
        )


def _stage(name: str, table: Table, appraisal_policy: Callable[[str], AppraisalPolicy]) -> Stage:
    table.expect(["appraisal", "longest_lease_s", "renewal", "outputs"])
    outputs = table.table("outputs")
    outputs.expect([], KINDS)
    held_to = appraisal.named(table.text("appraisal"), f"stages.{name}.appraisal", appraisal_policy)
    lease = table.integer("longest_lease_s")
    if lease < 1:
        raise FieldInvalid(f"stages.{name}.longest_lease_s", "is below 1", hint="Give seconds")
    return Stage(
        name=name,
        appraisal=held_to,
        longest_lease_s=lease,
        renewal=table.text("renewal"),
        outputs=tuple(Output(kind, outputs.texts(kind)) for kind in outputs.names()),
    )


__all__ = ["PAGE", "load", "parse"]
