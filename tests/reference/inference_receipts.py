"""Inference receipts by hand, from docs/inference-receipts.md alone: CBOR, HMAC, COSE and ML-DSA-44 a second time.

Slow, and nothing of ours. Whole byte strings in; what does not fit raises ``ValueError``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.reference import field_hash, ml_dsa_44

FIELDS = [
    "issuer",
    "keyset",
    "sequence",
    "previous",
    "time",
    "model",
    "commitment",
    "measurement",
    "policy",
    "plan",
    "request",
    "answer",
    "status",
    "complete",
    "inputs",
    "outputs",
]
RECEIPT_TYPE, ENDED_TYPE = (f"application/vnd.quatrefoil.{name}" for name in ("inference-receipt", "serving-ended"))
SPKI = bytes.fromhex("30820532300b060960864801650304031103820521" + "00")
DAY_MS = 86_400_000


# ----------------------------------------------------------------------------------------------------------------- CBOR


def encode(value: Any) -> bytes:
    """Deterministic CBOR of what receipts are made of."""
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return _head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    raise ValueError("no such thing is in a receipt")


def _head(major: int, number: int) -> bytes:
    for size, code in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if number < 24:
            return bytes([major << 5 | number])
        if number < 1 << 8 * size:
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    raise ValueError("a number is too large")


def decode(data: bytes) -> Any:
    """The one value whose deterministic form ``data`` are."""
    value, end = _item(data, 0, 0)
    if end != len(data) or encode(value) != data:
        raise ValueError("not in deterministic form")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(data) or depth > 8:
        raise ValueError("ends too early, or is too deep")
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if low not in (20, 21):
            raise ValueError("a value of a kind that receipts do not have")
        return low == 21, at
    if low > 27:
        raise ValueError("indefinite")
    size = 0 if low < 24 else 1 << low - 24
    number = low if low < 24 else int.from_bytes(data[at : at + size], "big")
    at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        if at + number > len(data):
            raise ValueError("ends too early")
        found = data[at : at + number]
        return (found if major == 2 else found.decode()), at + number
    if number > len(data):
        raise ValueError("longer than the message")
    items = []
    for _ in range(number * (major - 3) if major in (4, 5) else -1):
        item, at = _item(data, at, depth + 1)
        items.append(item)
    if major == 4:
        return items, at
    if major == 5:
        return dict(zip(items[::2], items[1::2], strict=True)), at
    raise ValueError("a tag")


# ---------------------------------------------------------------------------------------------------------- commitments


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """RFC 2104, for keys of up to 64 bytes."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + data).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def request(salt: bytes, method: bytes, path: bytes, content: bytes) -> bytes:
    named = b"".join(len(part).to_bytes(4, "big") + part for part in (method, path))
    return hmac_sha256(salt, b"request\0" + named + content)


def answer(salt: bytes, status: int, content: bytes) -> bytes:
    return hmac_sha256(salt, b"answer\0" + status.to_bytes(2, "big") + content)


