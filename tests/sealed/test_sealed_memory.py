"""Memory does not grow with the file."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tracemalloc

import pytest
from sealing_room import KEYS

from quatrefoil.transport import sealed, system_clock
from quatrefoil.transport.sealed import HYBRID_768, Judged
from support import Consortium

BOUND = 2 << 20


class Zeros(io.RawIOBase):
    """``size`` zero bytes that are nowhere in memory."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        given = min(size, self._left)
        self._left -= given
        return bytes(given)


def peak_of(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sealing_and_opening(folder, size, north, trust) -> int:
    key = KEYS["hybrid-768"]
    options = {"trust": trust, "sender": "north", "judged": Judged.NOW, "clock": system_clock}

    def through() -> None:
        with sealed.new_file(folder / f"{size}.sealed", mode=0o600) as sink:
            sealed.seal(
                Zeros(size),
                sink,
                recipients=[key.recipient],
                sender=north,
                context=b"",
                minimum=HYBRID_768,
                clock=system_clock,
            )
        with (
            (folder / f"{size}.sealed").open("rb") as source,
            sealed.new_file(folder / f"{size}.again", mode=0o600) as sink,
        ):
            sealed.rewrap(
                source, sink, key=key, recipients=[key.recipient], wrapper=north, minimum=HYBRID_768, **options
            )
        with (folder / f"{size}.again").open("rb") as source:
            sealed.open_sealed(source, folder / f"{size}.opened", key=key, context=b"", **options)

    peak = peak_of(through)
    assert (folder / f"{size}.opened").stat().st_size == size
    return peak


def test_twelve_megabytes_need_two(tmp_path, north, trust):
    assert sealing_and_opening(tmp_path, 12 << 20, north, trust) < BOUND


@pytest.mark.slow
def test_two_hundred_megabytes_need_two(tmp_path, north, trust):
    assert sealing_and_opening(tmp_path, 200_000_000, north, trust) < BOUND


@pytest.mark.slow
def test_two_hundred_megabytes_through_the_command_line(tmp_path, consortium: Consortium):
    """Resident memory of the processes themselves, OpenSSL's included."""
    folder, root = consortium.folder("north", "silo"), consortium.directory / "root.pem"
    consortium.identity("north", "silo")
    content = tmp_path / "content"
    with content.open("wb") as file:
        file.truncate(200_000_000)
    common = ["--root", str(root)]
    for arguments in (
        ["seal-key", "new", "key", "--identity", str(folder), *common],
        ["seal", "content", "--to", "key", "--identity", str(folder), "--out", "content.sealed", *common],
        ["open", "content.sealed", "--key", "key", "--out", "back", "--from", "north", *common],
    ):
        subprocess.run([sys.executable, "-m", "quatrefoil.cli", *arguments], cwd=tmp_path, check=True)
    assert (tmp_path / "back").stat().st_size == 200_000_000
    # The interpreter with its libraries; the file would come on top of it if it were ever held whole.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 180_000
