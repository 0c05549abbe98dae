"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quatrefoil.errors import HostError
from quatrefoil.transport.sealed import new_file


@pytest.fixture(params=["unnamed", "hidden"])
def way(request, monkeypatch):
    """With ``O_TMPFILE``, and on a system or file system that has none."""
    if request.param == "hidden":
        plain = os.open

        def no_unnamed_files(path, flags, *args, **kwargs):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not supported")
            return plain(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", no_unnamed_files)


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_is_there_at_the_end_and_not_before(tmp_path, way, mode):
    with new_file(tmp_path / "out", mode=mode) as stream:
        stream.write(b"whole")
        assert "out" not in names(tmp_path)
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == b"whole"
    assert (tmp_path / "out").stat().st_mode & 0o777 == mode


def test_the_mode_is_what_was_asked_for_whatever_the_umask(tmp_path, way):
    before = os.umask(0o077)
    try:
        with new_file(tmp_path / "out", mode=0o644):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o644


def test_nothing_is_left_when_the_block_fails(tmp_path, way):
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "out", mode=0o600) as stream:
        stream.write(b"secret" * 100_000)
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_nothing_is_overwritten_whenever_it_comes(tmp_path, way):
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("old", "dangling"):
        with pytest.raises(HostError, match="exists already"), new_file(tmp_path / name, mode=0o600):
            pytest.fail("begun")
    with pytest.raises(HostError, match="exists already"), new_file(tmp_path / "late", mode=0o600) as stream:
        stream.write(b"new")
        (tmp_path / "late").write_bytes(b"first")
    assert (tmp_path / "late").read_bytes() == b"first"
    assert sorted(names(tmp_path)) == ["dangling", "late", "old"]


def test_a_folder_that_is_none_is_refused(tmp_path):
    for place in (tmp_path / "no" / "where", tmp_path / "file" / "x"):
        (tmp_path / "file").touch()
        with pytest.raises(HostError, match="cannot be written"), new_file(place, mode=0o600):
            pytest.fail("begun")


def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path):
    with (
        pytest.raises(HostError, match=r"out cannot be written \(No space"),
        new_file(tmp_path / "out", mode=0o600) as stream,
    ):
        with Path("/dev/full").open("wb", buffering=0) as full:
            os.dup2(full.fileno(), stream.fileno())
        stream.write(bytes(1 << 20))
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no unnamed files")
def test_a_process_that_is_killed_leaves_no_plaintext(tmp_path):
    program = (
        "import os, sys, signal; from pathlib import Path; from quatrefoil.transport.sealed import new_file\n"
        "with new_file(Path(sys.argv[1]) / 'out', mode=0o600) as stream:\n"
        "    stream.write(b'secret' * 100_000); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert names(tmp_path) == []
