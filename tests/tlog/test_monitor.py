"""A monitor: what it verifies of a log that grows, and what it says of one that does anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from forking import KEYS, ORIGIN, VERIFIERS, Clock, ed25519, leaves, log, ml_dsa, signed, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.errors import EvidenceRejected, HostError, StateCorrupt
from quatrefoil.tlog import FolderSource, Note, read_checkpoint
from quatrefoil.tlog.evidence import Evidence, judge
from quatrefoil.tlog.monitor import STATE, Monitor, Seen
from quatrefoil.tlog.tiles import CHECKPOINT

LATER = Clock()
LATER.pass_time(60)


class Counting(FolderSource):
    """Counts what is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.paths: list[str] = []

    def read(self, path: str) -> bytes | None:
        self.paths.append(path)
        return super().read(path)


def monitor(folder: Path) -> Monitor:
    return Monitor(folder / "monitor", VERIFIERS)


def whys(seen: Seen) -> list[str]:
    """What was found, each judged by itself."""
    return [judge(Evidence.decode(one.encode()), VERIFIERS).why for one in seen.evidence]


# ----------------------------------------------------------------------------------------------------- a log that grows


@pytest.mark.parametrize("sizes", [(0, 1, 2, 3), (1, 255, 256, 257, 511, 513), (300, 300, 1000), (70_000, 70_001)])
def test_it_follows_a_log_that_grows_and_sees_every_leaf_once(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    told: list[tuple[int, bytes]] = []
    for size in sizes:
        source = log(tmp_path / "log", leaves(0, size))
        before = len(told)
        with monitor(tmp_path) as one:
            seen = one.look(source, on_leaf=lambda index, leaf: told.append((index, leaf)))
        assert seen == Seen(ORIGIN, size, size - before, ())
    assert told == list(enumerate(leaves(0, sizes[-1])))


def test_it_reads_only_what_is_new(tmp_path: Path) -> None:
    source = log(tmp_path / "log", leaves(0, 70_000))
    with monitor(tmp_path) as one:
        one.look(source)
        log(tmp_path / "log", leaves(0, 70_010))
        counting = Counting(tmp_path / "log")
        assert one.look(counting).new == 10
        assert len(set(counting.paths)) < 12
        again = Counting(tmp_path / "log")
        assert one.look(again).new == 0
        assert set(again.paths) == {CHECKPOINT}


def test_cosignatures_that_come_later_are_remembered(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    source, key = log(folder, leaves(0, 5)), ml_dsa("w1", 11)
    with monitor(tmp_path) as one:
        one.look(source)
        (folder / CHECKPOINT).write_bytes(tree(5).checkpoint(keys=(*KEYS, key)))
        assert one.look(source).evidence == ()
        assert one.head is not None
        assert read_checkpoint(one.head.note.encode(), [key.verifier]).by(key.verifier) is not None


# ------------------------------------------------------------------------------------------ a log that says two things


def test_fork(tmp_path: Path) -> None:
    """The same size, other leaves: shown to the same monitor."""
    with monitor(tmp_path) as one:
        one.look(log(tmp_path / "a", leaves(0, 300)))
        seen = one.look(log(tmp_path / "b", [*leaves(0, 299), b"other"]))
        assert whys(seen) == ["fork"] and seen.new == 0
        assert whys(one.look(FolderSource(tmp_path / "b"))) == ["fork"]


@pytest.mark.parametrize(("old", "new", "same"), [(300, 700, 299), (256, 700, 0), (1, 2, 0), (255, 256, 100)])
def test_rewrite(tmp_path: Path, old: int, new: int, same: int) -> None:
    with monitor(tmp_path) as one:
        one.look(log(tmp_path / "a", leaves(0, old)))
        other = log(tmp_path / "b", [*leaves(0, same), *leaves(same, new, "other")])
        seen = one.look(other)
        assert whys(seen) == ["rewrite"] and seen.new == 0
        assert one.head is not None and one.head.checkpoint.size == old
        assert whys(one.look(other)) == ["rewrite"]  # and stays so
        log(tmp_path / "a", leaves(0, new + 5))
        assert one.look(FolderSource(tmp_path / "a")).new == new + 5 - old


def test_truncation_by_its_old_checkpoint_is_stale_and_by_a_new_one_a_rollback(tmp_path: Path) -> None:
    with monitor(tmp_path) as one:
        log(tmp_path / "log", leaves(0, 300))
        shutil.copytree(tmp_path / "log", tmp_path / "old")
        one.look(log(tmp_path / "log", leaves(0, 310)))
        assert whys(one.look(FolderSource(tmp_path / "old"))) == ["stale"]
        (tmp_path / "log" / CHECKPOINT).write_bytes(tree(300).checkpoint(at=LATER.now))
        assert whys(one.look(FolderSource(tmp_path / "log"))) == ["rollback"]


def test_rewritten_back_to_a_smaller_tree_with_other_leaves(tmp_path: Path) -> None:
    """It does not begin the tree that was seen; that shows once that tree is looked at again."""
    with monitor(tmp_path) as one:
        one.look(log(tmp_path / "a", leaves(0, 300)))
        assert whys(one.look(log(tmp_path / "b", leaves(0, 200, "other")))) == ["stale"]
        assert whys(one.look(FolderSource(tmp_path / "a"))) == ["rewrite"]


def test_a_swapped_leaf_is_named(tmp_path: Path) -> None:
    source = log(tmp_path / "log", leaves(0, 300))
    file = tmp_path / "log" / "tile/entries/001.p/44"
    file.write_bytes(file.read_bytes().replace(b"leaf 270", b"gone 270"))
    with monitor(tmp_path) as one, pytest.raises(EvidenceRejected, match="leaf 270 is not the one") as raised:
        one.look(source)
    assert raised.value.check == "leaves"


def test_a_swapped_leaf_with_its_hash_swapped_too_does_not_give_the_root(tmp_path: Path) -> None:
    source = log(tmp_path / "log", leaves(0, 40))
    log(tmp_path / "other", [*leaves(0, 39), b"other"])
    for path in ("tile/entries/000.p/40", "tile/0/000.p/40"):
        shutil.copy(tmp_path / "other" / path, tmp_path / "log" / path)
    with monitor(tmp_path) as one, pytest.raises(EvidenceRejected, match="do not give the root") as raised:
        one.look(source)
    assert raised.value.check == "root"


@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_missing_tile_is_named(tmp_path: Path, path: str) -> None:
    source = log(tmp_path / "log", leaves(0, 300))
    (tmp_path / "log" / path).unlink()
    with monitor(tmp_path) as one, pytest.raises(EvidenceRejected, match=path.replace(".", r"\.")):
        one.look(source)


def test_a_damaged_tile_above_is_named(tmp_path: Path) -> None:
    source = log(tmp_path / "log", leaves(0, 300))
    (tmp_path / "log" / "tile/1/000.p/1").write_bytes(bytes(32))
    with monitor(tmp_path) as one, pytest.raises(EvidenceRejected, match=r"tile/1/000\.p/1 does not hold"):
        one.look(source)


def test_damaged_tiles_of_what_was_seen_convict_nobody(tmp_path: Path) -> None:
    with monitor(tmp_path) as one:
        one.look(log(tmp_path / "log", leaves(0, 300)))
        log(tmp_path / "log", leaves(0, 600))
        (tmp_path / "log" / "tile/1/000.p/2").write_bytes(bytes(64))
        with pytest.raises(EvidenceRejected, match="do not give the root that was signed"):
            one.look(FolderSource(tmp_path / "log"))
        assert one.head is not None and one.head.checkpoint.size == 300


def test_what_failed_is_verified_again_once_it_is_mended(tmp_path: Path) -> None:
    source = log(tmp_path / "log", leaves(0, 300))
    file = tmp_path / "log" / "tile/entries/000"
    content = file.read_bytes()
    file.unlink()
    with monitor(tmp_path) as one:
        for _ in range(2):
            with pytest.raises(EvidenceRejected, match="tile/entries/000"):
                one.look(source)
        file.write_bytes(content)
        assert one.look(source) == Seen(ORIGIN, 300, 300, ())


# -------------------------------------------------------------------------------------------------------------- gossip


def test_a_checkpoint_of_another_party_is_compared_at_once_and_with_the_tree(tmp_path: Path) -> None:
    with monitor(tmp_path) as one:
        source = log(tmp_path / "log", leaves(0, 300))
        one.look(source)
        assert one.hear(tree(300).checkpoint()).evidence == ()
        assert one.hear(tree(200).checkpoint()).evidence == ()
        assert whys(one.hear(tree(300, "other").checkpoint())) == ["fork"]
        assert one.hear(tree(250, "other").checkpoint()).evidence == ()
        assert one.hear(tree(310, "other").checkpoint()).evidence == ()
        assert sorted(whys(one.look(source))) == ["fork", "rewrite"]  # 300 and 250; 310 is not reached
        found = one.look(log(tmp_path / "log", leaves(0, 400)))
        assert found.new == 100
        assert sorted(whys(found)) == ["rewrite"] * 3


def test_checkpoints_alone_show_a_fork(tmp_path: Path) -> None:
    with monitor(tmp_path) as one:
        assert one.hear(tree(7).checkpoint()) == Seen(ORIGIN, 7, 0, ())
        assert whys(one.hear(tree(7, "other").checkpoint())) == ["fork"]
        assert one.hear(tree(8).checkpoint()).evidence == ()


def test_the_witnesses_of_both_sides_are_named(tmp_path: Path) -> None:
    liar, honest = ml_dsa("w1", 11), ml_dsa("w2", 12)
    witnesses = [liar.verifier, honest.verifier]
    with monitor(tmp_path) as one:
        one.hear(tree(7).checkpoint(keys=(*KEYS, liar, honest)))
        (evidence,) = one.hear(tree(7, "other").checkpoint(keys=(*KEYS, liar))).evidence
    assert judge(evidence, VERIFIERS, witnesses).both == (liar.verifier,)


def test_a_bad_line_of_a_witness_does_not_spoil_what_convicts_the_log(tmp_path: Path) -> None:
    """The operator writes the notes, and would put one there."""
    key = ml_dsa("w1", 11)
    line = Note.decode(tree(3).checkpoint(keys=(*KEYS, key))).signatures[-1]
    with monitor(tmp_path) as one:
        for kind in ("leaf", "other"):
            note = Note.decode(tree(7, kind).checkpoint())
            seen = one.hear(Note(note.text, (*note.signatures, line)).encode())
    (evidence,) = seen.evidence
    verdict = judge(evidence, VERIFIERS, [key.verifier])
    assert (verdict.why, verdict.both) == ("fork", ())


# ----------------------------------------------------------------------------------------------------- what is refused


def test_only_its_own_log_under_all_of_its_keys(tmp_path: Path) -> None:
    name = "log.example/other"
    with monitor(tmp_path) as one:
        with pytest.raises(EvidenceRejected, match="signed by no key"):
            one.hear(tree(5).checkpoint(keys=[ed25519(ORIGIN, 2), ml_dsa(ORIGIN, 2)]))
        for kept in KEYS:
            with pytest.raises(EvidenceRejected, match="has no"):
                one.hear(tree(5).checkpoint(keys=[kept]))
        other = Note.decode(signed(tree(5).root(), 5, origin=name, keys=[ml_dsa(name)]))
        with pytest.raises(EvidenceRejected, match="signed by no key"):
            one.hear(other.encode())
        with pytest.raises(EvidenceRejected, match="has no checkpoint"):
            one.look(FolderSource(tmp_path / "nothing"))


def test_one_monitor_a_folder(tmp_path: Path) -> None:
    with monitor(tmp_path) as one:
        one.hear(tree(5).checkpoint())
        with pytest.raises(HostError, match="another monitor"):
            monitor(tmp_path)
    monitor(tmp_path).close()


def test_what_it_remembers_is_not_believed_either(tmp_path: Path) -> None:
    with monitor(tmp_path) as one:
        one.look(log(tmp_path / "log", leaves(0, 5)))
    strangers = [key(ORIGIN, 2).verifier for key in (ed25519, ml_dsa)]
    with Monitor(tmp_path / "monitor", strangers) as other, pytest.raises(StateCorrupt, match="does not verify"):
        _ = other.head
    (tmp_path / "monitor" / STATE).write_bytes(b"no database at all, whatever it was" * 40)
    with pytest.raises(StateCorrupt, match="is damaged"):
        monitor(tmp_path)


# ----------------------------------------------------------------------------------------------------------- properties


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.booleans()), min_size=2, max_size=8))
def test_two_histories_are_noticed_and_one_is_never_accused(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int, bool]]
) -> None:
    """Whatever order checkpoints and logs come in: of one history nothing is proven, and once both are looked at to
    the same size, the fork is."""
    folder = tmp_path_factory.mktemp("monitor")
    trees = {False: tree(12), True: tree(12, "other", same=3)}
    proven = set()
    with monitor(folder) as one:
        for number, (which, size, whole) in enumerate(steps):
            content = trees[which].content[:size]
            if whole:
                seen = one.look(log(folder / f"log-{number}", content))
            else:
                seen = one.hear(trees[which].checkpoint(size))
            for evidence in seen.evidence:
                verdict = judge(evidence, VERIFIERS)
                if verdict.proven:
                    proven.add(verdict.why)
        kinds = {which for which, size, _ in steps if size > 3}
        if len(kinds) < 2:
            assert proven == set()
        final = one.hear(trees[False].checkpoint(12)), one.hear(trees[True].checkpoint(12))
        assert "fork" in [why for seen in final for why in whys(seen)]
