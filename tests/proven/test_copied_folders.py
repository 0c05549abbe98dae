"""What openings are counted in is lost, copied, put back, or has a second name: nothing more is proven with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from float_models import numbers
from identities import START
from proven_answers import Ward, small_graph
from quatrefoil.errors import CommitmentExhausted, StateCorrupt
from quatrefoil.proven import ModelFolder, folder, logged_answers, prove_answers
from quatrefoil.state import SqliteState


def begun(path: Path) -> Path:
    """As a folder is when its commitment is finished: one opening is used."""
    path.mkdir()
    assert folder._claim(path, 8, "the proof of range").number == 1
    (path / "commitment").write_bytes(b"finished")
    return path


def copied(path: Path) -> Path:
    return Path(shutil.copytree(path, path.with_name("copy")))


def put_back(path: Path) -> Path:
    """From a backup: two openings have been used since."""
    backup = copied(path)
    for _ in range(2):
        folder._claim(path, 8, "a proof")
    shutil.rmtree(path)
    return Path(shutil.copytree(backup, path))


def put_back_in_its_place(path: Path) -> Path:
    """The file system may give the same number again."""
    database = (path / "state.sqlite").read_bytes()
    (path / "state.sqlite").unlink()
    (path / "state.sqlite").write_bytes(database)
    return path


def database_put_back(path: Path) -> Path:
    kept = shutil.copy(path / "state.sqlite", path.with_name("backup"))
    folder._claim(path, 8, "a proof")
    Path(kept).replace(path / "state.sqlite")
    return path


@pytest.mark.parametrize("how", [copied, put_back, put_back_in_its_place, database_put_back])
def test_a_copy_proves_nothing_and_is_linked_once_with_what_is_kept_for_that(
    tmp_path: Path, how: Callable[[Path], Path]
):
    other = how(begun(tmp_path / "one"))
    for _ in range(2):
        with pytest.raises(StateCorrupt, match=r"(?s)is a copy, or was moved or put back.*model commit --link"):
            folder._claim(other, 8, "a proof")
    with folder._counting(other) as state:
        assert state.names("opening/") == ["opening/01"]
    assert folder._claim(other, 8, "a link", for_link=True).number == 8
    with pytest.raises(CommitmentExhausted, match="allows 8 openings, and 2 are used, the last of them for a link"):
        folder._claim(other, 8, "a link", for_link=True)


def test_a_folder_with_another_name_goes_on(tmp_path: Path):
    """On the same file system it is the same file."""
    renamed = begun(tmp_path / "one").rename(tmp_path / "other")
    assert folder._claim(renamed, 8, "a proof").number == 2


def lost(path: Path) -> None:
    (path / "state.sqlite").unlink()


def begun_anew(path: Path) -> None:
    (path / "state.sqlite").unlink()
    SqliteState(path / "state.sqlite").close()


def linked_hard(path: Path) -> None:
    other = path.with_name("other")
    other.mkdir()
    for name in ("state.sqlite", "lock"):
        os.link(path / name, other / name)


@pytest.mark.parametrize(
    ("spoil", "why"), [(lost, "cannot be read"), (begun_anew, "counts no opening"), (linked_hard, "has 2 names")]
)
def test_where_it_is_not_known_what_is_used_not_even_a_link_is_made(
    tmp_path: Path, spoil: Callable[[Path], None], why: str
):
    path = begun(tmp_path / "one")
    spoil(path)
    there = (path / "state.sqlite").exists()
    for for_link in (False, True):
        with pytest.raises(StateCorrupt, match=f"(?s)are used is not known.*{why}"):
            folder._claim(path, 8, "a proof", for_link=for_link)
    assert (path / "state.sqlite").exists() == there


KILLED = """
import os, sys
from pathlib import Path
from quatrefoil.proven import folder
from quatrefoil.state import SqliteState
SqliteState.close = lambda self: os.kill(os.getpid(), 9)
folder._claim(Path(sys.argv[1]), 8, "a proof")
"""


def test_a_claim_in_the_log_beside_the_file_counts_and_no_other_name_hides_it(tmp_path: Path):
    """Whoever claims is killed before the log is closed."""
    path = begun(tmp_path / "one")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9 and (path / "state.sqlite-wal").stat().st_size > 0
    other = tmp_path / "other"
    other.mkdir()
    for name in ("state.sqlite", "lock", "commitment"):
        os.link(path / name, other / name)
    with pytest.raises(StateCorrupt, match="has 2 names"):
        folder._claim(other, 8, "a proof")
    shutil.rmtree(other)
    assert folder._claim(path, 8, "a proof").number == 3


def test_a_copied_commitment_is_proven_with_once_it_is_linked(tmp_path: Path):
    ward = Ward(tmp_path, small_graph())
    made = ModelFolder.create(tmp_path / "committed", ward.model, 4, ward.identity, at=START)
    ward.state(made.statement)
    record = ward.answer(numbers(1, 1, 6))
    log = ward.logged()
    logged = logged_answers(log, {record.receipt.digest()}, made.committed)
    copy = ModelFolder(Path(shutil.copytree(made.folder, tmp_path / "copy")))
    with pytest.raises(StateCorrupt, match="is a copy"):
        prove_answers(copy, [record], logged)
    assert (made.left, copy.left) == (3, 3)
    fresh = copy.link(tmp_path / "fresh")
    assert prove_answers(fresh, [record], logged).commitment.root == made.commitment.root
    assert (made.left, copy.left, fresh.left) == (3, 2, 2)
    ward.close()