def expanded(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256."""
    out, last = b"", b""
    for number in range(1, -(-length // 32) + 1):
        last = hmac_sha256(key, last + info + bytes([number]))
        out += last
    return out[:length]


def inputs(salt: bytes, samples: list[list[int]], low: int, high: int) -> bytes:
    """The commitment to samples, a row each."""
    key = expanded(salt, b"quatrefoil/receipt inputs", 32)
    _, entries, bits = field_hash.shape(len(samples[0]), low, high)
    length = entries * (1 if bits <= 8 else 2)
    hashes = [
        field_hash.field_hash(
            sample, low, high, expanded(key, b"quatrefoil/receipt rho" + row.to_bytes(4, "big"), length)
        )
        for row, sample in enumerate(samples)
    ]
    text = b"quatrefoil/receipt inputs\0" + len(samples).to_bytes(4, "big") + b"".join(hashes)
    return hashlib.sha256(text).digest()


def outputs(salt: bytes, answers: list[list[int]]) -> bytes:
    """The commitment to answers, a row each."""
    key = expanded(salt, b"quatrefoil/receipt outputs", 32)
    shape = len(answers).to_bytes(4, "big") + len(answers[0]).to_bytes(4, "big")
    integers = b"".join(one.to_bytes(4, "little", signed=True) for row in answers for one in row)
    return hmac_sha256(key, shape + integers)


# ------------------------------------------------------------------------------------------------------------- receipts


def message(encoded: bytes, kind: str) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature of a COSE_Sign1 of this type."""
    if encoded[:1] != b"\xd2":
        raise ValueError("no tag 18")
    parts = decode(encoded[1:])
    if not (isinstance(parts, list) and len(parts) == 4):
        raise ValueError("not four parts")
    protected, unprotected, payload, signature = parts
    if not all(type(part) is bytes for part in (protected, payload, signature)) or unprotected != {}:
        raise ValueError("parts of other kinds")
    if protected != encode({1: -48, 16: kind}):
        raise ValueError("other headers")
    return protected, payload, signature


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", protected, b"", payload])


def read_keyset(encoded: bytes) -> dict[str, Any]:
    parts = decode(encoded)
    if not (isinstance(parts, list) and len(parts) == 3 and parts[:2] == ["urn:quatrefoil:keyset", 1]):
        raise ValueError("no keyset")
    found = dict(zip(("sealing", "tls", "receipt", "not_before", "expires"), parts[2], strict=True))
    if found["receipt"][: len(SPKI)] != SPKI or len(found["receipt"]) != len(SPKI) + ml_dsa_44.PUBLIC_BYTES:
        raise ValueError("no key for receipts")
    return found


def verify(encoded: bytes, keyset: bytes) -> dict[str, Any]:
    """The fields of a receipt under an encoded keyset."""
    protected, payload, signature = message(encoded, RECEIPT_TYPE)
    keys, fields = read_keyset(keyset), read_receipt(payload)
    if not ml_dsa_44.verifies(keys["receipt"][len(SPKI) :], to_be_signed(protected, payload), signature):
        raise ValueError("another signature")
    if fields["keyset"] != hashlib.sha256(keyset).digest():
        raise ValueError("of another keyset")
    if not keys["not_before"] * 1000 <= fields["time"] < keys["expires"] * 1000 + DAY_MS:
        raise ValueError("of another time")
    return fields


def read_receipt(payload: bytes) -> dict[str, Any]:
    parts = decode(payload)
    if not (isinstance(parts, list) and len(parts) == 3 and parts[:2] == ["urn:quatrefoil:inference-receipt", 3]):
        raise ValueError("no receipt of this version")
    found = dict(zip(FIELDS, parts[2], strict=True))
    for name in ("keyset", "previous", "model", "policy", "request", "answer"):
        if type(found[name]) is not bytes or len(found[name]) != 32:
            raise ValueError(f"no digest for {name}")
    for name in ("commitment", "plan"):
        if type(found[name]) is not bytes or len(found[name]) not in (0, 32):
            raise ValueError(f"no digest for {name}")
    lengths = [len(found[name]) if type(found[name]) is bytes else -1 for name in ("inputs", "outputs")]
    if lengths not in ([0, 0], [32, 32]):
        raise ValueError("no digests for inputs and outputs, and not none")
    if type(found["issuer"]) is not str or not 1 <= len(found["issuer"]) <= 255:
        raise ValueError("no issuer")
    text = found["measurement"]
    if type(text) is not str or len(text) > 2048 or any(not "!" <= character <= "~" for character in text):
        raise ValueError("no measurement")
    for name, least, most in (
        ("sequence", 0, (1 << 63) - 1),
        ("time", 0, 253402300799999),
        ("status", 200, 599),
    ):
        if type(found[name]) is not int or not least <= found[name] <= most:
            raise ValueError(f"no number for {name}")
    if type(found["complete"]) is not bool:
        raise ValueError("neither complete nor not")
    return found


def write_receipt(fields: dict[str, Any]) -> bytes:
    return encode(["urn:quatrefoil:inference-receipt", 3, [fields[name] for name in FIELDS]])


def sign(payload: bytes, seed: bytes, kind: str = RECEIPT_TYPE) -> bytes:
    protected = encode({1: -48, 16: kind})
    signature = ml_dsa_44.sign(seed, to_be_signed(protected, payload))
    return b"\xd2" + encode([protected, {}, payload, signature])


# ----------------------------------------------------------------------------------------------------------------- logs


def check_log(leaves: list[bytes], keysets: dict[str, bytes]) -> list[dict[str, Any]]:
    """Every receipt of a server's log, after its chains were checked. ``keysets``: what is attached, by SHA-256."""
    found, chains, committed = [], dict[str, dict[str, Any]](), dict[str, str]()
    for leaf in leaves:
        entry = json.loads(leaf)
        kind, body = entry["kind"], entry["body"]
        named = body["commitment"] if kind in ("serving-keys", "committed-model") else ""
        if named and committed.setdefault(body["model"], named) != named:
            raise ValueError("two commitments to the weights of one model")
        if kind == "serving-keys":
            keyset = keysets[entry["attached"]["keyset"]["sha256"]]
            if hashlib.sha256(keyset).hexdigest() != body["keyset"] or body["keyset"] in chains:
                raise ValueError("another keyset, or one that has been there")
            chains[body["keyset"]] = {
                "terms": body,
                "key": read_keyset(keyset)["receipt"][len(SPKI) :],
                "next": 0,
                "last": bytes.fromhex(body["keyset"]),
                "time": 0,
                "open": True,
                "unsigned": False,
            }
        elif kind in ("inference", "serving-ended"):
            chain = chains[body["keyset"]]
            if not chain["open"]:
                raise ValueError("after the end")
            if kind == "inference":
                found.append(_answered(body, chain))
            else:
                _ended(body, chain)
    if any(chain["unsigned"] for chain in chains.values()):
        raise ValueError("receipts that no signature covers")
    return found


def _answered(body: dict[str, Any], chain: dict[str, Any]) -> dict[str, Any]:
    terms = chain["terms"]
    fields = {name: body.get(name, terms.get(name)) for name in FIELDS}
    for name in (
        "keyset",
        "previous",
        "model",
        "commitment",
        "policy",
        "plan",
        "request",
        "answer",
        "inputs",
        "outputs",
    ):
        fields[name] = bytes.fromhex(fields[name])
    payload = write_receipt(fields)
    read_receipt(payload)
    if (fields["sequence"], fields["previous"]) != (chain["next"], chain["last"]) or fields["time"] < chain["time"]:
        raise ValueError("does not follow the one before")
    chain |= {"next": chain["next"] + 1, "last": hashlib.sha256(payload).digest(), "time": fields["time"]}
    chain["unsigned"] = "signature" not in body
    if "signature" in body:
        _verify(payload, body["signature"], RECEIPT_TYPE, chain["key"])
    return fields


def _ended(body: dict[str, Any], chain: dict[str, Any]) -> None:
    if chain["unsigned"] or (body["receipts"], bytes.fromhex(body["last"])) != (chain["next"], chain["last"]):
        raise ValueError("another end")
    chain["open"] = False
    if body["signature"]:
        said = [bytes.fromhex(body["keyset"]), body["receipts"], bytes.fromhex(body["last"]), body["ended"]]
        payload = encode(["urn:quatrefoil:serving-ended", 1, said])
        _verify(payload, body["signature"], ENDED_TYPE, chain["key"])


def _verify(payload: bytes, signature: str, kind: str, key: bytes) -> None:
    signed = to_be_signed(encode({1: -48, 16: kind}), payload)
    if not ml_dsa_44.verifies(key, signed, base64.b64decode(signature, validate=True)):
        raise ValueError("another signature")
