"""What an operator, or whoever holds its disk, may do to a log: each is noticed, and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tlog.small_logs import (
    BOTH,
    NOON,
    ORIGIN,
    STRANGERS,
    folder_files,
    keys_of,
    leaf,
    leaves,
    log_of,
    reader,
    verified,
    writer,
)

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import Checkpoint, FolderSource, LogReader, Note, read_checkpoint
from quatrefoil.tlog.merkle import leaf_hash, root_of, verify_consistency
from quatrefoil.tlog.tiles import LARGEST_LEAF, bundle

SIZE = 600
TILES = [
    "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2",
    "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = log_of(tmp_path_factory.mktemp("sound") / "log", SIZE)
    assert [name for name in folder_files(folder) if name.startswith("tile")] == TILES
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "log"))


def found(folder: Path, check: str, problem: str) -> None:
    """Reading all of it is refused, at this check, in these words."""
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        verified(folder)
    assert refused.value.check == check and refused.value.hint


def alter(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def published(folder: Path, size: int, root: bytes, signers: object = BOTH) -> None:
    """The operator signs what it likes: its keys are its own."""
    checkpoint = Checkpoint(ORIGIN, size, root)
    note = Note(checkpoint.text(), tuple(signer.sign(checkpoint, NOON) for signer in signers))  # type: ignore[attr-defined]
    (folder / "checkpoint").write_bytes(note.encode())


# ------------------------------------------------------------------------------------------ by who holds the disk only


@pytest.mark.parametrize("name", TILES)
def test_a_missing_tile(folder: Path, name: str) -> None:
    (folder / name).unlink()
    found(folder, "leaves" if "entries" in name else "tiles", f"the log of 600 leaves lacks {name}")


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "extra bytes": lambda content: content + content[-32:],
    "one more byte": lambda content: content + b"\0",
    "cut": lambda content: content[:-1],
    "empty": lambda content: b"",
    "first byte": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "last byte": lambda content: content[:-1] + bytes([content[-1] ^ 0x80]),
    "hashes in another order": lambda content: content[32:64] + content[:32] + content[64:],
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("name", TILES)
def test_an_altered_tile(folder: Path, name: str, how: str) -> None:
    """Those above the first level too, which no leaf is held to directly: proofs are made of them."""
    alter(folder / name, CHANGES[how])
    with pytest.raises(EvidenceRejected) as refused:
        verified(folder)
    assert refused.value.check in ("tiles", "leaves", "root")
    assert name in refused.value.problem or refused.value.problem.startswith("leaf ")


@pytest.mark.parametrize("name", TILES[:4])
def test_proofs_from_an_altered_tile_do_not_verify(folder: Path, name: str) -> None:
    alter(folder / name, CHANGES["last byte"])
    now, refused = reader(folder), 0
    for index in (0, 255, 256, 511, 512, 599):
        try:
            assert now.leaf(index) == leaf(index)
        except EvidenceRejected as error:
            assert error.check == "inclusion" and f"leaf {index} is not in the tree of 600" in error.problem
            refused += 1
    assert refused


def test_swapped_tiles(folder: Path) -> None:
    for level in ("0", "entries"):
        first, second = folder / f"tile/{level}/000", folder / f"tile/{level}/001"
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)
        if level == "0":
            found(folder, "leaves", "leaf 0 is not the one that was logged")
    found(folder, "tiles", "tile/1/000.p/2 does not hold the roots of the tiles below")


def test_an_altered_leaf(folder: Path) -> None:
    alter(folder / "tile/entries/001", lambda content: content.replace(leaf(300), leaf(300).replace(b"3", b"4")))
    found(folder, "leaves", "leaf 300 is not the one that was logged")
    with pytest.raises(EvidenceRejected, match="leaf 300 is not in the tree of 600") as refused:
        reader(folder).leaf(300)
    assert refused.value.check == "inclusion"
    assert reader(folder).leaf(301) == leaf(301)


def test_swapped_leaves(folder: Path) -> None:
    one, other = bundle(leaf(256)), bundle(leaf(257))
    alter(folder / "tile/entries/001", lambda content: other + one + content[len(one) + len(other) :])
    found(folder, "leaves", "leaf 256 is not the one that was logged")
    alter(folder / "tile/0/001", lambda content: content[32:64] + content[:32] + content[64:])
    found(folder, "tiles", "tile/1/000.p/2 does not hold")
    for index in (256, 257):
        with pytest.raises(EvidenceRejected, match=f"leaf {index} is not in the tree"):
            reader(folder).leaf(index)


def test_a_leaf_altered_with_every_tile_above_it(folder: Path, tmp_path: Path) -> None:
    """All tiles fit each other: what does not fit is the root that was signed."""
    other = leaves(0, SIZE)
    other[300] = b"rewritten"
    with writer(tmp_path / "other") as log:
        log.append(other)
    shutil.rmtree(folder / "tile")
    shutil.copytree(tmp_path / "other" / "tile", folder / "tile")
    found(folder, "root", "the 600 leaves do not give the root that was signed")
    for index in (300, 0):
        with pytest.raises(EvidenceRejected, match="is not in the tree of 600 with this root"):
            reader(folder).leaf(index)


def test_truncation_without_the_keys(folder: Path, tmp_path: Path) -> None:
    """Fewer leaves under an edited checkpoint: nobody has signed that."""
    shorter = log_of(tmp_path / "short", 500, signers=STRANGERS)
    shutil.rmtree(folder / "tile")
    shutil.copytree(shorter / "tile", folder / "tile")
    found(folder, "leaves", "the log of 600 leaves lacks tile/entries/001")
    checkpoint = reader(folder).checkpoint
    new = Checkpoint(ORIGIN, 500, root_of(map(leaf_hash, leaves(0, 500)))).text()
    alter(folder / "checkpoint", lambda content: content.replace(checkpoint.text().encode(), new.encode()))
    found(folder, "checkpoint", "the Ed25519 signature of log.example/north does not fit")


def test_wrong_keys(folder: Path) -> None:
    published(folder, SIZE, reader(folder).checkpoint.root, STRANGERS)
    found(folder, "checkpoint", "signed by no key that was given")
    published(folder, SIZE, root_of(map(leaf_hash, leaves(0, SIZE))), (BOTH[0], STRANGERS[1]))
    found(folder, "checkpoint", "has no ML-DSA-44 cosignature signature of log.example/north")


def test_no_checkpoint_and_one_that_is_too_large(folder: Path) -> None:
    (folder / "checkpoint").write_bytes(b"x" * ((1 << 20) + 1))
    found(folder, "checkpoint", "larger than any note")
    (folder / "checkpoint").unlink()
    found(folder, "checkpoint", "has no checkpoint")


def test_a_file_larger_than_any_of_a_log(folder: Path) -> None:
    with (folder / "tile/entries/000").open("wb") as file:
        file.truncate(256 * (LARGEST_LEAF + 2) + 1)
    found(folder, "leaves", "tile/entries/000 is larger than any file of a log")


# ---------------------------------------------------------------- by the operator, against who remembers a checkpoint


def remembered(folder: Path, size: int) -> Checkpoint:
    """A checkpoint that somebody kept from when the log was of this size."""
    return Checkpoint(ORIGIN, size, reader(folder).root_at(size))


def compared(old: Checkpoint, folder: Path) -> None:
    now = reader(folder)
    if old.size > now.size:
        verify_consistency(old.size, old.root, now.size, now.checkpoint.root, [])
    proof = now.consistency_proof(old.size)
    verify_consistency(old.size, old.root, now.size, now.checkpoint.root, proof)


def test_a_fork(folder: Path, tmp_path: Path) -> None:
    """Two logs of the same keys, alike up to a leaf: each verifies alone, and no proof joins them."""
    with writer(tmp_path / "fork") as fork:
        fork.append([*leaves(0, 599), b"another"])
        fork.append([b"and on"])
    assert verified(folder) != verified(tmp_path / "fork")[:SIZE]
    for size in (1, 300, 599):
        compared(remembered(folder, size), tmp_path / "fork")
    with pytest.raises(EvidenceRejected, match="the tree of 600 leaves is not the beginning of that of 601") as refused:
        compared(reader(folder).checkpoint, tmp_path / "fork")
    assert refused.value.check == "consistency"
    with pytest.raises(EvidenceRejected, match="two trees of 600 leaves have different roots"):
        one, other = reader(folder).checkpoint, remembered(tmp_path / "fork", 600)
        verify_consistency(600, one.root, 600, other.root, [])


def test_a_rewrite(folder: Path, tmp_path: Path) -> None:
    other = leaves(0, SIZE + 100)
    other[7] = b"rewritten"
    with writer(tmp_path / "rewritten") as log:
        log.append(other)
    verified(tmp_path / "rewritten")
    compared(remembered(folder, 7), tmp_path / "rewritten")
    for size in (8, 256, 600):
        with pytest.raises(EvidenceRejected, match=f"the tree of {size} leaves is not the beginning of") as refused:
            compared(remembered(folder, size), tmp_path / "rewritten")
        assert refused.value.check == "consistency"


def test_truncation_by_the_operator(folder: Path, tmp_path: Path) -> None:
    old = reader(folder).checkpoint
    shorter = log_of(tmp_path / "shorter", 500)
    verified(shorter)
    with pytest.raises(EvidenceRejected, match="a tree of 600 cannot have grown into one of 500") as refused:
        compared(old, shorter)
    assert refused.value.check == "consistency"


def test_a_stale_checkpoint_is_noticed_by_who_remembers_and_by_nobody_else(tmp_path: Path) -> None:
    """An older checkpoint of the log itself, put back: it is sound, and was true once. Who has seen a newer one knows;
    who has not sees a shorter log that verifies. That is what witnesses and monitors are for."""
    folder = tmp_path / "log"
    with writer(folder) as log:
        log.append(leaves(0, 300))
        stale = log.checkpoint
        log.append(leaves(300, 600))
        newest = log.reader().checkpoint
    (folder / "checkpoint").write_bytes(stale)
    assert verified(folder) == leaves(0, 300)
    with pytest.raises(EvidenceRejected, match="a tree of 600 cannot have grown into one of 300"):
        compared(newest, folder)
    with writer(folder) as log:
        assert log.size == 600, "the writer has it from its journal"
    assert verified(folder) == leaves(0, 600)


def test_an_older_checkpoint_reads_beside_the_newest(folder: Path) -> None:
    """What is no attack: whoever kept a checkpoint finds its leaves in the log as it is now."""
    with writer(folder) as log:
        old = log.checkpoint
        log.append(leaves(SIZE, SIZE + 300))
    kept = LogReader(FolderSource(folder), read_checkpoint(old, keys_of()))
    assert [content for _, content in kept.leaves()] == leaves(0, SIZE)
    compared(kept.checkpoint, folder)
