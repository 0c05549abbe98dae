"""A policy file that accepts the evidence of ``attesting``, and files that differ from it in one place."""

from __future__ import annotations

from attesting import MEASUREMENT
from quatrefoil.appraisal import AppraisalPolicy, parse

TEXT = f"""\
name = "keeper"
report_data = "required"

[sev-snp]
debug = "refuse"
migration_agent = "refuse"
smt = "accept"
provisional_firmware = "refuse"
ciphertext_hiding = "any"
revocation_checked = "any"
signing_key = ["vcek", "vlek"]
chip_id = ["any"]
highest_vmpl = 0

[sev-snp.measurements]
measurement = ["{MEASUREMENT.hex()}"]

[sev-snp.minimum_tcb.Milan]
bootloader = 4
tee = 0
snp = 24
microcode = 219

[sev-snp.minimum_tcb.Genoa]
bootloader = 10
tee = 0
snp = 23
microcode = 84

[sev-snp.minimum_tcb.Turin]
fmc = 1
bootloader = 1
tee = 1
snp = 4
microcode = 200
"""


def with_(old: str, new: str) -> str:
    """The text with one place changed."""
    assert TEXT.count(old) == 1, f"{old!r} stands {TEXT.count(old)} times in the policy"
    return TEXT.replace(old, new)


def policy(old: str = "", new: str = "") -> AppraisalPolicy:
    return parse(with_(old, new) if old else TEXT, source="policy.toml")
