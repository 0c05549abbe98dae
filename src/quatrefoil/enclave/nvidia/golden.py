"""A report's measurements beside those that NVIDIA's manifests name for its driver and its VBIOS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from quatrefoil.enclave.claims import Check
from quatrefoil.enclave.nvidia.manifest import Manifest
from quatrefoil.enclave.nvidia.report import Report
from quatrefoil.enclave.paths import Root


def compare(report: Report, product: str, manifests: Sequence[Manifest], at: datetime, root: Root) -> Check:
    """The check "golden": for the driver and for the VBIOS that the report names there is a manifest of NVIDIA's that
    holds at ``at``, they speak of different measurements, and each one that they name has an accepted value.

    Measurement 35 is compared also where the video decoder is off: NVIDIA's own verifier means to leave it out then.
    """
    wanted = {"driver": report.driver_version.upper(), "VBIOS": report.vbios_version}
    found: list[Manifest] = []
    for what, version in wanted.items():
        named = [one for one in manifests if one.version == version and one.product == product]
        problems = [one.problem(at, root) for one in named]
        if not named:
            return Check("golden", False, f"no manifest of {product} {what} {version} is in the collateral")
        if all(problems):
            return Check("golden", False, f"the manifest of {what} {version} does not hold: {problems[0]}")
        found.append(named[problems.index("")])
    driver, vbios = found
    both = sorted(set(driver.golden) & set(vbios.golden))
    if both:
        return Check("golden", False, f"both manifests name measurement {both[0]}")
    golden = {**driver.golden, **vbios.golden}
    other = [index for index, values in sorted(golden.items()) if report.measurements.get(index) not in values]
    if other or not golden:
        return Check("golden", False, f"of {len(golden)} measurements these differ: {', '.join(map(str, other))}")
    versions = " and ".join(f"{what} {version}" for what, version in wanted.items())
    return Check("golden", True, f"{len(golden)} measurements are those that NVIDIA names for {versions}")


__all__ = ["compare"]
