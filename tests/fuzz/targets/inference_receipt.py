"""An inference receipt as a server sends it, and the second implementation of it beside: both take it, or neither."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fuzz.held import refused_or
from tests.reference import inference_receipts as reference

from quatrefoil.audit.inference_receipts import read, verify
from quatrefoil.enclave.binding import Keyset

_FOLDER = Path(__file__).parents[2] / "vectors" / "inference_receipts"
_ENCODED = bytes.fromhex(json.loads((_FOLDER / "index.json").read_text())["keyset"])
_KEYSET = Keyset.decode(_ENCODED)


def seeds() -> list[bytes]:
    return [file.read_bytes() for file in sorted(_FOLDER.glob("*.receipt"))]


def one(data: bytes) -> None:
    said = refused_or(lambda: read(data))
    found = refused_or(lambda: verify(data, _KEYSET))
    assert found is None or found == said
    if said is not None:
        _, payload, _ = _or_none(data) or (b"", b"", b"")
        assert not payload or reference.write_receipt(reference.read_receipt(payload)) == said.encode()


def _or_none(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    try:
        return reference.message(data, reference.RECEIPT_TYPE)
    except (ValueError, TypeError, UnicodeDecodeError):
        return None
