"""The vectors in tests/vectors/receipts, made by another implementation: ``python tests/interop/receipt_vectors.py``.

Google's coset writes the messages, RustCrypto and dalek sign them without randomness, and the CBOR of payloads, trees
and receipts is written here by hand, from docs/receipts.md alone. So the files come out the same each time, as long as
keys and certificates stay; ``--new-keys`` makes those anew, with Quatrefoil's own authority.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from peer_program import Peer

FOLDER = Path(__file__).parents[1] / "vectors" / "receipts"
TYPE = "application/vnd.quatrefoil.receipt"
MADE = datetime(2026, 11, 1, tzinfo=UTC)
AT = "2026-12-01T00:00:00Z"
YEARS = timedelta(days=30 * 365)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the vectors of receipts.")
    parser.add_argument("--new-keys", action="store_true", help="make keys and certificates anew, too")
    if parser.parse_args().new_keys:
        make_keys()
    with Peer() as peer:
        for name, content in vectors(peer).items():
            (FOLDER / name).write_bytes(content)


def make_keys() -> None:
    from quatrefoil.transport import CertificateAuthority
    from quatrefoil.transport.authority import to_pem

    with tempfile.TemporaryDirectory() as folder:
        authority = CertificateAuthority.create(
            Path(folder) / "ca", "receipt-vectors", clock=lambda: MADE, lifetime=YEARS
        )
        authority.publish(lifetime=YEARS - timedelta(days=2))
        hub = authority.issue("hub", "aggregator", lifetime=YEARS - timedelta(days=1))
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, content in authority.public_files().items():
            (FOLDER / name).write_bytes(content)
        (FOLDER / "hub.pem").write_bytes(to_pem(hub.certificate))
        (FOLDER / "hub.seed").write_text(hub.private_key().private_bytes_raw().hex() + "\n")


def vectors(peer: Peer) -> dict[str, bytes]:
    """Name of each file -> its bytes."""
    seed = bytes.fromhex((FOLDER / "hub.seed").read_text())
    certificate = x509.load_pem_x509_certificate((FOLDER / "hub.pem").read_bytes()).public_bytes(Encoding.DER)
    classical = hashlib.sha256(b"quatrefoil/vectors/receipts/ed25519").digest()
    public = ed25519.Ed25519PrivateKey.from_private_bytes(classical).public_key().public_bytes_raw().hex()
    found: dict[str, bytes] = {}
    listed = []
    for kind, attempt in ATTEMPTS.items():
        payloads = [cbor(["urn:quatrefoil:round-receipt", 1, list(one.values())]) for one in attempt]
        for index, payload in enumerate(payloads):
            size = len(payloads)
            root, proof = b"", b""
            if size > 1:
                root, path = tree(payloads, index)
                proof = cbor([size, index, path])
            signatures = [peer.ask("cose-sign", "65", seed, root or payload, TYPE.encode(), certificate, proof)]
            if kind.endswith("both"):
                signatures.append(
                    peer.ask("cose-sign", "ed25519", classical, root or payload, TYPE.encode(), b"", proof)
                )
            name = f"{kind}-{index}.receipt"
            found[name] = cbor(["urn:quatrefoil:receipt", 1, [payload, signatures]])
            listed.append(
                {
                    "file": name,
                    "payload": {
                        key: one.hex() if isinstance(one, bytes) else one for key, one in attempt[index].items()
                    },
                    "ed25519": public if len(signatures) == 2 else None,
                    "index": index,
                    "size": size,
                    "root": root.hex(),
                    "sha256": hashlib.sha256(found[name]).hexdigest(),
                }
            )
    return found | {"index.json": (json.dumps({"at": AT, "receipts": listed}, indent=1) + "\n").encode()}


def said(silo: str, verdict: str, receipts: int, **changes: Any) -> dict[str, Any]:
    given = {
        "issuer": "hub",
        "time": int(MADE.timestamp()) + 3600,
        "policy": digest("policy"),
        "plan": digest("plan"),
        "job": digest("job"),
        "round": 3,
        "attempt": 1,
        "context": digest("context"),
        "receipts": receipts,
        "silo": silo,
        "certificate": digest(f"certificate/{silo}"),
        "contribution": b"" if verdict == "absent" else digest(f"contribution/{silo}"),
        "verdict": verdict,
        "reason": {"refused": "the proof does not hold", "voided": "asked for by hub: too few"}.get(verdict, ""),
        "ending": digest("ending"),
        "result": digest("result"),
    }
    return given | changes


def digest(name: str) -> bytes:
    return hashlib.sha256(f"quatrefoil/vectors/receipts/{name}".encode()).digest()


ATTEMPTS = {
    "single": [said("north", "included", 1)],
    "single-both": [said("north", "included", 1)],
    "batch": [
        said(silo, verdict, 5)
        for silo, verdict in zip(
            ["east", "middle", "north", "south", "west"],
            ["included", "refused", "included", "absent", "included"],
            strict=True,
        )
    ],
    "batch-both": [
        said(silo, verdict, 3, result=b"", attempt=0)
        for silo, verdict in [("east", "voided"), ("north", "refused"), ("west", "absent")]
    ],
}


def tree(payloads: list[bytes], index: int) -> tuple[bytes, list[bytes]]:
    """The root over all, and the path of one: RFC 9162 sections 2.1.1 and 2.1.3.1, by their definition."""
    if len(payloads) == 1:
        return hashlib.sha256(b"\x00" + payloads[0]).digest(), []
    middle = 1 << ((len(payloads) - 1).bit_length() - 1)
    left, right = tree(payloads[:middle], index), tree(payloads[middle:], index - middle)
    path = [*left[1], right[0]] if index < middle else [*right[1], left[0]]
    return hashlib.sha256(b"\x01" + left[0] + right[0]).digest(), path


def cbor(value: Any) -> bytes:
    """RFC 8949 section 4.2.1 for numbers from 0, bytes, text and arrays."""
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(4, len(value)) + b"".join(map(cbor, value))


def head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
    return bytes([major << 5 | 24 + size.bit_length() - 1]) + number.to_bytes(size, "big")


if __name__ == "__main__":
    main()
