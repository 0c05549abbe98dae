"""What verifying evidence and holding it to a policy costs, in milliseconds, the best of several repetitions.

The evidence is a sample of our own making under a root of our own (``tests/vectors/attestation``): the work is that of
real evidence of the kind, certificate for certificate. The TPM's key is pinned. In the row "golden" the GPU's
measurements are compared with NVIDIA's two manifests.

``verify_ms`` is with nothing remembered, ``cached_ms`` after the same evidence. Remembered, and counted in
``remembered``, are signatures of certificates and revocation lists that this package verifies itself, and NVIDIA's
manifests once read. They are functions of their bytes alone, and are the same for all evidence of a host. Never
remembered are the evidence's own signature, dates, revocation and the policy. Where ``remembered`` is 0 (TDX and SGX,
whose chains ``dcap-qvl`` verifies anew, and a pinned TPM) ``cached_ms`` is the same work measured twice. Pinned roots
are read once a process and are in neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from quatrefoil.appraisal import appraise
from quatrefoil.bench.attest_samples import AT, SAMPLES, Sample
from quatrefoil.enclave import certificates
from quatrefoil.enclave.nvidia import manifest
from quatrefoil.errors import ParametersRefused


def measure_attestation(repeats: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each kind of evidence, each the best of ``repeats``; ``DependencyMissing`` without ``dcap-qvl``."""
    if repeats < 1:
        raise ParametersRefused(f"{repeats} repetitions measure nothing", hint="Choose a number like 50")
    rows = []
    for make in SAMPLES:
        sample = make()
        progress(f"verify and appraise {sample.name}")
        appraise(sample.verified(), sample.policy, None, AT).require()  # what is measured is acceptance
        rows.append(
            {
                "kind": sample.name,
                "evidence_bytes": sample.evidence_bytes,
                "verify_ms": _best(sample, repeats, _forget),
                "cached_ms": _best(sample, repeats, lambda: None),
                "remembered": _remembered(sample),
            }
        )
    return rows


def _forget() -> None:
    certificates.forget()
    manifest.forget()


def _remembered(sample: Sample) -> int:
    """How many verifications of signatures and readings of manifests a second look at the same evidence saves."""
    sample.verified()
    before = certificates.remembered() + manifest.remembered()
    sample.verified()
    return certificates.remembered() + manifest.remembered() - before


def _best(sample: Sample, repeats: int, before: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(repeats):
        before()
        start = time.perf_counter()
        appraise(sample.verified(), sample.policy, None, AT)
        best = min(best, time.perf_counter() - start)
    return best * 1e3


__all__ = ["measure_attestation"]
