"""Writer and reader together: what was appended is read, over random batches and restarts, under every checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import merkle as reference
from tests.tlog.small_logs import (
    BOTH,
    NOON,
    ORIGIN,
    STRANGERS,
    clock,
    ed25519,
    folder_files,
    keys_of,
    leaf,
    leaves,
    log_of,
    ml_dsa_44,
    reader,
    verified,
    writer,
)

from quatrefoil.errors import CallerError, EvidenceRejected, HostError, StateCorrupt
from quatrefoil.tlog import FolderSource, LogReader, LogWriter, read_checkpoint
from quatrefoil.tlog import writer as writer_module
from quatrefoil.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from quatrefoil.tlog.notes import NoteSignature
from quatrefoil.tlog.tiles import ENTRIES, LARGEST_LEAF, Tile

# ------------------------------------------------------------------------------------------------------ random batches


@given(
    st.lists(st.tuples(st.integers(1, 40) | st.integers(200, 700), st.booleans()), min_size=1, max_size=6),
    st.sampled_from([1, 4 << 20]),
)
@settings(max_examples=12)
def test_what_was_appended_is_read(batches: list[tuple[int, bool]], settled_every: int) -> None:
    """Batches, some of them after a restart; the tiles settled at each append, or when the log is closed."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "SETTLED_EVERY", settled_every)
        folder, checkpoints = Path(name) / "log", []
        log = writer(folder)
        for count, restarted in batches:
            if restarted:
                log.close()
                log = writer(folder)
            start = log.size
            assert log.append(leaves(start, start + count)) == start
            checkpoints.append(log.checkpoint)
            assert (folder / "checkpoint").read_bytes() == log.checkpoint
        size = log.size
        assert verified(folder) == leaves(0, size)
        log.close()
        assert verified(folder) == leaves(0, size)
        now = reader(folder)
        assert now.checkpoint.root == reference.mth(leaves(0, size))
        for data in checkpoints:
            old = LogReader(FolderSource(folder), read_checkpoint(data, keys_of()))
            assert [content for _, content in old.leaves()] == leaves(0, old.size)
            proof = now.consistency_proof(old.size)
            assert proof == (reference.proof(old.size, leaves(0, size)) if old.size < size else [])
            verify_consistency(old.size, old.checkpoint.root, size, now.checkpoint.root, proof)
            assert now.root_at(old.size) == old.checkpoint.root
        for index in {0, size // 2, size - 1}:
            assert now.leaf(index) == leaf(index)
            proof = now.inclusion_proof(index)
            assert proof == reference.path(index, leaves(0, size))
            verify_inclusion(leaf_hash(leaf(index)), index, size, proof, now.checkpoint.root)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70,000 leaves: three levels of tiles."""
    return log_of(tmp_path_factory.mktemp("large") / "log", 70_000)


def test_a_log_of_70000_has_the_files_of_the_example(large: Path) -> None:
    names = [name for name in folder_files(large) if name.startswith("tile/")]
    assert len([name for name in names if ".p/" not in name]) == 273 + 273 + 1
    assert [name for name in names if ".p/" in name] == [
        "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112",
    ]  # fmt: skip


def test_a_log_of_70000_reads(large: Path) -> None:
    now = reader(large)
    assert verified(large) == leaves(0, 70_000)
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999):
        assert now.leaf(index) == leaf(index)
    for old in (1, 256, 300, 65_536, 65_537, 69_999, 70_000):
        verify_consistency(old, now.root_at(old), 70_000, now.checkpoint.root, now.consistency_proof(old))


@pytest.mark.parametrize("start", [0, 1, 255, 256, 299, 300, 301, 1000])
def test_leaves_are_listed_from_anywhere(tmp_path: Path, start: int) -> None:
    found = reader(log_of(tmp_path / "log", 300))
    assert list(found.leaves_from(start)) == [(index, leaf(index)) for index in range(start, 300)]


@pytest.mark.parametrize("index", [-1, 300, 301, 511, 512, 1 << 40])
def test_a_leaf_that_is_not_there_is_the_callers_fault(tmp_path: Path, index: int) -> None:
    found = reader(log_of(tmp_path / "log", 300))
    with pytest.raises(CallerError):
        found.leaf(index)
    with pytest.raises(CallerError):
        found.inclusion_proof(index)


def test_an_empty_log_has_a_checkpoint_and_no_leaves(tmp_path: Path) -> None:
    with writer(tmp_path / "log") as log:
        assert (log.size, log.origin, log.keys) == (0, ORIGIN, keys_of())
    assert verified(tmp_path / "log") == [] and reader(tmp_path / "log").size == 0
    assert not (tmp_path / "log" / "tile").exists()


def test_tiles_that_were_not_full_go_when_they_are_and_older_checkpoints_still_read(tmp_path: Path) -> None:
    folder, older = tmp_path / "log", []
    with writer(folder) as log:
        for size in (1, 100, 255):
            log.append(leaves(log.size, size))
            older.append(log.checkpoint)
        assert {path.name for path in (folder / "tile/0/000.p").iterdir()} == {"1", "100", "255"}
        log.append(leaves(255, 300))
    assert not (folder / "tile/0/000.p").exists() and not (folder / "tile/entries/000.p").exists()
    for data in older:
        old = LogReader(FolderSource(folder), read_checkpoint(data, keys_of()))
        assert [content for _, content in old.leaves()] == leaves(0, old.size)
        assert old.bundle(Tile(ENTRIES, 0, old.size)) == b"".join(
            len(one).to_bytes(2, "big") + one for one in leaves(0, old.size)
        )


def test_the_largest_leaf_and_the_empty_one(tmp_path: Path) -> None:
    wanted = [bytes(LARGEST_LEAF), b""]
    with writer(tmp_path / "log") as log:
        log.append(wanted)
        with pytest.raises(CallerError, match="at most 65535 bytes"):
            log.append([bytes(LARGEST_LEAF + 1)])
        with pytest.raises(CallerError, match="takes 1 to 65536 leaves"):
            log.append([])
        with pytest.raises(CallerError, match="takes 1 to 65536 leaves"):
            log.append([b""] * 65_537)
        assert log.size == 2
    assert verified(tmp_path / "log") == wanted


# -------------------------------------------------------------------------------------------------------- cosignatures

WITNESS = ml_dsa_44("witness.example/east", b"w" * 32)


def test_cosignatures_are_kept_with_the_checkpoint_and_through_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    keys = (*keys_of(), WITNESS.verifier)
    with writer(folder) as log:
        log.append([b"a"])
        line = WITNESS.sign(log.reader().checkpoint, NOON)
        log.cosigned([line], [WITNESS.verifier]).require(keys)
        assert log.cosigned([line], [WITNESS.verifier]).note.signatures.count(line) == 1, "one line a key"
        assert read_checkpoint((folder / "checkpoint").read_bytes(), keys).by(WITNESS.verifier)
    with writer(folder) as log:
        read_checkpoint(log.checkpoint, keys).require(keys)
        log.append([b"b"])
        assert read_checkpoint(log.checkpoint, keys).by(WITNESS.verifier) is None, "it has not seen this one"


def test_a_cosignature_of_another_checkpoint_is_refused_and_one_of_an_unknown_key_left_out(tmp_path: Path) -> None:
    with writer(tmp_path / "log") as log:
        log.append([b"a"])
        old = WITNESS.sign(log.reader().checkpoint, NOON)
        log.append([b"b"])
        before = log.checkpoint
        with pytest.raises(EvidenceRejected, match="east does not fit"):
            log.cosigned([old], [WITNESS.verifier])
        with pytest.raises(EvidenceRejected, match="east does not fit"):
            log.cosigned([NoteSignature(old.name, old.key_id, bytes(2428))], [WITNESS.verifier])
        assert log.cosigned([old], []).note.encode() == before == log.checkpoint


# ------------------------------------------------------------------------------------------------------------- opening


def test_a_log_goes_on_under_its_own_keys_only(tmp_path: Path) -> None:
    """A refused opening changes no byte: neither the checkpoint that is published, nor the journal."""
    folder = tmp_path / "log"
    log = writer(folder)
    log.append([b"a"])
    log.append([b"b"])
    log._let_go()  # as a killed process leaves it: the journal holds both
    before = folder_files(folder)
    for signers in (STRANGERS, (BOTH[0], STRANGERS[1]), (STRANGERS[0], BOTH[1])):
        with pytest.raises(StateCorrupt, match="was not signed by the keys given"):
            writer(folder, signers)
        assert folder_files(folder) == before
    others = tuple(make("log.example/south", b"1" * 32) for make in (ed25519, ml_dsa_44))
    with pytest.raises(StateCorrupt, match="was not signed by the keys given"):
        writer(folder, others)
    assert folder_files(folder) == before
    with writer(folder) as again:
        assert again.size == 2


def test_the_signers_of_a_log_have_one_name(tmp_path: Path) -> None:
    for signers in ((), (BOTH[0], ml_dsa_44("another.example"))):
        with pytest.raises(CallerError, match="keys of one name"):
            LogWriter(tmp_path / "log", signers, clock=clock)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("size", [0, 3])
def test_a_log_without_its_journal_is_not_begun_again(tmp_path: Path, size: int) -> None:
    folder = log_of(tmp_path / "log", size)
    (folder / "journal").unlink()
    with pytest.raises(StateCorrupt, match="has lost its journal"):
        writer(folder)
    (folder / "checkpoint").unlink()
    if size:
        with pytest.raises(StateCorrupt, match="has lost its journal"):
            writer(folder)


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = writer(tmp_path / "log")
    log.close()
    log.close()
    for refused in (lambda: log.append([b"a"]), lambda: log.cosigned([], [])):
        with pytest.raises(HostError, match="is closed"):
            refused()


def test_stray_files_beside_partial_tiles_do_not_stop_a_log(tmp_path: Path) -> None:
    folder = log_of(tmp_path / "log", 5)
    for name in ("notes.txt", "0", "12x", "300", "007"):
        (folder / "tile/0/000.p" / name).write_bytes(b"stray")
    with writer(folder) as log:
        log.append([leaf(5)])
    assert verified(folder) == leaves(0, 6)


def test_both_names_of_a_new_journal_are_one_when_the_log_is_opened(tmp_path: Path) -> None:
    """As a lost power may leave them, where it came after the journal had begun anew."""
    folder = log_of(tmp_path / "log", 5)
    writer(folder).close()  # what was appended is settled, so that the next one finds nothing to do
    (folder / ".journal.new").write_bytes((folder / "journal").read_bytes())
    writer(folder).close()
    assert not (folder / ".journal.new").exists() and verified(folder) == leaves(0, 5)
