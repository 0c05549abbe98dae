"""TPM quotes and what stands beside them, under a pinned key: only what it signed passes, of a key with its name."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.enclave.claims import Claims
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import credential, verify
from tpm_quotes import AT, Made, key


@cache
def signed(kind: str) -> Evidence:
    return Made(key=key(kind)).evidence()


def seeds() -> list[bytes]:
    blob = b"\0\4\0\2ab" + b"\0\3cde"
    return [blob, *(part for kind in ("p256", "rsa") for part in (signed(kind).report, signed(kind).signature))]


def one(data: bytes) -> None:
    refused_or_same(lambda: credential.split(data), b"".join, data)
    for kind in ("p256", "rsa"):
        good = signed(kind)
        if data:
            claims = _passed(kind, Evidence("tpm", data, good.signature))
            assert claims is None or data == good.report
        claims = _passed(kind, Evidence("tpm", good.report, data))
        # Attributes and a policy of the key that no check asks for: its name has them in it.
        assert claims is None or data == good.signature or claims.platform["ak"] != _name(kind)


@cache
def _name(kind: str) -> bytes:
    return verify(signed(kind), Collateral(), AT).claims.platform["ak"]


def _passed(kind: str, evidence: Evidence) -> Claims | None:
    findings = refused_or(lambda: verify(evidence, Collateral(keys=(Made(key=key(kind)).spki,)), AT))
    return findings.claims if findings is not None and not findings.failed else None
