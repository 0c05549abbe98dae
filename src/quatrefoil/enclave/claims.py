"""What a verifier established about evidence, and what it did not (RFC 9334 section 8.4, EAT names of RFC 9711).

A verifier answers with ``Findings``: claims as they stand in the evidence, and a list of named checks. A check that
fails does not hide the others, so that a report can show all of them. Findings accept nothing: ``quatrefoil.appraisal``
holds them to a policy, and claims under a failed check are what somebody says, no more.

Two things are said apart: ``root``, who vouches for the evidence, and ``isolation``, what separates the code that it
speaks of from its host. A TPM has a root and isolates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from quatrefoil.enclave.evidence import DEVICE_KINDS, KINDS

ISOLATION = ("none", "process", "vm")

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}", re.ASCII)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``name`` is stable and in the pages; ``detail`` is one line for people."""

    name: str
    passed: bool
    detail: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a name of a check: lower case, digits, _ and -")
        # Details quote what came from outside.
        object.__setattr__(self, "detail", "".join(c if c.isprintable() else " " for c in self.detail)[:300])


@dataclass(frozen=True)
class Claims:
    """What evidence says. Mappings are read-only; byte strings are as in the evidence."""

    kind: str
    root: str
    """Who vouches for the evidence, as far as it was followed: "AMD Milan ARK"; "none" where nothing pinned did."""
    isolation: str
    """From :data:`ISOLATION`, by the kind of evidence: "vm" for SNP, TDX and Nitro, "process" for SGX, "none" for a TPM
    or a GPU."""
    report_data: bytes
    """What the code put into its evidence: REPORTDATA, a TPM quote's qualifying data, ``user_data`` of a
    Nitro document, the nonce of a GPU's request. EAT ``eat_nonce``."""
    measurements: Mapping[str, bytes] = field(default_factory=dict)
    """Digests of what was started, by name: ``measurement``; ``mrtd``, ``rtmr0``; ``mrenclave``; ``pcr0``."""
    tcb: Mapping[str, int] = field(default_factory=dict)
    """Security version numbers of the platform by component, those that appraisal holds to a minimum."""
    launch_tcb: Mapping[str, int] = field(default_factory=dict)
    """The same when the guest was started, where the kind says it: held to the same minimum, since firmware that was
    replaced later may have started something else than it measured."""
    platform: Mapping[str, bytes] = field(default_factory=dict)
    """Identities of this one machine or device: ``chip_id``, ``ppid``, ``ak``, ``device``."""
    model: str = ""
    """Which product: "Milan". EAT ``hwmodel``. Empty where evidence does not say."""
    debug: bool | None = None
    """Whether the host may read the guest by a debug interface; ``None`` where the kind knows no such thing."""
    vmpl: int | None = None
    """SNP: privilege level inside the VM at which the report was asked for, 0 the highest."""
    status: str = ""
    """Status of the TCB by the vendor's collateral: "UpToDate". Empty where the vendor publishes none."""
    advisories: tuple[str, ...] = ()
    """Advisories that the vendor's collateral lists for this TCB."""
    signed_at: datetime | None = None
    """When the evidence was made, where it says so under its signature. Nitro documents do. EAT ``iat``."""
    facts: Mapping[str, bool | int | str | bytes] = field(default_factory=dict)
    """Whatever else the kind's page documents, by name: ``smt``, ``migration_agent``, ``signing_key``, ``policy``."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.isolation not in ISOLATION:
            raise ValueError(f"{self.kind!r} is no kind of evidence, or {self.isolation!r} no isolation")
        if self.signed_at is not None and self.signed_at.tzinfo is None:
            raise ValueError("signed_at has no time zone")
        for name in ("measurements", "tcb", "launch_tcb", "platform", "facts"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def to_json(self) -> dict[str, Any]:
        """JSON with EAT claim names where RFC 9711 has them (``eat_nonce``, ``dbgstat``, ``hwmodel``, ``iat``); bytes
        are lower-case hexadecimal, and what the evidence does not say is left out."""
        out: dict[str, Any] = {
            "kind": self.kind,
            "root": self.root,
            "isolation": self.isolation,
            "eat_nonce": self.report_data.hex(),
            "measurements": _plain(self.measurements),
            "tcb": _plain(self.tcb),
            "platform": _plain(self.platform),
            "advisories": list(self.advisories),
            "facts": _plain(self.facts),
        }
        if self.debug is not None:
            out["dbgstat"] = "enabled" if self.debug else "disabled"  # RFC 9711 section 4.2.9
        if self.signed_at is not None:
            out["iat"] = int(self.signed_at.timestamp())
        said: dict[str, Any] = {"hwmodel": self.model or None, "vmpl": self.vmpl, "status": self.status or None}
        said["launch_tcb"] = _plain(self.launch_tcb) or None
        return out | {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True)
class Findings:
    """A verifier's answer: ``claims``, and every check that it made in the order of making. Never without a check."""

    claims: Claims
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        names = [check.name for check in self.checks]
        if not names or len(set(names)) != len(names):
            raise ValueError("findings need at least one check, and each name once")

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass. That none failed accepts nothing: appraisal does."""
        return tuple(check for check in self.checks if not check.passed)


@dataclass(frozen=True)
class FindingsSet:
    """What was found on a machine's evidence and on that of each of its devices, in the order of the set."""

    primary: Findings
    devices: tuple[Findings, ...]

    def __post_init__(self) -> None:
        kinds = [device.claims.kind for device in self.devices]
        if self.primary.claims.kind in DEVICE_KINDS or not set(kinds) <= set(DEVICE_KINDS):
            raise ValueError("a set of findings is of one machine and of devices")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


__all__ = ["ISOLATION", "Check", "Claims", "Findings", "FindingsSet"]
