"""Nitro documents, whole and as payloads that nobody signed: only what was signed passes."""

from __future__ import annotations

from functools import cache

import cbor2
from tests.fuzz.held import refused_or

from nitro_documents import Made, root
from p384 import AT
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import LARGEST_REPORT, Evidence
from quatrefoil.enclave.nitro import verify
from quatrefoil.enclave.nitro.document import PROTECTED, Document


@cache
def good() -> bytes:
    return Made().report()


def seeds() -> list[bytes]:
    made = Made(pcrs={number: bytes([number + 1]) * 48 for number in range(3)})
    return [good(), made.payload(), made.with_(indefinite=False).payload()]


def one(data: bytes) -> None:
    if 0 < len(data) <= LARGEST_REPORT:
        findings = refused_or(lambda: verify(Evidence("nitro", data), Collateral(), AT, root=root()))
        assert findings is None or findings.failed or data == good()
    document = refused_or(lambda: Document.parse(cbor2.dumps([PROTECTED, {}, data, bytes(96)])))
    assert document is None or document.signed.endswith(data)
