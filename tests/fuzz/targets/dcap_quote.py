"""TDX and SGX quotes under a root that is trusted: only what was signed passes, with zeros after it at most."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

from dcap_quotes import AT, SGX, Platform, root
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx import verify
from quatrefoil.enclave.tdx.quote import parse


@cache
def signed() -> tuple[bytes, ...]:
    return tuple(platform.quote() for platform in (Platform(), Platform(version=5), SGX))


@cache
def collateral() -> Collateral:
    return Collateral(documents={"tdx": Platform().document(), "sgx": SGX.document()})


def seeds() -> list[bytes]:
    return [*signed(), signed()[0] + bytes(70)]


def one(data: bytes) -> None:
    quote = refused_or(lambda: parse(data))
    if quote is None:
        return
    for kind in ("tdx", "sgx"):
        findings = refused_or(lambda kind=kind: verify(Evidence(kind, data), collateral(), AT, root=root()))  # type: ignore[misc]
        if findings is not None and not findings.failed:
            assert quote.signed in [parse(good).signed for good in signed()]
