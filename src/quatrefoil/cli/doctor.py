"""``quatrefoil doctor``: what this machine has, what it lacks, and what a plan would therefore refuse."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from quatrefoil import inventory
from quatrefoil.enclave import collectors, devices
from quatrefoil.errors import DependencyMissing, HostError
from quatrefoil.output import add_json_option, console, only_json, require_writable, table, write_json
from quatrefoil.planner import host

NAME = "doctor"
HELP = "say which parts work on this machine, which are missing, and what would be refused for it"
SCHEMA = "quatrefoil.doctor/1"

GROUPS = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "MLKEM768", "MLKEM1024", "X25519", "P-256")
"""Key-exchange groups that are asked for. Channels use hybrid ones only, whatever else OpenSSL offers."""

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*extra == ['\"]([a-z]+)['\"]")


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``mandatory``: nothing works without it."""

    name: str
    ok: bool
    detail: str
    mandatory: bool = False


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)
    parser.add_argument(
        "--inventory",
        metavar="FILE",
        type=Path,
        help="instead of looking at this machine, write which cryptography is used, and where, to FILE as a CycloneDX"
        " CBOM ('-': standard output)",
    )


def run(options: argparse.Namespace) -> None:
    if options.inventory is not None:
        _inventory(options.inventory)
        return
    checks, offered, refused = mandatory(), groups(), refusals()
    optional, found, evidence = extras(), devices.find(), collected()
    if not only_json(options):
        _show(checks, offered, optional, found, evidence, refused)
    content = {
        "mandatory": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks],
        "groups": offered,
        "extras": [{"name": c.name, "installed": c.ok, "detail": c.detail} for c in optional],
        "devices": [{"kind": d.kind, "path": d.path, "present": d.present, "usable": d.usable} for d in found],
        "collectors": [{"kind": c.name, "available": c.ok, "detail": c.detail} for c in evidence],
        "refused": refused,
    }
    write_json(options.json, SCHEMA, content)
    broken = [check for check in checks if not check.ok]
    if broken:
        raise DependencyMissing(
            "; ".join(f"{check.name}: {check.detail}" for check in broken),
            hint="Run make install, or pip install quatrefoil",
        )


def _inventory(file: Path) -> None:
    require_writable(file)
    document = json.dumps(inventory.cbom(), indent=2) + "\n"
    if str(file) == "-":
        sys.stdout.write(document)
        return
    try:
        file.write_text(document)
    except OSError as error:
        raise HostError(f"{file} cannot be written ({error.strerror})", hint="Name another file") from None
    rows = [
        [
            one.name,
            one.primitive,
            "none assigned" if one.level is None else str(one.level),
            ", ".join(one.rooms),
            one.why,
        ]
        for one in inventory.ALGORITHMS
    ]
    drawn = table("Cryptography in Quatrefoil", ["algorithm", "kind", "category", "rooms", "what for"], rows)
    for column in drawn.columns[1:]:
        column.justify = "left"
    console().print(drawn)
    console().print(
        "Category: NIST's against a quantum computer, 1 to 5; 0 is broken by one. Nothing here is audited.",
        markup=False,
    )


def mandatory() -> list[Check]:
    """What every round needs."""
    channel, kernel = host.transport_missing(), host.kernel_missing()
    packages = [Check(name, bool(_version(name)), _version(name) or "not installed", True) for name in _needed()]
    return [
        *packages,
        Check("post-quantum channels", not channel, channel or _openssl(), True),
        Check("kernel quatrefoil._core", not kernel, kernel or "built", True),
    ]


def groups() -> list[dict[str, Any]]:
    """Each known key-exchange group, and whether this pyOpenSSL takes it."""
    try:
        from OpenSSL import SSL
    except ImportError:
        return [{"group": name, "available": False} for name in GROUPS]
    take = getattr(getattr(SSL, "_lib", None), "SSL_CTX_set1_curves_list", None)
    context = SSL.Context(SSL.TLS_METHOD)
    return [
        {"group": name, "available": take is not None and take(context._context, name.encode()) == 1} for name in GROUPS
    ]


def extras() -> list[Check]:
    """Each extra of the package, and the command that installs what it lacks."""
    members: dict[str, list[str]] = {}
    for requirement in _requirements():
        match = _REQUIREMENT.match(requirement)
        if match:
            members.setdefault(match[2], []).append(match[1])
    checks = []
    for extra, packages in sorted(members.items()):
        missing = [name for name in packages if not _version(name)]
        detail = f"lacks {', '.join(missing)}: pip install 'quatrefoil[{extra}]'" if missing else ", ".join(packages)
        checks.append(Check(extra, not missing, detail))
    return checks


def collected() -> list[Check]:
    """Each kind of evidence that a collector exists for, and why none can be had here. A device may still refuse."""
    reasons = {kind: collectors.absent(kind) for kind in collectors.COLLECTORS}
    return [Check(kind, not why, why or f"quatrefoil attest collect {kind}") for kind, why in reasons.items()]


def refusals() -> list[dict[str, str]]:
    """What a plan would refuse on this machine under any policy, and why."""
    return [{"what": f"{layer}/{b}", "reason": reason} for (layer, b), reason in host.availability().absent.items()]


def _show(
    checks: list[Check],
    offered: list[dict[str, Any]],
    optional: list[Check],
    found: tuple[devices.Device, ...],
    evidence: list[Check],
    refused: list[dict[str, str]],
) -> None:
    out = console()
    rows = [[c.name, "ok" if c.ok else "MISSING", c.detail] for c in checks]
    rows += [[f"group {g['group']}", "ok" if g["available"] else "no", _use(g["group"])] for g in offered]
    rows += [[f"extra {c.name}", "ok" if c.ok else "no", c.detail] for c in optional]
    rows += [[f"device {d.path}", _state(d), d.meaning if d.present else d.kind] for d in found]
    rows += [[f"evidence {c.name}", "ok" if c.ok else "no", c.detail] for c in evidence]
    for title, columns, lines in (
        ("This machine", ["what", "state", "detail"], rows),
        ("A plan would refuse", ["what", "reason"], [[entry["what"], entry["reason"]] for entry in refused]),
    ):
        drawn = table(title, columns, lines)
        drawn.columns[-1].justify = "left"
        out.print(drawn)
    out.print("Nothing here is audited.")


def _use(group: str) -> str:
    hybrid = "MLKEM" in group and not group.startswith("MLKEM")
    return "hybrid" if hybrid else "not hybrid: channels never use it"


def _state(device: devices.Device) -> str:
    if not device.present:
        return "no"
    return "ok" if device.usable else "not permitted"


def _requirements() -> list[str]:
    try:
        return metadata.requires("quatrefoil") or []
    except metadata.PackageNotFoundError:
        return []


def _needed() -> list[str]:
    """Distributions that the package requires whatever the extras; the known ones where it runs from a source tree."""
    plain = [
        re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in _requirements() if "extra ==" not in requirement
    ]
    return plain or ["cbor2", "cryptography", "numpy", "pyOpenSSL", "rich"]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _openssl() -> str:
    from quatrefoil.transport import require_support

    return require_support()
