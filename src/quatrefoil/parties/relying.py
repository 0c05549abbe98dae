"""What the keeper's evidence is held to, by who relies on it: an appraisal policy and collateral, as options name them.

What appraises is imported where it is used: most jobs have no evidence, and inside Flower a silo is a new process for
each message.
"""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quatrefoil.errors import CallerError, HostError
from quatrefoil.output import report
from quatrefoil.transport import system_clock

if TYPE_CHECKING:
    from quatrefoil.appraisal import Relied


def add_relying_options(
    parser: argparse._ActionsContainer, prefix: str = "", policy: str = "the policy", keeper: str = "the keeper"
) -> None:
    parser.add_argument(
        f"--{prefix}appraisal",
        type=Path,
        metavar="FILE",
        help=f"the appraisal policy that {policy} names by its digest: what {keeper}'s evidence is held to",
    )
    parser.add_argument(
        f"--{prefix}collateral",
        type=Path,
        metavar="DIR",
        help="certificates, revocation lists and keys to verify it with",
    )


def relied_of(options: argparse.Namespace) -> Relied | None:
    """The appraisal policy and collateral that were given; None without. ``HostError`` for what has expired of it."""
    if options.appraisal is not None and options.collateral is not None:
        require_current(options.collateral, system_clock())
    return read_relied(options.appraisal, options.collateral)


def require_current(folder: Path, at: datetime) -> None:
    """``HostError`` naming the first file of collateral that does not hold at ``at``, and its date.

    It says nothing of what holds: verification judges every part again, each time that it uses it.
    """
    from quatrefoil.endorsements import bundle

    for one in bundle.held(folder):
        for problem in one.problems(at):
            raise HostError(
                f"{folder / one.name} does not hold: {problem}",
                hint="Fetch it again with `quatrefoil attest collateral fetch`, or take it out if nothing needs it",
            )


def read_relied(appraisal: Path | None, collateral: Path | None) -> Relied | None:
    """Both from their files; None where no appraisal policy is given."""
    from quatrefoil.appraisal import Relied, load
    from quatrefoil.enclave.collateral import Collateral

    if appraisal is not None:
        return Relied(load(appraisal), Collateral() if collateral is None else Collateral.load(collateral))
    if collateral is not None:
        raise CallerError("--collateral is given without the policy it serves", hint="Give it with --appraisal")
    return None


def report_relied(backend: str, relied: Relied | None) -> None:
    """Say what the keeper's evidence is held to."""
    if relied is not None:
        report(f"the keeper's {backend} evidence is held to {relied.policy.name} ({relied.policy.digest().hex()[:16]})")


__all__ = ["add_relying_options", "read_relied", "relied_of", "report_relied", "require_current"]
