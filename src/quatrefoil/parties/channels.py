"""The channels of a job's parties: how long one may be silent, and whom a party calls."""

from __future__ import annotations

import argparse

from quatrefoil.errors import CallerError
from quatrefoil.output import report
from quatrefoil.parties.party import PartyFiles
from quatrefoil.transport import Dialer, system_clock

TIMEOUT = 60.0
"""Seconds for a handshake, and the longest silence in a channel: more than the patience of a long question."""


def aggregator_dialer(options: argparse.Namespace, files: PartyFiles) -> Dialer:
    """For a silo: what connects to the aggregator."""
    return Dialer(
        *options.aggregator,
        credentials=files.pinning(options.pin),
        policy=files.channel_policy,
        expect_role="aggregator",
        timeout=TIMEOUT,
        clock=system_clock,
    )


def keeper_dialer(options: argparse.Namespace, files: PartyFiles) -> Dialer | None:
    """For an aggregator: what connects to the keeper; None where the policy appoints a committee."""
    authority = files.policy.key_authority
    given = options.keeper is not None
    if authority.is_committee == given:
        raise CallerError(
            f"policy {files.policy.name} has a {authority.kind}, and --keeper is {'given' if given else 'not given'}",
            hint="Leave --keeper out where a committee of silos holds the keys, and give it otherwise",
        )
    if authority.is_committee:
        report("no keeper: a committee of silos holds the keys of each round in shares")
        return None
    return Dialer(
        *options.keeper,
        credentials=files.pinning(options.pin),
        policy=files.channel_policy,
        expect_role="keeper",
        timeout=TIMEOUT,
        clock=system_clock,
    )


__all__ = ["TIMEOUT", "aggregator_dialer", "keeper_dialer"]
