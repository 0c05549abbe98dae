"""``quatrefoil proof``: what proofs of bounded updates take and give, and whether one verifies; proofs of answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import output
from quatrefoil.aggregation import ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, stated_shape
from quatrefoil.cli import proof_prove, proof_verify
from quatrefoil.contracts import BoundedUpdate, FurtherClaims, KeyClaim, PartNorm
from quatrefoil.errors import CallerError, HostError, ParametersRefused, ProofRejected
from quatrefoil.proofs import BoundedUpdateProofs, ProofShape
from quatrefoil.proofs.inference import require_bits

NAME = "proof"
HELP = "zero-knowledge proofs: of updates within their bounds, and of answers by committed weights"

SETS = {12: "sum-32-w12", 16: "sum-256-w16", 32: "sum-2048-w32"}


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for name, what, add_options in (
        ("parameters", "the shape and the soundness, term by term, of proofs of one size", _parameters),
        ("prove", "prove that answers in receipts are those of committed weights", proof_prove.add_prove),
        ("verify", "check a proof of answers, P; or one of an update, against a ciphertext and a statement", _verify),
    ):
        add_options(actions.add_parser(name, help=what, description=what))


def run(args: argparse.Namespace) -> None:
    args.action_of(args)


def _parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--parameters", type=int, default=1_048_576, metavar="N", help="values in an update (default: 1048576)"
    )
    _add_bits(parser)
    parser.add_argument(
        "--claims",
        type=int,
        default=0,
        metavar="C",
        help="norms of parts and directions (default: 0)",
    )
    output.add_json_option(parser)
    parser.set_defaults(action_of=_run_parameters)


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, nargs="?", metavar="P", help="a proof of answers; else one of an update:")
    proof_verify.add_verify(parser)
    parser.add_argument("--ciphertext", type=Path, metavar="FILE", help="one silo's contribution")
    parser.add_argument("--proof", type=Path, metavar="FILE", help="the proof about it")
    _add_bits(parser)
    parser.add_argument("--bound", type=int, metavar="B", help="what the squares of the rounded values may add up to")
    parser.add_argument("--context", metavar="HEX", help="the context digest of the round, 32 bytes")
    parser.add_argument("--binding", metavar="HEX", help="what else the proof is bound to, 32 bytes")
    parser.add_argument(
        "--part", action="append", default=[], type=_part, metavar="A:B:BOUND", help="a norm of the values A to B-1"
    )
    parser.add_argument("--direction", type=Path, metavar="FILE", help="the public direction, int16 in an .npy file")
    parser.add_argument("--threads", type=int, default=1, metavar="T", help="threads to use (default: 1)")
    output.add_json_option(parser)
    parser.set_defaults(action_of=_run_verify, misused=parser.error)


def _add_bits(parser: argparse.ArgumentParser) -> None:
    named = ", ".join(f"{bits}: {name}" for bits, name in SETS.items())
    parser.add_argument(
        "--bits", type=int, default=16, metavar="W", help=f"bits of a rounded value, which name the set ({named})"
    )


def _set(bits: int) -> ParameterSet:
    if bits not in SETS:
        raise ParametersRefused(f"no parameter set has {bits} bits a value", hint=f"Choose one of {[*SETS]}")
    return ParameterSet.named(SETS[bits])


def _run_parameters(args: argparse.Namespace) -> None:
    parameters = _set(args.bits)
    shape = ProofShape(parameters, args.parameters, args.claims)
    terms = [{"drawn": t.drawn, "failure": t.failure, "log2_error": t.log2_error} for t in shape.terms]
    content: dict[str, Any] = {"parameter_set": parameters.name, "shape": shape.numbers, "terms": terms}
    output.write_json(args.json, "quatrefoil.proof-parameters/1", {**content, "soundness_bits": shape.soundness_bits})
    if output.only_json(args):
        return
    console = output.console()
    numbers = [(name.replace("_", " "), f"{value:,}") for name, value in shape.numbers.items()]
    title = f"Proofs about {args.parameters:,} values, {parameters.name}"
    console.print(output.table(title, ("shape", "number"), numbers))
    rows = [(t.drawn, t.failure, f"{t.log2_error:.2f}") for t in shape.terms]
    console.print(output.table("Soundness", ("drawn", "what can go wrong", "log2 of the error"), rows))
    console.print(
        f"soundness_bits {shape.soundness_bits:.2f}: the sum of all terms, in the interactive argument. Unaudited."
    )


def _run_verify(args: argparse.Namespace) -> None:
    needed = {f"--{name}": getattr(args, name) for name in ("ciphertext", "proof", "bound", "context", "binding")}
    given = [name for name, value in needed.items() if value is not None]
    if args.file is not None and not given:
        proof_verify.verify(args)
        return
    missing = [name for name in needed if name not in given]
    if missing or args.file is not None or args.log or args.trust:
        args.misused(f"give P with --trust for a proof of answers, or {', '.join(needed)} for one of an update")
    parameters = _set(args.bits)
    ciphertext, proof = _read(args.ciphertext), _read(args.proof)
    shape = stated_shape(ciphertext[:HEADER_BYTES], parameters, context=_digest(args.context, "--context"))
    backend = BoundedUpdateProofs(parameters, threads=args.threads)
    direction = None if args.direction is None else backend.direction(_entries(args.direction))
    further = FurtherClaims(tuple(args.part), direction)
    statement = BoundedUpdate(shape, ciphertext, args.bound, _digest(args.binding, "--binding"), further)
    schema = "quatrefoil.proof-verify/1"
    try:
        verified = backend.verify(statement, proof)
        require_bits(verified.soundness_bits, args.soundness)
    except ProofRejected as error:
        output.write_json(args.json, schema, {"verdict": "rejected", "reason": error.reason})
        raise
    claim = verified.key_claim
    found = {
        "statement": verified.statement.hex(),
        "soundness_bits": verified.soundness_bits,
        "values": shape.length,
        "bound": args.bound,
        "parts": [[part.first, part.end, part.bound] for part in args.part],
        "direction": None if direction is None else direction.digest.hex(),
        "root": claim.root.hex(),
        "key_value": (claim.value if isinstance(claim, KeyClaim) else claim.values).hex(),
    }
    output.write_json(args.json, schema, {"verdict": "accepted", **found})
    if not output.only_json(args):
        rows = [(name.replace("_", " "), f"{value}") for name, value in found.items()]
        output.console().print(output.table("Accepted", ("of the statement", "value"), rows))


def _part(text: str) -> PartNorm:
    try:
        first, end, bound = (int(number) for number in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not FIRST:END:BOUND") from None
    return PartNorm(first, end, bound)


def _entries(file: Path) -> NDArray[np.int16]:
    try:
        entries = np.load(file, allow_pickle=False)
    except Exception as error:  # of NumPy and of what unpacks for it, without a common base
        raise HostError(f"{file} is no array ({str(error)[:100]})", hint="Write it with numpy.save") from None
    if not isinstance(entries, np.ndarray) or entries.dtype != np.int16:
        raise CallerError(f"{file} holds no vector of int16", hint="Scale the direction to 16-bit integers")
    return entries


def _digest(text: str, option: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise CallerError(f"{option} is not 32 bytes in hexadecimal", hint="Give 64 hexadecimal digits")
    return digest


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Name a file that exists") from None
