"""Certificate tables of SEV-SNP hosts: what is found in them are certificates, each within the table."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

import attesting
from quatrefoil.enclave import certificates
from quatrefoil.enclave.snp.certificate_table import KINDS, parse


@cache
def table() -> bytes:
    content = (attesting.leaf("Milan"), attesting.ask("Milan"))
    guids = {kind: guid.bytes for guid, kind in KINDS.items()}
    head, start = b"", 72
    for name, certificate in zip(("vcek", "ask"), content, strict=True):
        head += guids[name] + start.to_bytes(4, "little") + len(certificate).to_bytes(4, "little")
        start += len(certificate)
    return head + bytes(24) + b"".join(content)


def seeds() -> list[bytes]:
    return [table(), bytes(48)]


def one(data: bytes) -> None:
    for kind, der in (refused_or(lambda: parse(data)) or {}).items():
        assert kind in KINDS.values()
        certificates.parse(der)
