"""``quatrefoil proof prove`` and ``quatrefoil proof verify P``: answers in receipts are those of committed weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil.audit import PartyLog
from quatrefoil.audit.checks.samples import MOST_TOLD
from quatrefoil.audit.computations import OpeningKeys
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.audit.sampling import Sample
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.cli import containers, output
from quatrefoil.cli.auditing import open_logs
from quatrefoil.cli.parties import count
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, PeerError
from quatrefoil.offline import Processes, Step, run
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proven import (
    Logged,
    ModelFolder,
    Recorded,
    VerifiedAnswers,
    logged_answers,
    prove_answers,
    verify_answers,
)
from quatrefoil.proven.drawn import Drawn, drawn_of
from quatrefoil.proven.statement import ROLE
from quatrefoil.proven.tasks import CheckAnswers, ProveAnswers, tasks_of
from quatrefoil.quantised import entrance_of
from quatrefoil.serving.recorded import recorded
from quatrefoil.transport import TrustAnchor, files, sealed, system_clock

NOT_LOOKED_UP = (
    "not looked up: nothing shows that a server gave these receipts; give --log, the server's log or a bundle of it"
)


def add_prove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, metavar="DIR", help="what `quatrefoil model commit` made")
    parser.add_argument(
        "--receipts", required=True, type=Path, metavar="R", help="the folder of records of `quatrefoil serve --audit`"
    )
    parser.add_argument(
        "--key", required=True, type=Path, metavar="KEYS", help="folder of the sealing key that they were sealed to"
    )
    parser.add_argument(
        "--sample", type=Path, metavar="FILE", help="of the records, only those that `quatrefoil audit sample` drew"
    )
    parser.add_argument("--log", required=True, type=Path, metavar="DIR|BUNDLE", help="the server's log")
    parser.add_argument("--trust", required=True, type=Path, metavar="FILE", help="the consortium's root certificate")
    parser.add_argument(
        "--hidden", action="store_true", help="show the inputs as the hashes in the receipts, and not themselves"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="P", help="new file for the proof; with --batch a folder of them"
    )
    parser.add_argument(
        "--batch", type=count, metavar="N", help="a proof for every N receipts, in processes; run again, it goes on"
    )
    parser.add_argument("--processes", type=count, metavar="N", help="of --batch (default: one a core)")
    containers.add_threads(parser)
    output.add_json_option(parser)
    parser.set_defaults(action_of=_prove)


def add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trust", type=Path, metavar="FILE", help="of P: the consortium's root certificate")
    parser.add_argument("--log", type=Path, metavar="DIR|BUNDLE", help="of P: the server's log, to look receipts up in")


def _prove(options: argparse.Namespace) -> None:
    output.require_writable(options.json)
    if options.batch is None and options.out.exists():
        raise HostError(f"{options.out} exists already", hint="Name another place; nothing is overwritten")
    output.require_writable(options.out if options.batch is None else None)  # before an opening is used up
    told = output.progress_console()
    folder = ModelFolder(options.model)
    sample = _sample(options)
    with _log_of(options, folder.server) as log:
        found = _recorded(options, folder, log.owner.name, told.print)
        drawn = Drawn(tuple(found)) if sample is None else drawn_of(found, sample, log, folder.committed)
        records = drawn.records
        told.print(f"looking {len(records):,} receipts up in the log")
        logged = logged_answers(log, {one.receipt.digest() for one in records}, folder.committed)
    for one in drawn.left[:MOST_TOLD]:
        told.print(f"not proven: {one}", markup=False)
    told.print(f"proving their answers; {folder.left} openings are left before")
    if options.batch is not None:
        _prove_batches(options, folder, drawn, logged, told.print)
        return
    proof = prove_answers(folder, records, logged, hidden=options.hidden, threads=options.threads)
    content = proof.encode()
    files.write_new(options.out, content)
    made = {
        "receipts": len(records),
        "hidden": options.hidden,
        "file_bytes": len(content),
        "proof_bytes": len(proof.proof),
        "commitment_bytes": len(proof.commitment.encode()),
        "openings_left": folder.left,
        "model_root": proof.commitment.root.hex(),
    }
    _say(options, made, {}, drawn)


def _say(options: argparse.Namespace, found: dict[str, Any], files_made: dict[str, Any], drawn: Drawn) -> None:
    """What was proven; then ``CallerError`` where a receipt is drawn, was answered and is not proven."""
    lacking = drawn.left
    said = found | {"failed": drawn.failed, "silent": drawn.silent} if options.sample else found
    listed = [
        {"keyset": one.drawn.keyset.hex(), "sequence": one.drawn.sequence, "entry": one.drawn.entry, "why": one.why}
        for one in lacking
    ]
    output.write_json(options.json, "quatrefoil.proof-prove/1", said | files_made | {"not_proven": listed})
    if not output.only_json(options):
        shown = said | {name: len(made) for name, made in files_made.items()} | {"not_proven": len(lacking)}
        output.console().print(output.table(escape(str(options.out)), ("", ""), _rows(shown)))
    if lacking:
        more = f", and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        raise CallerError(
            f"the others are proven, and of those drawn is not {lacking[0]}{more}",
            hint="Give the records that lack and prove again, or tell the auditor, who sees it, why there are none",
        )


def _prove_batches(
    options: argparse.Namespace,
    folder: ModelFolder,
    drawn: Drawn,
    logged: Logged,
    told: Callable[[str], None],
) -> None:
    """Every batch by itself, each result kept: what is there and holds is not proven again."""
    tasks = tasks_of(folder, drawn.records, logged, hidden=options.hidden, batch=options.batch)

    def say(step: Step) -> None:
        told(f"{step.task}: {step.what}{': ' if step.detail else ''}{step.detail} ({step.done} of {step.total})")

    executor = Processes(options.processes)
    check = CheckAnswers(folder.commitment.root)
    outcome = run(tasks, ProveAnswers(options.model), options.out, say, check=check, executor=executor)
    results = outcome.require()
    found = {
        "receipts": len(drawn.records),
        "hidden": options.hidden,
        "kept": len(outcome.kept),
        "openings_left": folder.left,
        "model_root": folder.commitment.root.hex(),
    }
    _say(options, found, {"files": [str(results[task]) for task in tasks]}, drawn)


def verify(options: argparse.Namespace) -> None:
    """``proof verify P``."""
    output.require_writable(options.json)
    if options.trust is None:
        raise CallerError("nobody is trusted", hint="Give --trust, the consortium's root certificate")
    told = output.progress_console()
    trust = TrustAnchor.load(options.trust)
    schema = "quatrefoil.proof-verify/2"
    try:
        data = files.read(options.file, "proof", largest=LARGEST_PROOF)
        if options.log is None:
            found = verify_answers(data, trust, clock=system_clock, log=None, threads=options.threads, told=told.print)
        else:
            with _log_of(options, None) as log:
                found = verify_answers(
                    data, trust, clock=system_clock, log=log, threads=options.threads, told=told.print
                )
    except PeerError as error:
        output.write_json(options.json, schema, {"valid": False, "reason": error.problem})
        raise
    said: dict[str, Any] = {
        "statement": found.inference.statement.hex(),
        "soundness_bits": found.inference.soundness_bits,
        "batch": found.inference.batch,
        "model_root": found.inference.model_root.hex(),
        "model": found.model.said.model.hex(),
        "server": found.model.signer,
        "receipts": found.receipts,
        "hidden": found.hidden,
        "log": found.origin if found.logged else NOT_LOOKED_UP,
    }
    output.write_json(options.json, schema, {"valid": True, **said})
    if not output.only_json(options):
        output.console().print(output.table(_title(logged=found.logged), ("", ""), _rows(said)))
        output.console().print(_limits(found), markup=False)


def _title(*, logged: bool) -> str:
    """No more than was checked: readers stop here."""
    if logged:
        return "Every answer in these logged receipts is what the committed weights compute"
    return "The committed weights compute these outputs; that a server answered so is NOT shown"


def _limits(found: VerifiedAnswers) -> str:
    said = f"That the served file has the committed weights is the word of {found.model.signer}: no proof shows it."
    if found.logged:
        return said
    return f"The receipts are unsigned and were looked up in no log: whoever made the file can have made them. {said}"


def _sample(options: argparse.Namespace) -> Sample | None:
    if options.sample is None:
        return None
    return Sample.decode(files.read(options.sample, "sample", largest=LARGEST_SAMPLE))


def _recorded(
    options: argparse.Namespace, folder: ModelFolder, server: str, report: Callable[[str], None]
) -> Iterator[Recorded]:
    """The records of answers that ``server`` sealed, each held to its receipt, one after the other."""
    entrance = entrance_of(folder.program.content)
    found = recorded(
        options.receipts,
        field_hash(entrance.size, entrance.low, entrance.high),
        key=sealed.RecipientKey.load(options.key),
        trust=TrustAnchor.load(options.trust),
        sender=server,
        clock=system_clock,
        report=report,
    )
    for one in found:
        yield Recorded(one.said, one.inputs, one.outputs, OpeningKeys(one.inputs_key, one.output_key))


@contextmanager
def _log_of(options: argparse.Namespace, name: str | None) -> Iterator[PartyLog]:
    """The log of the server ``name``, or of the only one that is there."""
    with open_logs(argparse.Namespace(log=options.log, trust=options.trust, at=None, party=None)) as logs:
        theirs = [log for log in logs.values() if log.owner.role == ROLE and name in (None, log.owner.name)]
        if len(theirs) != 1:
            raise EvidenceRejected(
                f"{len(theirs)} logs in {options.log} are of {ROLE} {name or 'any name'}",
                hint="Give the log of the server that issued the receipts",
                check="log",
            )
        yield theirs[0]


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _shown(value)) for name, value in found.items()]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


__all__ = ["add_prove", "add_verify", "verify"]
