"""A disk that refuses, at every step; two writers; folders that may not be written."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tlog.small_logs import leaf, leaves, log_of, verified, writer
from tests.tlog.steps import watched

from quatrefoil.errors import HostError
from quatrefoil.tlog import LogWriter
from quatrefoil.tlog import writer as writer_module

NEEDS_SPACE = ("write", "create", "rename", "make_folder", "synchronise")


class Refusing:
    """A disk that is full, or broken, from one step on, for ``steps`` steps; it takes half of what is written first."""

    def __init__(self, at: int, steps: int, code: int, names: tuple[str, ...]) -> None:
        self._refused = range(at, at + steps)
        self._code = code
        self._names = names
        self.done = 0
        self.refusals = 0

    def around(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.done += 1
        if self.done in self._refused and name in self._names:
            self.refusals += 1
            if name == "write":
                real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            raise OSError(self._code, os.strerror(self._code))
        return real(*arguments) if name != "synchronise" else None


def appended(folder: Path, disk: Refusing, batches: list[list[bytes]]) -> tuple[list[bytes], list[HostError]]:
    """Append each batch, once; what was acknowledged, in order, and what was refused and how."""
    taken, refused = list[bytes](), list[HostError]()
    with watched(disk.around):
        log = writer(folder)
        for batch in batches:
            try:
                assert log.append(batch) == len(taken) + 250
                taken += batch
            except HostError as error:
                refused.append(error)
        log._let_go()
    return taken, refused


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log_of(tmp_path_factory.mktemp("prepared") / "log", 250)


BATCHES = [[b"first"], [b"second %d" % number for number in range(8)]]


FULL, UNSYNCHRONISED = (errno.ENOSPC, NEEDS_SPACE), (errno.EIO, ("synchronise",))
BROKEN = (errno.EIO, (*NEEDS_SPACE, "truncate", "remove"))
SETTLING, NOT_SETTLING = 1, 4 << 20


@pytest.mark.parametrize(
    "how, steps, settled_every",
    [
        pytest.param(FULL, 1, SETTLING, id="full once"),
        pytest.param(FULL, 6, NOT_SETTLING, id="full for a while"),
        pytest.param(UNSYNCHRONISED, 1, NOT_SETTLING, id="cannot synchronise once"),
        pytest.param(BROKEN, 6, NOT_SETTLING, id="broken for a while"),
        pytest.param(FULL, 6, SETTLING, id="full for a while, settling", marks=pytest.mark.slow),
        pytest.param(UNSYNCHRONISED, 1, SETTLING, id="cannot synchronise once, settling", marks=pytest.mark.slow),
        pytest.param(UNSYNCHRONISED, 6, SETTLING, id="cannot synchronise, settling", marks=pytest.mark.slow),
        pytest.param(BROKEN, 1, SETTLING, id="broken once, settling", marks=pytest.mark.slow),
        pytest.param(BROKEN, 6, SETTLING, id="broken for a while, settling", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_refuses_at_every_step(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: tuple[int, tuple[str, ...]],
    steps: int,
    settled_every: int,
) -> None:
    """Acknowledged stays; refused is not there later, unless the refusal said that this is not known; and the log goes
    on, after it was opened again at the latest."""
    monkeypatch.setattr(writer_module, "SETTLED_EVERY", settled_every)
    at, hit = 0, 1
    while hit:
        at += 1
        folder = tmp_path / f"{at}"
        shutil.copytree(prepared, folder)
        disk = Refusing(at, steps, *how)
        try:
            taken, refused = appended(folder, disk, BATCHES)
        except HostError as error:
            assert "cannot be opened" in str(error) and error.hint
            taken, refused = [], []
        hit = disk.done >= at
        assert verified(folder)[:250] == leaves(0, 250)
        with watched(lambda name, real, arguments: real(*arguments) if name != "synchronise" else None):
            with writer(folder) as log:
                assert log.size >= 250 + len(taken), f"acknowledged, and gone: step {at}"
                log.append([b"after"])
            found = verified(folder)[250:]
            rest = found[len(taken) : -1]
            assert found[: len(taken)] == taken and found[-1] == b"after", f"step {at}"
            uncertain = [error for error in refused if "it shows then whether this was logged" in error.hint]
            assert rest == [] or (uncertain and rest in BATCHES), f"refused, and there: step {at}"
            for error in refused:
                assert any(words in error.hint for words in ("try again", "Open it again", "open the log again")), (
                    error.hint
                )
        shutil.rmtree(folder)
    assert at > 20


def test_a_full_disk_says_so_and_the_log_goes_on_when_there_is_space(prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(prepared, folder)
    log = writer(folder)
    with watched(Refusing(1, 1 << 30, errno.ENOSPC, NEEDS_SPACE[:1]).around):
        for _ in range(3):
            with pytest.raises(HostError, match=r"No space left on device.*try again; nothing was logged"):
                log.append([leaf(250)])
    assert (log.size, log.append([leaf(250)])) == (250, 250)
    log.close()
    assert verified(folder) == leaves(0, 251)


def test_tiles_that_a_full_disk_refused_are_written_before_the_next_append(prepared: Path, tmp_path: Path) -> None:
    """The journal took the leaves, and they are acknowledged; what lags is the published part."""
    folder = tmp_path / "log"
    shutil.copytree(prepared, folder)
    log = writer(folder)
    with watched(Refusing(3, 1 << 30, errno.ENOSPC, NEEDS_SPACE).around):
        assert log.append([leaf(250)]) == 250
        assert verified(folder) == leaves(0, 250)
        with pytest.raises(HostError, match="try again; what was logged before is safe"):
            log.append([leaf(251)])
    log.append([leaf(251)])
    assert verified(folder) == leaves(0, 252)
    log.close()


# ---------------------------------------------------------------------------------------------------------- two writers


def test_a_second_writer_is_refused_however_it_comes_to_the_folder(tmp_path: Path) -> None:
    folder, linked, hard = tmp_path / "log", tmp_path / "linked", tmp_path / "hard"
    with writer(folder) as log:
        log.append([b"a"])
        linked.symlink_to(folder)
        hard.mkdir()
        for name in ("journal", "checkpoint", "lock"):
            (hard / name).hardlink_to(folder / name)
        for other in (folder, linked, hard, folder / ".." / "log"):
            with pytest.raises(HostError, match="in use by another process"):
                writer(other)
        log.append([b"b"])
    for other in (folder, linked):
        with writer(other) as log:
            assert log.size == 2


def test_a_child_that_inherits_the_lock_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    """The lock is the process's, and goes with it: nothing has to be cleaned up after a kill."""
    ready, done = os.pipe()
    child = os.fork()
    if not child:
        log = writer(tmp_path / "log")
        os.write(done, b"1")
        signal.pause()
        log.close()
    assert os.read(ready, 1) == b"1"
    with pytest.raises(HostError, match="in use"):
        writer(tmp_path / "log")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(done)
    with writer(tmp_path / "log") as log:
        assert log.size == 0


