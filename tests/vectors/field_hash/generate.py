"""Write these vectors again, byte for byte: with the second implementation in tests/reference, not with ours.

PYTHONPATH=. python tests/vectors/field_hash/generate.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.reference import field_hash as reference

FOLDER = Path(__file__).parent
PREFIX = "quatrefoil/vectors/field-hash/"
SHAPES = [(1, 0, 255), (30, -128, 127), (784, 0, 255), (2049, -5, 250), (12, -32768, 32767), (7, -300, 700), (3, 0, 15)]


def stream(name: str, length: int) -> bytes:
    return hashlib.shake_128(f"{PREFIX}{name}".encode()).digest(length)


def one(size: int, low: int, high: int, place: str) -> dict[str, object]:
    rows, entries, bits = reference.shape(size, low, high)
    name = f"{size} {low} {high} {place}"
    drawn = stream(f"{name} inputs", 4 * size)
    span = high - low + 1
    inputs = [low + int.from_bytes(drawn[at : at + 4], "little") % span for at in range(0, 4 * size, 4)]
    if place == "low":
        inputs = [low] * size
    elif place == "high":
        inputs = [high] * size
    randomness = stream(f"{name} rho", entries * (1 if bits <= 8 else 2))
    found = reference.field_hash(inputs, low, high, randomness)
    return {
        "size": size,
        "low": low,
        "high": high,
        "rows": rows,
        "rho_entries": entries,
        "inputs": inputs,
        "randomness": randomness.hex(),
        "rho_sha256": hashlib.sha256(
            b"".join(entry.to_bytes(4, "little", signed=True) for entry in reference.rho(size, low, high, randomness))
        ).hexdigest(),
        "hash": found.hex() if size < 100 else "",
        "hash_sha256": hashlib.sha256(found).hexdigest(),
    }


def main() -> None:
    vectors = [one(*shape, "drawn") for shape in SHAPES]
    vectors += [one(30, -128, 127, "low"), one(12, -32768, 32767, "high")]
    (FOLDER / "field_hash.json").write_text(json.dumps(vectors, indent=0) + "\n")


if __name__ == "__main__":
    main()
