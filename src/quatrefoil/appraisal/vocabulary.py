"""What an appraisal policy may, and must, say of each kind of evidence. Nothing has a default: a kind's section names
each of its keys. docs/attestation.md explains them; a test holds that page to this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from quatrefoil.enclave import azure, nitro, nvidia, tdx, tpm
from quatrefoil.enclave.snp import tcb

ANY = "any"
"""The value of a list that lets everything pass; it stands alone, and only where the vocabulary allows it."""


@dataclass(frozen=True)
class Vocabulary:
    """Keys of the section ``[KIND]``, in the terms of a verifier's claims."""

    established: tuple[str, ...]
    """Checks that the verifier makes on every evidence of this kind: without one of them nothing is accepted."""
    measurements: Mapping[str, int]
    """``[KIND.measurements]``: name -> bytes. A policy lists what it compares."""
    code: tuple[str, ...]
    """Measurements of which a policy compares at least one: the others say nothing of what code runs."""
    code_below: tuple[str, ...] = ()
    """Where there are any: measurements of which a policy compares at least one as well, because ``code`` is only what
    runs above the guest's own code."""
    code_facts: tuple[str, ...] = ()
    """Requirable facts that say it as well: a policy that requires one needs no list."""
    platforms: tuple[str, ...] = ()
    """Identities of a machine, each a list in hexadecimal, or ``["any"]``."""
    refusable: Mapping[str, str] = field(default_factory=dict)
    """Key -> what it means when it is true; the policy says "refuse" or "accept"."""
    requirable: Mapping[str, str] = field(default_factory=dict)
    """Key -> what it means when it is true; the policy says "require" or "any"."""
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Facts of which the policy lists the accepted values; an empty vocabulary lets it list what it likes."""
    components: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``[KIND.minimum_tcb.MODEL]``: model -> components, each with a least version. Only models listed are accepted."""
    largest_version: int = 255
    statuses: tuple[str, ...] = ()
    """``statuses``: which the policy may accept. Where there are any, ``rejected_advisories`` is a key as well."""
    vmpl: bool = False
    """``highest_vmpl``: 0 to 3."""
    dated: bool = False
    """``maximum_age_s``: evidence says under its signature when it was made."""
    counted: bool = False
    """``gpus``: of devices beside a machine, how many there must be at least; 0 where there may be none."""


_INTEL_PLATFORM = {
    "smt_enabled": "the host may run the other thread of a core",
    "dynamic_platform": "the owner may add processors to the platform",
    "cached_keys": "Intel keeps the platform's root keys",
}

_INTEL_STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
"""Of platforms, from the best to the worst; what is revoked is refused before a policy is asked."""

