"""``quatrefoil proof prove`` and ``quatrefoil proof verify P``: answers in receipts are those of committed weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil.audit import PartyLog
from quatrefoil.audit.computations import OpeningKeys
from quatrefoil.audit.sampling import Sample
from quatrefoil.cli import containers, output
from quatrefoil.cli.auditing import open_logs
from quatrefoil.cli.parties import count
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, PeerError
from quatrefoil.offline import Processes, Step, run
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proven import ModelFolder, Recorded, places_of, prove_answers, verify_answers
from quatrefoil.proven.drawn import drawn_of
from quatrefoil.proven.statement import ROLE
from quatrefoil.proven.tasks import CheckAnswers, ProveAnswers, tasks_of
from quatrefoil.quantised import entrance_of
from quatrefoil.serving.recorded import recorded
from quatrefoil.transport import TrustAnchor, files, sealed, system_clock

NOT_LOOKED_UP = "not looked up: give --log, the server's log or a bundle of it"
LARGEST_FILE = 64 << 20


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
    records = _recorded(options, folder, told.print)
    with _log_of(options, folder.server) as log:
        if options.sample is not None:
            records = drawn_of(records, Sample.decode(files.read(options.sample, "sample")), log)
        told.print(f"looking {len(records):,} receipts up in the log")
        places = places_of(log, {one.receipt.digest() for one in records})
        origin = log.owner.origin
    told.print(f"proving their answers; {folder.left} openings are left before")
    if options.batch is not None:
        _prove_batches(options, folder, records, origin, places, told.print)
        return
    proof = prove_answers(folder, records, origin=origin, places=places, hidden=options.hidden, threads=options.threads)
    content = proof.encode()
    if len(content) > LARGEST_FILE:
        raise CallerError(
            f"a file of {len(content):,} bytes is over {LARGEST_FILE:,}", hint="Prove fewer receipts at once"
        )
    files.write_new(options.out, content)
    found = {
        "receipts": len(records),
        "hidden": options.hidden,
        "file_bytes": len(content),
        "proof_bytes": len(proof.proof),
        "commitment_bytes": len(proof.commitment.encode()),
        "openings_left": folder.left,
        "model_root": proof.commitment.root.hex(),
    }
    output.write_json(options.json, "quatrefoil.proof-prove/1", found)
    if not output.only_json(options):
        output.console().print(output.table(escape(str(options.out)), ("", ""), _rows(found)))


def _prove_batches(
    options: argparse.Namespace,
    folder: ModelFolder,
    records: list[Recorded],
    origin: str,
    places: dict[bytes, int],
    told: Callable[[str], None],
) -> None:
    """Every batch by itself, each result kept: what is there and holds is not proven again."""
    tasks = tasks_of(folder, records, origin=origin, places=places, hidden=options.hidden, batch=options.batch)

    def say(step: Step) -> None:
        told(f"{step.task}: {step.what}{': ' if step.detail else ''}{step.detail} ({step.done} of {step.total})")

    executor = Processes(options.processes)
    check = CheckAnswers(folder.commitment.root)
    outcome = run(tasks, ProveAnswers(options.model), options.out, say, check=check, executor=executor)
    results = outcome.require()
    found = {
        "receipts": len(records),
        "hidden": options.hidden,
        "files": [str(results[task]) for task in tasks],
        "kept": len(outcome.kept),
        "openings_left": folder.left,
        "model_root": folder.commitment.root.hex(),
    }
    output.write_json(options.json, "quatrefoil.proof-prove/1", found)
    if not output.only_json(options):
        shown = {name: value for name, value in found.items() if name != "files"} | {"files": len(results)}
        output.console().print(output.table(escape(str(options.out)), ("", ""), _rows(shown)))


def verify(options: argparse.Namespace) -> None:
    """``proof verify P``."""
    output.require_writable(options.json)
    if options.trust is None:
        raise CallerError("nobody is trusted", hint="Give --trust, the consortium's root certificate")
    told = output.progress_console()
    data = files.read(options.file, "proof")
    trust = TrustAnchor.load(options.trust)
    schema = "quatrefoil.proof-verify/2"
    try:
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
        title = "Every answer is what the committed weights compute"
        output.console().print(output.table(title, ("", ""), _rows(said)))


def _recorded(options: argparse.Namespace, folder: ModelFolder, report: Callable[[str], None]) -> list[Recorded]:
    """The records of answers, each held to its receipt."""
    entrance = entrance_of(folder.program.content)
    found = recorded(
        options.receipts,
        field_hash(entrance.size, entrance.low, entrance.high),
        key=sealed.RecipientKey.load(options.key),
        trust=TrustAnchor.load(options.trust),
        sender=folder.server,
        clock=system_clock,
        report=report,
    )
    return [Recorded(one.said, one.inputs, one.outputs, OpeningKeys(one.inputs_key, one.output_key)) for one in found]


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
