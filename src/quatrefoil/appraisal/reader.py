"""Appraisal policy files: TOML read strictly into a policy, with the line of every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from quatrefoil import configuration
from quatrefoil.appraisal.policy import AppraisalPolicy, Least, Listed, Rule
from quatrefoil.appraisal.vocabulary import VOCABULARIES, Vocabulary
from quatrefoil.configuration import FieldInvalid, Table, check_choice
from quatrefoil.errors import PolicyInvalid

PAGE = "docs/attestation.md"


def load(file: Path | str) -> AppraisalPolicy:
    """The policy in ``file``, or ``PolicyInvalid`` naming file, line and field."""
    return parse(configuration.read_text(Path(file)), source=str(file))


def parse(text: str, *, source: str) -> AppraisalPolicy:
    """The policy in TOML ``text``; ``source`` names it in messages."""
    root = configuration.parse(text, source, page=PAGE)
    root.expect(["name", "report_data"], VOCABULARIES)
    with root.placing():
        rules = tuple(
            _rule(kind, root.table(kind), VOCABULARIES[kind]) for kind in sorted(VOCABULARIES) if kind in root
        )
        return AppraisalPolicy(root.text("name"), root.text("report_data"), rules)


def named(file_name: str, field: str, read: Callable[[str], AppraisalPolicy]) -> AppraisalPolicy:
    """The policy that ``field`` of another file names, as ``read`` gives it. Its faults are that field's: whoever reads
    of them learns which line names the file, and then where in that file the fault is."""
    try:
        return read(file_name)
    except PolicyInvalid as error:
        raise FieldInvalid(field, f"cannot be used: {error.problem}", hint=error.hint) from None


def _rule(kind: str, table: Table, known: Vocabulary) -> Rule:
    required = ["measurements", *known.platforms, *known.refusable, *known.requirable, *known.listed]
    for key, there in (
        ("minimum_tcb", known.components),
        ("statuses", known.statuses),
        ("rejected_advisories", known.statuses),
        ("highest_vmpl", known.vmpl),
        ("maximum_age_s", known.dated),
        ("gpus", known.counted),
    ):
        if there:
            required.append(key)
    table.expect(required)
    measurements = table.table("measurements")
    measurements.expect([], known.measurements)
    return Rule(
        kind=kind,
        measurements=tuple(Listed(name, measurements.texts(name)) for name in measurements.names()),
        platforms=tuple(Listed(name, table.texts(name)) for name in sorted(known.platforms)),
        refused=_chosen(kind, table, known.refusable, "refuse", "accept"),
        required=_chosen(kind, table, known.requirable, "require", "any"),
        listed=tuple(Listed(name, table.texts(name)) for name in sorted(known.listed)),
        minimum_tcb=_versions(table.table("minimum_tcb"), known) if known.components else (),
        statuses=table.texts("statuses") if known.statuses else (),
        rejected_advisories=table.texts("rejected_advisories") if known.statuses else (),
        highest_vmpl=_integer(kind, table, "highest_vmpl") if known.vmpl else 0,
        maximum_age_s=_integer(kind, table, "maximum_age_s") if known.dated else 0,
        gpus=_integer(kind, table, "gpus") if known.counted else 0,
    )


def _chosen(kind: str, table: Table, keys: Mapping[str, str], strict: str, lenient: str) -> tuple[str, ...]:
    """The keys of which the policy says ``strict``; each says one or the other."""
    for key in keys:
        check_choice(f"{kind}.{key}", table.text(key), (strict, lenient))
    return tuple(sorted(key for key in keys if table.text(key) == strict))


def _versions(table: Table, known: Vocabulary) -> tuple[Least, ...]:
    table.expect([], known.components)
    found = []
    for model in table.names():
        versions = table.table(model)
        versions.expect(known.components[model])
        for component in versions.names():
            found.append(Least(model, component, versions.integer(component)))
    return tuple(found)


def _integer(kind: str, table: Table, key: str) -> int:
    value = table.integer(key)
    if value < 0:
        raise FieldInvalid(f"{kind}.{key}", f"is {value}, below 0", hint="Correct the number")
    return value


__all__ = ["PAGE", "load", "named", "parse"]
