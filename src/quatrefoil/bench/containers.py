"""How fast models are sealed and opened, in megabytes of content a second, beside a plain copy of the same bytes.

Everything lies in one folder, in memory where there is such a folder (``/dev/shm``): what is measured is the work, and
not a disk. ``open_mb_s`` writes the content to a new file, as ``model open`` does; ``read_mb_s`` verifies it chunk by
chunk in memory, as a server does that loads it. ``copy_mb_s`` reads and writes in chunks with as many threads.
``sha256_mb_s`` and ``aes_gcm_mb_s`` are the two primitives alone, over chunks in memory: what bounds the rest.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.bench.attest_samples import SAMPLES
from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.resources import ReleasePolicy, Stage
from quatrefoil.resources.container import (
    FILE,
    About,
    Expected,
    Owner,
    SealedModel,
    claimed_time,
    extract,
    opened_front,
    reading,
    seal,
)
from quatrefoil.resources.container.layout import CHUNK
from quatrefoil.resources.container.parallel import in_order
from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock
from quatrefoil.transport.sealed import HYBRID_768, Judged, RecipientKey, new_file

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of one's own is made in it
THREADS = (1, 2)


def measure_containers(
    megabytes: int, repeats: int, folder: Path | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row for each number of threads, each figure the best of ``repeats``; ``megabytes``: MiB of content."""
    require_measurable(megabytes, repeats)
    base = folder or (MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir()))
    try:
        with tempfile.TemporaryDirectory(dir=base) as made:
            bench = _Bench(Path(made), megabytes << 20)
            rows = []
            for threads in THREADS:
                progress(f"seal, open and copy {megabytes} MiB with {threads} thread{'s' if threads > 1 else ''}")
                rows.append({"threads": threads, "mebibytes": megabytes, **bench.row(threads, repeats)})
            return rows
    except OSError as error:
        raise HostError(f"{base} cannot be used ({error.strerror})", hint="Name another with --folder") from None


def require_measurable(megabytes: int, repeats: int) -> None:
    """``ParametersRefused`` for what measures nothing: before the work of others in the same run."""
    if not 1 <= megabytes <= 1 << 20 or repeats < 1:
        raise ParametersRefused(f"{megabytes} MiB {repeats} times measure nothing", hint="Choose 256 and 3, or more")


class _Bench:
    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        identity = authority.issue("owner", "silo", directory=folder / "owner")
        security = PostQuantumTransport(identity, authority.trust, clock=system_clock)
        self._owner = Owner(security.sign, security.verify, Ed25519PrivateKey.generate())
        self._verifying = claimed_time(authority.trust, judged=Judged.NOW, clock=system_clock)
        self._broker = RecipientKey.generate(HYBRID_768)
        appraisal = replace(SAMPLES[0]().policy, report_data="required")
        stage = Stage("serve", appraisal, 3600, "allowed", ())
        policy = ReleasePolicy("bench", ("serve",), (stage,))
        self._about = About("model", "bench", 1, int(system_clock().timestamp()), ("serve",), policy, "")
        self._expected = Expected("model", "owner", "bench", b"", 1, b"")
        self._content, self._container = folder / "content", folder / "container"
        block = os.urandom(CHUNK)
        with self._content.open("wb") as file:
            for _ in range(size // CHUNK):
                file.write(block)

    def row(self, threads: int, repeats: int) -> dict[str, float]:
        """Megabytes (10^6 bytes) a second of each kind of work, and opening beside copying."""
        row = {
            "seal_mb_s": self._best(repeats, lambda: self._seal(threads)),
            "open_mb_s": self._best(repeats, lambda: self._open(threads)),
            "read_mb_s": self._best(repeats, lambda: self._read(threads)),
            "copy_mb_s": self._best(repeats, lambda: self._copy(threads)),
            "sha256_mb_s": self._best(repeats, lambda: self._hash(threads)),
            "aes_gcm_mb_s": self._best(repeats, lambda: self._decrypt(threads)),
        }
        return row | {"open_of_copy": row["open_mb_s"] / row["copy_mb_s"]}

    def _best(self, repeats: int, work: Callable[[], None]) -> float:
        best = float("inf")
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - start)
        return self._size / best / 1e6

    def _seal(self, threads: int) -> None:
        self._container.unlink(missing_ok=True)
        with reading(self._content, FILE, salt=None) as content, new_file(self._container, mode=0o600) as sink:
            seal(
                content,
                sink,
                about=self._about,
                owner=self._owner,
                brokers=[self._broker.recipient.public],
                threads=threads,
                progress=_quiet,
            )

    def _opened(self) -> SealedModel:
        with opened_front(self._container, self._verifying) as (stream, front):
            return SealedModel(stream, front, front.open_key(self._broker), expected=self._expected)

    def _open(self, threads: int) -> None:
        out = self._folder / "opened"
        with self._opened() as model:
            extract(model, out, threads=threads, progress=_quiet)
        out.unlink()

    def _read(self, threads: int) -> None:
        with self._opened() as model:
            _run(lambda number: len(model.chunk(number)), range(model.chunk_count), threads)

    def _copy(self, threads: int) -> None:
        out = self._folder / "copied"
        with self._content.open("rb") as source, new_file(out, mode=0o600) as sink:
            given, taken = source.fileno(), sink.fileno()
            _run(lambda at: os.pwrite(taken, os.pread(given, CHUNK, at), at), range(0, self._size, CHUNK), threads)
        out.unlink()

    def _hash(self, threads: int) -> None:
        block = bytes(CHUNK)
        _run(lambda _: hashlib.sha256(block).digest(), range(self._size // CHUNK), threads)

    def _decrypt(self, threads: int) -> None:
        cipher, sink = AESGCM(bytes(32)), [bytearray(CHUNK) for _ in range(threads + 2)]
        sealed = cipher.encrypt(bytes(12), bytes(CHUNK), None)
        _run(
            lambda at: cipher.decrypt_into(bytes(12), sealed, None, sink[at % len(sink)]),
            range(self._size // CHUNK),
            threads,
        )


def _run(work: Callable[[int], object], items: Iterable[int], threads: int) -> None:
    for _ in in_order(work, items, threads):
        pass


def _quiet(_done: int) -> None:
    pass


__all__ = ["measure_containers", "require_measurable"]
