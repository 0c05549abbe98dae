"""What the aggregator of a group is in the upper job of a tree: a silo there, in the same process."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from quatrefoil.errors import CallerError, QuatrefoilError
from quatrefoil.federation.commitments import NOTHING
from quatrefoil.federation.tree import UpperSilo, grain_of, require_upper_policy
from quatrefoil.output import report
from quatrefoil.parties.channels import aggregator_dialer
from quatrefoil.parties.party import PartyFiles, warn_insecure
from quatrefoil.parties.silo import provenance_of, silo_of, witness_of
from quatrefoil.policy import Policy
from quatrefoil.services.upper_link import UpperLink
from quatrefoil.services.vitals import Vitals

FOLDER = "upper"
"""In the state folder of a group's aggregator: state and log of the silo that it is in the upper job."""

ADDING = "additive-rlwe"
"""What adds exact integers."""

SAMPLES = 1
"""With which every group enrols: what goes up is weighed."""


def require_place(policy: Policy, *, adds_groups: bool, goes_up: bool) -> None:
    """``PolicyError`` or ``CallerError`` where a job cannot have the place in a tree that the options give it, whatever
    is planned for it; of a group, ``require_group_policy`` asks for more."""
    if adds_groups:
        require_upper_policy(policy)
    if policy.goes_up and not goes_up:
        raise CallerError(
            f"by policy {policy.name} the job's sums go up to another job, and --upper is not given",
            hint="Name the upper aggregator with --upper, or take [tree] out of the policy of all parties",
        )


class UpperParty:
    """What a group is in the upper job: its files, opened with the process. ``with`` closes state and log."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = _as_silo(options)
        self._files = PartyFiles(self._options, "silo")
        try:
            require_upper_policy(self._files.policy)
            warn_insecure(self._files.policy, "upper ")
            self._provenance = provenance_of(self._files)
            report(f"goes up to {options.upper[0]}:{options.upper[1]} as silo {self._files.identity.name}")
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def link(
        self,
        policy: Policy,
        *,
        length: int,
        rounds: int,
        vitals: Vitals,
        on_failed: Callable[[QuatrefoilError], None],
    ) -> UpperLink:
        """In the running loop: the link of a group under ``policy``, whose model has ``length`` values."""
        files, options = self._files, self._options
        upper = UpperSilo(
            silo_of(options, files, SAMPLES, NOTHING),
            files.state,
            name=files.identity.name,
            length=length,
            rounds=rounds,
        )
        vitals.check("upper_state", files.state.problem)
        return UpperLink(
            upper,
            self._provenance,
            aggregator_dialer(options, files).connect,
            grain=grain_of(policy.limits),
            witness=witness_of(options, files),
            give_up=options.give_up,
            report=report,
            vitals=vitals,
            on_failed=on_failed,
        )

    def keep_provenance(self) -> None:
        """The statement about the upper job, once this group has signed it."""
        if (envelope := self._provenance.envelope()) is not None:
            report(f"upper job: statement of provenance: {self._files.keep_provenance(envelope)}")

    def to_json(self, digest: bytes) -> dict[str, Any]:
        """``digest``: of the upper job."""
        return {
            "job": digest.hex(),
            "silo": self._files.identity.name,
            "insecure": list(self._files.policy.accept_insecure),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)


_NEEDED = ("upper_policy", "upper_identity")
_OTHERS = ("upper_root", "upper_pin", "upper_enclave", "upper_appraisal", "upper_collateral")


def upper_party(options: argparse.Namespace) -> UpperParty | None:
    """None where the job stands alone."""
    given = [name for name in (*_NEEDED, *_OTHERS) if getattr(options, name) is not None]
    if options.upper is None:
        if given:
            raise CallerError(f"{_option(given[0])} is given without --upper", hint="Name the upper aggregator with it")
        return None
    if options.groups_of is not None:
        raise CallerError("--upper is given with --groups-of", hint="A tree has two levels: give one of them")
    if missing := [name for name in _NEEDED if name not in given]:
        raise CallerError(
            f"--upper is given without {_option(missing[0])}",
            hint="Give the upper job's policy, and an identity that is certified there as a silo",
        )
    return UpperParty(options)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _as_silo(options: argparse.Namespace) -> argparse.Namespace:
    """The options of ``quatrefoil silo`` that say the same."""
    return argparse.Namespace(
        identity=options.upper_identity,
        root=options.upper_root or options.root,
        policy=options.upper_policy,
        state=options.state / FOLDER,
        database=upper_database(options.database),
        backend=ADDING,
        threads=options.threads,
        enclave=options.upper_enclave,
        appraisal=options.upper_appraisal,
        collateral=options.upper_collateral,
        aggregator=options.upper,
        pin=options.upper_pin,
        give_up=options.give_up,
    )


def upper_database(database: str | None) -> str | None:
    """Where the state of a group's silo above is, where its own is in ``database``: under another name. Without a name
    of its own a state has that of its party, which is another one there."""
    return f"{database}/{FOLDER}" if database is not None and "#" in database else database


__all__ = [
    "UpperParty",
    "require_place",
    "upper_database",
    "upper_party",
]
