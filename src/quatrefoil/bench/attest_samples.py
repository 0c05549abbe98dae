"""Samples of evidence under roots of our own (``tests/vectors/attestation``), each with a policy that accepts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable

from quatrefoil.appraisal.policy import AppraisalPolicy, Least, Listed, Rule
from quatrefoil.enclave import certificates, nitro, nvidia, paths, snp, tdx, tpm
from quatrefoil.enclave.claims import Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nvidia.verify import Roots as NvidiaRoots
from quatrefoil.enclave.snp.roots import Root as AmdRoot
from quatrefoil.enclave.tdx.roots import Root as IntelRoot

AT = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """``verified`` decodes and verifies evidence once more, each time it is called. ``name`` begins with its kind."""

    name: str
    evidence_bytes: int
    verified: Callable[[], Findings]
    policy: AppraisalPolicy


def snp_sample() -> Sample:
    data = _file("sev-snp.evidence").read_bytes()
    root = AmdRoot("sample", "Genoa", certificates.parse(_file("sev-snp.root.der").read_bytes()))

    def verified() -> Findings:
        return snp.verify(Evidence.decode(data), Collateral(), AT, roots={"Genoa": root})

    refused = ("debug", "migration_agent", "provisional_firmware")
    return _sample(verified, len(data), "Genoa", "measurement", "chip_id", refused=refused, signing_key=("vcek",))


def tdx_sample() -> Sample:
    return _intel("tdx", "mrtd")


def sgx_sample() -> Sample:
    return _intel("sgx", "mrenclave")


def _intel(kind: str, measurement: str) -> Sample:
    data = _file(f"{kind}.evidence").read_bytes()
    given = Collateral(documents={"platform": _file(f"{kind}.collateral.json").read_bytes()})
    root = IntelRoot("sample", _file("intel.root.der").read_bytes())

    def verified() -> Findings:
        return tdx.verify(Evidence.decode(data), given, AT, root=root)

    return _sample(verified, len(data), kind.upper(), measurement, "ppid", refused=("smt_enabled",))


def tpm_sample() -> Sample:
    data = _file("tpm.evidence").read_bytes()
    given = Collateral(keys=(_file("tpm.key.der").read_bytes(),))

    def verified() -> Findings:
        return tpm.verify(Evidence.decode(data), given, AT)

    return _sample(verified, len(data), "TPM", "pcr7", "ak", bank=("sha256",))


def nitro_sample() -> Sample:
    data = _file("nitro.evidence").read_bytes()
    root = _root("nitro.root.der")

    def verified() -> Findings:
        return nitro.verify(Evidence.decode(data), Collateral(), AT, root=root)

    return _sample(verified, len(data), "", "pcr0", maximum_age_s=300)


def gpu_sample() -> Sample:
    return _gpu(Collateral(), "nvidia-cc")


def golden_sample() -> Sample:
    """With the two manifests that its measurements are compared with."""
    names = ("nvidia-cc.manifest0", "nvidia-cc.manifest1")
    given = Collateral(documents={name: _file(f"{name}.json").read_bytes() for name in names})
    return _gpu(given, "nvidia-cc, golden", required=("golden",))


def _gpu(given: Collateral, name: str, *, required: tuple[str, ...] = ()) -> Sample:
    data = _file("nvidia-cc.evidence").read_bytes()
    roots = NvidiaRoots(_root("nvidia-cc.devices.der"), _root("nvidia-cc.manifests.der"))

    def verified() -> Findings:
        return nvidia.verify(Evidence.decode(data), given, AT, roots=roots)

    said = verified().claims.facts
    driver, mode, vbios = ((str(said[name]),) for name in ("driver_version", "mode", "vbios_version"))
    sample = _sample(
        verified,
        len(data),
        "",
        "measurement_1",
        "device",
        required=required,
        driver_version=driver,
        mode=mode,
        vbios_version=vbios,
    )
    return replace(sample, name=name)


def _root(name: str) -> paths.Root:
    return paths.Root("sample", certificates.parse(_file(name).read_bytes()))


def _sample(
    verified: Callable[[], Findings],
    size: int,
    model: str,
    measurement: str,
    platform: str = "",
    *,
    refused: tuple[str, ...] = (),
    required: tuple[str, ...] = (),
    maximum_age_s: int = 0,
    **listed: tuple[str, ...],
) -> Sample:
    claims: Claims = verified().claims
    rule = Rule(
        kind=claims.kind,
        measurements=(Listed(measurement, (claims.measurements[measurement].hex(),)),),
        platforms=(Listed(platform, (claims.platform[platform].hex(),)),) if platform else (),
        refused=refused,
        required=required,
        listed=tuple(Listed(name, values) for name, values in listed.items()),
        minimum_tcb=tuple(Least(model, name, version) for name, version in sorted(claims.tcb.items())),
        statuses=(claims.status,) if claims.status else (),
        maximum_age_s=maximum_age_s,
    )
    return Sample(claims.kind, size, verified, AppraisalPolicy("bench", "any", (rule,)))


def _file(name: str) -> Traversable:
    return resources.files("quatrefoil.bench") / "samples" / name


SAMPLES: tuple[Callable[[], Sample], ...] = (
    snp_sample,
    tdx_sample,
    sgx_sample,
    tpm_sample,
    nitro_sample,
    gpu_sample,
    golden_sample,
)

__all__ = ["AT", "SAMPLES", "Sample"]