# ------------------------------------------------------------------------------------------------------- other folders


@pytest.fixture
def somebody() -> Iterator[Path]:
    """A folder of root's, seen by somebody who is not: permissions say nothing to root."""
    with tempfile.TemporaryDirectory() as name:
        folder = log_of(Path(name) / "log", 3)
        Path(name).chmod(0o755)
        yield folder


def as_nobody(work: Callable[[], None]) -> None:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        work()
    finally:
        os.seteuid(user)


def test_a_folder_that_may_not_be_written_is_named_and_still_read(somebody: Path) -> None:
    for path in (*somebody.rglob("*"), somebody):
        path.chmod(0o555 if path.is_dir() else 0o444)

    def work() -> None:
        assert verified(somebody) == leaves(0, 3)
        for folder in (somebody, somebody / "tile" / "new"):
            with pytest.raises(HostError, match=r"cannot be opened .Permission denied"):
                writer(folder)

    as_nobody(work)
    somebody.chmod(0o755)


def test_a_folder_that_may_not_be_read_is_named(somebody: Path) -> None:
    (somebody / "checkpoint").chmod(0)

    def work() -> None:
        with pytest.raises(HostError, match=r"checkpoint cannot be read .Permission denied"):
            verified(somebody)

    as_nobody(work)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    for folder in (tmp_path / "log", tmp_path / "log" / "below"):
        with pytest.raises(HostError, match="cannot be opened"):
            writer(folder)


def test_a_log_is_begun_in_a_folder_whose_parent_may_not_be_read(tmp_path: Path, monkeypatch: Any) -> None:
    """The parent's names cannot be synchronised then; the folder was there before."""
    from quatrefoil.tlog import disk

    real = disk.synchronise_folder

    def refuse(folder: Path) -> None:
        if folder == tmp_path:
            raise PermissionError
        real(folder)

    (tmp_path / "log").mkdir()
    monkeypatch.setattr(disk, "synchronise_folder", refuse)
    with writer(tmp_path / "log") as log:
        assert isinstance(log, LogWriter) and log.append([b"a"]) == 0
