"""The test vectors in tests/vectors/proofs: statements, proofs, and faults that must be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import encryption
from .columns import Columns, Witness, base_columns, count_uses, set_auxiliary
from .commitment import Randomness
from .errors import Rejected
from .field import P
from .mutations import apply, mutations
from .proof_bytes import Proof
from .prover import Prover
from .shape import SLACK_BITS, SUM_32_W12, SUM_256_W16, ParameterSet, Shape
from .statement import Blocks, Statement, blocks_bytes
from .statement_file import fields_of, parse, parse_blocks
from .transcript import Transcript
from .verifier import verify

CONTEXT: Final = bytes(range(32))
BINDING: Final = bytes(range(100, 132))
KEY_SEED: Final = bytes([1]) * 32
NOISE_SEED: Final = bytes([2]) * 32
PROVER_SEED: Final = bytes([3]) * 32
CLIP: Final = 1.0
WEIGHT: Final = 0.5


@dataclass
class Case:
    """An honest silo: values v_i = ((i mod 201) - 100) / 128, rounded and encrypted under the seeds above."""

    name: str
    parameters: ParameterSet
    values: int
    slack: int | None  # of the bound above the norm; None for the largest bound
    fault: str = ""
    spoil: Callable[[Case], None] = lambda _: None  # before the ciphertext is made
    lie: Callable[[Case, Columns], None] = lambda _, __: None  # after the columns are made

    def __post_init__(self) -> None:
        p = self.parameters
        given = [((i % 201) - 100) / 128 for i in range(self.values)]
        q = encryption.rounded(p, NOISE_SEED, CONTEXT, given, CLIP, WEIGHT)
        self.q = encryption.slots(p, q)
        self.errors = encryption.noise(p, NOISE_SEED, CONTEXT, len(self.q))
        self.key = encryption.secret(p, KEY_SEED)
        self.spoil(self)
        self.blocks: Blocks = encryption.encrypt(p, CONTEXT, self.key, self.errors, self.q)
        self.witness = Witness(self.key, encryption.pad(p, KEY_SEED), self.errors, self.q)
        bound = (1 << SLACK_BITS) - 1 if self.slack is None else self.witness.norm() + self.slack
        self.statement = Statement(Shape.of(p, self.values), bound, CONTEXT, BINDING)

    def prove(self) -> Proof:
        shape = self.statement.shape
        columns = base_columns(shape, self.witness, max(0, self.statement.bound - self.witness.norm()))
        self.lie(self, columns)
        randomness = Randomness.from_seed(shape, PROVER_SEED)
        transcript = Transcript(self.statement.digest(self.blocks))
        return Prover(self.statement, self.blocks, columns, randomness).run(transcript)


ACCEPTED: Final = (
    ("one-block-w16", SUM_256_W16, 545, 1000),
    ("one-block-w12", SUM_32_W12, 5000, 0),
    ("three-blocks-w16", SUM_256_W16, 2 * 8192 + 4096 + 100, None),
)


def _value_too_large(case: Case) -> None:
    case.q[0][0][7] = 1 << case.parameters.w - 1


def _error_too_large(case: Case) -> None:
    case.errors[0][4095] = case.parameters.eta + 1


def _value_behind_the_last(case: Case) -> None:
    case.q[0][0][545] = 1


def _negative_slack(case: Case, columns: Columns) -> None:
    """-1 as a bit that is none."""
    shape = case.statement.shape
    set_auxiliary(shape, columns, shape.T_P + 2, [P - 1])
    count_uses(shape, columns)


def forged() -> list[Case]:
    """Liars who do everything else right."""
    cases: list[tuple[str, int, str, dict[str, Any]]] = [
        ("value-too-large", 1000, "value 7 is 2^15, above the range by one", {"spoil": _value_too_large}),
        ("error-too-large", 1000, "the error of coefficient 4095 is 43", {"spoil": _error_too_large}),
        ("value-behind-the-last", 1000, "the slot behind the last value is 1", {"spoil": _value_behind_the_last}),
        (
            "norm-above-bound",
            -1,
            "the norm is above the bound by one, a bit is -1",
            {"lie": _negative_slack},
        ),
    ]
    return [Case(name, SUM_256_W16, 545, slack, fault, **liar) for name, slack, fault, liar in cases]


def write_vectors(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    accepted, rejected = [], []
    for name, parameters, values, slack in ACCEPTED:
        case = Case(name, parameters, values, slack)
        proof = case.prove()
        _write(directory, case, proof)
        verified = verify(case.statement, case.blocks, proof.to_bytes())
        accepted.append(
            {
                "name": name,
                "statement_digest": verified.statement.hex(),
                "root1": verified.root1.hex(),
                "v": verified.v.to_bytes().hex(),
            }
        )
        if name == ACCEPTED[0][0]:
            rejected = _mutated(case, proof)
    liars = []
    for case in forged():
        proof = case.prove()
        _write(directory, case, proof)
        reason = _reason(case.statement, case.blocks, proof.to_bytes())
        liars.append({"name": case.name, "fault": case.fault, "reason": reason})
    index = {
        "version": 1,
        "values": "v_i = ((i mod 201) - 100) / 128, with clip 1 and weight 0.5",
        "key_seed": KEY_SEED.hex(),
        "noise_seed": NOISE_SEED.hex(),
        "prover_seed": PROVER_SEED.hex(),
        "accepted": accepted,
        "forged": liars,
        "mutated": rejected,
    }
    (directory / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def _write(directory: Path, case: Case, proof: Proof) -> None:
    fields = fields_of(case.statement, f"{case.name}.blocks")
    (directory / f"{case.name}.json").write_text(json.dumps(fields, indent=2) + "\n")
    (directory / f"{case.name}.blocks").write_bytes(blocks_bytes(case.blocks))
    (directory / f"{case.name}.proof").write_bytes(proof.to_bytes())


def _mutated(case: Case, proof: Proof) -> list[dict[str, Any]]:
    fields, blocks, data = fields_of(case.statement, ""), blocks_bytes(case.blocks), proof.to_bytes()
    result = []
    for mutation in mutations(case.statement.shape, proof, blocks, fields):
        changed = apply(mutation, fields, blocks, data)
        statement, _ = parse(changed.statement)
        try:
            given: Blocks = parse_blocks(statement.shape, changed.blocks)
            reason = _reason(statement, given, changed.proof)
        except Rejected as error:
            reason = error.reason
        result.append({"of": case.name} | mutation | {"reason": reason})
    return result


def _reason(statement: Statement, blocks: Blocks, proof: bytes) -> str:
    try:
        verify(statement, blocks, proof)
    except Rejected as error:
        return error.reason
    raise AssertionError("a forgery was accepted")
