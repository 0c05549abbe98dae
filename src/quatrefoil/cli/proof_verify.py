"""``quatrefoil proof verify P``: whether a file proves that answers in receipts are those of committed weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quatrefoil import output
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.cli.proof_answers import rows, server_log
from quatrefoil.errors import CallerError, PeerError
from quatrefoil.proofs.inference import LEAST_BITS
from quatrefoil.proven import VerifiedAnswers, verify_answers
from quatrefoil.transport import TrustAnchor, files, system_clock

NOT_LOOKED_UP = (
    "not looked up: nothing shows that a server gave these receipts; give --log, the server's log or a bundle of it"
)


def add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trust", type=Path, metavar="FILE", help="of P: the consortium's root certificate")
    parser.add_argument("--log", type=Path, metavar="DIR|BUNDLE", help="of P: the server's log, to look receipts up in")

    parser.add_argument(
        "--soundness",
        type=_bits,
        default=LEAST_BITS,
        metavar="N",
        help=f"refuse a proof with fewer bits of soundness (default: {LEAST_BITS:g})",
    )


def _bits(text: str) -> float:
    bits = float(text) if text.replace(".", "", 1).isdecimal() else 0.0
    if not 0 < bits <= 256:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of bits from above 0 to 256")
    return bits


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
        asked: dict[str, Any] = {"clock": system_clock, "threads": options.threads, "least_bits": options.soundness}
        if options.log is None:
            found = verify_answers(data, trust, log=None, told=told.print, **asked)
        else:
            with server_log(options, None) as log:
                found = verify_answers(data, trust, log=log, told=told.print, **asked)
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
        output.console().print(output.table(_title(logged=found.logged), ("", ""), rows(said)))
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


__all__ = ["add_verify", "verify"]
