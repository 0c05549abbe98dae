"""What a party remembers of a finished round when everything else of it is gone: for the statement about the job.

Aggregator and silos keep the same account of a round each, and the silos hold the aggregator's against their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.federation.messages import RoundContext, RoundResult
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.state import State
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class RoundAccount(WireObject):
    """One finished round, by digests: of its context, of the keeper's signed release, of the published mean, of the
    model that it led to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:round-account"
    number: int
    attempt: int
    context: bytes
    contributors: tuple[str, ...]
    update_norm: float
    release: bytes
    mean: bytes
    model: bytes


@dataclass(frozen=True)
class RoundRefusals(WireObject):
    """Whom the aggregator refused in the attempt that was finished, sorted, and why. Only the aggregator has this."""

    TYPE: ClassVar[str] = "urn:quatrefoil:round-refusals"
    silos: tuple[str, ...]
    reasons: tuple[str, ...]


def account_of(context: RoundContext, contributors: tuple[str, ...], result: RoundResult) -> dict[str, bytes | None]:
    """What to store of a round, for ``State.replace``."""
    account = RoundAccount(
        context.round,
        context.attempt,
        result.context,
        contributors,
        context.update_norm,
        result.release,
        result.mean,
        result.model,
    )
    return {f"account/{context.round:08d}": account.encode()}


def refusals_of(
    context: RoundContext, contributors: Collection[str], refused: Mapping[str, str]
) -> dict[str, bytes | None]:
    """What to store of a round's refusals, for ``State.replace``: of silos that are not in the sum. What else a
    contributor sent, and was refused, is in the log."""
    silos = tuple(sorted(set(refused) - set(contributors)))
    stored = RoundRefusals(silos, tuple(refused[silo][:LONGEST_REASON] for silo in silos))
    return {f"refused/{context.round:08d}": stored.encode()}


def accounts(state: State) -> list[RoundAccount]:
    """Of every finished round, in order."""
    return [RoundAccount.decode(_stored(state, name)) for name in state.names("account/")]


def account(state: State, number: int) -> RoundAccount:
    """Of one finished round."""
    return RoundAccount.decode(_stored(state, f"account/{number:08d}"))


def refusals(state: State, number: int) -> RoundRefusals:
    """Of one finished round, at the aggregator."""
    return RoundRefusals.decode(_stored(state, f"refused/{number:08d}"))


def _stored(state: State, name: str) -> bytes:
    value = state.get(name)
    assert value is not None
    return value
