"""How many receipts a server gives out a second: numbered, chained, signed, in the journal and then in the log."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil import ohttp
from quatrefoil.attested import Attester
from quatrefoil.attested.messages import Challenge
from quatrefoil.audit import TileLog
from quatrefoil.audit.inference_receipts import receipt_key
from quatrefoil.bench.quoting import Quoting
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import ParametersRefused
from quatrefoil.exchange import protocol
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.transport import CertificateAuthority, system_clock

_HOUR = 3600


def measure_receipts(count: int) -> dict[str, float]:
    """``issue_us``: from commitments to a receipt in the journal. ``log_us``: and into the log, all in one flush.
    ``receipts_per_s``: both, by one thread."""
    if count < 1:
        raise ParametersRefused(f"{count} receipts measure nothing", hint="Choose a number like 2000")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as name:
        folder = Path(name)
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        identity = authority.issue("server", protocol.SERVER_ROLE, directory=folder / "server")
        log = TileLog(folder / "state", identity, authority.trust)
        issuer = ReceiptIssuer(
            issuer=identity.name,
            model=bytes(32),
            measurement="tpm.pcr0=" + "00" * 32,
            policy=bytes(32),
            plan=b"",
            journal=folder / "receipts",
            log=log,
            clock=system_clock,
        )
        try:
            key = MLDSA44PrivateKey.generate()
            issuer.begin(*_begun(key))
            commitments = [os.urandom(32) for _ in range(count)]
            began = time.perf_counter()
            for one in commitments:
                issuer.issue(one, one, 200, True)
            issued = time.perf_counter()
            issuer.flush()
            logged = time.perf_counter()
        finally:
            issuer.close()
            log.close()
    return {
        "issue_us": 1e6 * (issued - began) / count,
        "log_us": 1e6 * (logged - issued) / count,
        "receipts_per_s": count / (logged - began),
    }


def _begun(key: MLDSA44PrivateKey) -> tuple[Keyset, MLDSA44PrivateKey, bytes]:
    """A keyset with this key, and evidence of it."""
    now, nonce = int(time.time()), os.urandom(32)
    sealing = protocol.sealing_key(ohttp.HybridKey.generate())
    keyset = Keyset(sealing, b"", receipt_key(key), now - _HOUR, now + _HOUR)
    attester = Attester(keyset, Quoting(), devices=(), purposes=[protocol.PURPOSE], clock=system_clock)
    return keyset, key, attester.answer(Challenge(nonce, protocol.PURPOSE).encode(), b"")


__all__ = ["measure_receipts"]
