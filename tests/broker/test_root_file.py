"""The root key in a file: its form, its mode, and every damage."""

from __future__ import annotations

import pytest

from quatrefoil.broker.root_file import FileRootKey, wipe
from quatrefoil.errors import CallerError, HostError, KeyUnavailable, StateCorrupt
from quatrefoil.transport import files

KEY = bytes(range(32))


@pytest.fixture
def file(tmp_path):
    place = tmp_path / "root.key"
    files.write_new(place, FileRootKey(KEY).encoded(), mode=files.PRIVATE)
    return place


def test_a_file_gives_the_key_back(file):
    key = FileRootKey.load(file)
    assert key.identity() == FileRootKey(KEY).identity()
    assert key.unwrap(FileRootKey(KEY).wrap(b"x", b"y"), b"y") == b"x"


def test_the_form_is_as_specified(file):
    assert file.read_bytes() == b"quatrefoil root key v1\n" + FileRootKey(KEY).identity() + KEY
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
def test_a_file_open_to_others_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(HostError, match=r"open to others.*chmod 600"):
        FileRootKey.load(file)


def test_every_altered_byte_is_found(file):
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StateCorrupt):
            FileRootKey.load(file)


def test_every_other_length_is_refused(file):
    whole = file.read_bytes()
    for content in (*(whole[:size] for size in range(0, len(whole), 7)), whole[:-1], whole + b"\x00", whole * 2):
        file.write_bytes(content)
        with pytest.raises(StateCorrupt, match="no root key of version 1"):
            FileRootKey.load(file)


def test_no_file_is_refused(tmp_path):
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        FileRootKey.load(tmp_path / "none")
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        FileRootKey.load(tmp_path)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(CallerError, match="32 bytes"):
        FileRootKey(bytes(size))


def test_closing_wipes():
    key = FileRootKey(KEY)
    held, k1 = key._key, key._k1
    key.close()
    assert held == b"" and k1 == bytes(16)


def test_wiping_overwrites_in_place():
    secret = bytearray(KEY)
    view = memoryview(secret)
    wipe(secret)
    assert bytes(view) == bytes(32)
