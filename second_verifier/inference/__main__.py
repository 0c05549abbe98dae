"""python -m inference verify STATEMENT PROOF | vectors DIRECTORY"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bounded_update.errors import Rejected

from .proof_bytes import largest_length
from .statement_file import load
from .vectors import write_vectors
from .verifier import verify

MOST_BITS = 256
"""That anybody may ask for; no proof has as many."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m inference", description="The second verifier of answers.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="check a proof; exit status 1 when it is rejected")
    check.add_argument("statement", type=Path, help="JSON, see statement_file.py")
    check.add_argument("proof", type=Path)
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    check.add_argument("--bits", type=_bits, default=90.0, help="reject fewer bits of soundness (default: 90)")
    make = commands.add_parser("vectors", help="write the test vectors again")
    make.add_argument("directory", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "vectors":
        write_vectors(options.directory)
        return 0
    return _verify(options.statement, options.proof, options.json, options.bits)


def _bits(text: str) -> float:
    """Asking for none, or for what is no number, would take any proof."""
    bits = float(text) if text.replace(".", "", 1).isdecimal() else 0.0
    if not 0 < bits <= MOST_BITS:
        given = f"{text[:40]!r} is no number of bits from above 0 to {MOST_BITS}"
        raise argparse.ArgumentTypeError(f"{given}: leave the option out for 90")
    return bits


def _verify(statement_path: Path, proof_path: Path, as_json: bool, least: float) -> int:
    try:
        statement = load(statement_path)
        with proof_path.open("rb") as file:
            proof = file.read(largest_length(statement.shape) + 1)
        verified = verify(statement, proof)
        if not verified.soundness_bits >= least:
            raise Rejected(f"{verified.soundness_bits:.1f} bits of soundness are fewer than {least:g}")
    except Rejected as error:
        print(json.dumps({"valid": False, "reason": error.reason}) if as_json else f"rejected: {error.reason}")
        return 1
    except (OSError, ValueError) as error:
        print(f"cannot read the statement or the proof: {error}", file=sys.stderr)
        return 2
    if as_json:
        found = {"valid": True, "statement": verified.statement.hex(), "soundness_bits": verified.soundness_bits}
        print(json.dumps(found | {"batch": statement.shape.batch, "model_root": statement.root.hex()}))
    else:
        print(f"accepted: statement {verified.statement.hex()}, {verified.soundness_bits:.1f} bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
