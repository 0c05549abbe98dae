"""docs/audit-sampling.md a second time, slowly, and without any code of the package: whole lists, no shortcuts."""

from __future__ import annotations

import base64
import hashlib
import json

from tests.reference import inference_receipts, ml_dsa_44


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def lp(content: bytes) -> bytes:
    return number(len(content)) + content


def read_note(note: str) -> tuple[str, dict[tuple[str, bytes], bytes]]:
    """Text, and of each line the signature by the name and id of its key."""
    text, _, lines = note.rpartition("\n\n")
    found = {}
    for line in lines.splitlines():
        _, name, encoded = line.split(" ")
        content = base64.b64decode(encoded)
        found[name, content[:4]] = content[4:]
    return text + "\n", found


def signature_of(vkey: str, lines: dict[tuple[str, bytes], bytes]) -> bytes:
    name, key_id, _ = vkey.split("+", 2)
    return lines[name, bytes.fromhex(key_id)]


def verify_cosignature(vkey: str, text: str, signature: bytes) -> None:
    """Of type 6: C2SP tlog-cosignature of a whole tree, by ML-DSA-44."""
    name, _, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded)
    origin, size, root = text.split("\n")[:3]
    short = [bytes([len(part)]) + part for part in (name.encode(), origin.encode())]
    message = b"subtree/v1\n\0" + short[0] + signature[:8] + short[1] + number(0) + number(int(size))
    if key[0] != 6 or not ml_dsa_44.verifies(key[1:], message + base64.b64decode(root), signature[8:]):
        raise ValueError(f"no cosignature of {name}")


def seed(note: str, vkeys: list[str], challenge: bytes) -> bytes:
    text, lines = read_note(note)
    hashed = b"quatrefoil audit sample seed 1\n" + lp(text.encode()) + lp(number(len(vkeys)))
    for vkey in sorted(vkeys):
        hashed += lp(vkey.encode()) + lp(signature_of(vkey, lines))
    return hashlib.sha256(hashed + lp(challenge)).digest()


def shuffled(seed: bytes, size: int, count: int) -> list[int]:
    places = list(range(size))
    for i in range(count):
        x = int.from_bytes(hashlib.sha256(b"quatrefoil audit sample draw 1\n" + seed + number(i)).digest(), "big")
        j = i + x % (size - i)
        places[i], places[j] = places[j], places[i]
    return places[:count]


def population(
    leaves: list[bytes], payloads: dict[str, bytes], size: int, after: int
) -> list[tuple[str, int, int, str]]:
    """Keyset, number, entry and digest of each receipt, in the order of places. All chains were checked."""
    leaves = leaves[:size]
    said = iter(inference_receipts.check_log(leaves, payloads))
    receipts: dict[str, list[tuple[str, int, int, str]]] = {}
    ended = set()
    for index, leaf in enumerate(leaves):
        entry = json.loads(leaf)
        body, kind = entry["body"], entry["kind"]
        if kind == "serving-keys":
            receipts[body["keyset"]] = []
        elif kind == "inference":
            digest = hashlib.sha256(inference_receipts.write_receipt(next(said))).hexdigest()
            receipts[body["keyset"]].append((body["keyset"], body["sequence"], index, digest))
        elif kind == "serving-ended" and index >= after:
            ended.add(body["keyset"])
    return [one for keyset in sorted(ended) for one in receipts[keyset]]


def drawn(
    leaves: list[bytes],
    payloads: dict[str, bytes],
    note: str,
    vkeys: list[str],
    count: int,
    after: int,
    challenge: bytes,
) -> list[tuple[str, int, int, str]]:
    text, lines = read_note(note)
    for vkey in vkeys:
        verify_cosignature(vkey, text, signature_of(vkey, lines))
    everything = population(leaves, payloads, int(text.split("\n")[1]), after)
    return [everything[place] for place in shuffled(seed(note, vkeys, challenge), len(everything), count)]
