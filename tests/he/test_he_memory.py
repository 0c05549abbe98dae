"""What a secret key leaves in a process that had it and wiped it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from process_memory import NotReadable, found_in
from quatrefoil.aggregation.he import SETS, SecretKey

LOADS_AND_WIPES = """
import sys
from quatrefoil.aggregation.he import SETS, SecretKey
data = bytearray(int(sys.argv[3]))
with open(sys.argv[2], "rb", buffering=0) as file:
    file.readinto(data)
key = SecretKey.load(SETS[sys.argv[1]], bytes(16), data)
if sys.argv[4] == "wiped":
    key.wipe()
    data[:] = bytes(len(data))
print("ready", flush=True)
sys.stdin.read()
"""


def left_behind(name: str, file: Path, how: str) -> set[str]:
    stream = SecretKey.generate(SETS[name]).save()
    file.write_bytes(stream)
    # The first 8 KiB apart: SEAL's own stream reads these through a buffer.
    places = [200, 1000, 4000, 8000, *range(9000, len(stream) - 48, len(stream) // 12)]
    needles = {str(place): bytes(stream[place : place + 48]) for place in places}
    command = [sys.executable, "-c", LOADS_AND_WIPES, name, str(file), str(len(stream)), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            found = found_in(process.pid, needles)
        except NotReadable as refused:
            pytest.skip(f"memory of other processes cannot be read here: {refused}")
        finally:
            process.stdin.close()
    return found


@pytest.mark.parametrize("name", ["ckks-linear-4096", "bgv-product-8192"])
def test_a_wiped_key_is_in_no_memory(name: str, tmp_path: Path) -> None:
    assert left_behind(name, tmp_path / "key", "wiped") == set()


def test_a_key_that_was_not_wiped_is_found(tmp_path: Path) -> None:
    """That the search finds what there is."""
    assert len(left_behind("ckks-linear-4096", tmp_path / "key", "kept")) > 10
