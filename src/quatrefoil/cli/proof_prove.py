"""``quatrefoil proof prove``: prove that answers in receipts are those of committed weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil import output
from quatrefoil.audit.checks.samples import MOST_TOLD
from quatrefoil.audit.computations import OpeningKeys
from quatrefoil.audit.sampling import Sample
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.cli import containers
from quatrefoil.cli.proof_answers import rows, server_log
from quatrefoil.errors import CallerError, HostError
from quatrefoil.offline import Executor, Processes, Step, Task, run
from quatrefoil.offline.on_ray import OnRay
from quatrefoil.parties.arguments import count
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import LARGEST_BATCH
from quatrefoil.proven import Logged, ModelFolder, Recorded, logged_answers, prove_answers, verify_statement
from quatrefoil.proven.drawn import Drawn, drawn_of
from quatrefoil.proven.tasks import CheckAnswers, ProveAnswers, counted_in, tasks_of
from quatrefoil.quantised import entrance_of
from quatrefoil.serving.record_reader import read_records
from quatrefoil.transport import TrustAnchor, files, sealed, system_clock

AT_ONCE = 16
"""Batches that are held in memory: what is read of the records is proven before more of them is."""

TOLD_EVERY = 1_000
"""Records read, of which each was held to its receipt."""


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
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="of --batch: on Ray in place of processes, one of its own or at ADDRESS; on this machine",
    )
    containers.add_threads(parser)
    output.add_json_option(parser)
    parser.set_defaults(action_of=_prove)


def _prove(options: argparse.Namespace) -> None:
    output.require_writable(options.json)
    _require_batches(options)
    if options.batch is None and options.out.exists():
        raise HostError(f"{options.out} exists already", hint="Name another place; nothing is overwritten")
    output.require_writable(options.out if options.batch is None else None)  # before an opening is used up
    told = output.progress_console()
    folder = ModelFolder(options.model)
    if options.batch is None:
        folder.require_left()  # of batches some may be proven already
    sample = _sample(options)
    with server_log(options, folder.server) as log:
        server = log.owner.name

        def read() -> Iterator[Recorded]:
            told.print("reading records")
            return _counted(_recorded(options, folder, server, told.print), told.print)

        if sample is not None:
            chosen = _Chosen.of(drawn_of(read(), sample, log, folder.committed))
        elif options.batch is None:
            chosen = _Chosen.of(Drawn(_bounded(read())))
        else:
            chosen = _Chosen.all_of(read)
        told.print(f"looking {len(chosen.digests):,} receipts up in the log")
        logged = logged_answers(log, chosen.digests, folder.committed)
        verify_statement(logged.statement, TrustAnchor.load(options.trust), clock=system_clock)
    for one in chosen.drawn.left[:MOST_TOLD]:
        told.print(f"not proven: {one}", markup=False)
    told.print(f"proving their answers; of {folder.left} openings left the last is kept for a link")
    if options.batch is not None:
        _prove_batches(options, folder, chosen, logged, told.print)
        return
    proof = prove_answers(folder, chosen.drawn.records, logged, hidden=options.hidden, threads=options.threads)
    content = proof.encode()
    files.write_new(options.out, content)
    made = {
        "receipts": len(chosen.digests),
        "hidden": options.hidden,
        "file_bytes": len(content),
        "proof_bytes": len(proof.proof),
        "commitment_bytes": len(proof.commitment.encode()),
        "openings_left": folder.left,
        "model_root": proof.commitment.root.hex(),
    }
    _say(options, made, {}, chosen.drawn)


@dataclass(frozen=True)
class _Chosen:
    """What is proven: receipts by their digests, and their records, held or read again. ``drawn``: by a sample."""

    digests: frozenset[bytes]
    read: Callable[[], Iterable[Recorded]]
    drawn: Drawn

    @classmethod
    def of(cls, drawn: Drawn) -> _Chosen:
        return cls(frozenset(one.receipt.digest() for one in drawn.records), lambda: drawn.records, drawn)

    @classmethod
    def all_of(cls, read: Callable[[], Iterable[Recorded]]) -> _Chosen:
        """Of a folder, which is gone through twice and never held; what comes to it meanwhile is left for later."""
        digests = frozenset(one.receipt.digest() for one in read())
        return cls(digests, lambda: (one for one in read() if one.receipt.digest() in digests), Drawn(()))


def _bounded(found: Iterable[Recorded]) -> tuple[Recorded, ...]:
    """All of them, if one proof can be about so many samples: what is beyond is not read."""
    held, rows = list[Recorded](), 0
    for one in found:
        rows += len(one.inputs)
        if rows > LARGEST_BATCH:
            raise CallerError(
                f"the records are of over {LARGEST_BATCH:,} samples, which one proof cannot be about",
                hint="Prove them with --batch N, or those that a --sample drew: no opening was used",
            )
        held.append(one)
    return tuple(held)


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
        output.console().print(output.table(escape(str(options.out)), ("", ""), rows(shown)))
    if lacking:
        more = f", and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        raise CallerError(
            f"the others are proven, and of those drawn is not {lacking[0]}{more}",
            hint="Give the records that lack and prove again, or tell the auditor, who sees it, why there are none",
        )


def _prove_batches(
    options: argparse.Namespace,
    folder: ModelFolder,
    chosen: _Chosen,
    logged: Logged,
    told: Callable[[str], None],
) -> None:
    """Every batch by itself, each result kept: what is there and holds is not proven again. Records are read as they
    are proven; a batch that fails stops no other, but where no opening is left for any."""
    if not chosen.digests:
        raise CallerError("there is nothing to prove", hint="Give records of answers of this model")
    tasks = tasks_of(folder, chosen.read(), logged, hidden=options.hidden, batch=options.batch)
    total = -(-len(chosen.digests) // options.batch)
    prove, check = ProveAnswers(options.model, counted_in(options.model)), CheckAnswers(folder.commitment.root)
    made, failed, kept = list[str](), dict[Task, str](), 0
    while some := list(islice(tasks, AT_ONCE)):
        before = len(made)

        def say(step: Step, before: int = before) -> None:
            detail = f": {step.detail}" if step.detail else ""
            told(f"{step.task}: {step.what}{detail} ({before + step.done} of {total})")

        outcome = run(some, prove, options.out, say, check=check, executor=_executor(options))
        made += [str(outcome.results[task]) for task in some if task in outcome.results]
        kept += len(outcome.kept)
        failed |= outcome.failed
        if outcome.failed and folder.left <= 1:
            break  # the last is kept for a link, and no batch can be proven any more
    if failed:
        first, why = next(iter(failed.items()))
        lacking = total - len(made) - 1
        more = f", and {lacking:,} more" if lacking else ""
        raise HostError(
            f"{len(made):,} of {total:,} batches are proven, and {first}{more} not: {why}",
            hint="Mend that and run it again: what is done is kept",
        )
    found = {
        "receipts": len(chosen.digests),
        "hidden": options.hidden,
        "kept": kept,
        "openings_left": folder.left,
        "model_root": folder.commitment.root.hex(),
    }
    _say(options, found, {"files": made}, chosen.drawn)


def _executor(options: argparse.Namespace) -> Executor:
    if options.ray is None:
        return Processes(options.processes)
    return OnRay(options.ray or None, options.threads)


def _require_batches(options: argparse.Namespace) -> None:
    """What is said of how batches are computed is said once, and of batches."""
    if options.batch is None and (options.processes or options.ray is not None):
        raise CallerError("one proof is made in this process", hint="Give --batch with --processes or --ray")
    if options.processes and options.ray is not None:
        raise CallerError("batches are proven in processes or on Ray", hint="Give --processes or --ray")


def _sample(options: argparse.Namespace) -> Sample | None:
    if options.sample is None:
        return None
    return Sample.decode(files.read(options.sample, "sample", largest=LARGEST_SAMPLE))


def _recorded(
    options: argparse.Namespace, folder: ModelFolder, server: str, report: Callable[[str], None]
) -> Iterator[Recorded]:
    """The records of answers that ``server`` sealed, each held to its receipt, one after the other."""
    entrance = entrance_of(folder.program.content)
    found = read_records(
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


def _counted(found: Iterator[Recorded], told: Callable[[str], None]) -> Iterator[Recorded]:
    for number, one in enumerate(found, 1):
        if number % TOLD_EVERY == 0:
            told(f"{number:,} records read")
        yield one


__all__ = ["add_prove"]
