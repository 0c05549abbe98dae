"""``[limits]``: the numbers of a round that every silo, the aggregator and the keeper hold each other to."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

from quatrefoil.configuration import FieldInvalid, Table, check_choice, check_positive, check_range, written
from quatrefoil.wire import WireObject

VALUE_BITS = (12, 16, 32)
"""Signed bits to which one value of an update is rounded; each has one parameter set per aggregation backend."""

CLIP_RANGE = (2.0**-100, 2.0**100)
"""Within these bounds the error bound of an encrypted sum holds; every backend takes them."""

MOST_SILOS = 2048
LARGEST_COUNT = 1 << 40
LARGEST_ROUNDS = 1_000_000

LARGEST_NORM = 1 << 13
"""Times ``clip``: an update of which every value is at the bound has a larger norm only with over 67 million values."""

DIRECTIONS = ("last-mean",)
"""The closed vocabulary of ``update_direction``: the published mean of the round before, from the second round on."""

MOST_LAYER_NORMS = 48
"""Parts of an update with norms of their own; a proof holds 56 claims."""

LARGEST_FACTOR = 1024.0
"""Of ``update_norm_factor``: a mean of a thousandth of the norm would still lead to the whole of it."""


@dataclass(frozen=True)
class Limits(WireObject):
    """``[limits]``: numbers that every silo, the aggregator and the keeper hold each other to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:policy-limits"

    minimum_silos: int
    """Fewest silos in a round that is answered; at least ``colluding_silos + 2``."""
    colluding_silos: int
    """Silos that may pool what they know with the aggregator without learning another's update."""
    largest_sample_count: int
    """Cap on the FedAvg weight of one silo."""
    clip: float
    """Every value of an update lies in [-clip, clip]."""
    value_bits: int
    """Signed bits a value is rounded to: 16 (up to 256 silos) or 32 (up to 2,048)."""
    minimum_roster_group: int
    """Silos of a job that were in exactly the same sums form a group; no sum is given that leaves a smaller one."""
    rounds: int
    """Most rounds of one job."""
    update_norm: float = math.inf
    """The Euclidean norm of no update is larger, in the units of the update; infinite when not given."""
    update_norm_factor: float = math.inf
    """With ``update_norm_floor``: the norm of a round follows the last mean, this many times as long as it; infinite,
    like the floor, when the norm of every round is ``update_norm``."""
    update_norm_floor: float = math.inf
    """The norm of a round is at least this share of the last round's."""
    update_layer_norms: tuple[float, ...] = ()
    """For each array of a model, in order: the share of the round's norm that this part of an update may have; empty
    where parts have no norms of their own."""
    update_direction: str = ""
    """From :data:`DIRECTIONS`: what an update must not point away from; "" for nothing."""

    @property
    def norm_is_adaptive(self) -> bool:
        """Whether the norm of a round follows the published means."""
        return self.update_norm_factor != math.inf

    def __post_init__(self) -> None:
        check_range("limits.colluding_silos", self.colluding_silos, 0, MOST_SILOS - 2)
        check_range("limits.minimum_silos", self.minimum_silos, 2, MOST_SILOS)
        if self.minimum_silos < self.colluding_silos + 2:
            raise FieldInvalid(
                "limits.minimum_silos",
                f"{self.minimum_silos} is under colluding_silos + 2 = {self.colluding_silos + 2}",
                hint="With one honest silo left, the sum less the others' updates is its update: require more silos",
            )
        check_range("limits.largest_sample_count", self.largest_sample_count, 1, LARGEST_COUNT)
        check_positive("limits.clip", self.clip)
        if not CLIP_RANGE[0] <= self.clip <= CLIP_RANGE[1]:
            raise FieldInvalid("limits.clip", f"is {self.clip}, outside 2^-100 to 2^100", hint="Correct the number")
        if self.value_bits not in VALUE_BITS:
            known = ", ".join(map(str, VALUE_BITS[:-1])) + f" or {VALUE_BITS[-1]}"
            raise FieldInvalid("limits.value_bits", f"is {written(self.value_bits)}, not {known}", hint=f"Use {known}")
        check_range("limits.minimum_roster_group", self.minimum_roster_group, 1, MOST_SILOS)
        if self.minimum_roster_group > self.minimum_silos:
            raise FieldInvalid(
                "limits.minimum_roster_group",
                f"{self.minimum_roster_group} is above minimum_silos = {self.minimum_silos}",
                hint="A round of the fewest silos would be refused: require more silos, or let groups be smaller",
            )
        check_range("limits.rounds", self.rounds, 1, LARGEST_ROUNDS)
        self._check_norm()
        self._check_adaptive_norm()
        self._check_layer_norms()
        if self.update_direction:
            check_choice("limits.update_direction", self.update_direction, DIRECTIONS)

    def _check_layer_norms(self) -> None:
        if len(self.update_layer_norms) > MOST_LAYER_NORMS:
            raise FieldInvalid(
                "limits.update_layer_norms",
                f"has {len(self.update_layer_norms)} shares, over {MOST_LAYER_NORMS}",
                hint="A proof holds no more claims: bound the whole update alone",
            )
        if any(not 0 < share <= 1 for share in self.update_layer_norms):
            raise FieldInvalid(
                "limits.update_layer_norms",
                f"has shares {', '.join(map(str, self.update_layer_norms))}",
                hint="Each is above 0 and at most 1: a share of update_norm",
            )

    def _check_norm(self) -> None:
        if self.update_norm == math.inf:
            return
        check_positive("limits.update_norm", self.update_norm)
        if not self.clip / LARGEST_NORM <= self.update_norm <= self.clip * LARGEST_NORM:
            raise FieldInvalid(
                "limits.update_norm",
                f"is {self.update_norm}, not within a factor of {LARGEST_NORM} of clip = {self.clip}",
                hint="Nothing is bounded by a larger norm, and a smaller one leaves less than rounding does",
            )

    def _check_adaptive_norm(self) -> None:
        given = {"update_norm_factor": self.update_norm_factor, "update_norm_floor": self.update_norm_floor}
        missing = [name for name, value in given.items() if value == math.inf]
        if len(missing) == len(given):
            return
        if missing:
            (other,) = given.keys() - set(missing)
            raise FieldInvalid(
                f"limits.{other}", f"is given without {missing[0]}", hint="Give both, or neither for a fixed norm"
            )
        if self.update_norm == math.inf:
            raise FieldInvalid(
                "limits.update_norm_factor",
                "is given without update_norm",
                hint="The first round's norm is update_norm, and no round's is larger: give it",
            )
        for name, least, most in (("update_norm_factor", 1.0, LARGEST_FACTOR), ("update_norm_floor", 0.0, 1.0)):
            if not (least <= given[name] <= most and given[name] > 0):
                above = "above 0 and at most 1" if least == 0 else f"{least:g} to {most:g}"
                raise FieldInvalid(
                    f"limits.{name}",
                    f"is {given[name]}, not {above}",
                    hint="Less of either lets attackers shrink the norm, and with it training: docs/robustness.md",
                )


