"""``quatrefoil audit monitor``: follow a log over time, and show what its signed checkpoints say against each other."""

from __future__ import annotations

import argparse
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from quatrefoil.audit.log import LOG_FOLDER, TRUST_FOLDER
from quatrefoil.audit.watching import Found, Look, Watcher, read_evidence
from quatrefoil.audit.witnesses import Judged, judge_evidence
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, QuatrefoilError
from quatrefoil.output import add_json_option, console, only_json, report, table, write_json
from quatrefoil.parties.arguments import seconds
from quatrefoil.tlog import FolderSource, SignedCheckpoint
from quatrefoil.tlog.notes import LARGEST_NOTE
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport import TrustAnchor, files, system_clock

NAME = "monitor"
HELP = "follow a log over time, and report forks and rewrites with what proves them"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        nargs="*",
        metavar="SOURCE",
        help="a party's --state or log folder, or files that hold checkpoints of it which others were given",
    )
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder for what is remembered of this log")
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="the consortium's root certificate, its crl.pem beside it (default: those that lie beside the log)",
    )
    parser.add_argument("--every", type=seconds, metavar="SECONDS", help="look again and again, until interrupted")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="verify a file of evidence, without any log")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    if options.evidence is not None:
        if options.source or options.state or options.every is not None or options.trust is None:
            raise CallerError("--evidence is verified under --trust, and with nothing else", hint="Give these two")
        _show_evidence(options, judge_evidence(read_evidence(options.evidence), _trust(options), clock=system_clock))
        return
    if not options.source or options.state is None:
        raise CallerError("what is to be followed, or where to remember it, is missing", hint="Give SOURCE and --state")
    with Watcher(options.state, _trust(options), clock=system_clock) as watcher:
        if options.every is None:
            _refuse(_pass(options, watcher))
            return
        while True:
            try:
                for found in _pass(options, watcher):
                    report(f"{found.judged.verdict.problem}: {found.file}")
            except (EvidenceRejected, HostError) as error:
                report(str(error))
            time.sleep(options.every)


def _pass(options: argparse.Namespace, watcher: Watcher) -> list[Found]:
    """One look at every source. What is wrong with one is told after the others were looked at."""
    looks: list[Look] = []
    problem: QuatrefoilError | None = None
    for source in sorted(options.source, key=lambda path: not path.is_dir()):  # the log itself first
        try:
            looks.append(_look(watcher, source))
        except (EvidenceRejected, HostError) as error:
            problem = problem or error
    found = {one.file: one for look in looks for one in look.found}
    if looks:
        _show(options, looks, list(found.values()))
    if problem is not None:
        raise problem
    return list(found.values())


def _look(watcher: Watcher, source: Path) -> Look:
    if source.is_dir():
        folder = source / LOG_FOLDER if (source / LOG_FOLDER / CHECKPOINT).exists() else source
        return watcher.look(FolderSource(folder))
    content = files.read(source, "checkpoint")
    if len(content) > LARGEST_NOTE:
        raise EvidenceRejected(f"{source} is larger than any checkpoint", hint="Name a checkpoint", check="checkpoint")
    return watcher.hear(content)


def _trust(options: argparse.Namespace) -> TrustAnchor:
    if options.trust is not None:
        return TrustAnchor.load(options.trust)
    for source in options.source:
        for folder in (source, source / LOG_FOLDER):
            if (folder / TRUST_FOLDER).is_dir():
                return TrustAnchor.load(folder / TRUST_FOLDER)
    raise CallerError("whom to trust is not said, and no root lies beside the log", hint="Give --trust FILE")


def _refuse(found: list[Found]) -> None:
    if found:
        first = found[0]
        raise EvidenceRejected(
            first.judged.verdict.problem,
            hint=f"Keep {first.file}, and give it to whoever relies on this log",
            check="consistency",
            party=first.judged.owner.name,
        )


def _show(options: argparse.Namespace, looks: list[Look], found: list[Found]) -> None:
    owner = looks[0].owner
    content = {
        "origin": owner.origin,
        "owner": owner.name,
        "size": max(look.size for look in looks),
        "new": sum(look.new for look in looks),
        "findings": [_said(one.judged) | {"file": str(one.file)} for one in found],
    }
    if not only_json(options):
        title = f"{owner.origin}, of {owner.name}: {content['size']} leaves, {content['new']} of them verified now"
        rows = [(one.judged.verdict.why, _proven(one.judged), _both(one.judged), one.file.name) for one in found]
        drawn = table(title, ("finding", "proven", "witnesses of both", "file"), rows or [("none", "", "", "")])
        for column in drawn.columns:
            column.justify = "left"
        console().print(drawn)
    write_json(options.json, "quatrefoil.audit-monitor/1", content)


def _show_evidence(options: argparse.Namespace, judged: Judged) -> None:
    verdict = judged.verdict
    sides = [
        (side, str(signed.checkpoint.size), signed.checkpoint.root.hex()[:32], _time(_signed_at(signed)))
        for side, signed in (("first", verdict.first), ("second", verdict.second))
    ]
    if not only_json(options):
        title = f"{verdict.problem}; proven: {_proven(judged)}; witnesses of both: {_both(judged) or 'none'}"
        console().print(table(title, ("checkpoint", "leaves", "root", "signed (UTC)"), sides))
    write_json(options.json, "quatrefoil.audit-evidence/1", _said(judged))


def _said(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    return {
        "why": verdict.why,
        "proven": verdict.proven,
        "problem": verdict.problem,
        "owner": judged.owner.name,
        "certificate": judged.owner.fingerprint.hex(),
        "checkpoints": [
            {
                "size": signed.checkpoint.size,
                "root": signed.checkpoint.root.hex(),
                "signed": _time(_signed_at(signed)),
            }
            for signed in (verdict.first, verdict.second)
        ],
        "witnesses_of_both": list(judged.both),
    }


def _signed_at(signed: SignedCheckpoint) -> datetime | None:
    return next((one.at for one in signed.signed if one.at is not None), None)


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _proven(judged: Judged) -> str:
    return "yes" if judged.verdict.proven else "no"


def _both(judged: Judged) -> str:
    return ", ".join(judged.both)
