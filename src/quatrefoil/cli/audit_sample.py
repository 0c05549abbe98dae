"""``quatrefoil audit sample``: draw inference receipts by a public rule, or check a sample that somebody drew."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil.audit import PartyLog
from quatrefoil.audit.log import LOG_FOLDER, WITNESSED
from quatrefoil.audit.sampling import Sample, draw, population_size, verify
from quatrefoil.audit.sampling.rule import share_of
from quatrefoil.audit.sampling.sample import LARGEST_SAMPLE
from quatrefoil.audit.verdict import count
from quatrefoil.catching import SHARES, TRIES, Caught, caught
from quatrefoil.cli.auditing import add_at_option, add_log_argument, add_party_option, add_trust_option, open_logs
from quatrefoil.cli.sampling import add_number, add_terms, read_witnesses, terms_of
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.output import add_json_option, console, only_json, progress_console, require_writable, table, write_json
from quatrefoil.policy import Policy
from quatrefoil.tlog import VerifierKey
from quatrefoil.transport import TrustAnchor, files, system_clock

NAME = "sample"
HELP = "draw inference receipts for proofs, by a public rule from a witnessed checkpoint, or check such a sample"
SCHEMA = "quatrefoil.audit-sample/1"


def configure(parser: argparse.ArgumentParser) -> None:
    add_log_argument(parser)
    add_terms(parser, required=True)
    add_number(parser, required=True, count_help="how many receipts to draw")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="the cosigned checkpoint (default: the log's own 'witnessed')"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="refuse fewer witnesses than this policy demands")
    outcome = parser.add_mutually_exclusive_group(required=True)
    outcome.add_argument("--out", type=Path, metavar="FILE", help="the sample to write")
    outcome.add_argument("--check", type=Path, metavar="FILE", help="a sample to check, in place of writing one")
    add_trust_option(parser)
    add_at_option(parser)
    add_party_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    with open_logs(options) as logs:
        log = _only_server(logs)
        keys = _witnesses(options, log.trust)
        note = _checkpoint(options, log)
        sampled = note if note is not None else Sample.decode(_given(options)).checkpoint.encode()
        number = _count(options, log, sampled, keys)
        terms = terms_of(options, keys, number)
        if options.check is None:
            assert note is not None
            sample = draw(log, note, terms, _progress())
            files.write_new(options.out, sample.encode())
        else:
            sample = verify(_given(options), log, terms, _progress(), checkpoint=note)
    _say(options, sample)


# --------------------------------------------------------------------------------------------------------------- given


def _only_server(logs: dict[str, PartyLog]) -> PartyLog:
    servers = {label: log for label, log in logs.items() if log.owner.role == "workload"}
    if len(servers) != 1:
        raise CallerError(
            f"{len(servers)} logs here are of servers, and a sample is of one",
            hint=f"Add --party, one of {', '.join(servers)}" if servers else "Give the log of a server of a model",
        )
    (found,) = servers.values()
    return found


def _given(options: argparse.Namespace) -> bytes:
    return files.read(options.check, "sample", largest=LARGEST_SAMPLE)


def _witnesses(options: argparse.Namespace, trust: TrustAnchor) -> tuple[VerifierKey, ...]:
    found = read_witnesses(options.witness, trust, options.at or system_clock())
    if options.policy is not None and len(found) < (wanted := Policy.load(options.policy).witnesses):
        raise CallerError(
            f"{len(found)} witnesses are fewer than the {wanted} that the policy demands",
            hint="Name all that were agreed on with --witness",
        )
    return found


def _checkpoint(options: argparse.Namespace, log: PartyLog) -> bytes | None:
    """The one that was given; to draw from, the log's own; None where that of a sample is to be taken."""
    if options.checkpoint is not None:
        return files.read(options.checkpoint, "checkpoint")
    if options.check is not None:
        return None
    if (found := log.read(WITNESSED)) is None:
        raise EvidenceRejected(
            f"no witnessed checkpoint lies in the log of {log.owner.name}",
            hint=f"Give --checkpoint, or put a cosigned one into {LOG_FOLDER}/{WITNESSED}",
            check="witnesses",
        )
    return found


def _count(
    options: argparse.Namespace,
    log: PartyLog,
    checkpoint: bytes,
    keys: tuple[VerifierKey, ...],
) -> int:
    if options.count is not None:
        return int(options.count)
    population = population_size(log, checkpoint, terms_of(options, keys, 1), _progress())
    return share_of(options.fraction, population)


def _progress() -> Callable[[int, int], None]:
    """Of long logs only: a line on standard error each tenth."""
    told = -1

    def say(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if total >= 100_000 and tenth != told:
            told = tenth
            progress_console().print(f"{done:,} of {total:,} entries read", markup=False)

    return say


# --------------------------------------------------------------------------------------------------------------- shown


def _say(options: argparse.Namespace, sample: Sample) -> None:
    chances = _chances(sample)
    content: dict[str, Any] = {
        "valid": True,
        "drawn": len(sample.drawn),
        "population": sample.population,
        "keysets": len(sample.keysets),
        "open_keysets": len(sample.open),
        "open_receipts": sum(one.receipts for one in sample.open),
        "witnesses": list(sample.witnesses),
        "seed": sample.seed.hex(),
        "challenge": None if sample.challenge is None else sample.challenge.hex(),
        "chances": [
            {
                "share": one.share,
                "false": one.false,
                "caught": one.probability,
                "tries": one.tries,
                "caught_after_tries": one.after_tries,
            }
            for one in chances
        ],
        "receipts": [
            {
                "keyset": one.keyset.hex(),
                "sequence": one.sequence,
                "entry": one.entry,
                "digest": one.digest.hex(),
            }
            for one in sample.drawn
        ],
    }
    write_json(options.json, SCHEMA, content)
    if only_json(options):
        return
    made = f"{options.out}: " if options.check is None else f"{options.check} is what the rule draws: "
    unended = sum(one.receipts for one in sample.open)
    left = f"; {unended:,} in {count(len(sample.open), 'keyset')} not ended" if sample.open else ""
    console().print(
        f"{made}{len(sample.drawn):,} of {count(sample.population, 'receipt')} of "
        f"{count(len(sample.keysets), 'keyset')}{left}; seed {sample.seed.hex()}",
        markup=False,
        soft_wrap=True,
    )
    tried = sample.challenge is None
    columns = ["false receipts", "of all", "at least one is drawn"]
    rows = [[f"{one.false:,}", f"{one.share:.1%}", f"{one.probability:.4%}"] for one in chances]
    if tried:
        columns.append(f"if {TRIES:,} seeds were tried")
        rows = [[*row, f"{one.after_tries:.4%}"] for row, one in zip(rows, chances, strict=True)]
    console().print(table("what such a sample catches", columns, rows))
    if tried:
        progress_console().print(
            "Without --challenge, whoever asks for cosignatures can try out samples: see docs/audit-sampling.md",
            style="bold yellow",
        )


def _chances(sample: Sample) -> list[Caught]:
    tries = TRIES if sample.challenge is None else 1
    return [caught(sample.population, len(sample.drawn), share, tries) for share in SHARES]
