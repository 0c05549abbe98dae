"""What verifying evidence and holding it to a policy costs, in milliseconds, the best of several repetitions.

The evidence is a sample of our own making under a root of our own (``tests/vectors/attestation``): the work is that of
real evidence of the kind, certificate for certificate. ``verify_ms`` is with nothing remembered, ``cached_ms`` with the
chain's signatures remembered from evidence of the same host; the evidence's own signature is verified each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from quatrefoil.appraisal import AppraisalPolicy, appraise
from quatrefoil.appraisal.policy import Least, Listed, Rule
from quatrefoil.enclave import certificates, snp
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp.roots import Root
from quatrefoil.errors import ParametersRefused

AT = datetime(2026, 6, 1, tzinfo=UTC)


def measure_attestation(repeats: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each kind of evidence, each the best of ``repeats``."""
    if repeats < 1:
        raise ParametersRefused(f"{repeats} repetitions measure nothing", hint="Choose a number like 50")
    rows = []
    for kind, sample in (("sev-snp", _snp),):
        progress(f"verify and appraise {kind}")
        verified, policy, size = sample()
        appraise(verified(), policy, None, AT).require()  # what is measured is acceptance
        rows.append(
            {
                "kind": kind,
                "evidence_bytes": size,
                "verify_ms": _best(verified, policy, repeats, certificates.forget),
                "cached_ms": _best(verified, policy, repeats, lambda: None),
            }
        )
    return rows


def _snp() -> tuple[Callable[[], Findings], AppraisalPolicy, int]:
    folder = resources.files("quatrefoil.bench") / "samples"
    data = (folder / "sev-snp.evidence").read_bytes()
    root = Root("sample", "Genoa", certificates.parse((folder / "sev-snp.root.der").read_bytes()))

    def verified() -> Findings:
        return snp.verify(Evidence.decode(data), Collateral(), AT, roots={"Genoa": root})

    claims = verified().claims
    rule = Rule(
        kind="sev-snp",
        measurements=(Listed("measurement", (claims.measurements["measurement"].hex(),)),),
        platforms=(Listed("chip_id", (claims.platform["chip_id"].hex(),)),),
        refused=("debug", "migration_agent", "provisional_firmware"),
        required=(),
        listed=(Listed("signing_key", ("vcek",)),),
        minimum_tcb=tuple(Least("Genoa", name, version) for name, version in sorted(claims.tcb.items())),
    )
    return verified, AppraisalPolicy("bench", "any", (rule,)), len(data)


def _best(verified: Callable[[], Findings], policy: AppraisalPolicy, repeats: int, before: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(repeats):
        before()
        start = time.perf_counter()
        appraise(verified(), policy, None, AT)
        best = min(best, time.perf_counter() - start)
    return best * 1e3


__all__ = ["measure_attestation"]
