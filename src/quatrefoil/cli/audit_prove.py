"""``quatrefoil audit prove``: one entry out of a log with a proof that it is there, and the check of such a proof."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import asdict
from pathlib import Path

from quatrefoil.audit import Entry, PartyLog, entries, ownership
from quatrefoil.audit.index import look_up
from quatrefoil.audit.log import LOG_FOLDER, OWNER
from quatrefoil.audit.trusted import Trusted
from quatrefoil.cli.auditing import (
    add_at_option,
    add_log_argument,
    add_party_option,
    add_trust_option,
    open_logs,
    warn_of_root,
)
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.output import add_json_option, console, only_json, require_writable, write_json
from quatrefoil.tlog.merkle import leaf_hash
from quatrefoil.tlog.proofs import LogProof
from quatrefoil.transport import files, system_clock

NAME = "prove"
HELP = "prove offline that one entry is in a log (C2SP tlog-proof), or check such a proof"


def configure(parser: argparse.ArgumentParser) -> None:
    add_log_argument(parser, optional=True)
    parser.add_argument("entry", metavar="INDEX|HASH", nargs="?", help="the entry, by number or by its leaf's hash")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the proof to write")
    parser.add_argument("--check", type=Path, metavar="FILE", help="a proof to check, in place of making one")
    parser.add_argument(
        "--leaf", type=Path, metavar="FILE", help="the entry itself: written with --out, read with --check"
    )
    add_trust_option(parser)
    add_at_option(parser)
    add_party_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    if options.check is not None:
        _check(options)
    else:
        _make(options)


def _make(options: argparse.Namespace) -> None:
    if options.log is None or options.entry is None or options.out is None:
        raise CallerError(
            "a proof is made of an entry of a log, into a file", hint="Give DIR INDEX --out FILE, or --check"
        )
    with open_logs(options) as logs:
        if len(logs) != 1:
            raise CallerError(f"the bundle holds {len(logs)} logs", hint=f"Add --party, one of {', '.join(logs)}")
        (log,) = logs.values()
        index = _index(log, options.entry, options.log)
        leaf = log.reader.leaf(index)
        entry = entries.decode(index, leaf)
        proof = LogProof.of(log.reader, index, log.statement)
    files.write_new(options.out, proof.encode())
    if options.leaf is not None:
        files.write_new(options.leaf, leaf)
    _say(options, entry, log.owner.origin, log.size, f"{options.out}: proof that")


def _index(log: PartyLog, wanted: str, place: Path) -> int:
    """By number, or by hash: where the log's index has it, or else every leaf is looked at."""
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 20:
        return int(wanted)
    with contextlib.suppress(ValueError):
        hashed = bytes.fromhex(wanted)
        for index in (*look_up(place, hashed), *look_up(place / LOG_FOLDER, hashed)):
            if index < log.size and leaf_hash(log.reader.leaf(index)) == hashed:
                return index
    for index, leaf in log.reader.leaves():
        if leaf_hash(leaf).hex() == wanted.lower():
            return index
    raise CallerError(f"no leaf of {log.owner.origin} has the hash {wanted[:64]}", hint="See `quatrefoil audit show`")


def _check(options: argparse.Namespace) -> None:
    """Offline: the owner's statement lies in the proof, and is held to the root."""
    if options.leaf is None or options.trust is None or options.log is not None:
        raise CallerError(
            "a proof is checked with its entry and a root", hint="Give --check FILE --leaf FILE --trust FILE"
        )
    proof = LogProof.decode(files.read(options.check, "proof"))
    leaf = files.read(options.leaf, "entry")
    trusted = Trusted.found(None, None, options.trust)
    warn_of_root(trusted)
    at = options.at or system_clock()
    if not proof.extra:
        raise EvidenceRejected(
            f"{options.check} does not say whose log it is about", hint=f"It needs the log's {OWNER}"
        )
    owner = ownership.verify(proof.extra, trusted.anchor, clock=lambda: at)
    signed = proof.verify(leaf_hash(leaf), owner.keys)
    if signed.checkpoint.origin != owner.origin:
        raise EvidenceRejected(
            f"the checkpoint is of {signed.checkpoint.origin}, and the log of {owner.origin}", hint="Ask for it again"
        )
    entry = entries.decode(proof.index, leaf)
    _say(options, entry, owner.origin, signed.checkpoint.size, "It holds:")


def _say(options: argparse.Namespace, entry: Entry, origin: str, size: int, what: str) -> None:
    content = {"origin": origin, "size": size, "entry": asdict(entry)}
    write_json(options.json, "quatrefoil.audit-prove/1", content)
    if not only_json(options):
        said = f"{what} entry {entry.index} of {origin} ({entry.kind}, {entry.time}) is one of {size}"
        console().print(said, markup=False, soft_wrap=True)
