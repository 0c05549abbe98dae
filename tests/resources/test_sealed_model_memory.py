"""Memory does not grow with the content: not the interpreter's, and not the process's."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from sealing_models import ABOUT, BROKER, opened, owner

from quatrefoil.resources.container import FILE, extract, reading, seal
from quatrefoil.transport import PostQuantumTransport, TrustAnchor
from quatrefoil.transport.sealed import new_file
from support import Consortium

THREADS = 2
BOUND = 14 << 20
"""A few chunks for each thread, under way or waiting for their turn."""

STRETCH = """
import resource, sys
from quatrefoil.cli import main
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""


def peak_of(folder: Path, size: int, by: PostQuantumTransport, trust: TrustAnchor) -> int:
    content, container, out = folder / f"{size}", folder / f"{size}.sealed", folder / f"{size}.opened"
    with content.open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        with new_file(container, mode=0o600) as sink, reading(content, FILE, salt=None) as given:
            seal(
                given,
                sink,
                about=ABOUT,
                owner=owner(by),
                brokers=(BROKER.recipient.public,),
                threads=THREADS,
                progress=lambda done: None,
            )
        with opened(container, trust) as model:
            extract(model, out, threads=THREADS, progress=lambda done: None)
            assert sum(map(len, model.chunks(threads=THREADS))) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert out.stat().st_size == size
    return peak


def test_sixteen_and_sixty_four_megabytes_need_the_same(
    tmp_path: Path, north: PostQuantumTransport, trust: TrustAnchor
) -> None:
    peaks = [peak_of(tmp_path, size << 20, north, trust) for size in (16, 64)]
    assert max(peaks) < BOUND, peaks


@pytest.mark.slow
def test_a_gigabyte_through_the_command_line(tmp_path: Path, consortium: Consortium) -> None:
    """Resident memory of the processes themselves, OpenSSL's included, beyond what they had when they began."""
    consortium.identity("north", "silo")
    (tmp_path / "release.toml").write_text(_policy(tmp_path))
    common = ["--root", str(consortium.directory / "root.pem")]
    identity = ["--identity", str(consortium.folder("north", "silo"))]
    _run(tmp_path, ["seal-key", "new", "key", *identity, *common])
    _run(tmp_path, ["model", "key", "owner.pem"])
    grown = []
    for size in (200, 1100):  # the second has two index pages
        with (tmp_path / "content").open("wb") as file:
            file.truncate(size << 20)
        seal_it = ["model", "seal", "content", "--name", "m", "--serial", "1", "--policy", "release.toml"]
        seal_it += ["--to", "key", "--signing-key", "owner.pem", "--out", f"{size}.sealed", *identity, *common]
        open_it = ["model", "open", f"{size}.sealed", "--key", "key", "--out", f"{size}.back", *common]
        open_it += ["--owner", "north", "--name", "m", "--least-serial", "1"]
        grown.append([_run(tmp_path, arguments) for arguments in (seal_it, open_it)])
        assert (tmp_path / f"{size}.back").stat().st_size == size << 20
    assert max(map(max, grown)) < 60_000, grown


def _policy(folder: Path) -> str:
    from release_policies import APPRAISAL, TEXT

    for stage in ("train", "aggregate", "serve"):
        (folder / f"{stage}.toml").write_text(APPRAISAL.replace('"keeper"', f'"{stage}"'))
    return TEXT


def _run(folder: Path, arguments: list[str]) -> int:
    """Kibibytes that the process grew by."""
    done = subprocess.run(
        [sys.executable, "-c", STRETCH, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return int(done.stderr.splitlines()[-1])
