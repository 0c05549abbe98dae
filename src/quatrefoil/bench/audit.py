"""The transparency log: appends, proofs, and the check of a whole bundle, with the memory that it takes.

There is no peer to compare with: no transparency log in Python is packaged that keeps tiles durably or verifies them
under two signatures. Plain, for appends, is a file to which the same leaves are appended, with an fsync an append.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quatrefoil.audit import Event, TileLog, entries
from quatrefoil.audit.bundling import make_bundle
from quatrefoil.errors import CallerError, HostError
from quatrefoil.tlog import merkle
from quatrefoil.tlog.merkle import leaf_hash
from quatrefoil.tlog.writer import MOST_APPENDED
from quatrefoil.transport import CertificateAuthority, Identity, TrustAnchor, system_clock

BATCH = 1000
"""Entries of one batched append."""

SINGLE, PROOFS = 200, 2000
"""How many single appends, and how many proofs, are timed."""

_KIND = "x-served"
_CHECK = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from quatrefoil.audit.verification import examine
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
before, start, used = peak(), time.perf_counter(), time.process_time()
found = examine(Path(sys.argv[1]), trust=Path(sys.argv[2]), policy=None,
                relied=None, at=datetime.now(UTC)).verdict
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time() - used, "before": before,
                  "peak": peak(), "valid": found.valid, "size": found.size}))
"""


def measure_audit(leaves: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Figures of a log of ``leaves`` entries, each with a number and a digest. Rates are entries a second, durable and
    under a checkpoint that was signed with both keys; peaks are bytes of a fresh process that checks the bundle."""
    if not 10_000 <= leaves <= 100_000_000:
        raise CallerError(f"a log of {leaves} entries is not measured", hint="Choose 10,000 to 100,000,000")
    if not Path("/proc/self/status").exists():
        raise HostError("this system does not tell a process's peak of memory", hint="Measure on Linux")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name:
        folder = Path(name)
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        party = authority.issue("bench", "aggregator", directory=folder / "party")
        roots = {file: (folder / "ca" / file).read_bytes() for file in ("root.pem", "crl.pem")}
        root = folder / "ca" / "root.pem"
        row: dict[str, Any] = {"leaves": leaves, "batch": BATCH, "peer": None}
        progress("single and batched appends")
        row |= _appends(folder / "appends", party, authority.trust)
        row |= _plain(folder / "plain")
        small = leaves // 100
        for size in (small, leaves):
            progress(f"a log of {size} entries")
            seconds = _fill(folder / f"{size}", party, authority.trust, roots, size)
        row["fill_per_second"] = leaves / seconds
        progress("proofs")
        row |= _proofs(folder / f"{leaves}", party, authority.trust)
        for size in (small, leaves):
            progress(f"bundle of {size} entries, and its check")
            row |= _bundle(folder, size, root, "" if size == leaves else "small_")
        row["bytes_per_leaf"] = row["bundle_bytes"] / leaves
        return row


def _event(number: int) -> Event:
    return Event(_KIND, {"number": number, "digest": f"{number:064x}"})


def _appends(state: Path, party: Identity, trust: TrustAnchor) -> dict[str, float]:
    """One at a time, and ``BATCH`` at a time, for about two seconds each at most."""
    with TileLog(state, party, trust) as log:
        start = time.perf_counter()
        for number in range(SINGLE):
            log.append(_KIND, _event(number).body)
        single = SINGLE / (time.perf_counter() - start)
        rounds, start = 0, time.perf_counter()
        while rounds < 20:
            log.append_all([_event(rounds * BATCH + number) for number in range(BATCH)])
            rounds += 1
        batched = rounds * BATCH / (time.perf_counter() - start)
    return {"single_per_second": single, "batched_per_second": batched}


def _plain(file: Path) -> dict[str, float]:
    leaf = entries.encode(datetime.now(UTC), _KIND, _event(0).body, {})
    rates = {}
    for name, count, rounds in (("single", 1, SINGLE), ("batched", BATCH, 20)):
        with file.open("ab", buffering=0) as out:
            start = time.perf_counter()
            for _ in range(rounds):
                out.write(leaf * count)
                os.fsync(out.fileno())
            rates[f"plain_{name}_per_second"] = rounds * count / (time.perf_counter() - start)
    return rates


def _fill(state: Path, party: Identity, trust: TrustAnchor, roots: dict[str, bytes], size: int) -> float:
    """Seconds that it took, in the largest batches that a log takes; the first entry is the log's own."""
    with TileLog(state, party, trust) as log:
        log.keep_trust(roots)
        begin = time.perf_counter()
        for start in range(1, size, MOST_APPENDED):
            log.append_all([_event(number) for number in range(start, min(size, start + MOST_APPENDED))])
        return time.perf_counter() - begin


def _proofs(state: Path, party: Identity, trust: TrustAnchor) -> dict[str, float]:
    """Microseconds to check one, with its leaf or older root given; and to make one, from tiles on the disk."""
    with TileLog(state, party, trust) as log:
        reader = log.reader()
        size, root = reader.size, reader.checkpoint.root
        step = max(1, size // PROOFS)
        made = []
        start = time.perf_counter()
        for index in range(0, size, step):
            made.append((index, reader.inclusion_proof(index)))
        making = (time.perf_counter() - start) / len(made)
        hashes = [leaf_hash(reader.leaf(index)) for index, _ in made[:: len(made) // 50 or 1]]
        chosen = made[:: len(made) // 50 or 1]
        start, repeats = time.perf_counter(), 20
        for _ in range(repeats):
            for (index, proof), hashed in zip(chosen, hashes, strict=True):
                merkle.verify_inclusion(hashed, index, size, proof, root)
        inclusion = (time.perf_counter() - start) / (repeats * len(chosen))
        older = [max(1, index) for index, _ in chosen]
        proofs = [(old, reader.root_at(old), reader.consistency_proof(old)) for old in older]
        start = time.perf_counter()
        for _ in range(repeats):
            for old, old_root, path in proofs:
                merkle.verify_consistency(old, old_root, size, root, path)
        consistency = (time.perf_counter() - start) / (repeats * len(proofs))
    return {
        "inclusion_make_us": making * 1e6,
        "inclusion_check_us": inclusion * 1e6,
        "consistency_check_us": consistency * 1e6,
    }


def _bundle(folder: Path, size: int, root: Path, prefix: str) -> dict[str, Any]:
    """In a fresh process, whose peak before the check is that of its imports."""
    bundle = folder / f"{size}.zip"
    start = time.perf_counter()
    made = make_bundle([folder / f"{size}"], bundle)
    making = time.perf_counter() - start
    command = [sys.executable, "-c", _CHECK, str(bundle), str(root)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    found = json.loads(ran.stdout)
    if not found["valid"] or found["size"] != size:
        raise HostError(f"the bundle of {size} entries did not pass its check", hint="This is a bug: report it")
    return {
        f"{prefix}leaves": size,
        f"{prefix}bundle_files": made.files,
        f"{prefix}bundle_bytes": made.size,
        f"{prefix}bundle_make_seconds": making,
        f"{prefix}bundle_verify_seconds": found["seconds"],
        f"{prefix}bundle_verify_cpu_seconds": found["cpu"],
        f"{prefix}bundle_verify_peak_bytes": found["peak"],
        f"{prefix}imports_peak_bytes": found["before"],
    }
