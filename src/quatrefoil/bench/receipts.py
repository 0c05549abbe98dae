"""Receipts of answers: issued into the journal and taken into the log in batches, as a server does."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.attested import Attestation
from quatrefoil.audit import TileLog
from quatrefoil.audit.inference_receipts import commit_answer, commit_request, receipt_key, verify
from quatrefoil.enclave.binding import NONCE_BYTES, Keyset
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.errors import ParametersRefused
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.transport import CertificateAuthority, system_clock

BATCH = 64
"""Receipts that one flush takes into the log."""


def measure_receipts(count: int = 2000) -> dict[str, Any]:
    """Figures of ``count`` receipts in one thread: ``receipts_per_s`` with commitments, signature, journal and the
    batched log, ``issue_us`` and ``log_us`` for each receipt, ``verify_us`` at the client, and bytes of each: as sent,
    and in the log. The evidence of the keyset is a placeholder that nobody appraises here."""
    if count < 1:
        raise ParametersRefused(f"{count} receipts measure nothing", hint="Choose a number like 2000")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name:
        folder = Path(name)
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        party = authority.issue("bench", "workload", directory=folder / "party")
        with TileLog(folder / "state", party, authority.trust, clock=system_clock) as log:
            issuer, keyset = _issuer(folder, log)
            salt, content = bytes(32), bytes(4096)
            issuing = logging = 0.0
            for number in range(count):
                start = time.perf_counter()
                request = commit_request(salt, b"POST", b"/v2/models/bench/infer", content)
                encoded = issuer.issue(request, commit_answer(salt, 200, content), 200, True)
                issuing += time.perf_counter() - start
                if (number + 1) % BATCH == 0 or number + 1 == count:
                    start = time.perf_counter()
                    issuer.flush()
                    logging += time.perf_counter() - start
            logged = sum(len(leaf) for _, leaf in log.reader().leaves())
            start = time.perf_counter()
            for _ in range(200):
                verify(encoded, keyset)
            verifying = (time.perf_counter() - start) / 200
            issuer.close()
    return {
        "receipts": count,
        "batch": BATCH,
        "receipts_per_s": count / (issuing + logging),
        "issue_us": 1e6 * issuing / count,
        "log_us": 1e6 * logging / count,
        "verify_us": 1e6 * verifying,
        "receipt_bytes": len(encoded),
        "log_bytes": logged / count,
    }


def _issuer(folder: Path, log: TileLog) -> tuple[ReceiptIssuer, Keyset]:
    key = MLDSA44PrivateKey.generate()
    now = int(system_clock().timestamp())
    keyset = Keyset(b"", b"", receipt_key(key), now - 60, now + 86400)
    evidence = EvidenceSet(Evidence("tpm", b"placeholder")).encode()
    issuer = ReceiptIssuer(
        issuer="bench",
        model=bytes(32),
        commitment=b"",
        measurement=f"sev-snp.measurement={bytes(48).hex()}",
        policy=bytes(32),
        plan=b"",
        journal=folder / "receipts",
        log=log,
        clock=system_clock,
    )
    issuer.begin(keyset, key, Attestation(bytes(NONCE_BYTES), keyset, evidence).encode())
    return issuer, keyset


__all__ = ["measure_receipts"]


if __name__ == "__main__":  # prints the measurement
    print(json.dumps(measure_receipts(), indent=2))
