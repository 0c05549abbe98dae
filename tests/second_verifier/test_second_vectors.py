"""The published vectors of proofs, through the second verifier."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bounded_update import Direction, Further, PartNorm, Rejected, Statement, verify
from bounded_update.encryption import secret
from bounded_update.keeper import check_key_seed
from bounded_update.mutations import apply
from bounded_update.shares import check_share, deal
from bounded_update.statement_file import load, parse, parse_blocks
from bounded_update.vectors import ACCEPTED, Case, shared_case

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "vectors" / "proofs"
INDEX = json.loads((FOLDER / "index.json").read_text())
# A third of a second each: of the changes, every fourth is enough for every day.
SLOW = {"three-blocks-w16"} | {entry["name"] for i, entry in enumerate(INDEX["mutated"]) if i % 4}


def marked(entries: list[dict[str, Any]]) -> list[Any]:
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(entry, id=entry["name"], marks=marks[entry["name"] in SLOW]) for entry in entries]


def loaded(name: str) -> tuple[Statement, list[list[int]], bytes]:
    return (*load(FOLDER / f"{name}.json"), (FOLDER / f"{name}.proof").read_bytes())


@pytest.mark.parametrize("entry", marked(INDEX["accepted"]))
def test_accepted_ones_are_accepted(entry: dict[str, Any]) -> None:
    statement, blocks, proof = loaded(entry["name"])
    verified = verify(statement, blocks, proof)
    assert verified.statement.hex() == entry["statement_digest"]
    assert verified.root1.hex() == entry["root1"]
    assert verified.v.to_bytes().hex() == entry["v"]
    given = (statement.shape.parameters, verified.statement, verified.root1, verified.v)
    check_key_seed(*given, bytes.fromhex(INDEX["key_seed"]))
    with pytest.raises(Rejected, match="key"):
        check_key_seed(*given, bytes(32))


@pytest.mark.parametrize("entry", INDEX["shared"], ids=lambda entry: entry["name"])
def test_keys_in_shares_are_accepted_and_so_is_every_share(entry: dict[str, Any]) -> None:
    statement, blocks, proof = loaded(entry["name"])
    verified, threshold = verify(statement, blocks, proof), statement.shape.threshold
    assert (verified.statement.hex(), verified.root1.hex()) == (entry["statement_digest"], entry["root1"])
    assert [value.to_bytes().hex() for value in verified.key_values] == entry["V"]
    assert threshold is not None
    p = statement.shape.parameters
    dealt = deal(p, threshold, secret(p, bytes.fromhex(INDEX["key_seed"])), bytes.fromhex(INDEX["sharing_seed"]))
    given = (verified.statement, verified.root1, verified.key_values, threshold, statement.commitments)
    for member, digest in enumerate(entry["shares_sha256"], 1):
        share = dealt.share(member)
        assert hashlib.sha256(share).hexdigest() == digest
        check_share(*given, member, share)
        with pytest.raises(Rejected):
            check_share(*given, member % 8 + 1, share)


@pytest.mark.parametrize("entry", marked(INDEX["forged"]))
def test_forged_ones_are_rejected(entry: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        verify(*loaded(entry["name"]))
    assert caught.value.reason == entry["reason"]


@pytest.mark.parametrize("entry", marked(INDEX["mutated"]))
def test_mutated_ones_are_rejected(entry: dict[str, Any]) -> None:
    fields = json.loads((FOLDER / f"{entry['of']}.json").read_text())
    blocks, proof = ((FOLDER / f"{entry['of']}.{kind}").read_bytes() for kind in ("blocks", "proof"))
    direction = (FOLDER / fields["direction"]).read_bytes() if "direction" in fields else b""
    changed = apply(entry, fields, blocks, proof, direction)
    assert (changed.statement, changed.blocks, changed.proof, changed.direction) != (fields, blocks, proof, direction)
    with pytest.raises(Rejected) as caught:
        statement, _ = parse(changed.statement, lambda _: changed.direction)
        verify(statement, parse_blocks(statement.shape, changed.blocks), changed.proof)
    assert caught.value.reason == entry["reason"]


@pytest.mark.slow
def test_a_change_of_any_byte_of_a_real_proof_is_rejected() -> None:
    """Sampled: one byte in each of 64 equal parts."""
    statement, blocks, proof = loaded("one-block-w16")
    draw = random.Random(1)
    for part in range(64):
        place = draw.randrange(len(proof) * part // 64, len(proof) * (part + 1) // 64)
        changed = proof[:place] + bytes([proof[place] ^ 1 << draw.randrange(8)]) + proof[place + 1 :]
        with pytest.raises(Rejected):
            verify(statement, blocks, changed)


def test_every_file_is_listed_and_every_name_is_there_once() -> None:
    names = [entry["name"] for kind in ("accepted", "shared", "forged") for entry in INDEX[kind]]
    kinds = ("json", "blocks", "proof")
    expected = {f"{name}.{kind}" for name in names for kind in kinds} | {"index.json", "README.md"}
    stated = (json.loads((FOLDER / f"{name}.json").read_text()) for name in names)
    expected |= {fields["direction"] for fields in stated if "direction" in fields}
    assert {file.name for file in FOLDER.iterdir()} == expected
    mutated = [entry["name"] for entry in INDEX["mutated"]]
    assert len(set(mutated)) == len(mutated) and INDEX["version"] == 1
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 2_600_000


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(ACCEPTED)))
def test_the_vectors_can_be_made_again(index: int) -> None:
    name = ACCEPTED[index][0]
    case = Case(*ACCEPTED[index])
    assert case.prove().to_bytes() == (FOLDER / f"{name}.proof").read_bytes()


@pytest.mark.slow
def test_the_vector_of_a_key_in_shares_can_be_made_again() -> None:
    assert shared_case().prove().to_bytes() == (FOLDER / "shared-w16.proof").read_bytes()


def test_sharings_as_files_are_read_strictly() -> None:
    fields = json.loads((FOLDER / "shared-w16.json").read_text())
    sharing = fields["sharing"]
    for change in (
        None,
        [],
        {name: value for name, value in sharing.items() if name != "packing"},
        sharing | {"members": 9},
        sharing | {"members": True},
        sharing | {"privacy": 0},
        sharing | {"packing": 3},
        sharing | {"commitments": sharing["commitments"][1:]},
        sharing | {"commitments": [*sharing["commitments"][1:], 5]},
        sharing | {"commitments": [*sharing["commitments"][1:], "00"]},
        sharing | {"more": 1},
    ):
        with pytest.raises(ValueError):
            parse(fields | {"sharing": change}, nothing_beside)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.'); import bounded_update.__main__ as m; "]
    program[-1] += f"sys.exit(m.main({list(arguments)!r}))"
    return subprocess.run(program, cwd=ROOT / "second_verifier", capture_output=True, text=True, check=False)


def test_the_command_accepts_rejects_and_cannot_read(tmp_path: Path) -> None:
    accepted = command("verify", str(FOLDER / "one-block-w16.json"), str(FOLDER / "one-block-w16.proof"))
    v = INDEX["accepted"][0]["v"]
    assert (accepted.returncode, accepted.stdout) == (0, f"accepted: v = {v}\n")
    rejected = command("verify", str(FOLDER / "one-block-w16.json"), str(FOLDER / "error-too-large.proof"))
    assert (rejected.returncode, rejected.stdout) == (1, "rejected: the proof is about another statement\n")
    for wrong in ("{}", "[]", "no JSON", json.dumps({"parameters": 1})):
        (tmp_path / "wrong.json").write_text(wrong)
        unread = command("verify", str(tmp_path / "wrong.json"), str(FOLDER / "one-block-w16.proof"))
        assert unread.returncode == 2 and "cannot read" in unread.stderr and "Traceback" not in unread.stderr


def test_statements_as_files_are_read_strictly() -> None:
    fields = json.loads((FOLDER / "one-block-w16.json").read_text())
    for change in (
        {"values": "545"},
        {"values": True},
        {"bound": 1 << 62},
        {"context": "00"},
        {"binding": "zz" * 32},
        {"parameters": fields["parameters"] | {"eta": 1}},
        {"parameters": fields["parameters"] | {"w": 32}},
        {"more": 1},
    ):
        with pytest.raises(ValueError):
            parse(fields | change, nothing_beside)
    with pytest.raises(ValueError):
        parse({name: value for name, value in fields.items() if name != "binding"}, nothing_beside)


def nothing_beside(name: str) -> bytes:
    raise AssertionError(f"{name} was read")


def test_claims_as_files_are_read_strictly() -> None:
    fields = json.loads((FOLDER / "one-block-w16.json").read_text())
    assert "parts" not in fields and "direction" not in fields
    for parts in (
        [],
        None,
        {"0": 1},
        [0, 545, 1],
        [[0, 545]],
        [[0, 545, 1, 1]],
        [[0, 545, 1.0]],
        [[False, 545, 1]],
        [["0", 545, 1]],
        [[0, 546, 1]],
        [[3, 3, 1]],
        [[-1, 3, 1]],
        [[0, 1, 1 << 62]],
        [[0, 1, -1]],
        [[0, 1, 1]] * 57,
    ):
        with pytest.raises(ValueError):
            parse(fields | {"parts": parts}, nothing_beside)
    for length in (0, 1, 2 * 544, 2 * 545 - 1, 2 * 545 + 1, 2 * 546):
        with pytest.raises(ValueError):
            parse(fields | {"direction": "there"}, lambda _, length=length: bytes(length))
    for name in (None, 3, ["there"]):
        with pytest.raises(ValueError):
            parse(fields | {"direction": name}, nothing_beside)
    given = fields | {"parts": [[0, 545, 1]], "direction": "there"}
    statement, _ = parse(given, lambda _: b"\xff\xff\x00\x80" * 272 + b"\x01\x00")
    assert statement.further == Further((PartNorm(0, 545, 1),), Direction((-1, -32768) * 272 + (1,)))


def test_a_direction_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    fields = json.loads((FOLDER / "one-block-w16.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps(fields | {"direction": "s.direction"}))
    (tmp_path / fields["blocks"]).write_bytes((FOLDER / fields["blocks"]).read_bytes())
    proof = str(FOLDER / "one-block-w16.proof")
    for content in (None, bytes(2 * 544), bytes(2 * 545)):
        if content is not None:
            (tmp_path / "s.direction").write_bytes(content)
        unread = command("verify", str(tmp_path / "s.json"), proof)
        readable = content == bytes(2 * 545)
        assert unread.returncode == (1 if readable else 2)
        assert ("another statement" in unread.stdout) is readable and "Traceback" not in unread.stderr
