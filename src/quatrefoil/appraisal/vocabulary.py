"""What an appraisal policy may, and must, say of each kind of evidence. Nothing has a default: a kind's section names
each of its keys. docs/attestation.md explains them; a test holds that page to this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


VOCABULARIES: Mapping[str, Vocabulary] = {
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
            "ciphertext_hiding": "the host cannot read the ciphertext of the guest's memory",
            "revocation_checked": "a revocation list of AMD's was in the collateral",
        },
        listed={"signing_key": ("vcek", "vlek")},
        components={model: tuple(layout) for model, layout in tcb.LAYOUTS.items()},
        vmpl=True,
    ),
}
"""Kind -> vocabulary, for every kind that has a verifier."""


__all__ = ["ANY", "VOCABULARIES", "Vocabulary"]
