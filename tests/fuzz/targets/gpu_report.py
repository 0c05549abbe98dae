"""Reports of GPUs beside a good chain, and chains beside a good report: only what was signed passes."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

from gpu_reports import Made, measurement, roots
from p384 import AT
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import LARGEST_CERTIFICATE, LARGEST_REPORT, Evidence
from quatrefoil.enclave.nvidia import verify


@cache
def good() -> Evidence:
    return Made(measurements={number: measurement(number) for number in range(4)}).evidence()


@cache
def whole() -> bytes:
    return Made().report()


def seeds() -> list[bytes]:
    return [good().report, whole(), good().certificates[0], good().certificates[1]]


def one(data: bytes) -> None:
    if 0 < len(data) <= LARGEST_REPORT:
        _held(Evidence("nvidia-cc", data, b"", good().certificates), data in (good().report, whole()))
    if 0 < len(data) <= LARGEST_CERTIFICATE:
        first, *rest = good().certificates
        _held(Evidence("nvidia-cc", good().report, b"", (data, *rest)), data == first)


def _held(evidence: Evidence, is_good: bool) -> None:
    findings = refused_or(lambda: verify(evidence, Collateral(), AT, roots=roots()))
    assert findings is None or findings.failed or is_good
