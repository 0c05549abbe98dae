"""Proofs of single entries (C2SP tlog-proof): made from a log or a bundle, checked offline, and altered."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from party_logs import AT, ROOT, lying, tile_log

from identities import START, TRUSTED, consortium
from quatrefoil import cli
from quatrefoil.audit import Event, ownership
from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import Checkpoint, LogKeys, LogReader
from quatrefoil.tlog.merkle import leaf_hash
from quatrefoil.tlog.proofs import HEADER, LogProof

TRUST = consortium(TRUSTED).trust
NOW = AT.isoformat()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[LogProof], list[bytes], LogKeys]:
    with tile_log(tmp_path_factory.mktemp("log"), "hub") as log:
        log.append_all([Event("x-a", {"n": n}) for n in range(6)])
        reader: LogReader = log.reader()
        proofs = [LogProof.of(reader, index, b"beside") for index in range(reader.size)]
        return proofs, [leaf for _, leaf in reader.leaves()], log.keys


def test_every_leaf_has_a_proof_that_verifies_and_reads_back(made) -> None:
    proofs, leaves, keys = made
    for proof, leaf in zip(proofs, leaves, strict=True):
        assert LogProof.decode(proof.encode()) == proof
        assert proof.verify(leaf_hash(leaf), keys.verifiers).checkpoint.size == len(leaves)


def test_the_form_is_that_of_c2sp(made) -> None:
    lines = made[0][3].encode().decode().split("\n")
    assert lines[:3] == [HEADER, "extra YmVzaWRl", "index 3"] and lines[6] == ""
    assert Checkpoint.parse("".join(f"{line}\n" for line in lines[7:10])).size == 7
    assert dataclasses.replace(made[0][3], extra=b"").encode().decode().split("\n")[1] == "index 3"


@pytest.mark.parametrize("other", [0, 2, 4, 5, 6])
def test_the_proof_of_another_leaf_does_not_verify(made, other: int) -> None:
    proofs, leaves, keys = made
    with pytest.raises(EvidenceRejected):
        proofs[3].verify(leaf_hash(leaves[other]), keys.verifiers)
    with pytest.raises(EvidenceRejected):
        dataclasses.replace(proofs[3], index=other).verify(leaf_hash(leaves[3]), keys.verifiers)


def test_a_proof_under_other_keys_or_one_of_the_two_does_not_verify(made) -> None:
    proofs, leaves, keys = made
    other = LogKeys.generate(keys.origin)
    with pytest.raises(EvidenceRejected):
        proofs[0].verify(leaf_hash(leaves[0]), other.verifiers)
    with pytest.raises(EvidenceRejected):
        proofs[0].verify(leaf_hash(leaves[0]), [keys.verifiers[0], other.verifiers[1]])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("@v1", "@v2"),
        lambda text: text.replace("index 3", "index 03"),
        lambda text: text.replace("index 3", "index -3"),
        lambda text: text.replace("index 3", "index +3"),
        lambda text: text.replace("index 3\n", ""),
        lambda text: text.replace("index 3", "extra YmVzaWRl\nindex 3"),
        lambda text: text.replace("index 3\n", "index 3\n\n"),
        lambda text: text.replace("index 3\n", "index 3\nQUJD\n"),
        lambda text: text.replace("index 3\n", "index 3\n" + "A" * 43 + "=\n" * 1),
        lambda text: text.replace("YmVzaWRl", "YmVzaWRl===="),
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: "\n" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text[:-200],
        lambda text: "",
        lambda text: text.replace("index 3", "index " + "9" * 5000),
    ],
)
def test_any_other_form_is_refused(made, change) -> None:
    proofs, leaves, keys = made
    with pytest.raises(EvidenceRejected):
        LogProof.decode(change(proofs[3].encode().decode()).encode()).verify(leaf_hash(leaves[3]), keys.verifiers)


@given(st.data())
def test_no_byte_of_a_proof_can_be_altered_but_of_what_lies_beside(made, data: st.DataObject) -> None:
    proofs, leaves, keys = made
    encoded = bytearray(proofs[3].encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        proof = LogProof.decode(bytes(encoded))
        proof.verify(leaf_hash(leaves[3]), keys.verifiers)
    except EvidenceRejected:
        return
    # What C2SP leaves open: `extra`, and the names and ids of signatures that no key given here made.
    assert dataclasses.replace(proof, extra=b"beside") == proofs[3]


# --------------------------------------------------------------------------------------------------- the command line


def command(*arguments: object) -> int:
    return cli.main(["audit", "prove", *map(str, arguments), "--trust", str(ROOT), "--at", NOW])


def test_a_proof_out_of_a_bundle_is_checked_without_it(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, leaf = job / "one.tlog-proof", job / "one.leaf"
    given = ("--party", "keeper-keeper", "--out", out, "--leaf", leaf)
    assert command(job / "bundle.zip", "2", *given, "--json", job / "one.json") == 0
    said = json.loads((job / "one.json").read_text())
    (job / "bundle.zip").unlink()
    assert command("--check", out, "--leaf", leaf, "--json", job / "again.json") == 0
    again = json.loads((job / "again.json").read_text())
    assert {**again, "machine": 0} == {**said, "machine": 0} and again["entry"]["index"] == 2
    assert "It holds: entry 2 of quatrefoil/" in capsys.readouterr().out
    leaf.write_bytes(leaf.read_bytes() + b" ")
    assert command("--check", out, "--leaf", leaf) == 1
    assert "is not in the tree" in capsys.readouterr().err


def test_an_entry_is_found_by_its_hash(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(job / "hub", "1", "--out", job / "a", "--leaf", job / "leaf") == 0
    hashed = leaf_hash((job / "leaf").read_bytes()).hex()
    assert command(job / "hub", hashed, "--out", job / "b") == 0
    assert (job / "a").read_bytes() == (job / "b").read_bytes()
    assert command(job / "hub", "ab" * 32, "--out", job / "c") == 1
    assert "has the hash" in capsys.readouterr().err and not (job / "c").exists()


def test_the_index_spares_reading_the_whole_log_and_is_not_believed(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(job / "hub", "3", "--out", job / "a", "--leaf", job / "leaf") == 0
    hashed = leaf_hash((job / "leaf").read_bytes()).hex()
    with monkeypatch.context() as without_a_sweep:
        without_a_sweep.setattr(LogReader, "leaves", lambda _: pytest.fail("every leaf was read"))
        assert command(job / "hub", hashed, "--out", job / "b") == 0
    index = job / "hub" / "log" / "index.sqlite"
    with contextlib.closing(sqlite3.connect(index)) as lying_index, lying_index:
        lying_index.execute("UPDATE entry SET hash = zeroblob(32) WHERE position = 3")
        for position in (1, 1 << 40):
            row = (position, bytes.fromhex(hashed))
            lying_index.execute("INSERT OR REPLACE INTO entry VALUES (?, 'x-a', '', ?)", row)
    assert command(job / "hub", hashed, "--out", job / "c") == 0
    index.write_bytes(b"no database, and long enough to be looked at as one" * 20)
    assert command(job / "hub", hashed, "--out", job / "d") == 0
    assert len({(job / name).read_bytes() for name in "abcd"}) == 1


def test_a_proof_is_of_the_log_of_whoever_signed_beside_it(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another certified party puts its own statement into the proof."""
    assert command(job / "hub", "1", "--out", job / "a", "--leaf", job / "leaf") == 0
    proof = LogProof.decode((job / "a").read_bytes())
    for number, extra in enumerate((b"", (job / "keeper" / "log" / "owner").read_bytes())):
        (job / f"{number}").write_bytes(dataclasses.replace(proof, extra=extra).encode())
        assert command("--check", job / f"{number}", "--leaf", job / "leaf") == 1
    said = capsys.readouterr().err
    assert "does not say whose log it is about" in said and "signed by no key that was given" in said
    assert ownership.claimed(proof.extra).origin.endswith("/hub")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{job}/hub", "1"], "Give DIR INDEX --out FILE"),
        (["--out", "{job}/x"], "Give DIR INDEX --out FILE"),
        (["--check", "{job}/x"], "checked with its entry and a root"),
        (["{job}/hub", "999", "--out", "{job}/x"], "leaf 999 is not in a log"),
        (["{job}/bundle.zip", "1", "--out", "{job}/x"], "holds 6 logs"),
        (["{job}/bundle.zip", "1", "--party", "silo-rome", "--out", "{job}/x"], "no log of silo-rome"),
    ],
)
def test_what_cannot_be_proved_is_one_line(
    job: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*(one.format(job=job) for one in arguments)) == 1
    assert problem in capsys.readouterr().err


def test_proofs_go_on_after_the_log_has_grown(tmp_path: Path) -> None:
    lying(tmp_path, [Event("x-a", {})])
    with tile_log(tmp_path, "hub", lambda: START) as log:
        old = LogProof.of(log.reader(), 1)
        leaf = log.reader().leaf(1)
        log.append_all([Event("x-b", {"n": n}) for n in range(500)])
        assert old.verify(leaf_hash(leaf), log.keys.verifiers).checkpoint.size == 2
        assert LogProof.of(log.reader(), 1).verify(leaf_hash(leaf), log.keys.verifiers).checkpoint.size == 502
