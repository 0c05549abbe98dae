"""Which contributor sets of a job's rounds may be answered for, so that no combination of sums isolates a few silos.

Silos that were in exactly the same sums form a group. Every linear combination of the sums weighs the members of a
group alike, so it reveals nothing finer than the groups' own sums; a group of one is an update laid open, and a group
with ``colluding_silos + 2`` members hides each honest one behind another. Pairs of sums are not enough to look at: of
AB, AC and BC every two differ in two silos, and together they give A. Updates change from round to round, which blurs
the combinations; the rule does not count on that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from quatrefoil.errors import PolicyError


def check_rosters(earlier: Iterable[Collection[str]], roster: Collection[str], minimum: int) -> None:
    """Refuse ``roster`` if with the ``earlier`` ones of the job it makes a group of fewer than ``minimum`` silos."""
    sums = [set(one) for one in {frozenset(one) for one in (*earlier, roster)}]
    groups: dict[tuple[bool, ...], list[str]] = {}
    for silo in sorted(set().union(*sums)):
        groups.setdefault(tuple(silo in one for one in sums), []).append(silo)
    smallest = min(groups.values(), key=len)
    if len(smallest) < minimum:
        raise PolicyError(
            f"with the earlier rounds of the job, this roster sets apart {', '.join(smallest)}: "
            f"{len(smallest)}, the policy's minimum is {minimum}",
            hint="Wait for the missing silos, leave out more, or void the round",
        )
