"""What the commands on sealed models and data sets share: options, keys, progress, and how a container is described."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from quatrefoil.cli import archives
from quatrefoil.errors import StateCorrupt
from quatrefoil.output import progress_console
from quatrefoil.parties.arguments import count
from quatrefoil.resources import ReleasePolicy
from quatrefoil.resources.container import Front, claimed_time
from quatrefoil.resources.container.front import Verifying
from quatrefoil.transport import TrustAnchor, files, system_clock
from quatrefoil.transport.identity import read_key

NOUNS = {"model": "model", "dataset": "data set", "table-key": "table key"}


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=count, default=2, metavar="N", help="threads (default: 2)")


def add_judgement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at-claimed-time",
        action="store_true",
        help="judge the owner's certificate at the time the owner claims, for containers older than it",
    )


def verifying(options: argparse.Namespace) -> Callable[[bytes], Verifying]:
    """What the statements in a container are verified with."""
    return claimed_time(TrustAnchor.load(options.root), judged=archives.judged(options), clock=system_clock)


def new_signing_key(file: Path) -> bytes:
    """A new Ed25519 key in ``file``, mode 0600. Returns its public key."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files.write_new(file, pem, mode=files.PRIVATE)
    return key.public_key().public_bytes_raw()


def signing_key(file: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in ``file``; refused when others may read it."""
    hint = "Name a key that `quatrefoil model key` wrote"
    key = read_key(files.read_private(file, "signing key"), f"signing key {file}", hint)
    if not isinstance(key, Ed25519PrivateKey):
        raise StateCorrupt(f"signing key {file} is not of Ed25519", hint=hint)
    return key


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error; nothing in a log."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    shown = progress_console()
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def rows(front: Front) -> list[tuple[str, str]]:
    """A container for people."""
    resource, manifest, owner = front.owned.resource, front.manifest, front.owned.owner
    made = datetime.fromtimestamp(resource.made_at, UTC)
    return [
        ("kind", NOUNS[resource.kind]),
        ("name and number", f"{resource.name}, {resource.serial}"),
        ("root", front.root.hex()),
        ("owner", f"{owner.signer} ({owner.role}), who says {made:%Y-%m-%d %H:%M} UTC"),
        ("Ed25519 key of the owner", manifest.ed25519.hex()),
        (
            "content",
            f"{manifest.length:,} bytes of {manifest.content}{f', {manifest.media}' if manifest.media else ''}",
        ),
        ("committed weights", manifest.commitment.hex() or "none: its answers are not proven by this manifest alone"),
        ("released to", ", ".join(resource.stages)),
        ("release policy", f"{front.owned.policy.name}, SHA-256 {front.owned.policy.digest().hex()}"),
        ("derived from", resource.parent.hex() or "nothing: it is the owner's own"),
        ("resource", front.owned.digest.hex()),
        *(("sealed to the broker", one.recipient.hex()) for one in front.keys),
    ]


def as_json(front: Front) -> dict[str, Any]:
    """A container for programs."""
    resource, manifest, owner = front.owned.resource, front.manifest, front.owned.owner
    return {
        "kind": resource.kind,
        "name": resource.name,
        "serial": resource.serial,
        "root": front.root.hex(),
        "owner": {"name": owner.signer, "role": owner.role, "certificate": owner.fingerprint.hex()},
        "made_at": resource.made_at,
        "ed25519": manifest.ed25519.hex(),
        "content": manifest.content,
        "media": manifest.media,
        "bytes": manifest.length,
        "commitment": manifest.commitment.hex(),
        "openings": manifest.openings,
        "stages": list(resource.stages),
        "policy": policy_as_json(front.owned.policy),
        "parent": resource.parent.hex(),
        "resource": front.owned.digest.hex(),
        "brokers": [one.recipient.hex() for one in front.keys],
    }


def policy_as_json(policy: ReleasePolicy) -> dict[str, Any]:
    """A release policy for programs."""
    return {
        "name": policy.name,
        "sha256": policy.digest().hex(),
        "entry": list(policy.entry),
        "stages": [
            {
                "name": stage.name,
                "appraisal": {"name": stage.appraisal.name, "sha256": stage.appraisal.digest().hex()},
                "longest_lease_s": stage.longest_lease_s,
                "renewal": stage.renewal,
                "outputs": {output.kind: list(output.stages) for output in stage.outputs},
            }
            for stage in policy.stages
        ],
    }


def policy_rows(policy: ReleasePolicy) -> list[tuple[str, str, str, str, str]]:
    """Stage, appraisal policy, lease, renewal and outputs of each stage, for people."""
    return [
        (
            f"{stage.name} (entry)" if stage.name in policy.entry else stage.name,
            stage.appraisal.name,
            f"{stage.longest_lease_s:,} s",
            stage.renewal,
            "; ".join(f"{one.kind} to {', '.join(one.stages)}" for one in stage.outputs) or "nothing",
        )
        for stage in policy.stages
    ]
