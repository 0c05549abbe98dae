"""What verifying evidence and holding it to a policy costs, in milliseconds, the best of several repetitions.

The evidence is a sample of our own making under a root of our own (``tests/vectors/attestation``): the work is that of
real evidence of the kind, certificate for certificate. ``verify_ms`` is with nothing remembered, ``cached_ms`` with the
chain's signatures remembered from evidence of the same host, as the verifier of SEV-SNP does; the evidence's own
signature is verified each time. The TPM's key is pinned. In the row "golden" the GPU's measurements are compared with
NVIDIA's two manifests, which are remembered as well.
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
            }
        )
    return rows


def _forget() -> None:
    certificates.forget()
    manifest.forget()


def _best(sample: Sample, repeats: int, before: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(repeats):
        before()
        start = time.perf_counter()
        appraise(sample.verified(), sample.policy, None, AT)
        best = min(best, time.perf_counter() - start)
    return best * 1e3


__all__ = ["measure_attestation"]
