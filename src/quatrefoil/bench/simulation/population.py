"""Who takes part in a simulation: groups of silos, of which some stay away, some are slow, and some lie."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from quatrefoil.bench.simulation.lies import KINDS
from quatrefoil.errors import CallerError
from quatrefoil.federation.tree import LEAST_GROUPS
from quatrefoil.policy import Policy

CLIP = 32767 / 32768
GRAIN = CLIP / 32767
"""2^-15 exactly. An update of multiples of 4 grains, weighed by 1, 1/2 or 1/4, is rounded nowhere: so the clear sum is
known to the last integer without a silo's coins."""

HEAVIEST = 4
NORM = 1.0
LARGEST_GROUP = 256
"""What a parameter set with proofs holds."""

USUAL_GROUP = 125

MINIMUM, COLLUDING = 3, 1

_POLICY = """
name = "simulation"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos"{threat}]
on_excess = "refuse"
[limits]
minimum_silos = {minimum}
colluding_silos = {colluding}
largest_sample_count = {heaviest}
clip = {clip!r}
value_bits = {bits}
minimum_roster_group = 1
rounds = {rounds}
{norm}
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]
[insecure]
accept = ["software-keeper"]
[audit]
receipts = "ml-dsa"
[tree]
place = "{place}"
"""


def group_policy(rounds: int, *, goes_up: bool) -> Policy:
    """What the silos of a group agree on."""
    text = _POLICY.format(
        threat=', "byzantine-silo"',
        minimum=MINIMUM,
        colluding=COLLUDING,
        heaviest=HEAVIEST,
        clip=CLIP,
        bits=16,
        rounds=rounds,
        norm=f"update_norm = {NORM}",
        place="group" if goes_up else "alone",
    )
    return Policy.parse(text, source="simulation")


def upper_policy(rounds: int, clip: int) -> Policy:
    """What the groups agree on: sums are bounded by what groups verified, and proven by nobody."""
    text = _POLICY.format(
        threat="",
        minimum=LEAST_GROUPS,
        colluding=1,
        heaviest=1,
        clip=float(clip),
        bits=32,
        rounds=rounds,
        norm="",
        place="alone",
    )
    return Policy.parse(text, source="simulation")


@dataclass(frozen=True)
class Options:
    """What is simulated. ``dropout``, ``liars``, ``slow``: shares of the silos; half of the slow ones come after all
    others, half after the roster was closed. ``group``: silos of a group; None: all in one where one holds them.
    ``seed``: of who is what and of the updates, not of keys. ``disks``: silos have their state and log on a disk."""

    silos: int
    parameters: int
    dropout: float = 0.0
    liars: float = 0.0
    slow: float = 0.0
    rounds: int = 1
    group: int | None = None
    executor: str = "threads"
    workers: int | None = None
    seed: int = 0
    disks: bool = False

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("silos", self.silos, MINIMUM, 1 << 16),
            ("parameters", self.parameters, 1, 1 << 24),
            ("rounds", self.rounds, 1, 10_000),
            ("workers", self.workers or 1, 1, 1 << 10),
        ):
            if not least <= value <= most:
                raise CallerError(f"{value} {name} cannot be simulated", hint=f"Give {least} to {most:,}")
        shares = {"dropout": self.dropout, "liars": self.liars, "slow": self.slow}
        for name, share in shares.items():
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise CallerError(f"{name} {share} is no share of the silos", hint="Give a number from 0 to 1")
        if sum(shares.values()) > 1:
            raise CallerError(
                f"shares of {', '.join(f'{value:g}' for value in shares.values())} are more than all silos",
                hint="Dropouts, liars and slow ones are different silos: give shares that add up to at most 1",
            )
        if self.group is not None and not MINIMUM <= self.group <= LARGEST_GROUP:
            raise CallerError(
                f"groups of {self.group} silos cannot be added with proofs", hint=f"Give {MINIMUM} to {LARGEST_GROUP}"
            )

    @property
    def groups(self) -> int:
        """How many groups; one is a job that stands alone, and two would have each other's sum."""
        if self.group is None and self.silos <= LARGEST_GROUP:
            return 1
        count = math.ceil(self.silos / (self.group or USUAL_GROUP))
        return count if count == 1 else max(count, LEAST_GROUPS)


@dataclass(frozen=True)
class Population:
    """``groups``: the silos of each, by its name. ``roles``: of those that are not ordinary: "dropout", "slow", "late",
    or a kind of lie. ``samples``: every silo's count."""

    groups: Mapping[str, tuple[str, ...]]
    roles: Mapping[str, str]
    samples: Mapping[str, int]
    silos: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "silos", tuple(sorted(name for silos in self.groups.values() for name in silos)))

    @classmethod
    def of(cls, options: Options) -> Population:
        """Roles are spread over the groups. ``CallerError`` where a group would have no sum or no quorum left."""
        drawn = random.Random(options.seed)  # noqa: S311 - who is what in a simulation is no secret
        names = [f"silo-{number:05d}" for number in range(options.silos)]
        count = options.groups
        groups = {f"group-{number:03d}": tuple(names[number::count]) for number in range(count)}
        # In turns over the groups, so that none loses more than its share.
        shuffled = [drawn.sample(silos, len(silos)) for silos in groups.values()]
        order = [silos[at] for at in range(max(map(len, shuffled))) for silos in shuffled if at < len(silos)]
        slow = round(options.slow * options.silos)
        lies = round(options.liars * options.silos)
        wanted = (
            ["dropout"] * round(options.dropout * options.silos)
            + [KINDS[number % len(KINDS)] for number in range(lies)]
            + ["slow"] * (slow - slow // 2)
            + ["late"] * (slow // 2)
        )
        roles = dict(zip(order, wanted, strict=False))
        # One has the largest count that the policy takes: a job that stands alone weighs by the largest on its roster.
        samples = {name: drawn.choice((1, 2, HEAVIEST)) for name in names} | {names[0]: HEAVIEST}
        population = cls(groups, roles, samples)
        population._check()
        return population

    def of_role(self, group: str, *roles: str) -> tuple[str, ...]:
        """Silos of a group that have one of these roles; "" is an ordinary one's."""
        return tuple(name for name in self.groups[group] if self.roles.get(name, "") in roles)

    def present(self, group: str) -> tuple[str, ...]:
        """Silos of a group that have not dropped out."""
        return tuple(name for name in self.groups[group] if self.roles.get(name) != "dropout")

    def added(self) -> set[str]:
        """Silos whose contributions belong into the sum."""
        return {name for name in self.silos if self.roles.get(name, "slow") == "slow"}

    @property
    def liars(self) -> dict[str, str]:
        """Silos that lie, and how."""
        return {name: role for name, role in self.roles.items() if role in KINDS}

    def _check(self) -> None:
        for group, silos in self.groups.items():
            quorum = (len(silos) + COLLUDING) // 2 + 1
            added = len(set(silos) & self.added())
            if len(self.present(group)) < quorum or added < MINIMUM:
                raise CallerError(
                    f"{group} has {len(silos)} silos, of which {len(self.present(group))} are there and {added} can "
                    f"be added: {quorum} must confirm, and a sum needs {MINIMUM}",
                    hint="Simulate fewer dropouts and liars, or larger groups",
                )


__all__ = ["CLIP", "GRAIN", "HEAVIEST", "Options", "Population", "group_policy", "upper_policy"]