_OPTIONAL = ("update_norm", "update_norm_factor", "update_norm_floor", "update_layer_norms", "update_direction")


def read_limits(limits: Table) -> Limits:
    """The limits in their table; to be called where the file's lines are placed."""
    limits.expect([field.name for field in fields(Limits) if field.name not in _OPTIONAL], _OPTIONAL)
    return Limits(
        minimum_silos=limits.integer("minimum_silos"),
        colluding_silos=limits.integer("colluding_silos"),
        largest_sample_count=limits.integer("largest_sample_count"),
        clip=limits.number("clip"),
        value_bits=limits.integer("value_bits"),
        minimum_roster_group=limits.integer("minimum_roster_group"),
        rounds=limits.integer("rounds"),
        update_norm=_positive_or_infinite(limits, "update_norm"),
        update_norm_factor=_positive_or_infinite(limits, "update_norm_factor"),
        update_norm_floor=_positive_or_infinite(limits, "update_norm_floor"),
        update_layer_norms=limits.numbers("update_layer_norms") if "update_layer_norms" in limits else (),
        update_direction=limits.text("update_direction") if "update_direction" in limits else "",
    )


def _positive_or_infinite(limits: Table, key: str) -> float:
    """The number that is given, or infinity; infinity itself is not given."""
    if key not in limits:
        return math.inf
    number = limits.number(key)
    check_positive(f"limits.{key}", number)
    return number


__all__ = [
    "CLIP_RANGE",
    "DIRECTIONS",
    "LARGEST_COUNT",
    "LARGEST_FACTOR",
    "LARGEST_NORM",
    "LARGEST_ROUNDS",
    "MOST_LAYER_NORMS",
    "MOST_SILOS",
    "VALUE_BITS",
    "Limits",
    "read_limits",
]
