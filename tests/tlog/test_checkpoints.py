"""Checkpoints: examples of C2SP, another implementation's signatures, and what is refused though most of it holds."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tlog.small_logs import BOTH, NOON, STRANGERS, ed25519, keys_of, ml_dsa_44

from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog.checkpoints import (
    ED25519_COSIGNATURE,
    Checkpoint,
    Signer,
    read_checkpoint,
    require_origin,
)
from quatrefoil.tlog.merkle import EMPTY_ROOT, LARGEST_SIZE
from quatrefoil.tlog.notes import Note, NoteSignature, VerifierKey

# The example of tlog-checkpoint.md and tlog-cosignature.md, https://c2sp.org. Neither gives a key for it.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501
RECORDED = Path(__file__).parents[1] / "vectors" / "tlog" / "cosigned-checkpoint.txt"

CHECKPOINT = Checkpoint("log.example/north", 3, bytes(range(32)))


def signed(*signers: Signer, of: Checkpoint = CHECKPOINT, at: datetime = NOON) -> bytes:
    return Note(of.text(), tuple(signer.sign(of, at) for signer in signers)).encode()


def altered(data: bytes, number: int, signature: bytes) -> bytes:
    """The note with other bytes as the signature of one line."""
    note = Note.decode(data)
    lines = list(note.signatures)
    lines[number] = NoteSignature(lines[number].name, lines[number].key_id, signature)
    return Note(note.text, tuple(lines)).encode()


# ----------------------------------------------------------------------------------------------- what others have made


def test_the_example_reads_and_its_cosignature_has_its_time() -> None:
    note = Note.decode(EXAMPLE.encode())
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == note.text and note.encode() == EXAMPLE.encode()
    log, witness = note.signatures
    assert (log.name, len(log.signature)) == (checkpoint.origin, 64)
    assert (witness.name, len(witness.signature)) == ("witness.example.com/w1", 72)
    assert struct.unpack(">Q", witness.signature[:8]) == (1679315147,)


def test_another_implementation_has_cosigned() -> None:
    """tests/vectors/tlog/README.md says what made it."""
    log = ed25519("example.com/behind-the-sofa", bytes(range(32, 64)))
    witness = ml_dsa_44("witness.example.com/pq", bytes(range(32)))
    older = VerifierKey("witness.example.com/ed", ED25519_COSIGNATURE, log.verifier.public)
    found = read_checkpoint(RECORDED.read_bytes(), [log.verifier, witness.verifier, older])
    at = datetime.fromtimestamp(1679315147, UTC)
    assert found.checkpoint == Checkpoint.parse(Note.decode(EXAMPLE.encode()).text)
    assert [one.at for one in map(found.by, (log.verifier, witness.verifier, older)) if one] == [None, at, at]
    for number in range(3):
        lines = found.note.signatures
        broken = lines[number].signature[:-1] + bytes([lines[number].signature[-1] ^ 1])
        with pytest.raises(EvidenceRejected, match=f"signature of {lines[number].name} does not fit"):
            read_checkpoint(altered(RECORDED.read_bytes(), number, broken), [log.verifier, witness.verifier, older])


# ---------------------------------------------------------------------------------------------------- signed and read


def test_both_keys_of_a_log_sign_and_each_suffices_to_read() -> None:
    found = read_checkpoint(signed(*BOTH), keys_of())
    found.require(keys_of())
    assert found.checkpoint == CHECKPOINT
    assert [one.at for one in found.signed] == [None, NOON]
    for signer in BOTH:
        alone = read_checkpoint(signed(*BOTH), [signer.verifier])
        assert [one.key for one in alone.signed] == [signer.verifier]


@pytest.mark.parametrize("gone, words", [(0, "no Ed25519 signature"), (1, "no ML-DSA-44 cosignature signature")])
def test_a_checkpoint_with_one_of_two_signatures_removed_is_named(gone: int, words: str) -> None:
    """It still reads; whoever demands both keys is told which is missing."""
    found = read_checkpoint(signed(BOTH[1 - gone]), keys_of())
    with pytest.raises(EvidenceRejected, match=words) as raised:
        found.require(keys_of())
    assert raised.value.check == "checkpoint" and CHECKPOINT.origin in raised.value.problem


def test_under_other_keys_it_is_signed_by_nobody() -> None:
    with pytest.raises(EvidenceRejected, match="signed by no key that was given") as raised:
        read_checkpoint(signed(*BOTH), keys_of(STRANGERS))
    assert raised.value.check == "checkpoint"
    with pytest.raises(EvidenceRejected, match="signed by no key"):
        read_checkpoint(signed(*BOTH), [])


def test_lines_of_unknown_keys_are_passed_over_and_those_of_known_keys_are_not() -> None:
    unknown = ed25519("witness.example", b"7" * 32)
    read_checkpoint(signed(unknown, *BOTH), keys_of()).require(keys_of())
    for number in range(2):
        lines = Note.decode(signed(*BOTH)).signatures
        with pytest.raises(EvidenceRejected, match="does not fit the checkpoint"):
            read_checkpoint(altered(signed(*BOTH), number, bytes(len(lines[number].signature))), keys_of())


def test_a_line_that_takes_the_name_and_id_of_a_known_key_spoils_the_note() -> None:
    stranger = STRANGERS[0].sign(CHECKPOINT, NOON)
    posing = NoteSignature(stranger.name, BOTH[0].verifier.key_id, stranger.signature)
    note = Note.decode(signed(*BOTH))
    with pytest.raises(EvidenceRejected, match="does not fit"):
        read_checkpoint(Note(note.text, (*note.signatures, posing)).encode(), keys_of())


@pytest.mark.parametrize("signer", BOTH, ids=["Ed25519", "ML-DSA-44"])
@pytest.mark.parametrize(
    "other",
    [replace(CHECKPOINT, size=4), replace(CHECKPOINT, root=bytes(32)), replace(CHECKPOINT, origin="log.example/south")],
    ids=["size", "root", "origin"],
)
def test_a_signature_is_of_one_checkpoint(signer: Signer, other: Checkpoint) -> None:
    moved = Note(other.text(), (signer.sign(CHECKPOINT, NOON),)).encode()
    with pytest.raises(EvidenceRejected, match="does not fit"):
        read_checkpoint(moved, [signer.verifier])


def test_a_cosignature_is_of_one_name_and_one_time() -> None:
    """The name is signed with it: the same key under another name has made no statement."""
    line = ml_dsa_44().sign(CHECKPOINT, NOON)
    renamed = ml_dsa_44("another.example")
    moved = NoteSignature(renamed.name, renamed.verifier.key_id, line.signature)
    later = NoteSignature(line.name, line.key_id, struct.pack(">Q", 1 + int(NOON.timestamp())) + line.signature[8:])
    for signer, wrong in ((renamed, moved), (ml_dsa_44(), later)):
        with pytest.raises(EvidenceRejected, match="does not fit"):
            read_checkpoint(Note(CHECKPOINT.text(), (wrong,)).encode(), [signer.verifier])


def test_a_cosignature_of_time_zero_says_nothing_of_a_largest_tree_and_is_refused() -> None:
    """tlog-cosignature allows zero for subtrees; it is signed as such here, and sound but for that."""
    signer, origin = ml_dsa_44(), CHECKPOINT.origin.encode()
    message = (
        b"subtree/v1\n\0" + bytes([len(signer.name)]) + signer.name.encode() + bytes(8) + bytes([len(origin)]) + origin
        + bytes(8) + CHECKPOINT.size.to_bytes(8, "big") + CHECKPOINT.root
    )  # fmt: skip
    line = NoteSignature(signer.name, signer.verifier.key_id, bytes(8) + signer.key.sign(message))
    with pytest.raises(EvidenceRejected, match="ML-DSA-44 cosignature signature of log") as raised:
        read_checkpoint(Note(CHECKPOINT.text(), (line,)).encode(), [signer.verifier])
    assert raised.value.check == "checkpoint"


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 63, 65, 2427, 2429])
@pytest.mark.parametrize("number", [0, 1], ids=["Ed25519", "ML-DSA-44"])
def test_a_signature_of_another_length_is_refused(number: int, length: int) -> None:
    if length:
        with pytest.raises(EvidenceRejected, match="does not fit"):
            read_checkpoint(altered(signed(*BOTH), number, bytes(length)), keys_of())
    else:
        with pytest.raises(EvidenceRejected, match="is no signature"):
            read_checkpoint(altered(signed(*BOTH), number, b""), keys_of())


@pytest.mark.parametrize("timestamp", [1 << 63, (1 << 64) - 1, (1 << 63) - 1])
def test_a_time_that_no_calendar_has_is_refused(timestamp: int) -> None:
    line = ml_dsa_44().sign(CHECKPOINT, NOON)
    late = NoteSignature(line.name, line.key_id, struct.pack(">Q", timestamp) + line.signature[8:])
    with pytest.raises(EvidenceRejected, match="does not fit"):
        read_checkpoint(Note(CHECKPOINT.text(), (late,)).encode(), [ml_dsa_44().verifier])


def test_a_key_of_a_type_that_signs_no_checkpoints_is_named() -> None:
    key = VerifierKey("log.example", 2, bytes(32))
    note = Note(CHECKPOINT.text(), (NoteSignature(key.name, key.key_id, bytes(64)),)).encode()
    with pytest.raises(EvidenceRejected, match="of type 2, which signs no checkpoints"):
        read_checkpoint(note, [key])


def test_extension_lines_of_others_are_kept_and_signed_by_ed25519() -> None:
    extended = replace(CHECKPOINT, extensions=("extension one", "two"))
    assert read_checkpoint(signed(*BOTH, of=extended), keys_of()).checkpoint == extended
    with pytest.raises(EvidenceRejected, match="Ed25519 signature"):
        read_checkpoint(Note(CHECKPOINT.text(), Note.decode(signed(*BOTH, of=extended)).signatures).encode(), keys_of())


# --------------------------------------------------------------------------------------------------------------- forms

TEXT = CHECKPOINT.text()
ROOT = TEXT.split("\n")[2]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "three or more lines"),
        ("origin\n", "three or more lines"),
        ("origin\n3\n", "three or more lines"),
        (TEXT[:-1], "three or more lines"),
        (TEXT + "\n", "three or more lines"),
        (TEXT + "\nextension\n", "three or more lines"),
        ("\n" + TEXT, "three or more lines"),
        (TEXT.replace("\n3\n", "\n\n"), "three or more lines"),
        (TEXT.replace("\n3\n", "\n03\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n-3\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n+3\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n 3\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n3_0\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n0x3\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n٣\n"), "decimal size"),
        (TEXT.replace("\n3\n", "\n³\n"), "decimal size"),
        (TEXT.replace("\n3\n", f"\n{10**19}\n"), "decimal size"),
        (TEXT.replace("\n3\n", f"\n{LARGEST_SIZE + 1}\n"), "no tree has"),
        (TEXT.replace("\n3\n", "\n0\n"), "empty tree another root"),
        (TEXT.replace(ROOT, "not base64!"), "no root in base64"),
        (TEXT.replace(ROOT, ROOT[:-1]), "no root in base64"),
        (TEXT.replace(ROOT, ROOT[:-2] + "9="), "no tree has"),
        (TEXT.replace(ROOT, ROOT[:-4]), "no tree has"),
        (TEXT.replace(ROOT, "AAAA" + ROOT), "no tree has"),
        (TEXT.replace(ROOT, "é" + ROOT[1:]), "no root in base64"),
    ],
)
def test_a_text_of_another_form_is_refused(text: str, problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as raised:
        Checkpoint.parse(text)
    assert raised.value.check == "checkpoint"


lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(lines, st.integers(1, LARGEST_SIZE), st.binary(min_size=32, max_size=32), st.lists(lines, max_size=3))
def test_a_checkpoint_reads_back_as_it_was_written(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


def test_the_checkpoint_of_an_empty_tree() -> None:
    empty = Checkpoint("log.example", 0, EMPTY_ROOT)
    assert Checkpoint.parse(empty.text()) == empty


# ------------------------------------------------------------------------------------------------------------- signers


@pytest.mark.parametrize("name", ["n" * 256, "é" * 128])
def test_a_name_without_room_in_a_cosignature_is_the_callers_fault(name: str) -> None:
    with pytest.raises(CallerError, match="no room for a name of 256 bytes"):
        ml_dsa_44(name).sign(CHECKPOINT, NOON)
    with pytest.raises(CallerError, match="no room for a name of 256 bytes"):
        ml_dsa_44().sign(replace(CHECKPOINT, origin=name), NOON)
    with pytest.raises(EvidenceRejected, match="does not fit"):
        line = ml_dsa_44().sign(CHECKPOINT, NOON)
        read_checkpoint(Note(replace(CHECKPOINT, origin=name).text(), (line,)).encode(), keys_of())


def test_a_clock_before_1970_signs_nothing() -> None:
    with pytest.raises(CallerError, match="before 1970"):
        ml_dsa_44().sign(CHECKPOINT, datetime(1969, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\n", "o" * 256])
def test_what_cannot_be_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(CallerError, match="cannot be an origin"):
        require_origin(origin)


def test_a_signer_prints_without_its_key() -> None:
    assert all(repr(one) == f"Signer({one.name!r}, key=<secret>)" for one in BOTH)
