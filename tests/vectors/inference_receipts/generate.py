"""Write these vectors again, byte for byte: with the second implementation in tests/reference, not with ours.

PYTHONPATH=. python tests/vectors/inference_receipts/generate.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.reference import inference_receipts as reference
from tests.reference import ml_dsa_44

FOLDER = Path(__file__).parent
PREFIX = "quatrefoil/vectors/inference-receipts/"
START = 1893456000
SALT = hashlib.sha256(f"{PREFIX}salt".encode()).digest()
SAMPLES, LOW, HIGH, ANSWERS = [[-128, 0, 127], [5, -6, 7]], -128, 127, [[-70000, 70000], [0, 1]]
METHOD, PATH, ASKED, ANSWERED = b"POST", b"/v2/models/heart/infer", b'{"inputs":[]}', b'{"outputs":[]}'


def digest(name: str) -> bytes:
    return hashlib.sha256(f"{PREFIX}{name}".encode()).digest()


def keyset(seed: bytes) -> bytes:
    receipt = reference.SPKI + ml_dsa_44.public_key(seed)
    return reference.encode(["urn:quatrefoil:keyset", 1, [b"", b"", receipt, START - 300, START + 3600]])


SEED, OTHER_SEED = digest("key"), digest("other key")
KEYSET, OTHER_KEYSET = keyset(SEED), keyset(OTHER_SEED)
NAMED = hashlib.sha256(KEYSET).digest()


def fields(**changes: Any) -> dict[str, Any]:
    first = {
        "issuer": "ward",
        "keyset": NAMED,
        "sequence": 0,
        "previous": NAMED,
        "time": START * 1000 + 250,
        "model": digest("model"),
        "commitment": b"",
        "measurement": f"tpm.pcr0={digest('pcr0').hex()},tpm.pcr7={digest('pcr7').hex()}",
        "policy": digest("policy"),
        "plan": b"",
        "request": reference.request(SALT, METHOD, PATH, ASKED),
        "answer": reference.answer(SALT, 200, ANSWERED),
        "status": 200,
        "complete": True,
        "inputs": b"",
        "outputs": b"",
    }
    return first | changes


def accepted() -> dict[str, dict[str, Any]]:
    first = fields()
    after = hashlib.sha256(reference.write_receipt(first)).digest()
    part = reference.answer(SALT, 200, ANSWERED[:5])
    second = fields(sequence=1, previous=after, time=first["time"] + 5, answer=part, complete=False)
    after = hashlib.sha256(reference.write_receipt(second)).digest()
    refused = reference.answer(SALT, 503, b"")
    third = fields(sequence=2, previous=after, time=second["time"], answer=refused, status=503)
    planned = fields(plan=digest("plan"), measurement="", time=(START - 300) * 1000)
    latest = fields(time=(START + 3600) * 1000 + reference.DAY_MS - 1, sequence=(1 << 63) - 1)
    inputs, outputs = reference.inputs(SALT, SAMPLES, LOW, HIGH), reference.outputs(SALT, ANSWERS)
    computed = fields(inputs=inputs, outputs=outputs, commitment=digest("commitment"))
    committed = fields(commitment=digest("commitment"))
    return {
        "first": first,
        "second-broke-off": second,
        "third-503": third,
        "planned": planned,
        "latest": latest,
        "computed": computed,
        "committed": committed,
    }


def rejected() -> dict[str, bytes]:
    payload = reference.write_receipt(fields())
    signed = reference.sign(payload, SEED)
    protected, _, signature = reference.message(signed, reference.RECEIPT_TYPE)

    def put(protected: bytes, unprotected: Any, payload: bytes, signature: bytes) -> bytes:
        return b"\xd2" + reference.encode([protected, unprotected, payload, signature])

    def of(**changes: Any) -> bytes:
        return reference.sign(reference.write_receipt(fields(**changes)), SEED)

    other = ["urn:quatrefoil:inference-receipt", 2, [fields()[name] for name in reference.FIELDS]]
    short = ["urn:quatrefoil:inference-receipt", 3, [fields()[name] for name in reference.FIELDS[:-1]]]
    assert payload.count(b"\x18\xc8") == 1, "the status, and nothing else"
    return {
        "another-key": reference.sign(payload, OTHER_SEED),
        "another-keyset": of(keyset=digest("keyset")),
        "another-type": reference.sign(payload, SEED, reference.ENDED_TYPE),
        "another-version": reference.sign(reference.encode(other), SEED),
        "a-field-short": reference.sign(reference.encode(short), SEED),
        "altered-status": put(protected, {}, reference.write_receipt(fields(status=201)), signature),
        "altered-signature": signed[:-1] + bytes([signed[-1] ^ 1]),
        "unprotected-header": put(protected, {4: b"key"}, payload, signature),
        "no-tag": signed[1:],
        "byte-after-the-end": signed + b"\0",
        "before-the-keyset": of(time=(START - 300) * 1000 - 1),
        "after-the-keyset": of(time=(START + 3600) * 1000 + reference.DAY_MS),
        "status-of-no-answer": of(status=199),
        "short-digest": of(request=bytes(31)),
        "short-commitment": of(commitment=bytes(31)),
        "inputs-without-outputs": of(inputs=digest("inputs")),
        "short-outputs": of(inputs=digest("inputs"), outputs=bytes(31)),
        "no-issuer": of(issuer=""),
        "space-in-measurement": of(measurement="tpm.pcr0=00, "),
        "longer-form": reference.sign(payload.replace(b"\x18\xc8", b"\x19\x00\xc8"), SEED),
    }


def main() -> None:
    for old in FOLDER.glob("*.receipt"):
        old.unlink()
    listed = []
    for name, one in accepted().items():
        encoded = reference.sign(reference.write_receipt(one), SEED)
        (FOLDER / f"{name}.receipt").write_bytes(encoded)
        shown = {field: value.hex() if isinstance(value, bytes) else value for field, value in one.items()}
        payload = hashlib.sha256(reference.write_receipt(one)).hexdigest()
        listed.append({"file": f"{name}.receipt", "payload": shown, "digest": payload})
    for name, encoded in rejected().items():
        (FOLDER / f"rejected-{name}.receipt").write_bytes(encoded)
    index = {
        "keyset": KEYSET.hex(),
        "seed": SEED.hex(),
        "salt": SALT.hex(),
        "request": {"method": METHOD.decode(), "path": PATH.decode(), "content": ASKED.decode()},
        "answer": ANSWERED.decode(),
        "computed": {"samples": SAMPLES, "low": LOW, "high": HIGH, "answers": ANSWERS},
        "accepted": listed,
        "rejected": [f"rejected-{name}.receipt" for name in rejected()],
    }
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
