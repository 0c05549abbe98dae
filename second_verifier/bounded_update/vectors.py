"""The test vectors in tests/vectors/proofs: statements, proofs, and faults that must be seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import encryption
from .claims import NOTHING_FURTHER, Direction, Further, PartNorm, known
from .columns import Columns, Witness, base_columns, count_uses, set_auxiliary
from .commitment import Randomness
from .errors import Rejected
from .field import P
from .mutations import Changed, Mutation, apply, claim_mutations, mutations, share_mutations
from .proof_bytes import Proof
from .prover import Prover
from .shape import SLACK_BITS, SUM_32_W12, SUM_256_W16, ParameterSet, Shape
from .shares import check_share, deal
from .statement import Blocks, Statement, blocks_bytes
from .statement_file import fields_of, parse, parse_blocks
from .threshold import Threshold
from .transcript import Transcript
from .verifier import verify

CONTEXT: Final = bytes(range(32))
BINDING: Final = bytes(range(100, 132))
KEY_SEED: Final = bytes([1]) * 32
NOISE_SEED: Final = bytes([2]) * 32
PROVER_SEED: Final = bytes([3]) * 32
SHARING_SEED: Final = bytes([5]) * 32
CLIP: Final = 1.0
WEIGHT: Final = 0.5


@dataclass
class Case:
    """An honest silo: values v_i = ((i mod 201) - 100) / 128, rounded and encrypted under the seeds above."""

    name: str
    parameters: ParameterSet
    values: int
    slack: int | None  # of the bound above the norm; None for the largest bound
    claims: Callable[[list[int]], Further] = lambda _: NOTHING_FURTHER  # of the values
    fault: str = ""
    spoil: Callable[[Case], None] = lambda _: None  # before the ciphertext is made
    lie: Callable[[Case, Columns], None] = lambda _, __: None  # after the columns are made
    threshold: Threshold | None = None  # of the committee among which the key is shared

    def __post_init__(self) -> None:
        p = self.parameters
        given = [((i % 201) - 100) / 128 for i in range(self.values)]
        q = encryption.rounded(p, NOISE_SEED, CONTEXT, given, CLIP, WEIGHT)
        self.q = encryption.slots(p, q)
        self.errors = encryption.noise(p, NOISE_SEED, CONTEXT, len(self.q))
        self.key = encryption.secret(p, KEY_SEED)
        self.spoil(self)
        self.blocks: Blocks = encryption.encrypt(p, CONTEXT, self.key, self.errors, self.q)
        self.dealt = None if self.threshold is None else deal(p, self.threshold, self.key, SHARING_SEED)
        self.witness = Witness(self.key, encryption.pad(p, KEY_SEED), self.errors, self.q, self.dealt)
        bound = (1 << SLACK_BITS) - 1 if self.slack is None else self.witness.norm() + self.slack
        shape = Shape.of(p, self.values, self.threshold)
        commitments = () if self.dealt is None else self.dealt.commitments
        self.statement = Statement(shape, bound, CONTEXT, BINDING, self.claims(q), commitments)

    def direction(self) -> bytes:
        """Empty where none is claimed."""
        direction = self.statement.further.direction
        return b"" if direction is None else known(direction).to_bytes()

    def prove(self) -> Proof:
        shape = self.statement.shape
        columns = base_columns(
            shape, self.witness, [max(0, slack) for slack in self.witness.differences(self.statement)]
        )
        self.lie(self, columns)
        randomness = Randomness.from_seed(shape, PROVER_SEED)
        transcript = Transcript(self.statement.digest(self.blocks))
        return Prover(self.statement, self.blocks, columns, randomness).run(transcript)


def _part(q: list[int], first: int, end: int, slack: int) -> PartNorm:
    return PartNorm(first, end, sum(x * x for x in q[first:end]) + slack)


def _parts(q: list[int]) -> Further:
    """All values; some of both slots; the two where the slots meet; one."""
    return Further((_part(q, 0, 5000, 0), _part(q, 100, 4500, 7), _part(q, 4095, 4097, 0), _part(q, 4999, 5000, 1)))


def _direction(q: list[int]) -> Further:
    """Entries of both signs, all 16 bits of them, with which the products add up to something positive."""
    entries = [(40503 * i + 7) % 65536 - 32768 for i in range(len(q))]
    sign = 1 if sum(g * x for g, x in zip(entries, q, strict=True)) >= 0 else -1
    return Further(direction=Direction(tuple(max(-32768, min(sign * g, 32767)) for g in entries)))


def _parts_and_direction(q: list[int]) -> Further:
    """Parts that begin and end in either block, and a direction that holds to the unit."""
    parts = (_part(q, 0, 12287, 0), _part(q, 8191, 12289, 1000), _part(q, 12288, 13000, 0))
    magnitudes = [(i * i + 3 * i) % 101 for i in range(len(q))]
    return Further(parts, Direction(direction_leaving(q, magnitudes, 0)))


def direction_leaving(q: list[int], magnitudes: list[int], slack: int) -> tuple[int, ...]:
    """Entries of these magnitudes, with signs of which the slack comes near; the values that are zero do the rest.
    There a magnitude adds to |g|, and takes nothing from the sum."""
    gap, entries = slack, []
    for x, size in zip(q, magnitudes, strict=True):
        sign = -1 if (x > 0) == (gap < len(q) * 30) else 1
        entries.append(sign * size if x else 0)
        gap -= entries[-1] * x + abs(entries[-1])
    for i in (i for i, x in enumerate(q) if x == 0):
        entries[i] = min(max(gap, 0), 32767)
        gap -= entries[i]
    if gap:
        raise ValueError("there is no such direction with these magnitudes")
    return tuple(entries)


ACCEPTED: Final = (
    ("one-block-w16", SUM_256_W16, 545, 1000, lambda _: NOTHING_FURTHER),
    ("one-block-w12", SUM_32_W12, 5000, 0, lambda _: NOTHING_FURTHER),
    ("three-blocks-w16", SUM_256_W16, 2 * 8192 + 4096 + 100, None, lambda _: NOTHING_FURTHER),
    ("parts-w16", SUM_256_W16, 5000, 1000, _parts),
    ("direction-w12", SUM_32_W12, 5000, 0, _direction),
    ("parts-and-direction-w12", SUM_32_W12, 13000, None, _parts_and_direction),
)


SHARED: Final = ("shared-w16", SUM_256_W16, 545, 1000, Threshold(8, 1, 4))


def shared_case(**liar: Any) -> Case:
    """The key among a committee of eight, one hidden from, four in a polynomial."""
    name, parameters, values, slack, threshold = SHARED
    return Case(liar.pop("name", name), parameters, values, slack, threshold=threshold, **liar)


def _value_too_large(case: Case) -> None:
    case.q[0][0][7] = 1 << case.parameters.w - 1


def _error_too_large(case: Case) -> None:
    case.errors[0][4095] = case.parameters.eta + 1


def _value_behind_the_last(case: Case) -> None:
    case.q[0][0][545] = 1


def _negative_slack(case: Case, columns: Columns) -> None:
    """-1 as a bit that is none, in each slack that should be -1."""
    shape = case.statement.shape
    for number, slack in enumerate(case.witness.differences(case.statement)):
        if slack < 0:
            set_auxiliary(shape, columns, shape.slack_start(number), [slack % P])
    count_uses(shape, columns)


def _other_key_in_shares(case: Case, columns: Columns) -> None:
    shape = case.statement.shape
    set_auxiliary(shape, columns, shape.T_S + 3, [(case.key[3] + 1) % P])


def _part_above(q: list[int]) -> Further:
    return Further((_part(q, 0, 545, 0), _part(q, 200, 300, -1)))


def _away(q: list[int]) -> Further:
    return Further(direction=Direction(direction_leaving(q, [int(i == 99) for i in range(len(q))], -1)))


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
        (
            "part-norm-above-bound",
            1000,
            "the norm of values 200 to 300 is above its bound by one, a bit is -1",
            {"claims": _part_above, "lie": _negative_slack},
        ),
        (
            "points-away",
            1000,
            "the products with the direction add up to one less than -|g|, a bit is -1",
            {"claims": _away, "lie": _negative_slack},
        ),
    ]
    fault = "coefficient 3 of the key that is proven to be in shares is one more than in the ciphertext"
    shared = shared_case(name="other-key-in-shares", fault=fault, lie=_other_key_in_shares)
    return [*(Case(name, SUM_256_W16, 545, slack, fault=fault, **liar) for name, slack, fault, liar in cases), shared]


def write_vectors(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    accepted = []
    rejected: list[dict[str, Any]] = []
    for name, parameters, values, slack, claims in ACCEPTED:
        case = Case(name, parameters, values, slack, claims)
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
            fields = fields_of(case.statement, "")
            rejected += _mutated(case, proof, mutations(case.statement.shape, proof, blocks_bytes(case.blocks), fields))
        if name == ACCEPTED[-1][0]:
            rejected += _mutated(case, proof, claim_mutations(fields_of(case.statement, ""), case.direction()))
    shared = write_shared(directory, rejected)
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
        "sharing_seed": SHARING_SEED.hex(),
        "accepted": accepted,
        "shared": [shared],
        "forged": liars,
        "mutated": rejected,
    }
    (directory / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def write_shared(directory: Path, rejected: list[dict[str, Any]]) -> dict[str, Any]:
    """The vector of a key in shares; changes of it are added to those that are rejected."""
    case = shared_case()
    assert case.dealt is not None and case.threshold is not None
    proof = case.prove()
    _write(directory, case, proof)
    verified = verify(case.statement, case.blocks, proof.to_bytes())
    shares = [case.dealt.share(member) for member in range(1, case.threshold.members + 1)]
    for member, share in enumerate(shares, 1):
        given = (verified.statement, verified.root1, verified.key_values, case.threshold, case.statement.commitments)
        check_share(*given, member, share)
    rejected += _mutated(case, proof, share_mutations(case.statement.shape, proof, fields_of(case.statement, "")))
    return {
        "name": case.name,
        "statement_digest": verified.statement.hex(),
        "root1": verified.root1.hex(),
        "V": [value.to_bytes().hex() for value in verified.key_values],
        "shares_sha256": [hashlib.sha256(share).hexdigest() for share in shares],
    }


def _write(directory: Path, case: Case, proof: Proof) -> None:
    fields = fields_of(case.statement, case.name)
    (directory / f"{case.name}.json").write_text(json.dumps(fields, indent=2) + "\n")
    (directory / f"{case.name}.blocks").write_bytes(blocks_bytes(case.blocks))
    (directory / f"{case.name}.proof").write_bytes(proof.to_bytes())
    if case.direction():
        (directory / f"{case.name}.direction").write_bytes(case.direction())


def _mutated(case: Case, proof: Proof, changes: Iterable[Mutation]) -> list[dict[str, Any]]:
    fields, blocks, data = fields_of(case.statement, ""), blocks_bytes(case.blocks), proof.to_bytes()
    result = []
    for mutation in changes:
        reason = _reason_after(apply(mutation, fields, blocks, data, case.direction()))
        result.append({"of": case.name} | mutation | {"reason": reason})
    return result


def _reason_after(changed: Changed) -> str:
    statement, _ = parse(changed.statement, lambda _: changed.direction)
    try:
        given: Blocks = parse_blocks(statement.shape, changed.blocks)
    except Rejected as error:
        return error.reason
    return _reason(statement, given, changed.proof)


def _reason(statement: Statement, blocks: Blocks, proof: bytes) -> str:
    try:
        verify(statement, blocks, proof)
    except Rejected as error:
        return error.reason
    raise AssertionError("a forgery was accepted")