_OF_ONE_ROOT: Mapping[str, Vocabulary] = {
    "sev-snp": Vocabulary(
        established=("product", "chain", "validity", "signing-key", "signature", "certificate-tcb", "tcb-order"),
        measurements={
            "measurement": 48,
            "host_data": 32,
            "family_id": 16,
            "image_id": 16,
            "id_key_digest": 48,
            "author_key_digest": 48,
        },
        code=("measurement", "id_key_digest", "author_key_digest"),
        platforms=("chip_id",),
        refusable={
            "debug": "the host may decrypt the guest's memory through the debug interface",
            "migration_agent": "a migration agent may take the guest's state to another machine",
            "smt": "the guest may run on cores of which the host runs the other thread",
            "provisional_firmware": "firmware runs that the host has not committed to, and may roll back",
        },
        requirable={
            "alias_check": "firmware has checked that no two addresses lead to the same memory (BadRAM)",
            "ciphertext_hiding": "the host cannot read the ciphertext of the guest's memory",
            "revocation_checked": "a revocation list of AMD's was in the collateral",
        },
        listed={"signing_key": ("vcek", "vlek")},
        components={model: tuple(layout) for model, layout in tcb.LAYOUTS.items()},
        vmpl=True,
    ),
    "sgx": Vocabulary(
        established=tdx.CHECKS,
        measurements={
            "mrenclave": 32,
            "mrsigner": 32,
            "isvprodid": 2,
            "attributes": 16,
            "miscselect": 4,
            "configid": 64,
        },
        code=("mrenclave", "mrsigner"),
        platforms=("ppid",),
        refusable=_INTEL_PLATFORM,
        components={"SGX": ("isv", "pce", "qe", "evaluation")},
        largest_version=65535,
        statuses=_INTEL_STATUSES,
    ),
    "tdx": Vocabulary(
        established=tdx.CHECKS,
        measurements={
            **dict.fromkeys(("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrowner", "mrownerconfig"), 48),
            **dict.fromkeys(("mrseam", "mrsignerseam"), 48),
            **dict.fromkeys(("tdattributes", "xfam"), 8),
        },
        code=("mrtd",),
        platforms=("ppid",),
        refusable=_INTEL_PLATFORM,
        components={"TDX": ("module", "pce", "qe", "evaluation")},
        largest_version=65535,
        statuses=(*_INTEL_STATUSES, "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"),
    ),
    "tpm": Vocabulary(
        established=tpm.CHECKS,
        # 0: values are as long as the bank's hash.
        measurements={f"pcr{number}": 0 for number in range(24)},
        # Not those that software may reset (TCG PC Client Platform TPM Profile, section 4.6).
        code=tuple(f"pcr{number}" for number in range(16)),
        platforms=("ak",),
        requirable={
            "certified": "an authority certified the key; otherwise a key that the relying party pins is enough",
            "revocation_checked": "a revocation list of an authority in the chain was in the collateral",
        },
        listed={"bank": ("sha256", "sha384")},
        components={"TPM": ("firmware",)},
        largest_version=2**63 - 1,
    ),
    "nitro": Vocabulary(
        established=nitro.CHECKS,
        measurements={f"pcr{number}": 48 for number in range(32)},
        # The whole image, or the key that signed it; 1 and 2 are each a part of the image.
        code=("pcr0", "pcr8"),
        requirable={"revocation_checked": "a revocation list of an authority in the chain was in the collateral"},
        dated=True,
    ),
    "nvidia-cc": Vocabulary(
        established=nvidia.CHECKS,
        measurements={f"measurement_{number}": 48 for number in range(64)},
        # Those that NVIDIA's manifests call digests of firmware, of the FSP and of the GSP.
        code=tuple(f"measurement_{number}" for number in (*range(1, 7), *range(32, 39))),
        code_facts=("golden",),
        platforms=("device",),
        requirable={
            "golden": "the measurements are those that NVIDIA's manifests name for driver and VBIOS",
            "revocation_checked": "a revocation list of an authority in the chain was in the collateral",
        },
        listed={
            "driver_version": (),
            "vbios_version": (),
            "mode": ("multi-gpu", "not-said", "protected-pcie", "single-gpu"),
        },
        counted=True,
    ),
}


def _with_paravisor(kind: str, more: tuple[str, ...] = ()) -> Vocabulary:
    """The hardware's own vocabulary and that of the TPM that Azure's paravisor is."""
    hardware, vtpm = _OF_ONE_ROOT[kind], _OF_ONE_ROOT["tpm"]
    return replace(
        hardware,
        established=(*hardware.established, *more, *azure.CHECKS),
        measurements={**hardware.measurements, **vtpm.measurements},
        code_below=vtpm.code,
        platforms=(*hardware.platforms, *vtpm.platforms),
        requirable={**hardware.requirable, "secure_boot": "the VM's firmware checks who signed what it starts"},
        listed={**hardware.listed, **vtpm.listed},
        # Reports at another level than 0 fail a check of the verifier's.
        vmpl=False,
    )


VOCABULARIES: Mapping[str, Vocabulary] = {
    **_OF_ONE_ROOT,
    "azure-snp": _with_paravisor("sev-snp", (azure.PARAVISOR,)),
    "azure-tdx": _with_paravisor("tdx"),
}
"""Kind -> vocabulary, for every kind that has a verifier."""


__all__ = ["ANY", "VOCABULARIES", "Vocabulary"]
