"""Samples of evidence under roots of our own (``tests/vectors/attestation``), each with a policy that accepts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable

from quatrefoil.appraisal.policy import AppraisalPolicy, Least, Listed, Rule
from quatrefoil.enclave import certificates, snp, tdx, tpm
from quatrefoil.enclave.claims import Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp.roots import Root as AmdRoot
from quatrefoil.enclave.tdx.roots import Root as IntelRoot

AT = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """``verified`` decodes and verifies evidence of ``kind`` once more, each time it is called."""

    kind: str
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


def _sample(
    verified: Callable[[], Findings],
    size: int,
    model: str,
    measurement: str,
    platform: str,
    *,
    refused: tuple[str, ...] = (),
    **listed: tuple[str, ...],
) -> Sample:
    claims: Claims = verified().claims
    rule = Rule(
        kind=claims.kind,
        measurements=(Listed(measurement, (claims.measurements[measurement].hex(),)),),
        platforms=(Listed(platform, (claims.platform[platform].hex(),)),),
        refused=refused,
        required=(),
        listed=tuple(Listed(name, values) for name, values in listed.items()),
        minimum_tcb=tuple(Least(model, name, version) for name, version in sorted(claims.tcb.items())),
        statuses=(claims.status,) if claims.status else (),
    )
    return Sample(claims.kind, size, verified, AppraisalPolicy("bench", "any", (rule,)))


def _file(name: str) -> Traversable:
    return resources.files("quatrefoil.bench") / "samples" / name


SAMPLES: tuple[Callable[[], Sample], ...] = (snp_sample, tdx_sample, sgx_sample, tpm_sample)

__all__ = ["AT", "SAMPLES", "Sample"]
