"""python -m bounded_update verify STATEMENT PROOF | vectors DIRECTORY"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .errors import Rejected
from .proof_bytes import largest_length
from .statement_file import load
from .transcript import serialize
from .vectors import write_vectors
from .verifier import verify


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bounded_update", description="The second verifier of proofs.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="check a proof; exit status 1 when it is rejected")
    check.add_argument("statement", type=Path, help="JSON, see statement_file.py")
    check.add_argument("proof", type=Path)
    make = commands.add_parser("vectors", help="write the test vectors again")
    make.add_argument("directory", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "vectors":
        write_vectors(options.directory)
        return 0
    return _verify(options.statement, options.proof)


def _verify(statement_path: Path, proof_path: Path) -> int:
    try:
        statement, blocks = load(statement_path)
        with proof_path.open("rb") as file:
            proof = file.read(largest_length(statement.shape) + 1)
        verified = verify(statement, blocks, proof)
    except Rejected as error:
        print(f"rejected: {error.reason}")
        return 1
    except (OSError, ValueError) as error:
        print(f"cannot read the statement or the proof: {error}", file=sys.stderr)
        return 2
    name = "v" if statement.shape.threshold is None else "V"
    print(f"accepted: {name} = {serialize(verified.key_values).hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
