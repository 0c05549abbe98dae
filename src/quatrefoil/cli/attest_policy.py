"""``quatrefoil attest policy check``: read an appraisal policy as verification would, and show what it accepts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from quatrefoil.appraisal import load
from quatrefoil.appraisal.policy import Rule
from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.output import add_json_option, console, only_json, table, write_json

NAME = "policy"
HELP = "check an appraisal policy file"
SCHEMA = "quatrefoil.attest-policy-check/1"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="policy_what")
    check = commands.add_parser(
        "check",
        help="read a policy as verification would, and show what it accepts and lets pass",
        description="read a policy as verification would, and show what it accepts and lets pass",
    )
    check.add_argument("policy", metavar="POLICY", type=Path, help="appraisal policy file (TOML)")
    add_json_option(check)


def run(options: argparse.Namespace) -> None:
    policy = load(options.policy)
    rows = [(rule.kind, what, value) for rule in policy.rules for what, value in _asked(rule)]
    if not only_json(options):
        drawn = table(f"{policy.name}: what is asked of evidence", ("kind", "of", "what"), rows)
        drawn.columns[1].justify = drawn.columns[2].justify = "left"
        out = console()
        out.print(drawn)
        bound = "the caller must say which" if policy.report_data == "required" else "the caller may leave it out"
        out.print(f"Report data: {bound}. Policy {policy.digest().hex()}.")
    content = {
        "name": policy.name,
        "policy_sha256": policy.digest().hex(),
        "report_data": policy.report_data,
        "kinds": [rule.kind for rule in policy.rules],
        "rules": [{"kind": kind, "of": what, "what": value} for kind, what, value in rows],
    }
    write_json(options.json, SCHEMA, content)


def _asked(rule: Rule) -> Iterator[tuple[str, str]]:
    """What a rule asks, and what it lets pass, which a reader should see as well."""
    known = VOCABULARIES[rule.kind]
    for listed in (*rule.measurements, *rule.platforms, *rule.listed):
        yield listed.name, "one of " + ", ".join(value[:16] for value in listed.values)
    for name, meaning in known.refusable.items():
        yield name, ("refused: " if name in rule.refused else "ACCEPTED: ") + meaning
    for name, meaning in known.requirable.items():
        yield name, ("required: " if name in rule.required else "NOT REQUIRED: ") + meaning
    for model in sorted({least.model for least in rule.minimum_tcb}):
        versions = (f"{one.component} {one.version}" for one in rule.minimum_tcb if one.model == model)
        yield f"minimum_tcb {model}".strip(), ", ".join(versions)
    if known.statuses:
        yield "statuses", ", ".join(rule.statuses)
        yield "rejected_advisories", ", ".join(rule.rejected_advisories) or "none"
    if known.vmpl:
        yield "highest_vmpl", str(rule.highest_vmpl)
    if known.dated:
        yield "maximum_age_s", str(rule.maximum_age_s)
    if known.counted:
        yield "gpus", f"at least {rule.gpus}" if rule.gpus else "NOT REQUIRED: a machine may show none"
