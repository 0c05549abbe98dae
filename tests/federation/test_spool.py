"""What an aggregator lays aside of contributions comes back as it was, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import HostError
from quatrefoil.federation.spool import FileSpool, Kept, MemorySpool, Spool
from world import NAMES, SAMPLES, UPDATES, World


def laid(spool: Spool, content: bytes) -> Kept:
    return spool.keep(content, hashlib.sha256(content).digest())


@pytest.fixture(params=["memory", "file"])
def spool(request, tmp_path):
    made = MemorySpool() if request.param == "memory" else FileSpool(tmp_path / "spool")
    yield made
    made.close()


def test_contents_come_back_in_any_order(spool) -> None:
    contents = [os.urandom(size) for size in (1, 0, 70_000, 33)]
    kept = [laid(spool, content) for content in contents]
    for one, content in reversed(list(zip(kept, contents, strict=True))):
        assert one.read() == content
        assert one.size == len(content)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_whatever_is_kept_is_read(contents) -> None:
    spool = FileSpool(Path(tempfile.gettempdir()))
    kept = [laid(spool, content) for content in contents]
    assert [one.read() for one in kept] == contents
    spool.close()


def test_the_file_has_no_name(tmp_path) -> None:
    spool = FileSpool(tmp_path)
    laid(spool, b"an update")
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_other_bytes_on_the_disk_are_noticed(tmp_path, monkeypatch) -> None:
    spool = FileSpool(tmp_path)
    kept = laid(spool, b"an update")
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *given: bytes(len(real(*given))))
    with pytest.raises(HostError, match="do not read back"):
        kept.read()


def test_a_file_that_ends_early_is_noticed(tmp_path) -> None:
    spool = FileSpool(tmp_path)
    kept = laid(spool, b"an update")
    os.ftruncate(spool._file, 3)
    with pytest.raises(HostError, match="do not read back"):
        kept.read()


def test_a_full_disk_is_the_hosts_fault(tmp_path, monkeypatch) -> None:
    spool = FileSpool(tmp_path)

    def full(*_) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(HostError, match=r"No space left.*room for every ciphertext"):
        laid(spool, b"an update")


def test_a_folder_that_is_a_file_is_refused(tmp_path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(HostError, match="cannot be laid"):
        FileSpool(tmp_path / "spool")


class _Full(MemorySpool):
    """Takes this many contents, and then refuses one."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def keep(self, content, digest):
        if len(self._contents) == self.most:
            self.most = 1 << 30
            raise HostError("the disk is full", hint="Free some")
        return super().keep(content, digest)


def test_a_sum_goes_on_without_what_the_disk_did_not_take() -> None:
    """The ciphertext was in the sum already: the sum is made anew, and the silo sends it again."""
    world = World(rounds=1, make_spool=lambda: _Full(1)).begin()
    offer = world.open()
    messages = {name: world.contribution(name, offer) for name in NAMES}
    world.aggregator.receive("ambon", messages["ambon"])
    with pytest.raises(HostError, match="full"):
        world.aggregator.receive("bari", messages["bari"])
    for name in ("bari", "cusco", "dakar"):
        world.aggregator.receive(name, messages[name])
    assert world.finish().contributors == NAMES


def test_an_excluded_silo_is_taken_out_of_a_sum_whose_parts_lie_on_the_disk(tmp_path) -> None:
    spools = []

    def make() -> FileSpool:
        spools.append(FileSpool(tmp_path))
        return spools[-1]

    world = World(rounds=1, limits={"proofs": True, "update_norm": 4.0}, make_spool=make).begin()
    world.send(world.open())
    world.aggregator.exclude("bari", "its key cannot be used")
    finished = world.finish()
    assert finished.contributors == ("ambon", "cusco", "dakar")
    mean = sum(SAMPLES[name] * UPDATES[name] for name in finished.contributors) / sum(
        SAMPLES[name] for name in finished.contributors
    )
    assert abs(world.aggregator.model[0] - mean).max() <= finished.error_bound
    proofs = [
        entry.attached["proof"].sha256
        for entry in world.log.entries()
        if entry.kind == "contribution" and "proof" in entry.attached
    ]
    assert len(proofs) == 3 and all(len(world.log.payload(digest)) > 1000 for digest in proofs)
    assert not spools[0]._close.alive
