"""``quatrefoil audit verify``: every check of a party's log or of a bundle, by name."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil import exchange
from quatrefoil.audit.checks.promises import Promise
from quatrefoil.audit.checks.samples import Extra, Sampling
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.audit.verdict import Verdict
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.cli.auditing import add_at_option, add_log_argument, add_trust_option, warn_of_root
from quatrefoil.cli.sampling import add_number, add_terms, proof_files, read_witnesses, terms_of
from quatrefoil.errors import CallerError
from quatrefoil.output import add_json_option, console, only_json, require_writable, table, write_json
from quatrefoil.parties.relying import read_relied
from quatrefoil.planner.plan_file import PlanFile
from quatrefoil.policy import Policy
from quatrefoil.proven.evidence import proven_by
from quatrefoil.transport import TrustAnchor, files, system_clock

NAME = "verify"
HELP = "check everything that a log or a bundle says of itself, without trusting whoever made it"


def configure(parser: argparse.ArgumentParser) -> None:
    add_log_argument(parser)
    add_trust_option(parser)
    add_policy_option(parser)
    add_relying_options(parser)
    add_sampling_options(parser)
    add_at_option(parser)
    add_json_option(parser)


def add_policy_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="the policy that the logs must name (default: a bundle's own)"
    )


def add_relying_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--appraisal",
        type=Path,
        metavar="FILE",
        help="verify the evidence of enclaves again, under this appraisal policy (default: it is not checked)",
    )
    parser.add_argument("--collateral", type=Path, metavar="DIR", help="collateral of the time of the entries")


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Terms of samples; without a witness none is judged."""
    add_terms(parser, required=False)
    add_number(parser, required=False, count_help="how many receipts a sample has to have drawn")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="the cosigned checkpoint that you had before --challenge"
    )
    parser.add_argument(
        "--sample", type=Path, metavar="FILE", action="append", default=[], help="a sample beside those of a bundle"
    )
    parser.add_argument(
        "--proof",
        type=Path,
        metavar="P",
        action="append",
        default=[],
        help="a proof of answers beside those of a bundle, or a folder of them",
    )
    parser.add_argument(
        "--serving-policy",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="servers under this policy have to have proven the share that it promises",
    )
    parser.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="the same of servers under this plan, as `plan --json` wrote it",
    )


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    found = examined(options)
    write_json(options.json, "quatrefoil.audit-verify/1", as_json(found))
    if not only_json(options):
        _print(found.verdict)
    found.verdict.require()


def examined(options: argparse.Namespace) -> Examined:
    policy = None if options.policy is None else Policy.load(options.policy)
    # Collateral of the past may have expired since: evidence is judged as of its entry.
    relied = read_relied(options.appraisal, options.collateral)
    at = options.at or system_clock()
    sampling = _sampling(options, at)
    found = examine(
        options.log,
        trust=options.trust,
        policy=policy,
        relied=relied,
        at=at,
        sampling=sampling,
        promised=_promised(options),
    )
    warn_of_root(found.trusted)
    return found


def _promised(options: argparse.Namespace) -> list[Promise]:
    policies = [exchange.load(file) for file in options.serving_policy]
    plans = [PlanFile.load(file) for file in options.plan]
    return [
        *(Promise.of("policy", one.digest(), one.proofs.share) for one in policies),
        *(Promise.of("plan", one.digest, one.proven_share) for one in plans),
    ]


def _sampling(options: argparse.Namespace, at: datetime) -> Sampling | None:
    numbered = options.count is not None or options.fraction is not None
    if options.witness is None:
        if numbered or options.challenge or options.sample or options.proof or options.checkpoint:
            raise CallerError(
                "samples are judged by the witnesses that had to cosign their checkpoint",
                hint="Give --witness for each, and --count or --fraction",
            )
        return None
    if options.trust is None or not numbered:
        raise CallerError(
            "samples are judged under a root of one's own and by how many receipts were to be drawn",
            hint="Give --trust, and --count or --fraction, beside --witness",
        )
    keys = read_witnesses(options.witness, TrustAnchor.load(options.trust), at)
    samples, proofs = (
        tuple(Extra(file.name, partial(files.read, file, what, largest=largest)) for file in given)
        for what, largest, given in (
            ("sample", LARGEST_SAMPLE, options.sample),
            ("proof", LARGEST_PROOF, proof_files(options.proof)),
        )
    )
    checkpoint = None if options.checkpoint is None else files.read(options.checkpoint, "checkpoint")
    terms = terms_of(options, keys, options.count or 1)
    return Sampling(terms, proven_by, samples, proofs, checkpoint, options.fraction)


def as_json(found: Examined) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "valid": verdict.valid,
        "size": verdict.size,
        "root": verdict.root,
        "pinned": found.trusted is not None and found.trusted.pinned,
        "roots": list(found.trusted.fingerprints) if found.trusted is not None else [],
        "logs": [asdict(head) for head in verdict.heads],
        "checks": [asdict(check) for check in verdict.checks],
        "samples": [_plain(asdict(one)) for one in found.sampled.samples],
        "proofs": [asdict(one) for one in found.sampled.proofs],
        "not_made": [asdict(one) for one in verdict.not_made],
    }


def _plain(sample: dict[str, Any]) -> dict[str, Any]:
    """With digests as text."""
    missing = [one | {name: one[name].hex() for name in ("keyset", "digest")} for one in sample["missing"]]
    return sample | {"missing": missing}


def _print(verdict: Verdict) -> None:
    sizes = ", ".join(f"{head.role} {head.party}: {head.size}" for head in verdict.heads)
    title = f"{'VALID' if verdict.valid else 'NOT VALID'}  (entries: {sizes or 'none'})"
    drawn = table(escape(title), ("check", "passed", "detail"), [])
    for column in drawn.columns:
        column.justify = "left"
    drawn.columns[2].overflow = "fold"
    for name, checks in verdict.by_name().items():
        passed = all(check.passed for check in checks)
        details = [(f"{check.log}: " if check.log else "") + check.detail for check in checks]
        style = None if passed else "bold red"
        drawn.add_row(name, "yes" if passed else "NO", escape("\n".join(details)), style=style)
    for one in verdict.not_made:
        drawn.add_row(one.name, "not checked", escape(one.why))
    console().print(drawn)
