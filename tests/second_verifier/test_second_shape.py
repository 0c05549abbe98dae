"""Shapes, statements and streams of the second verifier, held to the pages."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_proofs import CONTEXT, Silo, run, toy_shape

from bounded_update import (
    PARAMETER_SETS,
    SUM_32_W12,
    SUM_256_W16,
    ParameterSet,
    Rejected,
    Shape,
    Statement,
    encryption,
    verify,
)
from bounded_update.field import P
from bounded_update.proof_bytes import tree_widths
from bounded_update.shape import SLACK_BITS, SUM_2048_W32, least_queries
from bounded_update.soundness import missed, soundness_bits, terms

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "proofs.md").read_text()
SIZES = [
    (p, blocks) for p in (SUM_256_W16, SUM_32_W12) for blocks in (1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 128, 1025, 2048)
]


def shape_of(parameters: ParameterSet, blocks: int) -> Shape:
    return Shape.of(parameters, blocks * parameters.N * parameters.k)


def page_table() -> dict[str, dict[int, int]]:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if re.match(r"\| (ell|log2|Q)", line)]
    columns = [int(cell) for cell in rows[0][1:]]
    return {
        row[0].strip(): dict(zip(columns, map(int, row[1:]), strict=True))
        for row in rows[1:]
        if len(row) == len(rows[0])
    }


def test_codes_are_those_of_the_page() -> None:
    table, seen = page_table(), set()
    for parameters, blocks in [(p, 1 << i) for p in (SUM_256_W16, SUM_32_W12) for i in range(12)]:
        shape = shape_of(parameters, blocks)
        code, row = shape.code, shape.row_code
        page = {name: values[shape.ell] for name, values in table.items()}
        assert page["log2 C"] == code.C.bit_length() - 1 and page["log2 n"] == code.n.bit_length() - 1
        assert page["log2 C2"] == row.C.bit_length() - 1 and page["log2 n2"] == row.n.bit_length() - 1
        assert (page["Q"], page["Q2"]) == (code.Q, row.Q)
        seen.add(shape.ell)
    assert seen == set(range(12, 22)) == set(table["Q"])


def test_the_number_of_queries_is_the_least() -> None:
    for C, n, appended in ((2048, 16384, True), (8192, 32768, True), (256, 4096, False)):
        Q = least_queries(C, n, appended)
        for count, enough in ((Q, True), (Q - 1, False)):
            K = C + count if appended else C
            assert ((n + K) ** count << 102 <= (2 * n) ** count) is enough


@pytest.mark.parametrize(("parameters", "blocks"), SIZES, ids=[f"{p.name}-{j}" for p, j in SIZES])
def test_shapes_hold_what_the_page_says(parameters: ParameterSet, blocks: int) -> None:
    shape = shape_of(parameters, blocks)
    assert (shape.G - 1) * shape.S < shape.J <= shape.G * shape.S
    assert shape.T_E % 64 == 0 and shape.T_P % 64 == 0 and shape.T_S % parameters.N == 0
    assert (shape.A - 1) * shape.L < shape.T_S + parameters.N <= shape.A * shape.L
    assert shape.m == shape.c + 2 * shape.m_q and sum(shape.degrees) + shape.m == shape.M
    assert sum(len(chunk) for chunk in shape.chunks) == shape.lookups + shape.A_T
    first, second, third = tree_widths(shape)
    assert max(first, second) <= 124 and third <= 128  # a leaf is one chunk of BLAKE3
    assert shape.G * shape.L * parameters.k * 4 ** (parameters.w - 1) + 2**SLACK_BITS < P
    assert shape.M <= shape.code.C


@pytest.mark.parametrize(("parameters", "blocks"), SIZES, ids=[f"{p.name}-{j}" for p, j in SIZES])
def test_the_argument_is_sound_to_about_2_to_the_minus_100(parameters: ParameterSet, blocks: int) -> None:
    shape = shape_of(parameters, blocks)
    assert missed(shape.code) * 2**102 <= 1 and missed(shape.row_code) * 2**102 <= 1
    assert 99.7 <= soundness_bits(shape) <= 100.2
    found = terms(shape)
    assert sum(sorted(found.values())[:-2]) * 2**102 < 1  # all but the positions
    assert len(found) == 13


@pytest.mark.parametrize(
    ("parameters", "values", "message"),
    [
        (SUM_2048_W32, 1, "w = 12 and w = 16"),
        (SUM_256_W16, 0, "1 to 2048 blocks"),
        (SUM_256_W16, 2048 * 8192 + 1, "1 to 2048 blocks"),
    ],
)
def test_there_is_no_proof_for_other_sizes(parameters: ParameterSet, values: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shape.of(parameters, values)


def test_parts_that_do_not_fit_are_refused() -> None:
    shape = toy_shape(2, 2, 40)
    for change in (
        {"b": 3},
        {"D": 0},
        {"S": 3},
        {"S": 2},  # too short for the pad and the slack in one column
        {"code": replace(shape.code, C=128)},
        {"code": replace(shape.code, Q=100)},
        {"row_code": replace(shape.row_code, n=4)},
        {"row_code": replace(shape.row_code, C=64)},
    ):
        with pytest.raises(ValueError):
            replace(shape, **change)
    with pytest.raises(ValueError, match="the noise or the sum"):
        ParameterSet("too-many-silos", 16, 2, 4096, 15)


@pytest.mark.parametrize("numbers", [(0, 2, 256, 15), (1 << 31, 2, 256, 15), (16, 0, 256, 15), (16, 2, 0, 15)])
@pytest.mark.parametrize("last", [-1, 1 << 200])
def test_numbers_that_no_parameter_set_has_are_refused_before_they_are_exponents(
    numbers: tuple[int, int, int, int], last: int
) -> None:
    for given in (numbers, (16, 2, 256, last), (16, last, 256, 15)):
        with pytest.raises(ValueError, match="outside of what any has"):
            ParameterSet("made up", *given)


def test_statements_keep_to_their_ranges() -> None:
    shape = toy_shape(2, 2, 40)
    for bound in (-1, 1 << SLACK_BITS):
        with pytest.raises(ValueError, match="bound"):
            Statement(shape, bound, CONTEXT, CONTEXT)
    for context, binding in ((bytes(31), CONTEXT), (CONTEXT, bytes(33))):
        with pytest.raises(ValueError, match="32 bytes"):
            Statement(shape, 0, context, binding)


def test_every_field_of_a_statement_is_in_its_digest() -> None:
    silo = Silo(toy_shape(2, 2, 40))
    statement, blocks = silo.statement(), silo.blocks()
    others = [
        replace(statement, bound=statement.bound + 1),
        replace(statement, context=bytes(32)),
        replace(statement, binding=bytes(32)),
        replace(statement, shape=toy_shape(2, 2, 39)),
        replace(statement, shape=toy_shape(2, 4, 40)),
        replace(statement, shape=replace(silo.shape, code=replace(silo.shape.code, Q=13))),
        replace(statement, shape=replace(silo.shape, row_code=replace(silo.shape.row_code, Q=17))),
        replace(statement, shape=replace(silo.shape, parameters=replace(silo.shape.parameters, name="toy"))),
    ]
    digests = {other.digest(blocks) for other in (statement, *others)}
    changed = [[(blocks[0][0] + 1) % P, *blocks[0][1:]], *blocks[1:]]
    assert len(digests | {statement.digest(changed)}) == len(others) + 2
    assert len(statement.to_bytes(bytes(32))) == 14 * 4 + 2 * 8 + 4 * 32


def test_ciphertexts_of_another_size_or_with_words_above_p_are_refused() -> None:
    silo = Silo(toy_shape(2, 2, 40))
    proof = run(silo.prover()).to_bytes()
    statement, blocks = silo.statement(), silo.blocks()
    for wrong in (blocks[:-1], [*blocks, blocks[0]], [blocks[0][:-1], *blocks[1:]]):
        with pytest.raises(Rejected, match="length"):
            verify(statement, wrong, proof)
    with pytest.raises(Rejected, match="below p"):
        verify(statement, [[P, *blocks[0][1:]], *blocks[1:]], proof)


def test_digests_of_parameter_sets_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "additive-encryption.md").read_text()
    found = dict(re.findall(r"\| `([\w-]+)` \| parameters \| `(\w{64})` \|", page))
    assert {name: p.digest().hex() for name, p in PARAMETER_SETS.items()} == found


def test_the_ciphertext_is_that_of_the_page() -> None:
    p = SUM_256_W16
    values = [((i % 201) - 100) / 128 for i in range(10000)]
    key = encryption.secret(p, bytes([1]) * 32)
    q = encryption.slots(p, encryption.rounded(p, bytes([2]) * 32, CONTEXT, values, 1.0, 0.5))
    blocks = encryption.encrypt(p, CONTEXT, key, encryption.noise(p, bytes([2]) * 32, CONTEXT, 2), q)
    header = b"QFADDSUM" + struct.pack("<HHIQ", 1, 0, 1, 10000) + p.digest() + CONTEXT + struct.pack("<d", 1.0)
    ciphertext = header + b"".join(struct.pack("<4096Q", *block) for block in blocks)
    page = (ROOT / "docs" / "additive-encryption.md").read_text()
    assert hashlib.sha256(ciphertext).hexdigest() in page


def test_it_needs_the_standard_library_and_nothing_else() -> None:
    program = """
import sys, pkgutil, importlib
sys.path.insert(0, "second_verifier")
import bounded_update
for module in pkgutil.iter_modules(bounded_update.__path__):
    if module.name != "__main__":
        importlib.import_module("bounded_update." + module.name)
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"bounded_update"}
assert foreign <= {"__main__"}, foreign
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], cwd=ROOT, check=True)
